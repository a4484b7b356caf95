//! What the containers of a session have in common: how they are made, closed in, and removed.

use std::collections::HashMap;

use anyhow::{Context, Result};
use bollard::errors::Error;
use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, HostConfig, HostConfigLogConfig,
};
use bollard::query_parameters::{CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder};
use serde::Deserialize;
use serde_json::{Value, json};

use super::engine::{Engine, Facts};
use super::filter;
use super::image::{Executable, is_missing};
use super::report::Report;

pub(crate) const MIB: i64 = 1024 * 1024;

/// The walls: no capability, no way to a new one, nothing of the root writable, no log on a disk.
pub(crate) fn hardened(facts: &Facts) -> HostConfig {
    HostConfig {
        cap_drop: Some(vec!["ALL".to_owned()]),
        security_opt: Some(security(facts)),
        readonly_rootfs: Some(true),
        userns_mode: facts.userns_mode(),
        log_config: Some(HostConfigLogConfig {
            typ: Some("none".to_owned()),
            config: Some(HashMap::new()),
        }),
        auto_remove: Some(false),
        ..HostConfig::default()
    }
}

/// SELinux would keep a container from the person's files, which carry the labels of a home, and
/// relabelling them would change the person's machine. The other walls stand without it.
fn security(facts: &Facts) -> Vec<String> {
    let label = facts.selinux.then(|| "label=disable".to_owned());
    std::iter::once("no-new-privileges".to_owned())
        .chain(label)
        .chain(filter::option(facts))
        .collect()
}

/// This very executable in a container, with its arguments.
pub(crate) fn vibepit(
    facts: &Facts,
    executable: &Executable,
    arguments: &[&str],
) -> ContainerCreateBody {
    let library_path = &executable.library_path;
    let env = (!library_path.is_empty()).then(|| vec![format!("LD_LIBRARY_PATH={library_path}")]);
    ContainerCreateBody {
        image: Some(executable.image.0.clone()),
        user: Some(user(facts)),
        entrypoint: Some(vec![executable.program.clone()]),
        cmd: Some(
            arguments
                .iter()
                .map(|&argument| argument.to_owned())
                .collect(),
        ),
        env,
        working_dir: Some("/".to_owned()),
        open_stdin: Some(true),
        // The engine closes the input when its one client is gone, however it went: this is what
        // ends what a launcher that was killed had started (measured). On another machine the
        // client may come back, and what is there has a patience of its own.
        stdin_once: Some(!facts.remote),
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        ..ContainerCreateBody::default()
    }
}

/// A limit, where the engine can set one.
pub(crate) fn limit(facts: &Facts, value: i64) -> Option<i64> {
    facts.limits.then_some(value)
}

/// The person, as the engine's API writes a user.
pub(crate) fn user(facts: &Facts) -> String {
    let (uid, gid) = facts.user();
    format!("{uid}:{gid}")
}

/// Makes a container of an image that is made or found first, and does both once more if the
/// image has gone meanwhile: somebody else's prune may take it until a container holds it.
pub(crate) async fn create_from<I, T>(
    mut image: impl AsyncFnMut() -> Result<I>,
    mut create: impl AsyncFnMut(I) -> Result<T>,
) -> Result<T> {
    let first = image().await?;
    match create(first).await {
        Err(error) if error.downcast_ref().is_some_and(is_missing) => {
            let second = image().await?;
            create(second).await
        }
        outcome => outcome,
    }
}

pub(crate) async fn create(engine: &Engine, name: &str, body: ContainerCreateBody) -> Result<()> {
    let options = CreateContainerOptionsBuilder::default().name(name).build();
    engine.docker.create_container(Some(options), body).await?;
    Ok(())
}

/// Makes a container whose command has an init before it, as its body asks for; without one where
/// the engine has none (Podman takes catatonit from another package).
pub(crate) async fn create_with_init(
    engine: &Engine,
    name: &str,
    body: ContainerCreateBody,
    report: &dyn Report,
) -> Result<()> {
    let Err(error) = create(engine, name, body.clone()).await else {
        return Ok(());
    };
    if !is_without_init(&error) {
        return Err(error);
    }
    report.warning(
        "Podman has no init to put before the command, so Ctrl-C does not end a command that does \
         not care for it; install catatonit",
    );
    let host_config = body
        .host_config
        .map(|host| HostConfig { init: None, ..host });
    create(
        engine,
        name,
        ContainerCreateBody {
            host_config,
            ..body
        },
    )
    .await
}

