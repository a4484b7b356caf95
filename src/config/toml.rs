//! Flat TOML: keys with a text, a number, or a list of those; no tables. On the lexer and the
//! decoders of `toml_parser`, and without a tree of values, because a list may have a million
//! entries: the tree of one took three times the memory and twice the time of the rules
//! themselves. Knows nothing of what the keys mean.

use std::borrow::Cow;
use std::panic::resume_unwind;
use std::sync::mpsc;
use std::{mem, thread};

use toml_parser::decoder::ScalarKind;
use toml_parser::lexer::{Lexer, Token, TokenKind};
use toml_parser::{ParseError, Raw, Source};

/// What is wrong, and at which byte.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) at: usize,
    pub(super) what: String,
}

/// Reads a document from the front.
pub(super) struct Reader<'t> {
    source: Source<'t>,
    tokens: Lexer<'t>,
    /// The end, once it was read.
    end: Option<Token>,
    seen: Vec<Cow<'t, str>>,
}

/// One text or number.
pub(super) struct Scalar<'t> {
    at: usize,
    kind: ScalarKind,
    text: Cow<'t, str>,
}

type Errors = Option<ParseError>;

/// Items of a list that are parsed in one go; a list that is longer has its own threads.
const BATCH: usize = 1024;
/// How many threads: parsing an item takes about twice the time of finding it.
const PARSERS: usize = 2;
/// Batches that may wait for each of them.
const BATCHES: usize = 4;

/// Whether a list goes on.
enum More {
    Yes,
    No,
}

impl<'t> Reader<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let source = Source::new(text);
        Self {
            source,
            tokens: source.lex(),
            end: None,
            seen: Vec::new(),
        }
    }

    /// The next key, behind its equals sign, with the byte it begins at; `None` at the end.
    pub(super) fn key(&mut self) -> Result<Option<(usize, Cow<'t, str>)>, Wrong> {
        let token = self.skip_lines()?;
        let at = token.span().start();
        let key = match token.kind() {
            TokenKind::Eof => return Ok(None),
            TokenKind::LeftSquareBracket => {
                return Err(wrong(at, "there are no tables in this file".to_owned()));
            }
            TokenKind::Atom | TokenKind::BasicString | TokenKind::LiteralString => {
                decoded(self.source, token, |raw, text, errors| {
                    raw.decode_key(text, errors)
                })?
            }
            other => return Err(expected("a key", other, at)),
        };
        let token = self.skip_space();
        match token.kind() {
            TokenKind::Equals => {}
            TokenKind::Dot => return Err(wrong(at, "there are no tables in this file".to_owned())),
            other => return Err(expected("`=`", other, token.span().start())),
        }
        if self.seen.contains(&key) {
            return Err(wrong(at, format!("{key:?} is there twice")));
        }
        self.seen.push(key.clone());
        Ok(Some((at, key)))
    }

    /// The value of the key just read, which is one text or number, to the end of its line.
    pub(super) fn one(&mut self) -> Result<Scalar<'t>, Wrong> {
        let token = self.skip_space();
        let scalar = scalar(self.source, token)?;
        self.end_of_line()?;
        Ok(scalar)
    }

    /// The value of the key just read, which is a list, item by item, to the end of its line. The
    /// items of a long one are parsed by other threads while this one goes on reading.
    pub(super) fn list<T: Send>(
        &mut self,
        parse: impl Fn(&Scalar<'t>) -> Result<T, Wrong> + Sync,
    ) -> Result<Vec<T>, Wrong> {
        let token = self.skip_space();
        if token.kind() != TokenKind::LeftSquareBracket {
            return Err(expected(
                "a list, such as [\"…\"]",
                token.kind(),
                token.span().start(),
            ));
        }
        let source = self.source;
        let item = |token| parse(&scalar(source, token)?);
        let mut batch = Vec::new();
        let mut read = self.batch(&mut batch);
        if !matches!(read, Ok(More::Yes)) {
            let items: Result<Vec<T>, Wrong> = batch.into_iter().map(item).collect();
            // What is wrong with an item stands before what is wrong behind it.
            return items.and_then(|items| read.map(|_| items));
        }
        let parsed = thread::scope(|scope| {
            let (takers, parsers): (Vec<_>, Vec<_>) = (0..PARSERS)
                .map(|_| {
                    let (batches, waiting) = mpsc::sync_channel::<Vec<Token>>(BATCHES);
                    let parse_all = || waiting.into_iter().flatten().map(&item).collect();
                    (batches, scope.spawn(parse_all))
                })
                .unzip();
            for batches in takers.iter().cycle() {
                let sent = batches.send(mem::take(&mut batch));
                // Nobody takes the next batch once an item was wrong.
                if sent.is_err() || !matches!(read, Ok(More::Yes)) {
                    break;
                }
                read = self.batch(&mut batch);
            }
            drop(takers);
            let join = |parser: thread::ScopedJoinHandle<'_, _>| {
                parser.join().unwrap_or_else(|panic| resume_unwind(panic))
            };
            parsers.into_iter().map(join).collect::<Vec<_>>()
        });
        in_turn(parsed).and_then(|items| read.map(|_| items))
    }

    /// Reads the next items of a list, and the end of its line if they are the last.
    fn batch(&mut self, items: &mut Vec<Token>) -> Result<More, Wrong> {
        while items.len() < BATCH {
            let token = self.skip_lines()?;
            if token.kind() == TokenKind::RightSquareBracket {
                return self.end_of_line().map(|()| More::No);
            }
            items.push(token);
            let token = self.skip_lines()?;
            match token.kind() {
                TokenKind::Comma => {}
                TokenKind::RightSquareBracket => return self.end_of_line().map(|()| More::No),
                other => return Err(expected("`,` or `]`", other, token.span().start())),
            }
        }
        Ok(More::Yes)
    }

    fn skip_space(&mut self) -> Token {
        loop {
            let next = self.end.or_else(|| self.tokens.next());
            let token = next.expect("the lexer's last token is Eof, and it is kept");
            match token.kind() {
                TokenKind::Whitespace => {}
                TokenKind::Eof => {
                    self.end = Some(token);
                    return token;
                }
                _ => return token,
            }
        }
    }

    /// The next token that is neither space, line end, nor comment.
    fn skip_lines(&mut self) -> Result<Token, Wrong> {
        loop {
            let token = self.skip_space();
            match token.kind() {
                TokenKind::Newline => {
                    decoded(self.source, token, |raw, _, errors| {
                        raw.decode_newline(errors)
                    })?;
                }
                TokenKind::Comment => {
                    decoded(self.source, token, |raw, _, errors| {
                        raw.decode_comment(errors)
                    })?;
                }
                _ => return Ok(token),
            }
        }
    }

    fn end_of_line(&mut self) -> Result<(), Wrong> {
        loop {
            let token = self.skip_space();
            match token.kind() {
                TokenKind::Newline | TokenKind::Eof => return Ok(()),
                TokenKind::Comment => {
                    decoded(self.source, token, |raw, _, errors| {
                        raw.decode_comment(errors)
                    })?;
                }
                other => return Err(expected("the end of the line", other, token.span().start())),
            }
        }
    }
}

