//! Notices in the terminal of the command: its title, the bell, a notification, and nothing else. They
//! come between writes of the command's output and never within a sequence of it, so that whatever
//! draws on the screen goes on drawing undisturbed; and when the notice is over, the title is the
//! command's again.

use std::io::{self, Write};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::escapes::Escapes;
use super::pump::{BUFFER, Gone, Sink};

/// The bell, and notifications, come no more often.
const BELLS: Duration = Duration::from_secs(2);
/// Characters of a notice.
const LONG: usize = 120;

/// What the person is to notice now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notice {
    /// What waits for them, if something does.
    pub text: Option<String>,
    /// How much has come so far that they should look up for.
    pub calls: u64,
}

/// How a terminal shows a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Means {
    /// Its title says it while it holds.
    pub title: bool,
    /// The bell rings.
    pub bell: bool,
    /// The desktop shows it.
    pub desktop: Option<Desktop>,
}

/// The two ways in which terminals have the desktop show a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Desktop {
    /// OSC 9: iTerm2, kitty.
    Osc9,
    /// OSC 777: urxvt, foot, WezTerm, Ghostty.
    Osc777,
}

/// What is to be noticed, and how it is shown.
#[derive(Debug, Clone)]
pub struct Notices {
    /// How.
    pub means: Means,
    /// What, at each moment.
    pub news: watch::Receiver<Notice>,
}

/// Copies the output of a terminal to `out`, until it ends, with notices in it.
pub(super) async fn forward_noticing(
    mut container: impl AsyncRead + Unpin,
    mut out: Sink<impl AsyncWrite + Unpin>,
    gone: &Gone,
    notices: Notices,
) -> io::Result<()> {
    let Notices { means, mut news } = notices;
    let mut screen = Titled(Board::new(means));
    let mut buffer = vec![0; BUFFER];
    let mut told = true;
    loop {
        let bell = screen.0.bell_at();
        let piece = tokio::select! {
            count = container.read(&mut buffer) => match count? {
                0 => return Ok(()),
                count => &buffer[..count],
            },
            changed = news.changed(), if told => {
                told = changed.is_ok();
                let notice = news.borrow_and_update().clone();
                screen.0.learn(if told { notice } else { Notice::default() });
                &[]
            }
            () = sleep_until(bell.unwrap_or_else(Instant::now)), if bell.is_some() => &[],
        };
        let (before, notice, behind) = screen.0.place(piece, Instant::now());
        for part in [before, &notice, behind] {
            if !part.is_empty() {
                out.write(part, gone).await;
            }
        }
    }
}

/// Gives the terminal its title back however the command and we come apart.
struct Titled(Board);

impl Drop for Titled {
    fn drop(&mut self) {
        let last = self.0.last();
        let mut out = io::stdout().lock();
        // A terminal that went away needs no title.
        let _ = out.write_all(&last).and_then(|()| out.flush());
    }
}

/// What a terminal shows of us, and what it is to show.
struct Board {
    means: Means,
    escapes: Escapes,
    wanted: Option<String>,
    /// Our title, while the command's is put away.
    shown: Option<String>,
    /// The command's, if it has set another one meanwhile.
    theirs: Option<String>,
    calls: u64,
    called: bool,
    last_call: Option<Instant>,
}

impl Board {
    fn new(means: Means) -> Self {
        Self {
            means,
            escapes: Escapes::default(),
            wanted: None,
            shown: None,
            theirs: None,
            calls: 0,
            called: false,
            last_call: None,
        }
    }

    fn learn(&mut self, notice: Notice) {
        self.called |= notice.calls > self.calls;
        self.calls = notice.calls;
        self.wanted = notice.text.map(|text| plain(&text));
        // Whatever it was, it is over.
        self.called &= self.wanted.is_some();
    }

    /// When the bell may ring that is to ring, if it has to wait.
    fn bell_at(&self) -> Option<Instant> {
        let last = self.last_call.filter(|_| self.called)?;
        self.escapes.is_outside().then(|| last + BELLS)
    }

