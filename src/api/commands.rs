//! The commands that people are told to type, written so that they can be pasted into a shell.

/// What lets a target or an entry through, until the session ends.
pub fn allow_command(what: &str) -> String {
    format!("vibepit allow {}", shell_word(what))
}

/// What takes a rule back.
pub fn revoke_command(entry: &str) -> String {
    format!("vibepit revoke {}", shell_word(entry))
}

/// Text as one word of a shell: in quotes where a shell would see more in it than its letters.
pub fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._:/@%+,=".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_would_expand_is_quoted_and_nothing_else() {
        for (entry, command) in [
            ("api.example.com:443", "vibepit allow api.example.com:443"),
            ("10.0.0.0/8", "vibepit allow 10.0.0.0/8"),
            ("*.example.com:*", "vibepit allow '*.example.com:*'"),
            ("[2001:db8::1]:443", "vibepit allow '[2001:db8::1]:443'"),
            ("a'; rm -r .", r"vibepit allow 'a'\''; rm -r .'"),
            ("", "vibepit allow ''"),
        ] {
            assert_eq!(allow_command(entry), command);
        }
    }
}