impl<'t> Scalar<'t> {
    /// Its text, made into something by `parse`, whose error is told at its place.
    pub(super) fn text<T, E: std::fmt::Display>(
        &self,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, Wrong> {
        if !matches!(self.kind, ScalarKind::String) {
            return Err(wrong(
                self.at,
                format!("a text in quotes belongs here, not {}", self.text),
            ));
        }
        parse(&self.text).map_err(|error| wrong(self.at, error.to_string()))
    }

    /// Its number, made into something by `parse`.
    pub(super) fn number<T>(
        &self,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, Wrong> {
        if !matches!(self.kind, ScalarKind::Integer(_)) {
            return Err(wrong(
                self.at,
                format!("a number belongs here, not {:?}", self.text),
            ));
        }
        parse(&self.text).map_err(|what| wrong(self.at, what))
    }
}

/// Puts together what each parser made of its share: the first batch is the first one's, the next
/// one the second one's, and so on. Of what is wrong, the first is told.
fn in_turn<T>(parsed: Vec<Result<Vec<T>, Wrong>>) -> Result<Vec<T>, Wrong> {
    let (mut shares, mut faults) = (Vec::new(), Vec::new());
    for share in parsed {
        match share {
            Ok(share) => shares.push(share),
            Err(wrong) => faults.push(wrong),
        }
    }
    if let Some(first) = faults.into_iter().min_by_key(|wrong| wrong.at) {
        return Err(first);
    }
    let total = shares.iter().map(Vec::len).sum();
    let mut items = Vec::with_capacity(total);
    let mut shares: Vec<_> = shares.into_iter().map(Vec::into_iter).collect();
    while items.len() < total {
        for share in &mut shares {
            items.extend(share.take(BATCH));
        }
    }
    Ok(items)
}

fn scalar<'t>(source: Source<'t>, token: Token) -> Result<Scalar<'t>, Wrong> {
    let at = token.span().start();
    match token.kind() {
        TokenKind::Atom
        | TokenKind::BasicString
        | TokenKind::LiteralString
        | TokenKind::MlBasicString
        | TokenKind::MlLiteralString => {}
        other => return Err(expected("a text or a number", other, at)),
    }
    let mut kind = ScalarKind::String;
    let text = decoded(source, token, |raw, text, errors| {
        kind = raw.decode_scalar(text, errors);
    })?;
    Ok(Scalar { at, kind, text })
}

fn decoded<'t>(
    source: Source<'t>,
    token: Token,
    decode: impl FnOnce(Raw<'t>, &mut Cow<'t, str>, &mut Errors),
) -> Result<Cow<'t, str>, Wrong> {
    let at = token.span().start();
    let (mut text, mut error) = (Cow::Borrowed(""), None);
    match source.get(token) {
        Some(raw) => decode(raw, &mut text, &mut error),
        None => return Err(wrong(at, "the text ends within a character".to_owned())),
    }
    match error {
        None => Ok(text),
        Some(error) => {
            let at = error
                .unexpected()
                .or_else(|| error.context())
                .map_or(at, |s| s.start());
            Err(wrong(at, error.description().to_owned()))
        }
    }
}

fn wrong(at: usize, what: String) -> Wrong {
    Wrong { at, what }
}

fn expected(what: &str, found: TokenKind, at: usize) -> Wrong {
    wrong(
        at,
        format!("{what} belongs here, not {}", found.description()),
    )
}
