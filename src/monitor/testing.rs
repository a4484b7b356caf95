//! A screen with a clock that a test winds on, and sessions that never were.

use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::act::Effect;
use super::draw::{Paint, draw};
use super::screen::{Moment, Screen};
use crate::api::Event;
use crate::overview::Update;
use crate::session::SessionId;

pub(super) const WEB: &str = "0123456789abcdef";
pub(super) const API: &str = "1123456789abcdef";

/// A screen and its clock.
pub(super) struct Desk {
    pub(super) screen: Screen,
    pub(super) now: Moment,
    paint: Paint,
}

pub(super) fn id(text: &str) -> SessionId {
    serde_json::from_value(json!(text)).unwrap()
}

pub(super) fn time(text: &str) -> OffsetDateTime {
    OffsetDateTime::parse(text, &Rfc3339).unwrap()
}

pub(super) fn request(id: &str, domain: &str, second: u8) -> Value {
    let parts: Vec<_> = domain.rsplitn(3, '.').collect();
    let group = match parts.as_slice() {
        [end, registered, ..] => format!("{registered}.{end}"),
        _ => domain.to_owned(),
    };
    json!({
        "id": id, "domain": domain, "port": 443, "group": group, "doors": ["connect"],
        "waiting": 1, "attempts": 2, "requested_at": format!("2030-01-01T00:00:{second:02}Z"),
        "expires_at": format!("2030-01-01T00:01:{second:02}Z"),
        "suggested_pattern": format!("*.{group}")
    })
}

pub(super) fn refusal(id: u64, domain: &str) -> Value {
    json!({
        "id": id, "time": format!("2030-01-01T00:00:{:02}.5Z", id % 60), "verdict": "deny",
        "reason": "unlisted", "domain": domain, "port": 443, "door": "connect", "rule": null
    })
}

pub(super) fn appeared(id: &str, name: &str) -> Update {
    Update::Appeared(Box::new(
        serde_json::from_value(json!({
            "version": 1, "id": id, "name": name, "project_dir": format!("/home/me/{name}"),
            "runtime": "docker", "created": "2030-01-01T00:00:00Z", "pid": 1, "control": {}
        }))
        .unwrap(),
    ))
}

pub(super) fn whole(pending: Value, log: Value, rules: Value) -> Update {
    let session = json!({
        "id": WEB, "name": "web", "project": null, "runtime": "docker", "version": "0",
        "uptime_seconds": 1, "doors": {}, "mode": "request_approval", "can_save": true,
        "warnings": [],
        "counts": {"rules": 0, "connections": 0, "allowed": 0, "refused": 0}
    });
    Update::Whole(Box::new(crate::overview::Whole {
        session: serde_json::from_value(session).unwrap(),
        pending: serde_json::from_value(pending).unwrap(),
        missed: Vec::new(),
        rules: serde_json::from_value(rules).unwrap(),
        log: serde_json::from_value(log).unwrap(),
    }))
}

pub(super) fn told(name: &str, data: &Value) -> Update {
    let event = Event::parse(name, &data.to_string());
    Update::Told(Box::new(event.unwrap().unwrap()))
}

pub(super) fn rule(verdict: &str, entry: &str) -> Value {
    json!({
        "entry": entry, "verdict": verdict, "origin": "config", "scope": "global",
        "expires_at": null, "hits": 3
    })
}

impl Desk {
    pub(super) fn empty(color: bool) -> Self {
        Self {
            screen: Screen::default(),
            now: Moment {
                instant: Instant::now(),
                time: time("2030-01-01T00:00:20Z"),
            },
            paint: Paint { color },
        }
    }

    /// Two sessions; what waits has been there for a while.
    pub(super) fn busy(color: bool) -> Self {
        let mut desk = Self::empty(color);
        desk.takes(WEB, appeared(WEB, "web"));
        desk.takes(API, appeared(API, "api"));
        desk.takes(
            WEB,
            whole(
                json!([
                    request("a1", "api.example.com", 1),
                    request("a2", "cdn.example.com", 3),
                ]),
                json!([
                    refusal(1, "telemetry.test"),
                    refusal(2, "telemetry.test"),
                    refusal(3, "telemetry.test"),
                    refusal(4, "b.test"),
                ]),
                json!([rule("allow", "amazon.com"), rule("deny", "**.ads.test:*")]),
            ),
        );
        desk.takes(
            API,
            whole(
                json!([request("b1", "db.internal.test", 2)]),
                json!([]),
                json!([]),
            ),
        );
        desk.passes(1000);
        desk
    }

    pub(super) fn takes(&mut self, session: &str, update: Update) {
        self.screen.apply(id(session), update, self.now);
    }

    pub(super) fn passes(&mut self, milliseconds: u64) {
        self.now.instant += Duration::from_millis(milliseconds);
    }

    /// Types keys one by one, as a person does.
    pub(super) fn types(&mut self, keys: &str) -> Vec<Effect> {
        let mut effects = Vec::new();
        for c in keys.chars() {
            self.passes(100);
            effects.extend(self.screen.keys(&[key(c)], self.now));
        }
        effects
    }

    pub(super) fn drawn(&mut self, width: u16, height: u16) -> Buffer {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        let (screen, paint, now) = (&mut self.screen, self.paint, self.now);
        terminal
            .draw(|frame| draw(frame, screen, paint, now))
            .unwrap();
        terminal.backend().buffer().clone()
    }

    /// The lines that are seen, without what is blank at their ends.
    pub(super) fn shown(&mut self, width: u16, height: u16) -> String {
        let buffer = self.drawn(width, height);
        let lines = buffer.content().chunks(usize::from(width)).map(|row| {
            let line: String = row.iter().map(|cell| cell.symbol()).collect();
            line.trim_end().to_owned()
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

pub(super) fn key(c: char) -> KeyEvent {
    let code = match c {
        '\n' => KeyCode::Enter,
        '\u{1b}' => KeyCode::Esc,
        '\t' => KeyCode::Tab,
        c => KeyCode::Char(c),
    };
    KeyEvent::new(code, KeyModifiers::NONE)
}