    /// A piece of the output, with what is to be shown at the one place in it where that may stand.
    fn place<'p>(&mut self, piece: &'p [u8], now: Instant) -> (&'p [u8], Vec<u8>, &'p [u8]) {
        let Some(at) = self.escapes.pass(piece) else {
            return (piece, Vec::new(), &[]);
        };
        let (before, behind) = piece.split_at(at);
        let mut notice = self.title();
        notice.extend(self.call(now));
        (before, notice, behind)
    }

    fn title(&mut self) -> Vec<u8> {
        let theirs = self.escapes.new_title();
        if !self.means.title {
            return Vec::new();
        }
        // What it sets while ours is there stands in the place of ours.
        let lost = theirs.is_some() && self.shown.is_some();
        if lost {
            self.theirs = theirs;
        }
        if self.wanted == self.shown && !lost {
            return Vec::new();
        }
        let Some(wanted) = &self.wanted else {
            return self.restored();
        };
        let put_away = match self.shown {
            None => PUT_AWAY,
            Some(_) => "",
        };
        let bytes = format!("{put_away}{}", titled(wanted));
        self.shown = Some(wanted.clone());
        bytes.into_bytes()
    }

    /// The title that was put away, or that came instead of it. One that is not kept is at least not
    /// ours any more.
    fn restored(&mut self) -> Vec<u8> {
        if self.shown.take().is_none() {
            return Vec::new();
        }
        let theirs = self.theirs.take();
        let theirs = theirs.map_or_else(String::new, |theirs| titled(&theirs));
        format!("{}{BRING_BACK}{theirs}", titled("")).into_bytes()
    }

    fn call(&mut self, now: Instant) -> Vec<u8> {
        let early = self.last_call.is_some_and(|last| now < last + BELLS);
        let Some(text) = self.wanted.as_ref().filter(|_| self.called && !early) else {
            return Vec::new();
        };
        self.called = false;
        self.last_call = Some(now);
        let desktop = match self.means.desktop {
            Some(Desktop::Osc9) => format!("\x1b]9;{text}\x07"),
            Some(Desktop::Osc777) => format!("\x1b]777;notify;vibepit;{text}\x07"),
            None => String::new(),
        };
        let bell = if self.means.bell { "\x07" } else { "" };
        format!("{desktop}{bell}").into_bytes()
    }

    /// The last there is of us. Output that broke off within a sequence is ended first (ST).
    fn last(&mut self) -> Vec<u8> {
        let inside = !self.escapes.is_outside();
        let mut last = self.restored();
        if inside && !last.is_empty() {
            last.splice(0..0, *b"\x1b\\");
        }
        last
    }
}

/// The terminal keeps its title on a stack (xterm, "Window manipulation").
const PUT_AWAY: &str = "\x1b[22;2t";
const BRING_BACK: &str = "\x1b[23;2t";

fn titled(title: &str) -> String {
    format!("\x1b]2;{title}\x07")
}

