//! What is known, and what the person looks at: sessions, lists, marks, filters. No I/O and no
//! clock: the same updates and commands at the same moments make the same screen.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use time::OffsetDateTime;

use crate::api::{Event, RuleView, known};
use crate::overview::{Sessions, Sight, Update};
use crate::policy::{Host, Known, Scope};
use crate::session::SessionId;

use super::desk::RequestKey;
use super::journal::{Journal, Line, LineKey};
use super::keys::Reading;
use super::list::List;
use super::places::{Place, Request, RuleKey, RulePlace, rule_key};

/// For so long nothing is decided about a request that has just come, or that was selected because
/// another one went: whoever pressed the key meant what was there before.
pub(super) const SETTLING: Duration = Duration::from_millis(500);

/// Sessions with more rules than this have no look-alikes told.
const KNOWN_MAX: usize = 10_000;

/// Names of a session whose looks are kept.
const LOOKS_MAX: usize = 2048;

/// Now, by both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// What durations are measured by.
    pub instant: Instant,
    /// What the countdowns are reckoned from.
    pub time: OffsetDateTime,
}

/// The lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    Waiting,
    Log,
    Rules,
}

impl View {
    pub(super) const ALL: [Self; 3] = [Self::Waiting, Self::Log, Self::Rules];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Waiting => "Waiting",
            Self::Log => "Log",
            Self::Rules => "Rules",
        }
    }
}

/// What is asked of the person, or what they are doing.
pub(super) enum Mode {
    Browse,
    /// Types what the list is to be narrowed to.
    Filter,
    /// For how long? Fixed when it was asked: what comes meanwhile is not meant.
    Time(Vec<RequestKey>),
    /// A wildcard, shown before it is meant.
    Wildcard(Wildcard),
    /// A rule is to be taken back.
    Revoke {
        session: SessionId,
        entry: String,
    },
    Help {
        top: u16,
    },
}

/// A wildcard that somebody looks at.
pub(super) struct Wildcard {
    pub(super) request: RequestKey,
    pub(super) pattern: String,
    /// What it would let through, of what waits; escaped.
    pub(super) covers: Vec<String>,
    /// It is to be saved: is that meant?
    pub(super) scope: Option<Scope>,
}

impl Mode {
    pub(super) fn reading(&self) -> Reading {
        match self {
            Self::Browse => Reading::Commands,
            Self::Filter => Reading::Text,
            Self::Time(_) | Self::Wildcard(_) | Self::Revoke { .. } => Reading::Choice,
            Self::Help { .. } => Reading::Help,
        }
    }
}

/// The line at the bottom: what came of the last key.
#[derive(Default)]
pub(super) struct Note {
    pub(super) bad: bool,
    pub(super) text: String,
}

/// What names may be taken for, in one session. Found out when they are shown.
#[derive(Default)]
struct Looks {
    known: Known,
    of: HashMap<String, Option<String>>,
}

/// The screen, whatever it is drawn on.
pub struct Screen {
    pub(super) sessions: Sessions,
    pub(super) journal: Journal,
    pub(super) view: View,
    pub(super) mode: Mode,
    pub(super) details: bool,
    /// What was missed is listed, too.
    pub(super) missed: bool,
    /// The log shows what comes.
    pub(super) follow: bool,
    pub(super) waiting: List<Place, RequestKey>,
    pub(super) log: List<usize, LineKey>,
    pub(super) rules: List<RulePlace, RuleKey>,
    pub(super) marked: HashSet<RequestKey>,
    pub(super) note: Note,
    /// What would take the last decision back; why nothing does.
    pub(super) undo: Result<Vec<(SessionId, String)>, &'static str>,
    filters: [String; 3],
    names: HashMap<SessionId, Arc<str>>,
    looks: HashMap<SessionId, Looks>,
    arrived: HashMap<RequestKey, Instant>,
    /// When the selection was moved last by what happened.
    moved: Option<Instant>,
    /// When the last key came.
    pub(super) typed: Option<Instant>,
    /// The lists are older than what is known.
    stale: bool,
}

impl Default for Screen {
    fn default() -> Self {
        Self {
            sessions: Sessions::default(),
            journal: Journal::default(),
            view: View::Waiting,
            mode: Mode::Browse,
            details: false,
            missed: false,
            follow: true,
            waiting: List::default(),
            log: List::default(),
            rules: List::default(),
            marked: HashSet::new(),
            note: Note::default(),
            undo: Err("nothing was decided here yet"),
            filters: Default::default(),
            names: HashMap::new(),
            looks: HashMap::new(),
            arrived: HashMap::new(),
            moved: None,
            typed: None,
            stale: false,
        }
    }
}

