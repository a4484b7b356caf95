//! What a frame of the monitor costs, with 10,000 lines of log and 500 requests that wait: one key,
//! the frame, and what is written to the terminal for it. A frame has 16 ms.

#![allow(
    missing_docs,
    reason = "criterion's macros make functions that are nobody's to call"
)]

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::Rect;
use ratatui::{Terminal, TerminalOptions, Viewport};
use serde_json::{Value, json};
use vibepit::api::Event;
use vibepit::monitor::{Moment, Paint, Screen, draw};
use vibepit::overview::{Update, Whole};
use vibepit::session::SessionId;

const ID: &str = "0123456789abcdef";

fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap_or_else(|error| panic!("{error}"))
}

fn entry(id: usize) -> Value {
    json!({
        "id": id, "time": format!("2030-01-01T{:02}:{:02}:00Z", id / 60 % 24, id % 60),
        "verdict": "deny", "reason": "unlisted", "domain": format!("host{id}.bench.example"),
        "port": 443, "door": "connect", "rule": null
    })
}

fn request(id: usize) -> Value {
    json!({
        "id": format!("{id:012x}"), "domain": format!("api{id}.service.bench.example"),
        "port": 443, "group": "bench.example", "doors": ["connect"], "waiting": 1, "attempts": 1,
        "requested_at": format!("2030-01-01T00:{:02}:{:02}Z", id / 60, id % 60),
        "expires_at": "2099-01-01T00:00:00Z", "suggested_pattern": "*.service.bench.example"
    })
}

fn rule(id: usize) -> Value {
    json!({
        "entry": format!("host{id}.allowed{id}.example:443"), "verdict": "allow",
        "origin": "config", "scope": "global", "expires_at": null, "hits": 0
    })
}

/// A screen with all of that in it.
fn full() -> (Screen, Moment) {
    let mut now = Moment::now();
    let id: SessionId = read(json!(ID));
    let mut screen = Screen::default();
    let record = json!({
        "version": 1, "id": ID, "name": "bench", "runtime": "docker",
        "created": "2030-01-01T00:00:00Z", "pid": 1, "control": {}
    });
    screen.apply(id, Update::Appeared(read(record)), now);
    let session = json!({
        "id": ID, "name": "bench", "project": null, "runtime": "docker", "version": "0",
        "uptime_seconds": 1, "doors": {}, "mode": "request_approval", "can_save": true,
        "warnings": [], "counts": {"rules": 0, "connections": 0, "allowed": 0, "refused": 0}
    });
    let whole = Whole {
        session: read(session),
        pending: (0..500).map(|id| read(request(id))).collect(),
        missed: Vec::new(),
        rules: (0..1_000).map(|id| read(rule(id))).collect(),
        log: (1..=10_000).map(|id| read(entry(id))).collect(),
    };
    screen.apply(id, Update::Whole(Box::new(whole)), now);
    now.instant += Duration::from_secs(1);
    (screen, now)
}

fn frames(c: &mut Criterion) {
    let paint = Paint { color: true };
    let mut group = c.benchmark_group("frame of 200x60");
    let mut scroll = |name: &str, before: &str, keys: &str| {
        let (mut screen, mut now) = full();
        let press = |screen: &mut Screen, now: &mut Moment, key: char| {
            now.instant += Duration::from_millis(50);
            let key = KeyEvent::new(KeyCode::Char(key), KeyModifiers::NONE);
            screen.keys(&[key], *now);
        };
        for key in before.chars() {
            press(&mut screen, &mut now, key);
        }
        let options = TerminalOptions {
            viewport: Viewport::Fixed(Rect::new(0, 0, 200, 60)),
        };
        let mut terminal = Terminal::with_options(CrosstermBackend::new(std::io::sink()), options)
            .unwrap_or_else(|error| panic!("{error}"));
        let mut keys = keys.chars().cycle();
        group.bench_function(name, |b| {
            b.iter(|| {
                if let Some(key) = keys.next() {
                    press(&mut screen, &mut now, key);
                }
                terminal
                    .draw(|frame| draw(frame, &mut screen, paint, now))
                    .unwrap_or_else(|error| panic!("{error}"));
            });
        });
    };
    scroll("500 requests, scrolled", "", "jjjjjjjjjj><");
    scroll("10,000 lines, scrolled", "2<", "jjjjjjjjjj><");
    scroll("1,000 rules, scrolled", "3", "jjjjjjjjjj><");
    group.finish();

    let mut group = c.benchmark_group("what comes, and its frame");
    for (name, keys) in [("log", "2"), ("filtered log", "2/host9")] {
        let (mut screen, mut now) = full();
        for key in keys.chars() {
            now.instant += Duration::from_millis(50);
            screen.keys(
                &[KeyEvent::new(KeyCode::Char(key), KeyModifiers::NONE)],
                now,
            );
        }
        let options = TerminalOptions {
            viewport: Viewport::Fixed(Rect::new(0, 0, 200, 60)),
        };
        let mut terminal = Terminal::with_options(CrosstermBackend::new(std::io::sink()), options)
            .unwrap_or_else(|error| panic!("{error}"));
        let id: SessionId = read(json!(ID));
        let mut at = 10_000;
        group.bench_function(name, |b| {
            b.iter(|| {
                at += 1;
                screen.apply(id, Update::Told(Box::new(Event::Log(read(entry(at))))), now);
                terminal
                    .draw(|frame| draw(frame, &mut screen, paint, now))
                    .unwrap_or_else(|error| panic!("{error}"));
            });
        });
    }
    group.finish();
}

criterion_group!(benches, frames);
criterion_main!(benches);
