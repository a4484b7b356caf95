//! A proxy with the policy that the table of attacks assumes, and everything around it that a
//! refused request must not touch.

use std::net::SocketAddr;

use serde_json::Value;

use crate::support::{Launch, Message, Origin, Proxy, Resolver, Says, ok, own_loopback, require};

/// The policy of tests/cases/README.md, and the rule that one row names beside it.
pub(super) const POLICY: &str = r#"
allow = [
    "allowed.example:443", "allowed.example:80", "api.example:443", "*.wild.example:443",
    "**.deep.example:443", "bedrock.*.amazonaws.com:443",
]
deny = ["denied.example:443"]
"#;

/// What is to come of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expect {
    /// It cannot be judged: 400, or what the design gives.
    Malformed,
    /// A screened address, or a name of this machine or its network.
    Screened,
    /// A deny rule, or no rule.
    Denied,
    /// It reaches the origin.
    Allowed,
}

pub(super) struct Bench {
    pub(super) proxy: Proxy,
    pub(super) resolver: Resolver,
    /// At ports 80 and 443 of the address that every name has; missing where those ports cannot
    /// be listened on.
    pub(super) origins: Option<[Origin; 2]>,
}

impl Bench {
    /// Every name is at an address of loopback, which is opened: whatever is let through by
    /// mistake gets somewhere, and is seen.
    pub(super) fn open() -> Self {
        Self::new("allow_cidr = [\"127.0.0.0/8\"]\n")
    }

    /// The same with nothing opened.
    pub(super) fn closed() -> Self {
        Self::new("")
    }

    fn new(more: &str) -> Self {
        let here = own_loopback();
        let at = |port| {
            Origin::answering_at(SocketAddr::from((here, port)), |request| ok(&request.start))
        };
        let origins = require("low-ports").then(|| [80, 443].map(|port| at(port).expect("a port")));
        let resolver = Resolver::otherwise(Says::addresses([here]));
        let config = format!("{POLICY}{more}{}", resolver.config());
        Self {
            proxy: Launch::new(config).start(),
            resolver,
            origins,
        }
    }

    /// How many connections the origins have taken.
    pub(super) fn reached(&self) -> usize {
        self.origins.iter().flatten().map(Origin::connections).sum()
    }

    /// Sends bytes on a connection of their own and checks what comes of them: the answer, and
    /// for a refusal one entry in the log, one line in the audit file, no question to the
    /// resolver and no connection to an origin. Returns the answer and the entry.
    #[track_caller]
    pub(super) fn sends(&self, what: &str, bytes: &[u8], expect: Expect) -> (Message, Value) {
        let (logged, audited) = (self.proxy.logged(), self.proxy.audit().len());
        let (asked, reached) = (self.resolver.questions().len(), self.reached());
        let mut wire = self.proxy.client();
        wire.send(bytes);
        let tunnel = expect == Expect::Allowed && bytes.starts_with(b"CONNECT");
        let answer = if tunnel { wire.head() } else { wire.answer() };
        let entries = self.proxy.logs(logged);
        let [entry] = entries.as_slice() else {
            panic!("{what}: not one entry: {entries:?}; {answer:?}");
        };
        let domain = entry["domain"].as_str().expect("a domain");
        assert!(
            domain.bytes().all(|b| b.is_ascii_graphic() || b == b' '),
            "{what}: {domain:?}"
        );
        if expect == Expect::Allowed {
            self.was_let_through(what, &answer, entry, reached);
            // Its line in the audit file comes with its end.
            drop(wire);
            self.proxy.settles();
            return (answer, entry.clone());
        }
        let reason = entry["reason"].as_str().expect("a reason");
        let (status, fits) = match expect {
            Expect::Malformed => (400..=499, reason == "malformed"),
            Expect::Screened => (403..=403, reason == "screened_address"),
            _ => (403..=403, matches!(reason, "unlisted" | "denied_by_rule")),
        };
        assert!(status.contains(&answer.status()), "{what}: {answer:?}");
        assert!(fits, "{what}: {reason}, and {expect:?} was expected");
        assert!(
            answer.reason().starts_with("vibepit: "),
            "{what}: {answer:?}"
        );
        assert!(answer.field("proxy-status").is_some(), "{what}: {answer:?}");
        if expect == Expect::Malformed || bytes.starts_with(b"CONNECT") {
            wire.ends();
        }
        let audit = &self.proxy.audit()[audited..];
        assert_eq!(audit.len(), 1, "{what}: {audit:?}");
        assert_eq!(
            (&audit[0]["verdict"], &audit[0]["reason"]),
            (&"deny".into(), &reason.into())
        );
        assert_eq!(
            self.resolver.questions().len(),
            asked,
            "{what}: a question left"
        );
        assert_eq!(self.reached(), reached, "{what}: an origin was reached");
        (answer, entry.clone())
    }

    #[track_caller]
    fn was_let_through(&self, what: &str, answer: &Message, entry: &Value, reached: usize) {
        if self.origins.is_some() {
            assert_eq!(answer.status(), 200, "{what}: {answer:?}");
            assert_eq!(entry["verdict"], "allow", "{what}");
            assert_eq!(
                self.reached(),
                reached + 1,
                "{what}: the origin was not reached"
            );
        } else {
            // Nobody listens there: it was admitted, resolved and dialled.
            assert_eq!(entry["reason"], "connect_failed", "{what}: {answer:?}");
        }
    }
}
