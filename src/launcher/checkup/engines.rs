//! The container engines: which answer, what they are made of, and what is known of those versions.

use bollard::models::SystemVersionComponents;

use super::super::endpoint::Surroundings;
use super::super::engine::{Engine, EngineError, Facts};
use super::escapes::{is_listed, known};
use super::version::Version;
use super::{Check, Group};

const ENGINE: Group = Group("engine");

/// What was found.
pub(super) struct Engines {
    pub(super) checks: Vec<Check>,
    /// The one that a session would use.
    pub(super) first: Option<Engine>,
    /// Somebody named one, and it is of no use.
    pub(super) missed: bool,
}

/// Looks for every engine.
pub(super) async fn look(around: &Surroundings) -> Engines {
    let (engines, failed) = Engine::all(around).await;
    let mut checks = Vec::new();
    let missed = match &failed {
        None => false,
        Some(EngineError::Nowhere(_)) => {
            checks.push(ENGINE.none(
                "engine",
                "no container engine answers where they usually do",
            ));
            false
        }
        Some(error) => {
            checks.push(ENGINE.problem(
                "engine",
                error.to_string(),
                "what is named is never passed over: make it answer, or use --runtime local",
            ));
            true
        }
    };
    for engine in &engines {
        checks.push(ENGINE.ok(
            "engine",
            format!("{} answers on {}", engine.facts(), engine.facts().endpoint),
        ));
        checks.extend(parts(engine).await);
        checks.extend([limits(engine.facts()), filter(engine).await]);
    }
    Engines {
        checks,
        first: engines.into_iter().next().filter(|_| !missed),
        missed,
    }
}

/// What it is made of. An engine that does not tell is a warning, as nothing is known of it then.
async fn parts(engine: &Engine) -> Vec<Check> {
    let parts = match engine.docker.version().await {
        Ok(version) => version.components.unwrap_or_default(),
        Err(error) => {
            return vec![ENGINE.warning(
                "versions",
                format!(
                    "{} does not tell what it is made of: {error}",
                    engine.facts()
                ),
                "look its versions up by hand: docker version",
            )];
        }
    };
    parts.iter().filter_map(part).collect()
}

/// What is known of a component; nothing of one that no table is kept of.
fn part(part: &SystemVersionComponents) -> Option<Check> {
    // Podman writes `OCI Runtime (runc)`, and what the program says of itself: `runc version 1.1.5`,
    // and more lines.
    let inner = part.name.strip_prefix("OCI Runtime (");
    let component = inner.and_then(|inner| inner.strip_suffix(')'));
    let component = component.unwrap_or(&part.name);
    let said = part.version.lines().next().unwrap_or_default();
    let version = said.rsplit(' ').next().unwrap_or_default();
    let name = match component {
        "runc" => "runc",
        "crun" => "crun",
        "containerd" => "containerd",
        listed if is_listed(listed) => "docker",
        _ => return None,
    };
    Some(judged(component, name, version))
}

fn judged(component: &str, name: &'static str, written: &str) -> Check {
    let shown = format!("{name} {written}");
    let Some(version) = Version::parse(written) else {
        return ENGINE.warning(
            name,
            format!("{shown} is no version that can be compared"),
            "look up whether it has known ways out",
        );
    };
    match known(component, &version) {
        None => ENGINE.ok(name, format!("{shown} has no known way out")),
        // Debian and others mend an old version without changing its number.
        Some(known) if version.packaged => ENGINE.warning(
            name,
            format!(
                "{shown} by its number has {}; its distribution may have mended it without changing \
                 the number",
                known.escapes
            ),
            format!("install the latest package of {name}, and look into its changelog"),
        ),
        Some(known) => ENGINE.problem(
            name,
            format!("{shown} has {}", known.escapes),
            format!("install {name} {} or newer", known.fixed),
        ),
    }
}

fn limits(facts: &Facts) -> Check {
    match facts.limits {
        true => ENGINE.ok("limits", "memory and processes of a sandbox can be limited"),
        false => ENGINE.warning(
            "limits",
            "memory and processes of a sandbox cannot be limited, so that it can use up the machine",
            "give the engine cgroup v2 with delegation (systemd does), or run it as root",
        ),
    }
}

async fn filter(engine: &Engine) -> Check {
    let options = engine.docker.info().await.ok();
    let options = options.and_then(|info| info.security_options);
    let options = options.unwrap_or_default();
    match options.iter().find(|option| option.contains("seccomp")) {
        Some(option) if !option.contains("unconfined") => {
            ENGINE.ok("filter", "kernel calls of a sandbox are filtered")
        }
        _ => ENGINE.problem(
            "filter",
            format!("{} does not filter kernel calls (seccomp)", engine.facts()),
            "install an engine with seccomp, and leave its default profile on",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    fn of(name: &str, version: &str) -> Option<Check> {
        part(&SystemVersionComponents {
            name: name.to_owned(),
            version: version.to_owned(),
            ..SystemVersionComponents::default()
        })
    }

    #[test]
    fn a_packaged_version_is_a_warning_and_the_projects_own_a_problem() {
        let state = |version| of("runc", version).map(|check| check.state);
        assert_eq!(state("1.1.5+ds1-1+deb12u1"), Some(State::Warning));
        assert_eq!(state("1.1.5"), Some(State::Problem));
        assert_eq!(state("1.3.3"), Some(State::Ok));
        assert_eq!(state("devel"), Some(State::Warning));
    }

    #[test]
    fn podmans_runtime_is_known_by_the_name_within_its_name() {
        let runc = of(
            "OCI Runtime (runc)",
            "runc version 1.1.11\ncommit: v1\nspec: 1.0.2",
        );
        let runc = runc.unwrap();
        assert_eq!((runc.name, runc.state), ("runc", State::Problem));
        assert!(runc.says.contains("CVE-2024-21626"), "{}", runc.says);
        let crun = of("OCI Runtime (crun)", "crun version 1.8.1\ncommit: f8a0").unwrap();
        assert_eq!((crun.name, crun.state), ("crun", State::Ok));
        assert!(of("Conmon", "conmon version 2.1.6").is_none());
    }
}
