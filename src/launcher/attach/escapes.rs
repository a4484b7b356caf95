//! Where the output of a command is outside of every sequence that its terminal reads as one: there,
//! and nowhere else, may something be put between its bytes. Pure: bytes in, places out.
//!
//! Terminals differ in what ends a sequence. Where they do, this goes on: something waits longer then,
//! and no screen is broken. (ECMA-48; xterm, "XTerm Control Sequences"; tmux, input.c.)

const BEL: u8 = 0x07;
const CAN: u8 = 0x18;
const SUB: u8 = 0x1a;
const ESC: u8 = 0x1b;

/// A title that is longer is not remembered.
const TITLE: usize = 1024;

/// Follows an output, byte by byte.
#[derive(Debug, Default)]
pub(super) struct Escapes {
    state: State,
    /// What an operating system command has said so far, if it may be a title.
    said: Vec<u8>,
    /// The title that the command gave the terminal last.
    title: Option<String>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Between sequences.
    #[default]
    Outside,
    /// In a character of which so many bytes are to come.
    Character(u8),
    /// Behind the first byte of a control character beyond ASCII, as UTF-8 writes it.
    Control,
    /// Behind ESC, and whatever else comes before the last byte.
    Escape { more: bool },
    /// In a control sequence, up to its last byte.
    Csi,
    /// Before the one character that a single shift is for.
    Shift,
    /// In a string. BEL ends a short one, and so does the ESC of another sequence.
    Text { short: bool },
    /// Behind an ESC in a string.
    TextEscape { short: bool },
}

impl Escapes {
    /// Whether what was passed so far ends outside.
    pub(super) fn is_outside(&self) -> bool {
        self.state == State::Outside
    }

    /// The last place in a piece of the output, its end included, that is outside.
    pub(super) fn pass(&mut self, piece: &[u8]) -> Option<usize> {
        let mut last = self.is_outside().then_some(0);
        for (at, byte) in piece.iter().enumerate() {
            self.state = self.after(*byte);
            if self.is_outside() {
                last = Some(at + 1);
            }
        }
        last
    }

    /// The title that the command has given the terminal since this was asked last.
    pub(super) fn new_title(&mut self) -> Option<String> {
        self.title.take()
    }

    fn after(&mut self, byte: u8) -> State {
        match (self.state, byte) {
            (State::TextEscape { .. }, b'\\') => self.text_ends(),
            (State::TextEscape { short: true }, byte) => escape(byte, false, self),
            // An ESC that is passed on to the terminal around the one that reads this: it is written
            // twice (tmux(1), allow-passthrough).
            (State::TextEscape { short: false }, _) => State::Text { short: false },
            (_, CAN | SUB) => State::Outside,
            (State::Text { short }, ESC) => State::TextEscape { short },
            (_, ESC) => State::Escape { more: false },
            (State::Text { short: true }, BEL) => self.text_ends(),
            (state @ State::Text { .. }, byte) => {
                if self.said.len() <= TITLE {
                    self.said.push(byte);
                }
                state
            }
            (State::Escape { more }, byte) => escape(byte, more, self),
            (State::Csi, 0x40..=0x7e) => State::Outside,
            (State::Csi, _) => State::Csi,
            (State::Character(left), 0x80..=0xbf) => match left {
                0 | 1 => State::Outside,
                left => State::Character(left - 1),
            },
            (State::Control, 0x80..=0x9f) => self.control(byte),
            (State::Control, 0xa0..=0xbf) => State::Outside,
            (State::Shift, 0x00..=0x1f) => State::Shift,
            (State::Outside | State::Character(_) | State::Control | State::Shift, _) => {
                self.character(byte)
            }
        }
    }

    /// Behind the first byte of a character.
    fn character(&mut self, byte: u8) -> State {
        match byte {
            // Some terminals take them for control characters without UTF-8.
            0x80..=0x9f => self.control(byte),
            0xc2 => State::Control,
            0xc3..=0xdf => State::Character(1),
            0xe0..=0xef => State::Character(2),
            0xf0..=0xf4 => State::Character(3),
            _ => State::Outside,
        }
    }

    /// Behind a control character beyond ASCII: each is ESC and a letter in one.
    fn control(&mut self, byte: u8) -> State {
        match byte {
            0x8e | 0x8f | 0x90 | 0x98 | 0x9b | 0x9d..=0x9f => escape(byte - 0x40, false, self),
            _ => State::Outside,
        }
    }

    fn begin(&mut self, short: bool) -> State {
        self.said.clear();
        State::Text { short }
    }

    /// A string came to its end.
    fn text_ends(&mut self) -> State {
        let title = self
            .said
            .strip_prefix(b"0;")
            .or_else(|| self.said.strip_prefix(b"2;"));
        let title = title.filter(|title| title.len() < TITLE);
        if let Some(title) = title.and_then(|title| std::str::from_utf8(title).ok())
            && !title.contains(char::is_control)
        {
            self.title = Some(title.to_owned());
        }
        self.said.clear();
        State::Outside
    }
}

/// Behind ESC and another byte; `more`: and others between them.
fn escape(byte: u8, more: bool, escapes: &mut Escapes) -> State {
    match byte {
        CAN | SUB => State::Outside,
        ESC => State::Escape { more: false },
        0x20..=0x2f => State::Escape { more: true },
        b'[' if !more => State::Csi,
        b']' if !more => escapes.begin(true),
        // The title of a window of screen(1).
        b'k' if !more => escapes.begin(true),
        b'P' | b'X' | b'^' | b'_' if !more => escapes.begin(false),
        b'N' | b'O' if !more => State::Shift,
        0x30..=0x7e => State::Outside,
        _ => State::Escape { more },
    }
}
