//! What a command does to the screen, and what it asks the world to do.

use std::time::Duration;

use ratatui::crossterm::event::{KeyEvent, KeyEventKind};

use crate::policy::{Entry, Host, Scope, Verdict, printable, shown_target};
use crate::session::SessionId;

use super::desk::{Answer, Deed, Done, RequestKey};
use super::keys::{Command, Reading, command};
use super::places::rule_key;
use super::screen::{Mode, Moment, Note, Screen, View, Wildcard};

/// Rows that a page moves by. What is in view is known to whoever draws.
const PAGE: isize = 15;

/// Keys that come closer together than a person types are as good as one piece: a terminal that
/// does not mark what is pasted may bring it in several.
const BURST: Duration = Duration::from_millis(25);

/// The time limits that `t` offers, with their keys.
pub(super) const TIMES: [(char, &str); 4] = [('1', "10m"), ('2', "1h"), ('3', "8h"), ('4', "1d")];

/// What the world is to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    /// Carry this out.
    #[allow(private_interfaces, reason = "it is made and carried out in this room")]
    Do(Deed),
    /// Draw all of it anew.
    Redraw,
    /// Give the terminal back until the person returns.
    Suspend,
    /// End.
    Quit,
}

impl Screen {
    /// Takes in what was typed and came in one piece. A key that decides has to come alone: several
    /// at once are a paste, or a terminal that held them back.
    pub fn keys(&mut self, keys: &[KeyEvent], now: Moment) -> Vec<Effect> {
        let pressed = |key: &&KeyEvent| key.kind != KeyEventKind::Release;
        let hurried = self
            .typed
            .is_some_and(|typed| now.instant.saturating_duration_since(typed) < BURST);
        let alone = !hurried && keys.iter().filter(pressed).count() <= 1;
        self.typed = Some(now.instant);
        let mut effects = Vec::new();
        for key in keys {
            let reading = self.mode.reading();
            let Some(command) = command(*key, reading) else {
                continue;
            };
            if !alone && command.decides(reading) {
                self.warn("several keys came at once, as of a paste: none of them decides");
                // Nor does what comes behind it mean anything.
                return effects;
            }
            effects.extend(self.command(command, now));
        }
        effects
    }

    /// Pasted text is text for the filter while that is typed, and nothing otherwise.
    pub fn pasted(&mut self, text: &str, now: Moment) {
        if !matches!(self.mode, Mode::Filter) {
            self.warn("pasted text does nothing");
            return;
        }
        let text: String = text.chars().filter(|c| !c.is_control()).take(256).collect();
        self.filter_mut().push_str(&text);
        self.refresh(now);
    }

    /// Takes in what came of a deed.
    pub(super) fn done(&mut self, done: Done) {
        let undo = match &done.undo {
            Ok(_) => "; u takes it back",
            Err(_) => "",
        };
        self.note = Note {
            bad: !done.good,
            text: format!("{}{undo}", done.says),
        };
        self.undo = done.undo;
    }

    fn say(&mut self, text: impl Into<String>) {
        let text = text.into();
        self.note = Note { bad: false, text };
    }

    fn warn(&mut self, text: impl Into<String>) {
        let text = text.into();
        self.note = Note { bad: true, text };
    }

    fn command(&mut self, command: Command, now: Moment) -> Option<Effect> {
        self.refresh(now);
        let effect = match command {
            Command::Quit => Some(Effect::Quit),
            Command::Suspend => Some(Effect::Suspend),
            Command::Redraw => Some(Effect::Redraw),
            command => match self.mode.reading() {
                Reading::Commands => self.browse(command, now),
                Reading::Text => self.typed(command),
                Reading::Choice => self.chosen(command),
                Reading::Help => self.helped(command),
            },
        };
        self.refresh(now);
        effect
    }

