//! One held request: who waits for it, since when, and how it is shown.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::oneshot;

use super::Answer;
use crate::api::{Asking, MissedView, Outcome, PendingView, PresetOffer, Settled};
use crate::policy::{Door, Reason, Scope, Target, registrable, suggested_pattern};
use crate::proxy::ledger::timestamp;

/// What is offered beside the host itself.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Offers {
    /// Presets that the target is listed in.
    pub(in crate::proxy) presets: Vec<PresetOffer>,
    /// Presets of the person's tools that it can be added to, where it is listed in none.
    pub(in crate::proxy) remember_under: Vec<String>,
}

/// A target that is asked about.
pub(super) struct Entry {
    pub(super) id: String,
    pub(super) target: Target,
    /// What somebody registered of the name.
    pub(super) group: String,
    pub(super) asking: Asking,
    pub(super) offers: Offers,
    /// When it was asked for first.
    pub(super) first: Instant,
    first_at: SystemTime,
    doors: Vec<Door>,
    attempts: u64,
    /// By number, which is the order in which they came.
    waiting: BTreeMap<u64, oneshot::Sender<Answer>>,
    told: Option<Instant>,
    news: bool,
}

impl Entry {
    pub(super) fn new(target: Target, asking: Asking, now: Instant) -> Self {
        Self {
            id: random_id(),
            group: registrable(&target.host),
            target,
            asking,
            offers: Offers::default(),
            first: now,
            first_at: SystemTime::now(),
            doors: Vec::new(),
            attempts: 0,
            waiting: BTreeMap::new(),
            told: None,
            news: false,
        }
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn join(&mut self, ticket: u64, door: Door, answer: oneshot::Sender<Answer>) {
        self.attempts += 1;
        if !self.doors.contains(&door) {
            self.doors.push(door);
        }
        self.waiting.insert(ticket, answer);
        self.news = true;
    }

    /// Whether it waited here.
    pub(super) fn leave(&mut self, ticket: u64) -> bool {
        let was_here = self.waiting.remove(&ticket).is_some();
        self.news |= was_here;
        was_here
    }

    /// Answers all who wait, first come first served, and says how many still listened.
    pub(super) fn release(&mut self, answer: &Answer) -> usize {
        let waiting = std::mem::take(&mut self.waiting);
        waiting
            .into_values()
            .filter_map(|one| one.send(answer.clone()).ok())
            .count()
    }

    /// When it is refused if nobody decides.
    pub(super) fn deadline(&self, attended: bool) -> Instant {
        self.first + self.patience(attended)
    }

    fn patience(&self, attended: bool) -> Duration {
        match attended {
            true => self.asking.approval(),
            false => self.asking.unattended(),
        }
    }

    /// Whether there is something to tell, and the last time is long enough ago.
    pub(super) fn to_tell(&self, now: Instant, every: Duration) -> bool {
        self.next_update(every).is_some_and(|at| at <= now)
    }

    pub(super) fn next_update(&self, every: Duration) -> Option<Instant> {
        self.news
            .then(|| self.told.map_or(self.first, |told| told + every))
    }

    pub(super) fn told(&mut self, now: Instant) {
        self.told = Some(now);
        self.news = false;
    }

    pub(super) fn view(&self, attended: bool) -> PendingView {
        PendingView {
            id: self.id.clone(),
            domain: self.target.host.to_string(),
            port: self.target.port,
            service: service(self.target.port).map(str::to_owned),
            group: self.group.clone(),
            doors: self.doors.clone(),
            waiting: self.waiting(),
            attempts: self.attempts,
            requested_at: timestamp(self.first_at),
            expires_at: timestamp(self.first_at + self.patience(attended)),
            suggested_pattern: suggested_pattern(&self.target.host),
            presets: self.offers.presets.clone(),
            remember_under: self.offers.remember_under.clone(),
        }
    }

    pub(super) fn missed(&self, reason: Reason) -> MissedView {
        MissedView {
            id: self.id.clone(),
            domain: self.target.host.to_string(),
            port: self.target.port,
            reason,
            attempts: self.attempts.max(1),
            last: timestamp(SystemTime::now()),
            suggested_pattern: suggested_pattern(&self.target.host),
        }
    }

    pub(super) fn settled(&self, outcome: Outcome, actor: &str, scope: Option<Scope>) -> Settled {
        Settled {
            id: self.id.clone(),
            domain: self.target.host.to_string(),
            port: self.target.port,
            outcome,
            actor: actor.to_owned(),
            scope,
            waiting: self.waiting(),
        }
    }
}

/// Twelve hex digits, never counted up: an id that somebody remembers is not another request's.
fn random_id() -> String {
    use std::hash::{BuildHasher, RandomState};
    // Each RandomState has keys of its own, from the system's random numbers.
    let random = RandomState::new().hash_one(Instant::now());
    format!("{:012x}", random & 0xffff_ffff_ffff)
}

/// What usually speaks on a port, where that is not HTTP (IANA's registry of service names).
fn service(port: u16) -> Option<&'static str> {
    Some(match port {
        21 => "ftp",
        22 => "ssh",
        23 => "telnet",
        25 | 465 | 587 => "smtp",
        53 => "dns",
        110 | 995 => "pop3",
        143 | 993 => "imap",
        389 | 636 => "ldap",
        445 => "smb",
        853 => "dns over tls",
        1433 => "sql server",
        3306 => "mysql",
        3389 => "remote desktop",
        5432 => "postgresql",
        5672 => "amqp",
        5900 => "vnc",
        6379 => "redis",
        9418 => "git",
        11211 => "memcached",
        27017 => "mongodb",
        _ => return None,
    })
}
