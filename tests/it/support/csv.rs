//! The tables of tests/cases: comma-separated, quoted where they must be (RFC 4180).

use std::path::Path;

/// The rows of a table behind its header.
pub(crate) fn rows(name: &str) -> Vec<Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/cases")
        .join(name);
    let text = std::fs::read_to_string(&path).expect("the table");
    text.lines()
        .skip(1)
        .filter(|line| !line.is_empty())
        .map(cells)
        .collect()
}

fn cells(line: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    let mut quoted = false;
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        let cell = cells.last_mut().expect("at least one");
        match c {
            '"' if quoted && rest.peek() == Some(&'"') => {
                rest.next();
                cell.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(String::new()),
            c => cell.push(c),
        }
    }
    assert!(!quoted, "a cell of several lines: {line}");
    cells
}

/// A cell whose text is escaped as in Python or Rust: `\r \n \t \\ \xNN \uNNNN`, the numbers being
/// those of characters.
pub(crate) fn text(cell: &str) -> String {
    let mut text = String::new();
    let mut rest = cell.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            text.push(c);
            continue;
        }
        let digits = match rest.next() {
            Some('r') => Err('\r'),
            Some('n') => Err('\n'),
            Some('t') => Err('\t'),
            Some('\\') => Err('\\'),
            Some('x') => Ok(2),
            Some('u') => Ok(4),
            other => panic!("{other:?} behind a backslash in {cell:?}"),
        };
        text.push(digits.map_or_else(
            |c| c,
            |digits| {
                let hex: String = rest.by_ref().take(digits).collect();
                let number = u32::from_str_radix(&hex, 16).expect("hexadecimal digits");
                char::from_u32(number).expect("a character")
            },
        ));
    }
    text
}
