//! What a session allows, to tell whether a name that is asked for looks like one of those.

use crate::client::Client;
use crate::policy::{Entry, Host, Verdict, resembled};

use super::output::printable;

/// More rules are not fetched for the sake of a hint.
const MOST: usize = 10_000;

/// The entries that are allowed.
#[derive(Default)]
pub(super) struct Allowed(Vec<Entry>);

impl Allowed {
    /// Asks the session. Whatever goes wrong: there is no hint then.
    pub(super) async fn of(client: &Client) -> Self {
        match client.session().await {
            Ok(session) if session.counts.rules <= MOST => {}
            _ => return Self::default(),
        }
        let Ok(answer) = client.rules().await else {
            return Self::default();
        };
        let allowed = answer
            .rules
            .iter()
            .filter(|rule| rule.verdict == Verdict::Allow)
            .filter_map(|rule| Entry::parse_forced(&rule.entry).ok());
        Self(allowed.collect())
    }

    /// A clause for a person about a host that looks like an allowed one; else nothing.
    pub(super) fn warning(&self, domain: &str) -> String {
        let like = Host::from_text(domain)
            .ok()
            .and_then(|host| resembled(&host, &self.0));
        like.map_or_else(String::new, |like| {
            format!("  looks like {}, which is allowed", printable(&like))
        })
    }
}
