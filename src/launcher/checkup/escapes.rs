//! Known ways out of containers, by the versions that have them, as the projects' own advisories
//! give them. What needs a plug-in, a build or a restored checkpoint is not listed: no session has
//! one.

use super::version::Version;

/// A way out, and the versions that have it.
struct Escape {
    /// The component as engines name it.
    component: &'static str,
    ids: &'static str,
    what: &'static str,
    /// From this version on, and before that one.
    versions: &'static [(&'static str, &'static str)],
    /// The first versions without it, for a person.
    fixed: &'static str,
}

const ESCAPES: [Escape; 7] = [
    Escape {
        component: "runc",
        ids: "CVE-2019-5736",
        what: "a container overwrites the runtime itself",
        versions: &[("0.0", "1.0-rc7")],
        fixed: "1.0.0",
    },
    Escape {
        component: "runc",
        ids: "CVE-2021-30465",
        what: "a mount is led out of the container while it starts",
        versions: &[("0.0", "1.0.0-rc95")],
        fixed: "1.0.0",
    },
    Escape {
        component: "runc",
        ids: "CVE-2024-21626",
        what: "a descriptor that is left open leads out",
        versions: &[("1.0.0-rc93", "1.1.12")],
        fixed: "1.1.12",
    },
    Escape {
        component: "runc",
        ids: "CVE-2025-31133, CVE-2025-52565, CVE-2025-52881",
        what: "what is masked or mounted at the start is exchanged meanwhile",
        versions: &[
            ("0.0", "1.2.8"),
            ("1.3.0-rc1", "1.3.3"),
            ("1.4.0-rc1", "1.4.0-rc.3"),
        ],
        fixed: "1.2.8, 1.3.3 or 1.4.0",
    },
    Escape {
        component: "containerd",
        ids: "CVE-2020-15257",
        what: "root in the host's network commands its containers",
        versions: &[("0.0", "1.3.9"), ("1.4.0-rc0", "1.4.3")],
        fixed: "1.3.9 or 1.4.3",
    },
    Escape {
        component: "Engine",
        ids: "CVE-2021-21284",
        what: "a remapped root changes the engine's own files",
        versions: &[("0.0", "19.03.15"), ("20.10.0", "20.10.3")],
        fixed: "20.10.3",
    },
    Escape {
        component: "Engine",
        ids: "CVE-2021-41091",
        what: "the engine's directories are open to every user of the machine",
        versions: &[("0.0", "20.10.9")],
        fixed: "20.10.9",
    },
];

/// What is known of a version.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// Each with what it does, as a list.
    pub(super) escapes: String,
    /// The first versions without them.
    pub(super) fixed: &'static str,
}

/// Whether this component is listed at all.
pub(super) fn is_listed(component: &str) -> bool {
    ESCAPES.iter().any(|escape| escape.component == component)
}

/// The known ways out of this version of a component. The newest fix stands last.
pub(super) fn known(component: &str, version: &Version) -> Option<Known> {
    let has = |escape: &&Escape| {
        escape.component == component
            && escape.versions.iter().any(|(from, before)| {
                let bounds = Version::parse(from).zip(Version::parse(before));
                bounds.is_some_and(|(from, before)| version.is_within(&from, &before))
            })
    };
    let found: Vec<&Escape> = ESCAPES.iter().filter(has).collect();
    let escapes: Vec<String> = found
        .iter()
        .map(|escape| format!("{} ({})", escape.ids, escape.what))
        .collect();
    Some(Known {
        escapes: escapes.join("; "),
        fixed: found.last()?.fixed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(component: &str, version: &str) -> String {
        known(component, &Version::parse(version).unwrap())
            .map(|known| known.escapes)
            .unwrap_or_default()
    }

    /// BOX-004, BOX-005.
    #[test]
    fn versions_with_a_known_way_out_are_told_from_those_without() {
        assert!(ids("runc", "1.0-rc6").contains("CVE-2019-5736"));
        assert!(!ids("runc", "1.0-rc7").contains("CVE-2019-5736"));
        assert!(ids("runc", "1.0.0-rc94").contains("CVE-2021-30465"));
        assert!(!ids("runc", "1.0.0-rc95").contains("CVE-2021-30465"));
        for bad in ["1.0.0-rc93", "1.0.0", "1.1.11"] {
            assert!(
                ids("runc", bad).contains("CVE-2024-21626"),
                "BOX-004: {bad}"
            );
        }
        for good in ["1.0.0-rc92", "1.1.12", "1.2.0"] {
            assert!(
                !ids("runc", good).contains("CVE-2024-21626"),
                "BOX-004: {good}"
            );
        }
        for bad in ["1.1.15", "1.2.7", "1.3.0-rc.1", "1.3.2", "1.4.0-rc.2"] {
            assert!(
                ids("runc", bad).contains("CVE-2025-31133"),
                "BOX-005: {bad}"
            );
        }
        for good in ["1.2.8", "1.3.3", "1.4.0-rc.3", "1.4.0", "1.5.3"] {
            assert_eq!(ids("runc", good), "", "BOX-005: {good}");
        }
        assert!(ids("containerd", "1.4.2").contains("CVE-2020-15257"));
        assert_eq!(ids("containerd", "1.6.20~ds1"), "");
        assert!(ids("Engine", "20.10.8").contains("CVE-2021-41091"));
        assert_eq!(ids("Engine", "20.10.24+dfsg1"), "");
    }

    #[test]
    fn a_version_is_told_the_fix_that_mends_everything() {
        let known = known("runc", &Version::parse("1.0-rc1").unwrap()).unwrap();
        assert_eq!(known.fixed, "1.2.8, 1.3.3 or 1.4.0");
    }
}
