//! How texts and names that others chose are shown to a person: nothing in them steers a terminal,
//! and what somebody registered of a long name stays in sight.

use std::borrow::Cow;

/// So much of the start of a name that is shown in part.
const START: usize = 16;

/// Text that others chose, made harmless for a terminal: control characters, and what changes
/// the direction of text or cannot be seen, are shown as escapes.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hostile) {
        return Cow::Borrowed(text);
    }
    let escaped = text.chars().map(|c| {
        if is_hostile(c) {
            c.escape_unicode().to_string()
        } else {
            c.to_string()
        }
    });
    Cow::Owned(escaped.collect())
}

fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Host and port as one text, escaped.
pub fn shown_target(domain: &str, port: u16) -> String {
    match domain.contains(':') {
        true => format!("[{}]:{port}", printable(domain)),
        false => format!("{}:{port}", printable(domain)),
    }
}

/// A name in so much room: the middle of a longer one is left out, and what somebody registered of
/// it (`group`) last of all. The end of a name is never left out.
pub fn shortened<'n>(domain: &'n str, group: &str, room: usize) -> Cow<'n, str> {
    // Anything else is no name, and is escaped as a whole.
    if domain.len() <= room || !domain.is_ascii() {
        return Cow::Borrowed(domain);
    }
    let room = room.saturating_sub(1);
    let start = START.min(room.saturating_sub(group.len())).min(room / 4);
    let end = domain.len() - (room - start);
    match (domain.get(..start), domain.get(end..)) {
        (Some(start), Some(end)) => Cow::Owned(format!("{start}…{end}")),
        _ => Cow::Borrowed(domain),
    }
}

/// A name with A-labels as the text that they stand for, escaped. None for other names.
pub fn as_text(domain: &str) -> Option<String> {
    if !domain.split('.').any(|label| label.starts_with("xn--")) {
        return None;
    }
    let (text, sound) = idna::domain_to_unicode(domain);
    (sound.is_ok() && text != domain).then(|| printable(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_steer_a_terminal_is_shown_as_an_escape() {
        assert_eq!(printable("a.example:443"), "a.example:443");
        assert_eq!(
            printable("a\x1b]0;owned\x07b\r\nc"),
            "a\\u{1b}]0;owned\\u{7}b\\u{d}\\u{a}c"
        );
        assert_eq!(printable("x\u{202e}y\u{200b}"), "x\\u{202e}y\\u{200b}");
        assert_eq!(printable("\u{9b}2J"), "\\u{9b}2J");
    }

    #[test]
    fn a_name_is_shortened_in_the_middle_and_keeps_its_end() {
        let long = "accounts.example.org.login.session.evil.example";
        let shown = |room| shortened(long, "evil.example", room).into_owned();
        assert_eq!(shown(60), long);
        assert_eq!(shown(30), "account…n.session.evil.example");
        assert_eq!(shown(14), "a…evil.example");
        assert_eq!(shown(8), "…example");
        assert_eq!(shown(0), "…");
        assert_eq!(shortened("ex\u{e4}mple", "", 3), "ex\u{e4}mple");
        for room in 0..60 {
            let shown = shown(room);
            assert!(shown.chars().count() <= room.max(1), "{room}: {shown}");
            let end = &long[long.len() - room.saturating_sub(1).min("evil.example".len())..];
            assert!(shown.ends_with(end), "{room}: {shown}");
        }
    }

    #[test]
    fn an_a_label_is_told_as_text_and_what_is_none_is_not() {
        assert_eq!(
            as_text("xn--bcher-kva.example").as_deref(),
            Some("b\u{fc}cher.example")
        );
        for other in ["a.example", "xn--.example", "2001:db8::1", ""] {
            assert_eq!(as_text(other), None, "{other}");
        }
    }
}
