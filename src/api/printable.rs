//! Text that others chose, made harmless for whoever reads it, on a terminal or on a page.

use std::borrow::Cow;

/// Control characters, and what changes the direction of text or cannot be seen, are shown as
/// escapes.
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
}
