//! From a key to what is meant by it. Nothing here knows what is shown.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use crate::policy::{Scope, Verdict};

use super::desk::Answer;

/// What keys are read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// Each is a command.
    Commands,
    /// They are typed into the filter.
    Text,
    /// One answers a question.
    Choice,
    /// They move the help, or close it.
    Help,
}

/// What a key means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    View(usize),
    NextView,
    PreviousView,
    Answer(Answer),
    Wildcard,
    Time,
    Undo,
    Revoke,
    Mark,
    Missed,
    Details,
    Filter,
    Help,
    /// One letter, of the filter or as a choice.
    Letter(char),
    Rub,
    Accept,
    Cancel,
    Redraw,
    Suspend,
    Quit,
}

impl Command {
    /// Whether it decides something: such a key has to come alone.
    pub(super) fn decides(&self, reading: Reading) -> bool {
        match self {
            Self::Answer(_) | Self::Wildcard | Self::Time | Self::Undo | Self::Revoke => true,
            Self::Letter(_) => reading == Reading::Choice,
            _ => false,
        }
    }
}

/// What is meant by a key; `None`: nothing.
pub(super) fn command(key: KeyEvent, reading: Reading) -> Option<Command> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return match (key.code, reading) {
            (KeyCode::Char('c'), _) => Some(Command::Quit),
            (KeyCode::Char('z'), _) => Some(Command::Suspend),
            (KeyCode::Char('l'), _) => Some(Command::Redraw),
            (KeyCode::Char('f'), Reading::Commands) => Some(Command::PageDown),
            (KeyCode::Char('b'), Reading::Commands) => Some(Command::PageUp),
            (KeyCode::Char('h'), Reading::Text) => Some(Command::Rub),
            _ => None,
        };
    }
    if key.modifiers.contains(KeyModifiers::ALT) {
        return None;
    }
    match reading {
        Reading::Commands => browsing(key.code),
        Reading::Text => match key.code {
            KeyCode::Char(c) => Some(Command::Letter(c)),
            KeyCode::Backspace => Some(Command::Rub),
            KeyCode::Enter => Some(Command::Accept),
            KeyCode::Esc => Some(Command::Cancel),
            _ => None,
        },
        Reading::Choice => match key.code {
            KeyCode::Char(c) => Some(Command::Letter(c)),
            KeyCode::Esc => Some(Command::Cancel),
            _ => None,
        },
        Reading::Help => match key.code {
            KeyCode::Char('q' | '?') | KeyCode::Esc | KeyCode::Enter => Some(Command::Cancel),
            code => browsing(code).filter(|command| {
                matches!(
                    command,
                    Command::Up | Command::Down | Command::PageUp | Command::PageDown
                )
            }),
        },
    }
}

fn browsing(code: KeyCode) -> Option<Command> {
    let answer = |verdict, scope| Command::Answer(Answer::new(verdict, scope));
    Some(match code {
        KeyCode::Char('a') => answer(Verdict::Allow, Scope::Session),
        KeyCode::Char('p') => answer(Verdict::Allow, Scope::Project),
        KeyCode::Char('g') => answer(Verdict::Allow, Scope::Global),
        KeyCode::Char('o') => answer(Verdict::Allow, Scope::Once),
        KeyCode::Char('d') => answer(Verdict::Deny, Scope::Once),
        KeyCode::Char('D') => answer(Verdict::Deny, Scope::Session),
        KeyCode::Char('w') => Command::Wildcard,
        KeyCode::Char('t') => Command::Time,
        KeyCode::Char('u') => Command::Undo,
        KeyCode::Char('r') => Command::Revoke,
        KeyCode::Char(' ') => Command::Mark,
        KeyCode::Char('m') => Command::Missed,
        KeyCode::Char('/') => Command::Filter,
        KeyCode::Char('?') => Command::Help,
        KeyCode::Char('q') => Command::Quit,
        KeyCode::Char('j') | KeyCode::Down => Command::Down,
        KeyCode::Char('k') | KeyCode::Up => Command::Up,
        KeyCode::Char('<') | KeyCode::Home => Command::First,
        // As in less: F follows, and so does whoever goes to the end.
        KeyCode::Char('>' | 'G' | 'F') | KeyCode::End => Command::Last,
        KeyCode::PageDown => Command::PageDown,
        KeyCode::PageUp => Command::PageUp,
        KeyCode::Char(digit @ '1'..='3') => Command::View(digit as usize - '1' as usize),
        KeyCode::Tab => Command::NextView,
        KeyCode::BackTab => Command::PreviousView,
        KeyCode::Enter => Command::Details,
        KeyCode::Esc => Command::Cancel,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(c: char, reading: Reading) -> Option<Command> {
        command(KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE), reading)
    }

    #[test]
    fn the_letters_of_the_scopes_answer_and_a_capital_is_another_one() {
        for (key, verdict, scope) in [
            ('a', Verdict::Allow, Scope::Session),
            ('p', Verdict::Allow, Scope::Project),
            ('g', Verdict::Allow, Scope::Global),
            ('o', Verdict::Allow, Scope::Once),
            ('d', Verdict::Deny, Scope::Once),
            ('D', Verdict::Deny, Scope::Session),
        ] {
            let meant = plain(key, Reading::Commands);
            assert_eq!(meant, Some(Command::Answer(Answer::new(verdict, scope))));
        }
        for other in ['A', 'P', 'O', 'W', 'T', 'x', '\u{e9}'] {
            assert_eq!(plain(other, Reading::Commands), None, "{other}");
        }
    }

    #[test]
    fn what_is_typed_into_the_filter_is_text_and_with_control_or_alt_no_letter_decides() {
        assert_eq!(plain('a', Reading::Text), Some(Command::Letter('a')));
        for modifiers in [KeyModifiers::CONTROL, KeyModifiers::ALT] {
            for key in "apgodDwtur".chars() {
                let event = KeyEvent::new(KeyCode::Char(key), modifiers);
                for reading in [Reading::Commands, Reading::Choice, Reading::Help] {
                    assert_eq!(command(event, reading), None, "{key}");
                }
            }
        }
    }

    #[test]
    fn control_c_quits_whatever_is_asked() {
        let event = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        for reading in [
            Reading::Commands,
            Reading::Text,
            Reading::Choice,
            Reading::Help,
        ] {
            assert_eq!(command(event, reading), Some(Command::Quit));
        }
    }
}
