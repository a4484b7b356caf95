//! For tests: reads the tables in tests/cases.

use std::iter::Peekable;
use std::path::Path;
use std::str::Chars;

/// The rows of a table, without its header.
pub(super) fn rows(file: &str) -> Vec<Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/cases")
        .join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    let mut chars = text.chars().peekable();
    let mut rows = Vec::new();
    while chars.peek().is_some() {
        rows.push(row(&mut chars));
    }
    assert!(rows.len() > 10, "{} has hardly any rows", path.display());
    rows.split_off(1)
}

fn row(chars: &mut Peekable<Chars<'_>>) -> Vec<String> {
    let (mut fields, mut quoted) = (vec![String::new()], false);
    while let Some(c) = chars.next() {
        let field = fields.last_mut().unwrap();
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => field.extend(chars.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            '\n' if !quoted => break,
            '\r' if !quoted => {}
            c => field.push(c),
        }
    }
    fields
}

/// Undoes `\r \n \t \\ \xNN \uNNNN`, where the numbers are of characters.
pub(super) fn unescape(text: &str) -> String {
    let mut chars = text.chars();
    let mut plain = String::new();
    while let Some(c) = chars.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        let digits = match chars.next().unwrap() {
            'r' => Err('\r'),
            'n' => Err('\n'),
            't' => Err('\t'),
            'x' => Ok(2),
            'u' => Ok(4),
            c => Err(c),
        };
        plain.push(digits.map_or_else(
            |c| c,
            |n| {
                let hex: String = chars.by_ref().take(n).collect();
                char::from_u32(u32::from_str_radix(&hex, 16).unwrap()).unwrap()
            },
        ));
    }
    plain
}

/// The same where the numbers are of bytes.
pub(super) fn unescape_bytes(text: &str) -> Vec<u8> {
    assert!(text.is_ascii(), "{text}");
    unescape(text)
        .chars()
        .map(|c| u8::try_from(c).unwrap())
        .collect()
}
