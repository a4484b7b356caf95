//! The sessions told line by line, for a screen that is read aloud and for dumb terminals. Each
//! request has a number that is never given again, so that no answer meets another one.

use std::collections::BTreeMap;
use std::iter;

use time::OffsetDateTime;

use crate::api::{Event, LogEntry, PendingView, Settled, duration, known};
use crate::overview::{Link, Sessions, Update};
use crate::policy::{Host, Reason, Scope, Verdict, as_text, printable, shown_target};
use crate::session::SessionId;

use super::act::{Effect, covered};
use super::desk::{Answer, Deed, Done, RequestKey};
use super::journal::target;

/// What is said first.
pub(super) const HINT: &str =
    "vibepit monitor: what happens is told here; type help and Enter for the commands";

/// Sessions with more rules than this have no look-alikes told.
const KNOWN_MAX: usize = 10_000;

/// What was told, and what may be answered.
#[derive(Default)]
pub(super) struct Plain {
    sessions: Sessions,
    /// What waits, by its number.
    numbers: BTreeMap<u64, RequestKey>,
    given: u64,
    undo: Option<Result<Vec<(SessionId, String)>, &'static str>>,
    /// The refusal that was told last, and how often it came since.
    refused: (String, u64),
}

impl Plain {
    /// Takes an update in; what there is to say of it.
    pub(super) fn update(
        &mut self,
        id: SessionId,
        update: Update,
        now: OffsetDateTime,
    ) -> Vec<String> {
        let before = self.name(id);
        let link = self.sessions.get(id).map(|sight| sight.link.clone());
        let told = match &update {
            Update::Told(event) => Some(event.clone()),
            _ => None,
        };
        let lost = match &update {
            Update::Lost { why } => Some(why.clone()),
            _ => None,
        };
        let (gone, whole) = (
            matches!(update, Update::Gone),
            matches!(update, Update::Whole(_)),
        );
        let appeared = matches!(update, Update::Appeared(_));
        self.sessions.apply(id, update);
        let name = self.name(id);
        let mut lines = match (told.as_deref(), lost) {
            _ if gone => vec![format!("session {before} is over")],
            _ if appeared => vec![self.appeared(id)],
            (_, Some(why)) if !matches!(link, Some(Link::Lost(_))) => vec![format!(
                "session {name} does not answer, it is tried again: {}",
                printable(&why)
            )],
            _ if whole && matches!(link, Some(Link::Lost(_))) => {
                vec![format!("session {name} answers again")]
            }
            (Some(Event::Log(entry)), _) => self.logged(&name, entry),
            (Some(Event::RequestRemoved(settled)), _) => self.settled(id, settled),
            (Some(Event::SessionEnding { ending }), _) => {
                vec![format!("session {name} ends: {}", printable(ending))]
            }
            _ => Vec::new(),
        };
        if matches!(told.as_deref(), Some(Event::Log(_))) {
            return lines;
        }
        lines.extend(self.number(id, now));
        if !lines.is_empty() {
            let repeated = self.repeated();
            lines.splice(0..0, repeated);
        }
        lines
    }

    fn appeared(&self, id: SessionId) -> String {
        let sight = self.sessions.get(id);
        let project = sight.and_then(|sight| sight.record.project_dir.as_ref());
        let project = project.map_or_else(String::new, |dir| {
            format!(" of {}", printable(&dir.display().to_string()))
        });
        let runtime = sight.map_or("", |sight| sight.record.runtime.as_str());
        let runtime = printable(runtime);
        format!("session {}{project} is there ({runtime})", self.name(id))
    }

    /// Gives numbers to what waits and has none, and takes them from what does not.
    fn number(&mut self, id: SessionId, now: OffsetDateTime) -> Vec<String> {
        let pending = self
            .sessions
            .get(id)
            .map_or(&[][..], |sight| &sight.pending);
        let waits = |key: &RequestKey| pending.iter().any(|one| one.id == key.1);
        self.numbers.retain(|_, key| key.0 != id || waits(key));
        let has = |one: &&PendingView| {
            !self
                .numbers
                .values()
                .any(|key| key.0 == id && key.1 == one.id)
        };
        let new: Vec<_> = pending.iter().filter(has).cloned().collect();
        let mut lines = Vec::new();
        for request in new {
            self.given += 1;
            lines.push(self.described(self.given, id, &request, now));
            self.numbers.insert(self.given, (id, request.id));
        }
        lines
    }

    fn described(
        &self,
        number: u64,
        id: SessionId,
        request: &PendingView,
        now: OffsetDateTime,
    ) -> String {
        let mut line = format!(
            "request {number}: {}, of {}",
            shown_target(&request.domain, request.port),
            printable(&request.group)
        );
        if let Some(text) = as_text(&request.domain) {
            line.push_str(&format!(", as text {text}"));
        }
        if let Some(service) = &request.service {
            line.push_str(&format!(", {}", printable(service)));
        }
        if let Some(like) = self.looks_like(id, &request.domain) {
            line.push_str(&format!(
                ", LOOKS LIKE {}, which is allowed",
                printable(&like)
            ));
        }
        let left = request.seconds_left(now);
        line.push_str(&format!(", in {}, {left} seconds left", self.name(id)));
        line
    }

