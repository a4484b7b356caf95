//! What a session allows, to tell whether a name that is asked for looks like one of those.

use crate::api::known;
use crate::client::Client;
use crate::policy::{Host, Known};

use super::output::printable;

/// More rules are not fetched for the sake of a hint.
const MOST: usize = 10_000;

/// The names that are allowed.
#[derive(Default)]
pub(super) struct Allowed(Known);

impl Allowed {
    /// Asks the session. Whatever goes wrong: there is no hint then.
    pub(super) async fn of(client: &Client) -> Self {
        match client.session().await {
            Ok(session) if session.counts.rules <= MOST => {}
            _ => return Self::default(),
        }
        match client.rules().await {
            Ok(answer) => Self(known(&answer.rules)),
            Err(_) => Self::default(),
        }
    }

    /// A clause for a person about a host that looks like an allowed one; else nothing.
    pub(super) fn warning(&self, domain: &str) -> String {
        let host = Host::from_text(domain).ok();
        let like = host.and_then(|host| Some(self.0.resembled(&host)?.to_owned()));
        like.map_or_else(String::new, |like| {
            format!("  looks like {}, which is allowed", printable(&like))
        })
    }
}