/// Nothing in it ends what it stands in, whoever made it: no control character, and no semicolon,
/// which parts the fields of OSC 777.
fn plain(text: &str) -> String {
    let harmless = text.chars().filter(|c| !c.is_control() && *c != ';');
    harmless.take(LONG).collect()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const ALL: Means = Means {
        title: true,
        bell: true,
        desktop: Some(Desktop::Osc777),
    };

    /// One whole sequence, or one character.
    fn token() -> impl Strategy<Value = Vec<u8>> {
        let parameters = "[0-9;:?<=>]{0,6}[ !\"#$%]{0,1}[@-~]";
        let text = "[^\\x00-\\x1f\\x7f-\\u{9f}]{0,12}";
        let bytes = |text: String| text.into_bytes();
        prop_oneof![
            "[^\\x00-\\x1f\\x7f-\\u{9f}]".prop_map(bytes),
            "[\\x00-\\x17\\x19\\x1c-\\x1f\\x7f]".prop_map(bytes),
            parameters.prop_map(|p| format!("\x1b[{p}").into_bytes()),
            parameters.prop_map(|p| format!("\u{9b}{p}").into_bytes()),
            "[ #%()*+]{1,2}[0-9A-Z]".prop_map(|s| format!("\x1b{s}").into_bytes()),
            "[0-9A-MQ-WYZ=>c]".prop_map(|s| format!("\x1b{s}").into_bytes()),
            ("[NO]", "[a-z]").prop_map(|(s, c)| format!("\x1b{s}{c}").into_bytes()),
            text.prop_map(|t| format!("\x1b]2;{t}\x07").into_bytes()),
            text.prop_map(|t| format!("\u{9d}0;{t}\x1b\\").into_bytes()),
            text.prop_map(|t| format!("\x1b]8;;{t}\x1b\\").into_bytes()),
            ("[PX^_]", text).prop_map(|(s, t)| format!("\x1b{s}q\x07{t}\x1b\\").into_bytes()),
            text.prop_map(|t| format!("\x1bPtmux;\x1b\x1b]2;{t}\x07\x1b\\").into_bytes()),
            text.prop_map(|t| format!("\x1bPtmux;\x1b\x1b]2;{t}\x1b\x1b\\\x1b\\").into_bytes()),
            text.prop_map(|t| format!("\x1bP1;{t}\x18").into_bytes()),
            "[0-9;]{0,3}".prop_map(|p| format!("\x1b[{p}\x1a").into_bytes()),
        ]
    }

    /// Passes an output in pieces, each behind a change of the notice. The places of what was put in
    /// between, and the output without that.
    fn passed(output: &[u8], cuts: &[usize], means: Means) -> (Vec<usize>, Vec<u8>) {
        let mut board = Board::new(means);
        let (mut places, mut all) = (Vec::new(), Vec::new());
        let mut rest = output;
        let start = Instant::now();
        for at in 0.. {
            let cut = cuts.get(at % cuts.len().max(1)).copied().unwrap_or(1);
            let (piece, left) = rest.split_at(cut.min(rest.len()));
            board.learn(Notice {
                text: (at % 3 > 0).then(|| format!("{at} wait")),
                calls: at as u64,
            });
            let (before, notice, behind) = board.place(piece, start + BELLS * (2 * at) as u32);
            all.extend_from_slice(before);
            if !notice.is_empty() {
                places.push(all.len());
            }
            all.extend_from_slice(behind);
            rest = left;
            if rest.is_empty() {
                break;
            }
        }
        (places, all)
    }

    proptest! {
        #[test]
        fn notices_stand_between_sequences_and_the_output_is_as_it_was(
            tokens in vec(token(), 1..40),
            cuts in vec(1..20_usize, 1..8),
        ) {
            let output = tokens.concat();
            let mut between = vec![0];
            for token in &tokens {
                between.push(between.last().unwrap() + token.len());
            }
            let (places, all) = passed(&output, &cuts, ALL);
            prop_assert_eq!(all, output);
            for place in places {
                prop_assert!(between.contains(&place), "{} of {:?}", place, between);
            }
        }

        #[test]
        fn whatever_a_command_writes_arrives_as_it_is(
            output in vec(any::<u8>(), 1..200),
            cuts in vec(1..20_usize, 1..8),
        ) {
            prop_assert_eq!(passed(&output, &cuts, ALL).1, output);
        }
    }

    /// What is put into a piece, as text.
    fn put(board: &mut Board, piece: &[u8], now: Instant) -> String {
        String::from_utf8(board.place(piece, now).1).unwrap()
    }

    fn notice(text: Option<&str>, calls: u64) -> Notice {
        Notice {
            text: text.map(str::to_owned),
            calls,
        }
    }

    #[test]
    fn a_title_is_put_away_set_and_brought_back_and_a_newer_one_of_the_command_stays() {
        let mut board = Board::new(Means {
            bell: false,
            desktop: None,
            ..ALL
        });
        let now = Instant::now();
        assert_eq!(put(&mut board, b"\x1b]0;vim\x07", now), "");
        board.learn(notice(Some("a.test waits"), 1));
        assert_eq!(
            put(&mut board, b"", now),
            "\x1b[22;2t\x1b]2;a.test waits\x07"
        );
        assert_eq!(put(&mut board, b"text", now), "");
        board.learn(notice(Some("2 wait"), 2));
        assert_eq!(put(&mut board, b"", now), "\x1b]2;2 wait\x07");
        // What the command sets meanwhile is seen afterwards.
        let theirs = "\x1b]2;caf\u{e9}\x1b\\".as_bytes();
        assert_eq!(put(&mut board, theirs, now), "\x1b]2;2 wait\x07");
        board.learn(notice(None, 2));
        let back = "\x1b]2;\x07\x1b[23;2t\x1b]2;caf\u{e9}\x07";
        assert_eq!(put(&mut board, b"", now), back);
        assert_eq!(put(&mut board, b"more", now), "");
        assert_eq!(board.last(), b"");
    }

    #[test]
    fn a_notice_waits_for_the_end_of_a_sequence_and_one_that_never_ends_is_ended_at_the_end() {
        let mut board = Board::new(ALL);
        let now = Instant::now();
        board.learn(notice(Some("a.test waits"), 1));
        assert!(put(&mut board, b"x", now).starts_with("\x1b[22;2t"));
        assert_eq!(put(&mut board, b"\x1b]8;;http://x", now), "");
        board.learn(notice(None, 1));
        assert_eq!(put(&mut board, b"still in it", now), "");
        assert_eq!(board.last(), b"\x1b\\\x1b]2;\x07\x1b[23;2t");
    }

    #[test]
    fn the_bell_rings_for_what_comes_and_not_more_often_than_every_two_seconds() {
        let mut board = Board::new(Means {
            title: false,
            ..ALL
        });
        let start = Instant::now();
        board.learn(notice(Some("a\u{9c}\x07;waits"), 1));
        let rung = put(&mut board, b"", start);
        assert_eq!(rung, "\x1b]777;notify;vibepit;awaits\x07\x07");
        board.learn(notice(Some("2 wait"), 3));
        assert_eq!(put(&mut board, b"text", start), "");
        assert_eq!(board.bell_at(), Some(start + BELLS));
        assert!(put(&mut board, b"", start + BELLS).ends_with("2 wait\x07\x07"));
        assert_eq!(board.bell_at(), None);
        // Decided before it could ring: there is nothing to look up for.
        board.learn(notice(Some("3 wait"), 4));
        board.learn(notice(None, 4));
        assert_eq!(put(&mut board, b"", start + BELLS * 3), "");
    }
}