impl Screen {
    /// Takes an update in.
    pub fn apply(&mut self, id: SessionId, update: Update, now: Moment) {
        match &update {
            Update::Appeared(record) => {
                self.names.insert(id, Arc::from(record.name.as_str()));
            }
            Update::Whole(whole) => {
                self.looks.remove(&id);
                if let Some(name) = self.names.get(&id) {
                    self.journal.extend(id, name, &whole.log);
                }
                for request in &whole.pending {
                    self.arrives(id, &request.id, now);
                }
            }
            Update::Told(event) => match &**event {
                Event::Log(entry) => {
                    if let Some(name) = self.names.get(&id) {
                        self.journal.push(id, name, entry);
                    }
                }
                Event::RequestAdded(request) => self.arrives(id, &request.id, now),
                Event::RuleAdded(_) | Event::RuleRemoved(_) => {
                    self.looks.remove(&id);
                }
                _ => {}
            },
            Update::Gone => {
                self.looks.remove(&id);
                self.names.remove(&id);
            }
            Update::Lost { .. } => {}
        }
        // What was selected may be gone, and is so now, whenever the next frame comes.
        let at_once = !matches!(&update, Update::Told(event) if matches!(**event, Event::Log(_)));
        self.sessions.apply(id, update);
        self.stale = true;
        if at_once {
            self.refresh(now);
        }
    }

    fn arrives(&mut self, session: SessionId, id: &str, now: Moment) {
        let key = (session, id.to_owned());
        self.arrived.entry(key).or_insert(now.instant);
    }

    /// Whether there is a clock to be shown.
    pub fn counts_down(&self) -> bool {
        self.sessions.waiting() > 0
    }

    pub(super) fn filter(&self) -> &str {
        &self.filters[self.view as usize]
    }

    pub(super) fn filter_mut(&mut self) -> &mut String {
        self.stale = true;
        &mut self.filters[self.view as usize]
    }

    /// The lists are to be made anew.
    pub(super) fn changed(&mut self) {
        self.stale = true;
    }

    /// Brings the lists up to what is known.
    pub(super) fn refresh(&mut self, now: Moment) {
        if !std::mem::take(&mut self.stale) {
            return;
        }
        let rows = self.places();
        let sights = self.sessions.all();
        let moved = self.waiting.refill(
            rows,
            |place, (session, id)| {
                sights[place.session].record.id == *session && place.request(sights).id() == id
            },
            |place| place.key(sights),
        );
        if moved {
            self.moved = Some(now.instant);
        }
        let is_there = |(session, id): &RequestKey| {
            let sight = self.sessions.get(*session);
            sight.is_some_and(|sight| {
                sight.pending.iter().any(|one| one.id == *id)
                    || sight.missed.iter().any(|one| one.id == *id)
            })
        };
        self.marked.retain(is_there);
        // Few at a time are over; they are looked for when there are many.
        if self.arrived.len() > 2 * self.sessions.waiting() + 64 {
            self.arrived.retain(|key, _| is_there(key));
        }
        self.refresh_log();
        if self.view == View::Rules {
            self.refresh_rules();
        }
    }

    fn refresh_log(&mut self) {
        let filter = self.filters[View::Log as usize].to_lowercase();
        let lines = self.journal.lines();
        let rows = match filter.is_empty() {
            true => (0..lines.len()).collect(),
            false => (0..lines.len())
                .filter(|at| lines[*at].has(&filter))
                .collect(),
        };
        self.log
            .refill(rows, |at, on| lines[*at].key == *on, |at| lines[*at].key);
        if self.follow {
            self.log.go(usize::MAX, |at| lines[*at].key);
        }
    }

    fn refresh_rules(&mut self) {
        let filter = self.filters[View::Rules as usize].to_lowercase();
        let sights = self.sessions.all();
        let is_shown = |sight: &Sight, rule: &RuleView| {
            filter.is_empty()
                || format!(
                    "{} {} {} {}",
                    rule.verdict, rule.entry, rule.origin, rule.scope
                )
                .to_lowercase()
                .contains(&filter)
                || sight.record.name.to_lowercase().contains(&filter)
        };
        let mut rows = Vec::new();
        for (session, sight) in sights.iter().enumerate() {
            let shown = sight.rules.iter().enumerate();
            rows.extend(
                shown
                    .filter(|(_, rule)| is_shown(sight, rule))
                    .map(|(at, _)| RulePlace { session, at }),
            );
        }
        self.rules.refill(
            rows,
            |place, on| {
                let (session, rule) = place.rule(sights);
                let short = (session, rule.verdict, rule.origin, rule.scope);
                short == (on.0, on.2, on.3, on.4) && rule.entry == on.1
            },
            |place| {
                let (session, rule) = place.rule(sights);
                rule_key(session, rule)
            },
        );
    }

