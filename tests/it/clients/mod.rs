//! Programs that fetch things, real ones, each against a request that is held: somebody approves
//! while it waits, denies, or comes too late; and each through every door of a sandbox. What they fetch
//! is made here and served on loopback, under names that only the test's resolver knows.

mod apt;
mod archives;
mod cargo;
mod doors;
mod fetchers;
mod git;
mod go;
mod npm;
mod programs;
mod python;
mod setting;

use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Ran, require};

use self::setting::{Asked, Setting, Site, Way, file, typed};

/// Where the things are.
const HOST: &str = "index.test";
/// What is in them.
const THING: &str = "the thing itself";

/// What a person may give as the reason of a denial.
const USE_THE_MIRROR: &str = "use the mirror";
/// The reason phrases of the proxy's refusals.
const DENIED: &str = "vibepit: {target} is denied";
const LATE: &str = "vibepit: {target}: nobody decided in time";
/// What a client says of a refusal that hides the reason phrase.
const STATUS: &str = " 403";

/// What a client does after a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Afterwards {
    /// It ends; somebody has to start it again.
    Ends,
    /// It tries again by itself, a few times.
    Retries,
}

/// The answer to a request, for something there is.
type Stock = fn(&Asked<'_>) -> Option<Vec<u8>>;

/// A program, what it fetches, and how.
struct Client {
    /// What [`require`] knows it by.
    program: &'static str,
    /// The answer to a request for something there is.
    stock: Stock,
    /// The program as it is started for one try, from nothing.
    command: fn(&Site) -> Command,
    /// Whether the thing is there, after a try that succeeded.
    arrived: fn(&Site, &Ran) -> bool,
}

impl Client {
    /// Somebody approves while it waits: it hears of nothing, and succeeds at its first try.
    #[track_caller]
    fn is_approved(&self, way: Way) {
        if !require(self.program) {
            return;
        }
        let setting = Setting::new(self, way, "");
        let mut events = setting.proxy.events(None);
        let trying = setting.tries(self);
        let request = setting.held(&mut events);
        assert_eq!(setting.store.connections(), 0, "nothing is dialled before");
        setting.proxy.does(&path("approve", &request), &json!({}));
        self.succeeds(&setting, trying.end());
        let events = setting.proxy.audit().into_iter();
        let decisive = events.filter(|line| line["event"] != "connect");
        let names: Vec<_> = decisive.map(|line| line["event"].clone()).collect();
        let expected = [
            "session_start",
            "domain_request",
            "rule_add",
            "domain_approve",
        ];
        assert_eq!(names, expected, "it asked once");
    }

    /// Somebody denies once: it fails, whatever it tries again by itself, and says `shown`, in which `{target}` is the store.
    #[track_caller]
    fn is_denied(&self, way: Way, shown: &[&str]) {
        if !require(self.program) {
            return;
        }
        let setting = Setting::new(self, way, "");
        let mut events = setting.proxy.events(None);
        let trying = setting.tries(self);
        let request = setting.held(&mut events);
        let body = json!({"reason": USE_THE_MIRROR});
        setting.proxy.does(&path("deny", &request), &body);
        let ran = trying.end();
        setting.shows(&ran, shown);
        assert_eq!(setting.store.connections(), 0);
        let events = setting.proxy.audit().into_iter();
        let asked = events.filter(|line| line["event"] == "domain_request");
        assert_eq!(asked.count(), 1, "nobody is asked again");
    }

    /// Nobody decides in time, and somebody approves what was missed: the next try succeeds. One
    /// that ends before that says `shown`.
    #[track_caller]
    fn comes_too_late(&self, way: Way, afterwards: Afterwards, shown: &[&str]) {
        if !require(self.program) {
            return;
        }
        let setting = Setting::new(self, way, "approval_timeout = \"1s\"\n");
        let mut events = setting.proxy.events(None);
        let trying = setting.tries(self);
        let request = setting.held(&mut events);
        let end = events.until("domain-request-removed");
        assert_eq!(
            (&end["id"], &end["outcome"]),
            (&request["id"], &json!("timed_out"))
        );
        // The next try of one that goes on by itself may be held already: the approval lets that
        // one through as well.
        let refused = (afterwards == Afterwards::Ends).then(|| trying.end());
        setting.proxy.cli(&["approve", id(&request)]).ok();
        match refused {
            Some(ran) => {
                setting.shows(&ran, shown);
                self.succeeds(&setting, setting.tries(self).end());
            }
            None => self.succeeds(&setting, trying.end()),
        }
    }

    #[track_caller]
    fn succeeds(&self, setting: &Setting, ran: Ran) {
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!((self.arrived)(&setting.site, &ran), "{ran:?}");
    }
}

fn id(request: &Value) -> &str {
    request["id"].as_str().expect("an id")
}

fn path(verb: &str, request: &Value) -> String {
    format!("/{verb}-domain/{}", id(request))
}