/// The engine looked for its init and found none.
fn is_without_init(error: &anyhow::Error) -> bool {
    matches!(
        error.downcast_ref(),
        Some(Error::DockerResponseServerError { message, .. }) if message.contains("container-init binary")
    )
}

pub(crate) async fn inspect(engine: &Engine, name: &str) -> Result<ContainerInspectResponse> {
    let looking = async {
        let mut found: Value = engine.get(&format!("/containers/{name}/json")).await?;
        if let Some(state) = found.get_mut("State").and_then(Value::as_object_mut) {
            // Podman has states that the library does not know, and it would know nothing then.
            state.remove("Status");
        }
        anyhow::Ok(serde_json::from_value(found)?)
    };
    looking
        .await
        .with_context(|| format!("the container {name} cannot be looked at"))
}

/// A container in a list: what is known of it whatever state it is in.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Listed {
    id: String,
    #[serde(default)]
    names: Vec<String>,
    #[serde(default, rename = "ImageID")]
    pub(crate) image_id: String,
    labels: Option<HashMap<String, String>>,
}

impl Listed {
    /// Its name, or its id.
    pub(crate) fn name(&self) -> &str {
        let name = self.names.last().unwrap_or(&self.id);
        name.trim_start_matches('/')
    }

    /// The value of a label.
    pub(crate) fn label(&self, name: &str) -> Option<&str> {
        self.labels.as_ref()?.get(name).map(String::as_str)
    }
}

/// All containers, running or not; `label` of them alone, if there is one.
pub(crate) async fn list(engine: &Engine, label: Option<&str>) -> Result<Vec<Listed>, Error> {
    let filters = label.map(|label| json!({"label": [label]}).to_string());
    let filters = filters.map_or_else(String::new, |filters| {
        let escaped = filters.bytes().map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        });
        format!("&filters={}", escaped.collect::<String>())
    });
    engine
        .get(&format!("/containers/json?all=1{filters}"))
        .await
}

/// Removes a container, running or not, if it is there.
pub(crate) async fn remove(engine: &Engine, name: &str) -> Result<()> {
    let options = RemoveContainerOptionsBuilder::default()
        .force(true)
        .v(true)
        .build();
    let mut outcome = engine
        .docker
        .remove_container(name, Some(options.clone()))
        .await;
    // Podman gives up where a container ends by itself while it is about to be killed. By the next
    // call it has ended.
    if let Err(Error::DockerResponseServerError {
        status_code: 500, ..
    }) = outcome
    {
        outcome = engine.docker.remove_container(name, Some(options)).await;
    }
    match outcome {
        Err(error) if !is_missing(&error) => {
            Err(error).with_context(|| format!("the container {name} could not be removed"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::engine::tests::rootful;
    use super::*;

    #[test]
    fn every_container_is_closed_in() {
        let walls = hardened(&rootful());
        assert_eq!(walls.cap_drop, Some(vec!["ALL".to_owned()]));
        assert_eq!(walls.cap_add, None);
        let options = walls.security_opt.unwrap();
        assert_eq!(options[0], "no-new-privileges");
        assert_eq!(walls.readonly_rootfs, Some(true));
        assert_eq!(walls.privileged, None);
        // Otherwise what a proxy and its launcher say would be on a disk.
        assert_eq!(
            walls.log_config.and_then(|log| log.typ).as_deref(),
            Some("none")
        );
    }

    #[test]
    fn where_selinux_labels_containers_a_sessions_files_are_still_within_reach() {
        let facts = Facts {
            selinux: true,
            ..rootful()
        };
        assert_eq!(
            security(&facts)[..2],
            ["no-new-privileges", "label=disable"]
        );
    }

    #[test]
    fn an_engine_without_cgroups_is_asked_for_no_limits() {
        assert_eq!(limit(&rootful(), 7), Some(7));
        assert_eq!(
            limit(
                &Facts {
                    limits: false,
                    ..rootful()
                },
                7
            ),
            None
        );
    }

    fn gone() -> anyhow::Error {
        let message = "No such image".to_owned();
        Error::DockerResponseServerError {
            status_code: 404,
            message,
        }
        .into()
    }

    #[tokio::test]
    async fn an_image_that_is_pruned_under_our_hands_is_made_again_once() {
        let mut made = 0;
        let image = async || {
            made += 1;
            Ok(made)
        };
        let create = async |image| if image == 1 { Err(gone()) } else { Ok(image) };
        assert_eq!(create_from(image, create).await.unwrap(), 2);

        let create = async |_: i32| -> Result<i32> { Err(gone()) };
        assert!(create_from(async || Ok(1), create).await.is_err());
    }
}
