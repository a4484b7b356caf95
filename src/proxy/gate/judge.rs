//! The order in which a decision is made: a deny, what no rule can open, an allow, else unlisted.

use std::time::Instant;

use crate::policy::{Host, Ports, Target, Verdict};

use super::HOST_NAME;
use super::snapshot::{Snapshot, Which};

/// What the rules say of a target.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// A rule allows it.
    Allow(Which),
    /// A rule denies it.
    Deny(Which),
    /// No rule can open it, for this reason.
    Screened(&'static str),
    /// No rule covers it.
    Unlisted,
}

impl Snapshot {
    /// The order of design 5: deny, allow, else unlisted; and what no rule can open is said
    /// before that.
    pub(super) fn judge(&self, target: &Target, now: Instant) -> Judgement {
        let fixed = self.fixed().decide(&target.host, target.port, now);
        let live = self.live().decide(&target.host, target.port, now);
        let fixed_verdict = fixed.map(|at| self.fixed().rules()[at].verdict);
        let live_verdict = live.map(|at| self.live().rules()[at].verdict);
        match (live.zip(live_verdict), fixed.zip(fixed_verdict)) {
            (Some((at, Verdict::Deny)), _) => return Judgement::Deny(Which::Live(at)),
            (_, Some((at, Verdict::Deny))) => return Judgement::Deny(Which::Fixed(at)),
            _ => {}
        }
        if is_host_name(&target.host) {
            return if self.host_ports().contains(&target.port) {
                Judgement::Allow(Which::HostPort)
            } else {
                Judgement::Screened("the port is not in allow_host_ports")
            };
        }
        if let Host::Ip(ip) = target.host
            && let Err(screened) = self.screen().check(ip)
        {
            return Judgement::Screened(screened.why);
        }
        match (live, fixed, &target.host) {
            (Some(at), _, _) => Judgement::Allow(Which::Live(at)),
            (_, Some(at), _) => Judgement::Allow(Which::Fixed(at)),
            (None, None, Host::Name(name)) if name.is_special() => {
                Judgement::Screened("a name of this machine or its network, not of the internet")
            }
            (None, None, _) => Judgement::Unlisted,
        }
    }

    /// As [`Self::judge`], for a name on whatever port: it is admitted if it is on one of them.
    pub(super) fn judge_name(&self, host: &Host, now: Instant) -> Judgement {
        let admitted_on = |port| {
            let host = host.clone();
            matches!(self.judge(&Target { host, port }, now), Judgement::Allow(_))
        };
        if is_host_name(host) && self.host_ports().iter().any(|port| admitted_on(*port)) {
            return Judgement::Allow(Which::HostPort);
        }
        let live = self.live().covering(host, now);
        let fixed = self.fixed().covering(host, now);
        let covering = live
            .map(|at| (Which::Live(at), self.live().rules()[at].as_ref()))
            .chain(fixed.map(|at| (Which::Fixed(at), &self.fixed().rules()[at])));
        let (denies, allows): (Vec<_>, Vec<_>) =
            covering.partition(|(_, rule)| rule.verdict == Verdict::Deny);
        let denied_everywhere = denies.iter().any(|(_, r)| r.entry.ports() == Ports::Any);
        let admitted = allows.iter().find(|(_, rule)| match rule.entry.ports() {
            Ports::One(port) => admitted_on(port.get()),
            Ports::Web => admitted_on(80) || admitted_on(443),
            Ports::Any => !denied_everywhere,
        });
        match (admitted, denies.first(), host) {
            (Some((which, _)), _, _) => Judgement::Allow(*which),
            (None, Some((which, _)), _) => Judgement::Deny(*which),
            (None, None, _) if is_host_name(host) => {
                Judgement::Screened("no port is in allow_host_ports")
            }
            (None, None, Host::Name(name)) if name.is_special() => {
                Judgement::Screened("a name of this machine or its network, not of the internet")
            }
            (None, None, _) => Judgement::Unlisted,
        }
    }
}

/// Whether a host is this machine, under the name that the sandbox has for it.
pub(super) fn is_host_name(host: &Host) -> bool {
    matches!(host, Host::Name(name) if name.as_str() == HOST_NAME)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{PolicyDocument, RuleGroup};
    use crate::policy::Origin;

    /// Rules of a file and rules of flags; `!` makes a deny. Port 5432 of the host is open.
    fn snapshot(files: &[&str], flags: &[&str]) -> Snapshot {
        let group = |origin, text: &&str| RuleGroup {
            preset: None,
            verdict: match text.strip_prefix('!') {
                Some(_) => Verdict::Deny,
                None => Verdict::Allow,
            },
            origin,
            entries: vec![text.trim_start_matches('!').parse().unwrap()],
        };
        let files = files.iter().map(|text| group(Origin::Config, text));
        let flags = flags.iter().map(|text| group(Origin::Flag, text));
        Snapshot::new(PolicyDocument {
            rules: files.chain(flags).collect(),
            allow_host_ports: vec![5432],
            ..PolicyDocument::default()
        })
    }

    fn judged(snapshot: &Snapshot, target: &str) -> Judgement {
        snapshot.judge(&target.parse().unwrap(), Instant::now())
    }

    #[test]
    fn a_deny_of_either_layer_outranks_an_allow_of_the_other() {
        let rules = snapshot(&["a.test", "!b.test"], &["!a.test", "b.test", "c.test"]);
        assert_eq!(
            judged(&rules, "a.test:443"),
            Judgement::Deny(Which::Live(0))
        );
        assert_eq!(
            judged(&rules, "b.test:443"),
            Judgement::Deny(Which::Fixed(1))
        );
        assert_eq!(
            judged(&rules, "c.test:443"),
            Judgement::Allow(Which::Live(2))
        );
        assert_eq!(judged(&rules, "d.test:443"), Judgement::Unlisted);
    }

    #[test]
    fn a_port_of_the_host_is_opened_by_the_setting_and_closed_by_a_deny() {
        let rules = snapshot(&["host.vibepit:80"], &["!host.vibepit:5432"]);
        assert!(matches!(
            judged(&rules, "host.vibepit:80"),
            Judgement::Screened(_)
        ));
        assert_eq!(
            judged(&rules, "host.vibepit:5432"),
            Judgement::Deny(Which::Live(0))
        );
        let lifted = rules.with_live(Vec::new());
        assert_eq!(
            judged(&lifted, "host.vibepit:5432"),
            Judgement::Allow(Which::HostPort)
        );
    }
}