    fn browse(&mut self, command: Command, now: Moment) -> Option<Effect> {
        self.note = Note::default();
        match command {
            Command::Up => self.step(-1),
            Command::Down => self.step(1),
            Command::PageUp => self.step(-PAGE),
            Command::PageDown => self.step(PAGE),
            Command::First => self.step(isize::MIN),
            Command::Last => self.step(isize::MAX),
            Command::View(at) => self.show(at),
            Command::NextView => self.show(self.view as usize + 1),
            Command::PreviousView => self.show(self.view as usize + 2),
            Command::Answer(answer) => return self.answer(answer, now),
            Command::Time => match self.asked(now) {
                Ok(asked) => self.mode = Mode::Time(asked),
                Err(why) => self.warn(why),
            },
            Command::Wildcard => self.look_at_wildcard(now),
            Command::Undo => match self.undo.clone() {
                Ok(rules) => {
                    self.undo = Err("it is being taken back");
                    self.say("taking it back …");
                    return Some(Effect::Do(Deed::Revoke(rules)));
                }
                Err(why) => self.warn(why),
            },
            Command::Revoke => match (self.view, self.rules.on()) {
                (View::Rules, Some((session, entry, ..))) => {
                    let (session, entry) = (*session, entry.clone());
                    self.mode = Mode::Revoke { session, entry };
                }
                (View::Rules, None) => self.warn("there is no rule here"),
                _ => self.warn("that key takes a rule back: 3 shows them"),
            },
            Command::Mark => {
                self.mark();
                self.step(1);
            }
            Command::Missed => {
                self.missed = !self.missed;
                self.show(View::Waiting as usize);
            }
            Command::Details => self.details = !self.details,
            Command::Filter => self.mode = Mode::Filter,
            Command::Help => self.mode = Mode::Help { top: 0 },
            Command::Cancel => self.cancel(),
            _ => {}
        }
        None
    }

    /// The innermost thing that can be left.
    fn cancel(&mut self) {
        if self.details {
            self.details = false;
        } else if !self.filter().is_empty() {
            self.filter_mut().clear();
        } else {
            self.marked.clear();
        }
    }

    fn show(&mut self, at: usize) {
        self.view = View::ALL[at % View::ALL.len()];
        self.changed();
    }

    fn step(&mut self, by: isize) {
        let to = |at: usize| at.saturating_add_signed(by);
        let Self {
            waiting,
            log,
            rules,
            sessions,
            journal,
            ..
        } = self;
        let sights = sessions.all();
        match self.view {
            View::Waiting => waiting.go(to(waiting.at()), |place| place.key(sights)),
            View::Log => {
                log.go(to(log.at()), |at| journal.lines()[*at].key);
                self.follow = by > 0 && log.is_at_end();
            }
            View::Rules => rules.go(to(rules.at()), |place| {
                let (session, rule) = place.rule(sights);
                rule_key(session, rule)
            }),
        }
    }

    fn answer(&mut self, answer: Answer, now: Moment) -> Option<Effect> {
        match self.asked(now) {
            Ok(asked) => Some(self.decide(asked, answer)),
            Err(why) => {
                self.warn(why);
                None
            }
        }
    }

    fn decide(&mut self, asked: Vec<RequestKey>, answer: Answer) -> Effect {
        self.marked.clear();
        self.say("deciding …");
        Effect::Do(Deed::Decide(asked, answer))
    }

    fn look_at_wildcard(&mut self, now: Moment) {
        let asked = match self.asked(now) {
            Ok(asked) => asked,
            Err(why) => return self.warn(why),
        };
        let [request] = asked.as_slice() else {
            return self.warn("a wildcard is for one request: Esc takes the marks away");
        };
        let found = self.find(request);
        let suggestion =
            found.and_then(|(sight, one)| Some((sight, one.suggestion()?, one.port())));
        let Some((sight, pattern, port)) = suggestion else {
            return self
                .warn("no wildcard is suggested here: one would cover names of many owners");
        };
        let covers = covered(pattern, port, sight);
        self.mode = Mode::Wildcard(Wildcard {
            request: request.clone(),
            pattern: pattern.to_owned(),
            covers,
            scope: None,
        });
    }

