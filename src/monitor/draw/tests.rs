//! What is on the screen, as text: a snapshot is what somebody sees.

use ratatui::buffer::Cell;
use ratatui::style::{Color, Modifier};
use serde_json::json;

use crate::monitor::testing::{Desk, WEB, appeared, refusal, request, rule, told, whole};
use crate::policy::printable;

/// Compares with a snapshot that is committed; with UPDATE_SNAPSHOTS=1 it is written anew.
#[track_caller]
fn is_snapshot(name: &str, shown: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/monitor/draw/snapshots")
        .join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, format!("{shown}\n")).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        expected.trim_end_matches('\n') == shown.trim_end_matches('\n'),
        "{name} is\n{shown}\nand was\n{expected}\nif that is meant: UPDATE_SNAPSHOTS=1 cargo test --lib"
    );
}

#[test]
fn the_screens_are_those_of_the_snapshots() {
    for (name, keys, width, height) in [
        ("waiting-80x24", "", 80, 24),
        ("waiting-200x60", "\n", 200, 60),
        ("waiting-20x5", "", 20, 5),
        ("details-80x24", "\n", 80, 24),
        ("log-80x24", "2", 80, 24),
        ("rules-80x24", "3", 80, 24),
        ("wildcard-80x24", "w", 80, 24),
        ("wildcard-saved-80x24", "wp", 80, 24),
        ("time-80x24", "t", 80, 24),
        ("revoke-80x24", "3r", 80, 24),
        ("marked-80x24", "  ", 80, 24),
        ("filter-80x24", "/db", 80, 24),
        ("help-80x24", "?", 80, 24),
    ] {
        let mut desk = Desk::busy(true);
        desk.types(keys);
        is_snapshot(name, &desk.shown(width, height));
    }
    is_snapshot("empty-80x24", &Desk::empty(true).shown(80, 24));
}

#[test]
fn without_colour_there_is_none_and_the_same_is_said() {
    let (mut plain, mut colored) = (Desk::busy(false), Desk::busy(true));
    for keys in ["", "2", "3", "?"] {
        plain.types(keys);
        colored.types(keys);
        let (plain, colored) = (plain.drawn(80, 24), colored.drawn(80, 24));
        let bare = |cell: &Cell| (cell.fg, cell.bg) == (Color::Reset, Color::Reset);
        assert!(plain.content().iter().all(bare), "{keys}");
        let texts = plain.content().iter().zip(colored.content());
        assert!(
            texts.into_iter().all(|(a, b)| a.symbol() == b.symbol()),
            "{keys}"
        );
    }
    let colours = |cell: &Cell| cell.fg != Color::Reset;
    assert!(Desk::busy(true).drawn(80, 24).content().iter().any(colours));
}

/// DISP-001 to DISP-007: whatever is in a name, what is drawn is harmless, and what somebody
/// registered stays in sight.
#[test]
fn hostile_names_are_escaped_and_keep_what_was_registered_in_sight() {
    let mut desk = Desk::empty(true);
    desk.takes(WEB, appeared(WEB, "web\u{1b}]0;owned\u{7}\u{202e}"));
    let long = format!("accounts.google.com.{}.evil.test", "x".repeat(60));
    let mut deceiving = refusal(1, "a\u{1b}[2J\r\nb");
    deceiving["detail"] = json!("\u{9b}31m\u{202e}");
    let hostile = json!([
        request("a1", &long, 1),
        request("a2", "xn--bcher-kva.test", 2),
        request("a3", "www.arnazon.com", 3),
    ]);
    let rules = json!([rule("allow", "amazon.com")]);
    desk.takes(WEB, whole(hostile, json!([deceiving]), rules));
    is_snapshot("hostile-80x24", &desk.shown(80, 24));
    desk.types("\n");
    is_snapshot("hostile-details-80x24", &desk.shown(80, 24));
    for (width, height) in [(80, 24), (200, 60), (40, 10), (20, 5)] {
        let drawn = desk.drawn(width, height);
        let symbols: String = drawn.content().iter().map(|cell| cell.symbol()).collect();
        assert_eq!(*printable(&symbols), symbols, "{width}x{height}");
    }
    let narrow = desk.shown(40, 24);
    assert!(narrow.contains(".evil.test:443"), "{narrow}");
}

#[test]
fn what_was_registered_of_a_name_is_emphasised_and_nothing_else_of_it() {
    let mut desk = Desk::busy(false);
    let buffer = desk.drawn(80, 24);
    let row = buffer
        .content()
        .chunks(80)
        .find(|row| {
            let text: String = row.iter().map(|cell| cell.symbol()).collect();
            text.contains("cdn.example.com")
        })
        .unwrap();
    let emphasised: String = row
        .iter()
        .filter(|cell| cell.modifier.contains(Modifier::UNDERLINED))
        .map(|cell| cell.symbol())
        .collect();
    assert_eq!(emphasised, "example.com");
}

#[test]
fn no_size_of_the_terminal_is_too_small_or_too_odd() {
    for keys in ["", "\n", "2", "3", "w", "wp", "t", "3r", "?", "/x"] {
        let mut desk = Desk::busy(true);
        desk.types(keys);
        for width in [1, 2, 3, 7, 20, 79, 119, 120, 121, 300] {
            for height in [1, 2, 3, 4, 5, 6, 11, 12, 29, 30, 31, 100] {
                desk.drawn(width, height);
            }
        }
    }
}

#[test]
fn of_ten_thousand_lines_those_in_view_are_drawn() {
    let mut desk = Desk::empty(true);
    desk.takes(WEB, appeared(WEB, "web"));
    let log: Vec<_> = (1..=10_000)
        .map(|id| refusal(id, &format!("host{id}.test")))
        .collect();
    desk.takes(WEB, whole(json!([]), json!([]), json!([])));
    for entry in &log {
        desk.takes(WEB, told("log", entry));
    }
    desk.types("2");
    let shown = desk.shown(80, 24);
    assert!(
        shown.contains("host10000.test") && shown.contains("follows"),
        "{shown}"
    );
    desk.types("<");
    desk.shown(80, 24);
    desk.types("jj");
    let shown = desk.shown(80, 24);
    assert!(
        shown.contains("host1.test") && shown.contains("3 of 10000"),
        "{shown}"
    );
    // What comes does not move what is read, even if the oldest line goes for it.
    desk.takes(WEB, told("log", &refusal(10_001, "new.test")));
    let shown = desk.shown(80, 24);
    assert!(
        shown.contains("> 00:00:03") && shown.contains("2 of 10000"),
        "{shown}"
    );
    desk.types(">");
    assert!(desk.shown(80, 24).contains("new.test"));
}