    fn looks_like(&self, id: SessionId, domain: &str) -> Option<String> {
        let sight = self.sessions.get(id)?;
        if sight.rules.len() > KNOWN_MAX {
            return None;
        }
        let host = Host::from_text(domain).ok()?;
        known(&sight.rules).resembled(&host).map(str::to_owned)
    }

    fn settled(&self, id: SessionId, settled: &Settled) -> Vec<String> {
        let key = (id, settled.id.clone());
        let number = self.numbers.iter().find(|(_, one)| **one == key);
        let Some((number, _)) = number else {
            return Vec::new();
        };
        vec![format!(
            "request {number}: {} {} by {}",
            shown_target(&settled.domain, settled.port),
            settled.outcome,
            printable(&settled.actor)
        )]
    }

    /// A refusal, once where it is repeated. What somebody decided was told already.
    fn logged(&mut self, name: &str, entry: &LogEntry) -> Vec<String> {
        if entry.verdict == Verdict::Allow
            || matches!(entry.reason, Reason::DeniedByPerson | Reason::TimedOut)
        {
            return Vec::new();
        }
        let line = format!("refused in {name}: {}, {}", target(entry), entry.reason);
        if self.refused.0 == line {
            self.refused.1 += 1;
            return Vec::new();
        }
        let mut lines: Vec<_> = self.repeated().into_iter().collect();
        self.refused.0.clone_from(&line);
        lines.push(line);
        lines
    }

    /// How often the last refusal came again, once that is over.
    fn repeated(&mut self) -> Option<String> {
        let (line, count) = std::mem::take(&mut self.refused);
        match count {
            0 => None,
            1 => Some(format!("{line}, once more")),
            count => Some(format!("{line}, {count} times more")),
        }
    }

    /// Takes in what came of a deed.
    pub(super) fn done(&mut self, done: Done) -> String {
        let undo = match &done.undo {
            Ok(_) => "; undo takes it back",
            Err(_) => "",
        };
        let said = format!("{}{undo}", done.says);
        self.undo = Some(done.undo);
        said
    }

