//! What a person who runs a command is to notice of its session: what waits, while the command has
//! the screen; and once it has ended, how much went through, was refused, was held.

use std::env;
use std::fmt;

use tokio::sync::watch;

use crate::api::{Event, Outcome, PendingView};
use crate::client::Client;
use crate::launcher::{Desktop, Means, Notice, Notices};
use crate::policy::{Reason, Verdict};

use super::args::start::Notify;
use super::output::printable;
use super::pending::shown;
use super::requests::Requests;

/// How this terminal shows notices. `None`: it is not to.
pub(super) fn means(notify: Notify) -> Option<Means> {
    let variable = |name| env::var(name).unwrap_or_default();
    means_of(notify, &variable("TERM"), &variable("TERM_PROGRAM"))
}

fn means_of(notify: Notify, term: &str, program: &str) -> Option<Means> {
    if notify == Notify::Off {
        return None;
    }
    Some(Means {
        // Those have none, and may print what would set it.
        title: !matches!(term, "" | "dumb" | "linux"),
        bell: notify != Notify::Title,
        desktop: (notify == Notify::Osc)
            .then(|| desktop(term, program))
            .flatten(),
    })
}

/// What a terminal is known to understand: others print nothing, or worse, print it. Within tmux and
/// screen it is theirs to say, and TERM says that it is them.
fn desktop(term: &str, program: &str) -> Option<Desktop> {
    if ["tmux", "screen"].iter().any(|one| term.starts_with(one)) {
        return None;
    }
    match program {
        "iTerm.app" => return Some(Desktop::Osc9),
        "WezTerm" | "ghostty" => return Some(Desktop::Osc777),
        _ => {}
    }
    match term {
        "xterm-kitty" => Some(Desktop::Osc9),
        "foot" | "foot-extra" | "xterm-ghostty" | "wezterm" | "contour" => Some(Desktop::Osc777),
        term if term.starts_with("rxvt-unicode") => Some(Desktop::Osc777),
        _ => None,
    }
}

/// Where what is to be noticed is said, and what a terminal makes of it.
pub(super) fn board(means: Means) -> (watch::Sender<Notice>, Notices) {
    let (say, news) = watch::channel(Notice::default());
    (say, Notices { means, news })
}

/// What became of the requests of a session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sum {
    allowed: u64,
    refused: u64,
    failed: u64,
    held: u64,
    ran_out: u64,
    /// Some were not told: there were too many at once.
    more: bool,
}

impl Sum {
    fn count(&mut self, event: &Event) {
        let counted = match event {
            Event::Log(entry) => match (entry.verdict, entry.reason) {
                (Verdict::Allow, _) => &mut self.allowed,
                (Verdict::Deny, Reason::ResolveFailed | Reason::ConnectFailed) => &mut self.failed,
                (Verdict::Deny, _) => &mut self.refused,
            },
            Event::RequestAdded(_) => &mut self.held,
            Event::RequestRemoved(settled) if settled.outcome == Outcome::TimedOut => {
                &mut self.ran_out
            }
            Event::Reset { .. } => {
                self.more = true;
                return;
            }
            _ => return,
        };
        *counted += 1;
    }

    /// Whether nothing was asked for.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let requests = if self.allowed == 1 {
            "request"
        } else {
            "requests"
        };
        let least = if self.more { "at least " } else { "" };
        write!(
            f,
            "{least}{} {requests} allowed, {} refused",
            self.allowed, self.refused
        )?;
        if self.failed > 0 {
            write!(f, ", {} failed", self.failed)?;
        }
        match self.held {
            0 => {}
            1 => write!(f, ", 1 was held")?,
            held => write!(f, ", {held} were held")?,
        }
        match (self.ran_out, self.refused) {
            (0, 0) => Ok(()),
            (0, _) => write!(f, " (vibepit review)"),
            (ran_out, _) => write!(f, " ({ran_out} ran out: vibepit review)"),
        }
    }
}

/// Follows a session to its end, and says what became of its requests. Where there is a board, what
/// waits is on it meanwhile.
pub(super) async fn follow(client: Client, board: Option<watch::Sender<Notice>>) -> Sum {
    let mut events = Requests::in_background(&client);
    let mut waiting: Vec<PendingView> = Vec::new();
    let mut calls = 0;
    let mut sum = Sum::default();
    while let Ok(Some(event)) = events.next().await {
        sum.count(&event);
        match event {
            Event::RequestAdded(request) => {
                waiting.push(*request);
                calls += 1;
            }
            Event::RequestRemoved(settled) => waiting.retain(|request| request.id != settled.id),
            Event::Reset { .. } => waiting.clear(),
            Event::SessionEnding { .. } => break,
            _ => continue,
        }
        if let Some(board) = &board {
            let text = text(&waiting);
            board.send_replace(Notice { text, calls });
        }
    }
    sum
}

fn text(waiting: &[PendingView]) -> Option<String> {
    let first = printable(&shown(waiting.first()?)).into_owned();
    Some(match waiting.len() {
        1 => format!("vibepit: {first} waits for you"),
        several => format!("vibepit: {several} requests wait for you ({first} first)"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_sent_what_it_understands_and_no_more() {
        let shown = |notify, term, program| {
            let means = means_of(notify, term, program)?;
            Some((means.title, means.bell, means.desktop))
        };
        for (notify, term, program, expected) in [
            (Notify::Off, "xterm", "", None),
            (Notify::Title, "xterm", "", Some((true, false, None))),
            (Notify::Bell, "xterm-256color", "", Some((true, true, None))),
            (Notify::Bell, "dumb", "", Some((false, true, None))),
            (Notify::Osc, "xterm-256color", "", Some((true, true, None))),
            (
                Notify::Osc,
                "xterm-256color",
                "iTerm.app",
                Some((true, true, Some(Desktop::Osc9))),
            ),
            (
                Notify::Osc,
                "foot",
                "",
                Some((true, true, Some(Desktop::Osc777))),
            ),
            (
                Notify::Osc,
                "tmux-256color",
                "iTerm.app",
                Some((true, true, None)),
            ),
        ] {
            assert_eq!(shown(notify, term, program), expected, "{term} {program}");
        }
    }

    #[test]
    fn the_last_line_says_what_there_is_to_look_at() {
        let sum = |allowed, refused, held, ran_out| Sum {
            allowed,
            refused,
            held,
            ran_out,
            ..Sum::default()
        };
        assert!(sum(0, 0, 0, 0).is_empty());
        for (sum, said) in [
            (sum(1, 0, 0, 0), "1 request allowed, 0 refused"),
            (
                sum(12, 0, 1, 0),
                "12 requests allowed, 0 refused, 1 was held",
            ),
            (
                sum(12, 3, 2, 1),
                "12 requests allowed, 3 refused, 2 were held (1 ran out: vibepit review)",
            ),
            (
                sum(0, 3, 0, 0),
                "0 requests allowed, 3 refused (vibepit review)",
            ),
        ] {
            assert_eq!(sum.to_string(), said);
        }
        let more = Sum {
            failed: 2,
            more: true,
            ..sum(9, 0, 0, 0)
        };
        let said = "at least 9 requests allowed, 0 refused, 2 failed";
        assert_eq!(more.to_string(), said);
    }
}