    /// Requests in the order in which they came, so that a new one is the last; behind them what
    /// was missed.
    fn places(&self) -> Vec<Place> {
        let filter = self.filters[View::Waiting as usize].to_lowercase();
        let sights = self.sessions.all();
        let mut places = Vec::new();
        for (session, sight) in sights.iter().enumerate() {
            let missed = if self.missed { sight.missed.len() } else { 0 };
            let of = |missed| {
                move |at| Place {
                    session,
                    at,
                    missed,
                }
            };
            places.extend((0..sight.pending.len()).map(of(false)));
            places.extend((0..missed).map(of(true)));
        }
        if !filter.is_empty() {
            places.retain(|place| {
                place
                    .request(sights)
                    .target()
                    .to_lowercase()
                    .contains(&filter)
                    || sights[place.session]
                        .record
                        .name
                        .to_lowercase()
                        .contains(&filter)
            });
        }
        let order = |place: &Place| match place.request(sights) {
            Request::Waiting(one) => (0, one.requested_at.trim_end_matches('Z')),
            Request::Missed(one) => (1, one.last.trim_end_matches('Z')),
        };
        places.sort_by(|one, other| match order(one).cmp(&order(other)) {
            by_time if one.missed && other.missed => by_time.reverse(),
            by_time => by_time,
        });
        places
    }

    /// A request of the list, and its session.
    pub(super) fn request(&self, place: &Place) -> (&Sight, Request<'_>) {
        let sights = self.sessions.all();
        (&sights[place.session], place.request(sights))
    }

    /// The request of this name, as long as it waits or was missed.
    pub(super) fn find(&self, (session, id): &RequestKey) -> Option<(&Sight, Request<'_>)> {
        let sight = self.sessions.get(*session)?;
        let waiting = sight.pending.iter().find(|one| one.id == *id);
        let missed = || sight.missed.iter().find(|one| one.id == *id);
        let request = waiting
            .map(Request::Waiting)
            .or_else(|| missed().map(Request::Missed))?;
        Some((sight, request))
    }

    /// A rule of the list, and its session.
    pub(super) fn rule(&self, place: &RulePlace) -> (&Sight, &RuleView) {
        let sight = &self.sessions.all()[place.session];
        (sight, &sight.rules[place.at])
    }

    pub(super) fn line(&self, at: usize) -> &Line {
        &self.journal.lines()[at]
    }

    /// The requests that the next decision is about: those that are marked and in sight, or the
    /// one that is selected. Why there are none, otherwise.
    pub(super) fn asked(&self, now: Moment) -> Result<Vec<RequestKey>, String> {
        if self.view != View::Waiting {
            return Err("that key answers a request that waits: 1 shows them".to_owned());
        }
        let sights = self.sessions.all();
        let keys = self.waiting.rows().iter().map(|place| place.key(sights));
        let marked: Vec<_> = keys.filter(|key| self.marked.contains(key)).collect();
        let asked = match (marked.is_empty(), self.waiting.on()) {
            (false, _) => marked,
            (true, None) => return Err("nothing waits here".to_owned()),
            (true, Some(on)) => {
                if self.moved.is_some_and(|moved| is_recent(moved, now)) {
                    return Err("nothing was decided: what was selected has just gone".to_owned());
                }
                vec![on.clone()]
            }
        };
        let is_new = |key| {
            let arrived: Option<&Instant> = self.arrived.get(key);
            arrived.is_some_and(|arrived| is_recent(*arrived, now))
        };
        match asked.iter().any(is_new) {
            true => Err("nothing was decided: the request has only just come".to_owned()),
            false => Ok(asked),
        }
    }

    /// Marks the selected request, or takes its mark away.
    pub(super) fn mark(&mut self) {
        if let Some(on) = self.waiting.on().filter(|_| self.view == View::Waiting)
            && !self.marked.remove(on)
        {
            self.marked.insert(on.clone());
        }
    }

    /// The allowed name that this one looks like, if there is one.
    pub(super) fn looks_like(&mut self, session: SessionId, domain: &str) -> Option<&str> {
        let sight = self.sessions.get(session)?;
        let looks = self.looks.entry(session).or_insert_with(|| Looks {
            known: match sight.rules.len() <= KNOWN_MAX {
                true => known(&sight.rules),
                false => Known::default(),
            },
            of: HashMap::new(),
        });
        if !looks.of.contains_key(domain) {
            if looks.of.len() == LOOKS_MAX {
                looks.of.clear();
            }
            let host = Host::from_text(domain).ok();
            let like = host.and_then(|host| Some(looks.known.resembled(&host)?.to_owned()));
            looks.of.insert(domain.to_owned(), like);
        }
        looks.of.get(domain)?.as_deref()
    }
}

fn is_recent(then: Instant, now: Moment) -> bool {
    now.instant.saturating_duration_since(then) < SETTLING
}