    /// Carries out a line; what there is to say, and what is to be done.
    pub(super) fn command(
        &mut self,
        line: &str,
        now: OffsetDateTime,
    ) -> (Vec<String>, Option<Effect>) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let outcome = match words.as_slice() {
            [] => return (Vec::new(), None),
            ["quit" | "q"] => return (Vec::new(), Some(Effect::Quit)),
            ["help" | "?"] => return (HELP.lines().map(str::to_owned).collect(), None),
            ["list"] => return (self.list(now), None),
            ["sessions"] => return (self.every_session(), None),
            ["rules"] => return (self.rules(), None),
            ["undo" | "u"] => self.undone(),
            ["wildcard" | "w", number] => match self.preview(number) {
                Ok(lines) => return (lines, None),
                Err(why) => Err(why),
            },
            ["wildcard" | "w", number, scope] => self.wildcard(number, scope),
            ["time" | "t", number, time] => self.timed(number, time),
            ["revoke" | "r", session, entry] => self.revoke(session, entry),
            [word, numbers @ ..] if !numbers.is_empty() => self.answer(word, numbers),
            _ => Err(unknown(line)),
        };
        match outcome {
            Ok(deed) => (Vec::new(), Some(Effect::Do(deed))),
            Err(why) => (vec![why], None),
        }
    }

    fn answer(&self, word: &str, numbers: &[&str]) -> Result<Deed, String> {
        let (verdict, scope) = match word {
            "a" | "allow" => (Verdict::Allow, Scope::Session),
            "p" | "project" => (Verdict::Allow, Scope::Project),
            "g" | "global" => (Verdict::Allow, Scope::Global),
            "o" | "once" => (Verdict::Allow, Scope::Once),
            "d" | "deny" => (Verdict::Deny, Scope::Once),
            "D" | "deny-session" => (Verdict::Deny, Scope::Session),
            _ => return Err(unknown(word)),
        };
        let asked = numbers.iter().map(|number| self.asked(number));
        let asked = asked.collect::<Result<_, _>>()?;
        Ok(Deed::Decide(asked, Answer::new(verdict, scope)))
    }

    fn asked(&self, number: &str) -> Result<RequestKey, String> {
        let key = number
            .parse()
            .ok()
            .and_then(|number| self.numbers.get(&number));
        key.cloned().ok_or_else(|| {
            format!(
                "no request {} waits; list tells those that do",
                printable(number)
            )
        })
    }

    fn request(&self, number: &str) -> Result<(RequestKey, &PendingView), String> {
        let key = self.asked(number)?;
        let sight = self.sessions.get(key.0);
        let request = sight.and_then(|sight| sight.pending.iter().find(|one| one.id == key.1));
        match request {
            Some(request) => Ok((key, request)),
            None => Err(format!("request {number} waits no longer")),
        }
    }

    fn pattern(&self, number: &str) -> Result<(RequestKey, &PendingView, &str), String> {
        let (key, request) = self.request(number)?;
        match &request.suggested_pattern {
            Some(pattern) => Ok((key, request, pattern)),
            None => Err(format!("no wildcard is suggested for request {number}")),
        }
    }

    fn preview(&self, number: &str) -> Result<Vec<String>, String> {
        let (key, request, pattern) = self.pattern(number)?;
        let covers = self
            .sessions
            .get(key.0)
            .map(|sight| covered(pattern, request.port, sight))
            .unwrap_or_default();
        let first = format!(
            "{} would cover {} of what waits in {}",
            printable(pattern),
            covers.len(),
            self.name(key.0)
        );
        let how = format!(
            "w {number} session allows it; w {number} project and w {number} global save it as well"
        );
        Ok(iter::once(first).chain(covers).chain([how]).collect())
    }

    fn wildcard(&self, number: &str, scope: &str) -> Result<Deed, String> {
        let (key, _, pattern) = self.pattern(number)?;
        let scope = match scope {
            "session" => Scope::Session,
            "project" => Scope::Project,
            "global" => Scope::Global,
            _ => return Err("behind the number goes session, project or global".to_owned()),
        };
        let answer = Answer {
            pattern: Some(pattern.to_owned()),
            ..Answer::new(Verdict::Allow, scope)
        };
        Ok(Deed::Decide(vec![key], answer))
    }

    fn timed(&self, number: &str, time: &str) -> Result<Deed, String> {
        let key = self.asked(number)?;
        duration(time).map_err(|fault| fault.detail)?;
        let answer = Answer {
            ttl: Some(time.to_owned()),
            ..Answer::new(Verdict::Allow, Scope::Session)
        };
        Ok(Deed::Decide(vec![key], answer))
    }

    fn undone(&mut self) -> Result<Deed, String> {
        match self.undo.take() {
            Some(Ok(rules)) => Ok(Deed::Revoke(rules)),
            Some(Err(why)) => Err(why.to_owned()),
            None => Err("nothing was decided here yet".to_owned()),
        }
    }

    fn revoke(&self, session: &str, entry: &str) -> Result<Deed, String> {
        let named = |name: &str| name == session;
        let mut found = self
            .sessions
            .all()
            .iter()
            .filter(|sight| named(&sight.record.name) || named(sight.record.id.as_str()));
        match (found.next(), found.next()) {
            (Some(sight), None) => Ok(Deed::Revoke(vec![(sight.record.id, entry.to_owned())])),
            (Some(_), Some(_)) => Err(format!(
                "several sessions are named {}: take the id, which sessions tells",
                printable(session)
            )),
            (None, _) => Err(format!("no session {} runs", printable(session))),
        }
    }

    fn list(&self, now: OffsetDateTime) -> Vec<String> {
        let mut lines = vec![match self.numbers.len() {
            0 => "nothing waits".to_owned(),
            1 => "1 request waits".to_owned(),
            several => format!("{several} requests wait"),
        }];
        for number in self.numbers.keys() {
            if let Ok((key, request)) = self.request(&number.to_string()) {
                lines.push(self.described(*number, key.0, request, now));
            }
        }
        lines
    }

    fn every_session(&self) -> Vec<String> {
        let all = self.sessions.all();
        if all.is_empty() {
            return vec!["no session runs".to_owned()];
        }
        let line = |sight: &crate::overview::Sight| {
            let (record, waiting) = (&sight.record, sight.pending.len());
            let name = printable(&record.name);
            format!("session {name}, id {}, {waiting} waiting", record.id)
        };
        all.iter().map(line).collect()
    }

    fn rules(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for sight in self.sessions.all() {
            let name = printable(&sight.record.name);
            lines.extend(sight.rules.iter().map(|rule| {
                format!(
                    "{} {} in {name}, from {}, scope {}",
                    rule.verdict,
                    printable(&rule.entry),
                    rule.origin,
                    rule.scope
                )
            }));
        }
        if lines.is_empty() {
            lines.push("there is no rule".to_owned());
        }
        lines
    }

    fn name(&self, id: SessionId) -> String {
        let sight = self.sessions.get(id);
        sight.map_or_else(
            || id.to_string(),
            |sight| printable(&sight.record.name).into_owned(),
        )
    }
}

fn unknown(line: &str) -> String {
    format!("{} is no command; help tells them", printable(line))
}

const HELP: &str = "\
a N: allow request N until the session ends; several numbers may be given
p N: allow it, saved for the project
g N: allow it, saved for all sessions
o N: allow it this once
t N 10m: allow it for a time
w N: tell what the suggested wildcard would cover; then w N session, project or global
d N: deny it this once
D N, or deny-session N: deny it until the session ends
undo: take the rule of the last decision back
list: tell what waits
sessions: tell what runs
rules: tell the rules; revoke SESSION ENTRY takes one back
quit";

#[cfg(test)]
mod tests;