    fn typed(&mut self, command: Command) -> Option<Effect> {
        match command {
            Command::Letter(c) if !c.is_control() => self.filter_mut().push(c),
            Command::Rub => drop(self.filter_mut().pop()),
            Command::Accept => self.mode = Mode::Browse,
            Command::Cancel => {
                self.filter_mut().clear();
                self.mode = Mode::Browse;
            }
            _ => {}
        }
        None
    }

    fn helped(&mut self, command: Command) -> Option<Effect> {
        let Mode::Help { top } = &mut self.mode else {
            return None;
        };
        match command {
            Command::Up => *top = top.saturating_sub(1),
            Command::Down => *top = top.saturating_add(1),
            Command::PageUp => *top = top.saturating_sub(10),
            Command::PageDown => *top = top.saturating_add(10),
            _ => self.mode = Mode::Browse,
        }
        None
    }

    /// The answer to a question. Whatever is no answer to it leaves everything as it was.
    fn chosen(&mut self, command: Command) -> Option<Effect> {
        let letter = match command {
            Command::Letter(letter) => Some(letter),
            _ => None,
        };
        match std::mem::replace(&mut self.mode, Mode::Browse) {
            Mode::Time(asked) => {
                let time = TIMES.iter().find(|(key, _)| Some(*key) == letter);
                if let Some((_, time)) = time {
                    let answer = Answer {
                        ttl: Some((*time).to_owned()),
                        ..Answer::new(Verdict::Allow, Scope::Session)
                    };
                    return Some(self.decide(asked, answer));
                }
            }
            Mode::Revoke { session, entry } => {
                if letter == Some('y') {
                    self.say("taking it back …");
                    return Some(Effect::Do(Deed::Revoke(vec![(session, entry)])));
                }
            }
            Mode::Wildcard(wildcard) => return self.wildcard(wildcard, letter),
            mode => self.mode = mode,
        }
        self.say("nothing was done");
        None
    }

    fn wildcard(&mut self, wildcard: Wildcard, letter: Option<char>) -> Option<Effect> {
        let scope = match (wildcard.scope, letter) {
            (None, Some('a')) => Scope::Session,
            (None, Some(key @ ('p' | 'g'))) => {
                let scope = match key {
                    'p' => Scope::Project,
                    _ => Scope::Global,
                };
                self.mode = Mode::Wildcard(Wildcard {
                    scope: Some(scope),
                    ..wildcard
                });
                return None;
            }
            (Some(scope), Some('y')) => scope,
            _ => {
                self.say("nothing was done");
                return None;
            }
        };
        let answer = Answer {
            pattern: Some(wildcard.pattern),
            ..Answer::new(Verdict::Allow, scope)
        };
        Some(self.decide(vec![wildcard.request], answer))
    }
}

/// What a pattern would let through, of what waits in a session; escaped.
pub(super) fn covered(pattern: &str, port: u16, sight: &crate::overview::Sight) -> Vec<String> {
    let Ok(entry) = pattern.parse::<Entry>() else {
        return Vec::new();
    };
    let entry = entry.reaching(port);
    let is_covered =
        |domain: &str, port| Host::from_text(domain).is_ok_and(|host| entry.covers(&host, port));
    let waiting = sight.pending.iter();
    waiting
        .filter(|one| is_covered(&one.domain, one.port))
        .map(|one| shown_target(&one.domain, one.port))
        .collect()
}

/// The session's name, escaped.
pub(super) fn name(screen: &Screen, session: SessionId) -> String {
    let sight = screen.sessions.get(session);
    sight.map_or_else(
        || session.to_string(),
        |sight| printable(&sight.record.name).into_owned(),
    )
}

#[cfg(test)]
mod tests;
