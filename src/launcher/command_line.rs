//! Paths in commands that a person is told to type.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A path as a shell takes it (bash, zsh and most others know `$'…'`). What could steer a terminal,
/// looks like something else or is no UTF-8 is written in hex, and no path is taken for an option.
pub(crate) fn quoted(path: &Path) -> String {
    let bytes = path.as_os_str().as_bytes();
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+:,@%=".contains(byte);
    let before = match bytes.first() {
        None | Some(b'-') => "./",
        Some(_) => "",
    };
    if bytes.iter().all(plain) {
        return format!("{before}{}", path.display());
    }
    let is_text = |text: &str| {
        text.chars()
            .all(|c| c.is_alphanumeric() || c == ' ' || c.is_ascii_punctuation())
    };
    if let Some(text) = path.to_str().filter(|text| is_text(text)) {
        return format!("'{before}{}'", text.replace('\'', r"'\''"));
    }
    let mut quoted = format!("$'{before}");
    for byte in bytes {
        match byte {
            b'\'' | b'\\' => quoted.extend(['\\', char::from(*byte)]),
            b' '..=b'~' => quoted.push(char::from(*byte)),
            _ => quoted.push_str(&format!("\\x{byte:02x}")),
        }
    }
    quoted.push('\'');
    quoted
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        let names: [&[u8]; 12] = [
            b"/home/u/app/.git/hooks/pre-commit",
            b"",
            b"-rf",
            b"two words",
            b"it's $(here) `and` \"there\" \\",
            "grün".as_bytes(),
            b"line\nbreak",
            b"\x1b]0;owned\x07",
            "abc\u{202e}cba".as_bytes(),
            b"\xff\xfe",
            b"\xffff0",
            b"'\\\x01",
        ];
        for name in names {
            let path = Path::new(OsStr::from_bytes(name));
            let quoted = quoted(path);
            let hostile = |c: char| !(c.is_alphanumeric() || (' '..='~').contains(&c));
            assert!(!quoted.contains(hostile), "{quoted}");
            let script = format!("printf %s {quoted}");
            let read = Command::new("bash").args(["-c", &script]).output().unwrap();
            let read = read.stdout.strip_prefix(b"./").unwrap_or(&read.stdout);
            assert_eq!(read, name, "{quoted}");
        }
    }
}
