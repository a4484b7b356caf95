//! The conversation with a session's proxy, or with the holder of its sandbox's network, over
//! standard input and output. The input is also its lifeline: while this value lives, it is open.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{interval, timeout};

use super::super::attach::{Again, Channel, Demux};
use super::audit_file::AuditFile;
use crate::api::{Document, FromProxy, Listening, PolicyDocument, ToProxy};

/// A line of the proxy's; what it says fits into far less.
const LONGEST_LINE: usize = 1024 * 1024;

/// How much of what a proxy says on standard error is kept, for the case that it fails.
const TAIL: usize = 4096;

/// How long a proxy may take to open its doors, a million rules included.
const START: Duration = Duration::from_secs(20);

/// How long a proxy may take to drain when its input has ended.
const END: Duration = Duration::from_secs(10);

/// Answers a proxy that asks for the policy as it reads now; an error is one sentence.
pub(super) type Reload = Box<
    dyn Fn() -> Pin<Box<dyn Future<Output = Result<PolicyDocument, String>> + Send>> + Send + Sync,
>;

/// How often it is said that we are here, where the connection may be lost.
const HERE: Duration = Duration::from_secs(5);

/// A proxy or a holder that is being spoken to.
pub(crate) struct Link {
    /// What it is called in a message.
    who: &'static str,
    events: mpsc::Receiver<Event>,
    end: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

enum Event {
    Ready(Listening),
    Failed(String),
    /// Its output has ended; this is the tail of what it said on standard error.
    Ended(String),
}

impl Link {
    /// Sends the document and begins to listen.
    pub(super) fn to_proxy<R, W>(output: R, input: W, document: Document, reload: Reload) -> Self
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let document = ToProxy::Start(Box::new(document));
        let speech = Speech::Framed(Demux::new(output));
        Self::start("the proxy", speech, input, Some((document, reload)))
    }

    /// The same with one on another machine, whose audit lines are written here.
    pub(super) fn to_far_proxy<R, W>(
        output: R,
        input: W,
        (document, reload): (Document, Reload),
        audit: AuditFile,
        again: Again<R, W>,
    ) -> Self
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let document = ToProxy::Start(Box::new(document));
        let speech = Speech::Framed(Demux::new(output));
        let told = Some((document, reload));
        Self::start_far("the proxy", speech, input, told, Some(audit), Some(again))
    }

    /// The same with a process, whose standard output and standard error are two streams.
    pub(super) fn to_process<R, E, W>(
        (output, error): (R, E),
        input: W,
        document: Document,
        reload: Reload,
    ) -> Self
    where
        R: AsyncRead + Send + Unpin + 'static,
        E: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let document = ToProxy::Start(Box::new(document));
        let speech = Speech::<R>::Apart(Some(Box::new(output)), Some(Box::new(error)));
        Self::start("the proxy", speech, input, Some((document, reload)))
    }

    /// Begins to listen. A holder needs to be told nothing.
    pub(super) fn to_holder<R, W>(output: R, input: W, again: Option<Again<R, W>>) -> Self
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let speech = Speech::Framed(Demux::new(output));
        let who = "the holder of the sandbox's network";
        Self::start_far(who, speech, input, None, None, again)
    }

    fn start<R, W>(
        who: &'static str,
        speech: Speech<R>,
        input: W,
        told: Option<(ToProxy, Reload)>,
    ) -> Self
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        Self::start_far(who, speech, input, told, None, None)
    }

    fn start_far<R, W>(
        who: &'static str,
        speech: Speech<R>,
        input: W,
        told: Option<(ToProxy, Reload)>,
        audit: Option<AuditFile>,
        again: Option<Again<R, W>>,
    ) -> Self
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, events) = mpsc::channel(4);
        let (end, ending) = oneshot::channel();
        let (document, reload) = told.unzip();
        let talk = Talk {
            input: Some(input),
            sender,
            reload,
            audit,
            heard: 0,
            line: Vec::new(),
            tail: VecDeque::new(),
        };
        let task = tokio::spawn(talk.run(speech, document, ending, again));
        Self {
            who,
            events,
            end: Some(end),
            task,
        }
    }

    /// Waits until every door is open.
    pub(super) async fn ready(&mut self) -> Result<Listening> {
        let who = self.who;
        let event = timeout(START, self.events.recv()).await.with_context(|| {
            format!("{who} did not open its doors within {} s", START.as_secs())
        })?;
        match event {
            Some(Event::Ready(listening)) => Ok(listening),
            Some(Event::Failed(why)) => bail!("{who} does not start: {why}"),
            Some(Event::Ended(tail)) => bail!("{who} ended at its start{}", said(&tail)),
            None => bail!("{who} ended at its start"),
        }
    }

    /// Waits until the proxy is gone, which it should not be while the session lasts. The answer
    /// is a clause that says what it said last, or nothing.
    pub(crate) async fn ended(&mut self) -> String {
        loop {
            match self.events.recv().await {
                Some(Event::Ended(tail)) => return said(&tail),
                Some(Event::Failed(why)) => return format!(": {why}"),
                Some(Event::Ready(_)) => {}
                None => return String::new(),
            }
        }
    }

    /// Ends the proxy's input and waits until it has drained.
    pub(crate) async fn end(mut self) {
        drop(self.end.take());
        // What is not over by then is removed with its container.
        let _ = timeout(END, &mut self.task).await;
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn said(tail: &str) -> String {
    match tail.trim() {
        "" => " without a word".to_owned(),
        tail => format!(": {tail}"),
    }
}

/// What the other side says, on its standard output and its standard error.
enum Speech<R> {
    /// As an engine frames it.
    Framed(Demux<R>),
    /// Two streams; one that has ended is gone.
    Apart(Option<End>, Option<End>),
}

type End = Box<dyn AsyncRead + Send + Unpin>;

impl<R: AsyncRead + Unpin> Speech<R> {
    /// The next piece, at most as long as `buffer`; `None` at the end.
    async fn read<'b>(
        &mut self,
        buffer: &'b mut [u8],
    ) -> std::io::Result<Option<(Channel, &'b [u8])>> {
        let (output, error) = match self {
            Self::Framed(frames) => return frames.read(buffer).await,
            Self::Apart(output, error) => (output, error),
        };
        let half = buffer.len() / 2;
        while output.is_some() || error.is_some() {
            let (one, other) = buffer.split_at_mut(half);
            let (channel, length) = tokio::select! {
                length = read_some(output, one) => (Channel::Stdout, length?),
                length = read_some(error, other) => (Channel::Stderr, length?),
            };
            match (channel, length) {
                (Channel::Stdout, 0) => *output = None,
                (Channel::Stderr, 0) => *error = None,
                (Channel::Stdout, length) => return Ok(Some((channel, &buffer[..length]))),
                (Channel::Stderr, length) => {
                    return Ok(Some((channel, &buffer[half..half + length])));
                }
            }
        }
        Ok(None)
    }
}

/// Reads from a stream; from one that has ended nothing ever comes.
async fn read_some(end: &mut Option<End>, buffer: &mut [u8]) -> std::io::Result<usize> {
    match end {
        Some(end) => end.read(buffer).await,
        None => std::future::pending().await,
    }
}

/// The side of the conversation that does the talking.
struct Talk<W> {
    input: Option<W>,
    sender: mpsc::Sender<Event>,
    /// A holder asks for nothing.
    reload: Option<Reload>,
    /// Where the lines go that it sends, if it is to send them.
    audit: Option<AuditFile>,
    /// The last of them that was written.
    heard: u64,
    line: Vec<u8>,
    tail: VecDeque<u8>,
}

impl<W: AsyncWrite + Unpin> Talk<W> {
    async fn run<R>(
        mut self,
        mut output: Speech<R>,
        document: Option<ToProxy>,
        ending: oneshot::Receiver<()>,
        again: Option<Again<R, W>>,
    ) where
        R: AsyncRead + Unpin,
    {
        let mut ending = std::pin::pin!(ending);
        let mut over = false;
        if let Some(document) = document {
            self.say(&document).await;
        }
        let mut buffer = vec![0; 16 * 1024];
        let mut here = interval(HERE);
        loop {
            tokio::select! {
                _ = here.tick(), if again.is_some() && !over => self.here(false).await,
                _ = &mut ending, if !over => {
                    over = true;
                    if again.is_some() {
                        // An input that may be lost is not ended by its end; and an engine that
                        // does not hand that end on ends the output with it.
                        self.say(&ToProxy::End).await;
                    } else if let Some(mut input) = self.input.take() {
                        let _ = input.shutdown().await;
                    }
                }
                piece = output.read(&mut buffer) => match piece {
                    Ok(Some((Channel::Stdout, piece))) => if !self.hear(piece).await { break },
                    Ok(Some((Channel::Stderr, piece))) => self.keep(piece),
                    Ok(None) | Err(_) => {
                        let Some(again) = again.as_ref().filter(|_| !over) else { break };
                        let found = tokio::select! {
                            found = again() => found,
                            _ = &mut ending => None,
                        };
                        let Some((found, input)) = found else { break };
                        output = Speech::Framed(Demux::new(found));
                        self.input = Some(input);
                        // The rest of it is lost.
                        self.line.clear();
                        self.here(true).await;
                    }
                }
            }
        }
        let tail = String::from_utf8_lossy(self.tail.make_contiguous()).into_owned();
        let _ = self.sender.send(Event::Ended(tail)).await;
    }

    async fn here(&mut self, again: bool) {
        let heard = self.heard;
        self.say(&ToProxy::Here { heard, again }).await;
    }

    /// Takes a piece of output apart into lines. False: this is no proxy of ours.
    async fn hear(&mut self, mut piece: &[u8]) -> bool {
        while let Some(end) = piece.iter().position(|byte| *byte == b'\n') {
            self.line.extend_from_slice(&piece[..end]);
            piece = &piece[end + 1..];
            let line = std::mem::take(&mut self.line);
            match serde_json::from_slice(&line) {
                Ok(FromProxy::Ready(listening)) => self.tell(Event::Ready(listening)).await,
                Ok(FromProxy::Failed(why)) => self.tell(Event::Failed(why)).await,
                Ok(FromProxy::Reload) => {
                    let Some(reload) = &self.reload else {
                        return false;
                    };
                    let answer = match reload().await {
                        Ok(policy) => ToProxy::Policy(policy),
                        Err(why) => ToProxy::ReloadFailed(why),
                    };
                    self.say(&answer).await;
                }
                // Said once more than was needed.
                Ok(FromProxy::Audit { number, .. }) if number <= self.heard => {}
                Ok(FromProxy::Audit { number, lines }) => {
                    let Some(audit) = &mut self.audit else {
                        return false;
                    };
                    self.heard = number;
                    // A full disk must not decide what the sandbox may reach.
                    if let Err(error) = audit.append(&lines) {
                        self.keep(format!("(audit lines are lost: {error})\n").as_bytes());
                    }
                }
                Err(error) => {
                    self.keep(format!("it sent a line that is not understood: {error}").as_bytes());
                    return false;
                }
            }
        }
        self.line.extend_from_slice(piece);
        self.line.len() <= LONGEST_LINE
    }

    async fn tell(&mut self, event: Event) {
        // Nobody waits any more when the session is ending.
        let _ = self.sender.send(event).await;
    }

    async fn say(&mut self, what: &ToProxy) {
        let Some(input) = &mut self.input else { return };
        let said = match serde_json::to_vec(what) {
            Ok(mut line) => {
                line.push(b'\n');
                input.write_all(&line).await
            }
            Err(error) => Err(error.into()),
        };
        if let Err(error) = said {
            // A proxy that reads no more has ended; what it said stands on its standard error.
            self.keep(format!("(it could not be told: {error})\n").as_bytes());
        }
    }

    fn keep(&mut self, piece: &[u8]) {
        self.tail.extend(piece);
        self.tail.drain(..self.tail.len().saturating_sub(TAIL));
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt, BufReader, DuplexStream, duplex};

    use super::*;
    use crate::api::{ControlPoints, Doors, HostAccess, Identity};

    fn document() -> Document {
        Document {
            session: Identity {
                id: "0123456789abcdef".into(),
                name: "n".into(),
                project_dir: None,
                runtime: "docker".into(),
            },
            policy: PolicyDocument::default(),
            doors: Doors::Held("/socket/doors.sock".into()),
            control: ControlPoints::default(),
            tls: None,
            decisions: None,
            audit: None,
            audit_over_output: false,
            patience: None,
            host: HostAccess::Loopback,
            lifeline: None,
        }
    }

    /// A link, what it writes to the proxy, and where the proxy writes.
    fn link(
        reload: Result<PolicyDocument, String>,
    ) -> (Link, BufReader<DuplexStream>, DuplexStream) {
        let (proxy_output, output) = duplex(1 << 16);
        let (input, proxy_input) = duplex(1 << 16);
        let reload: Reload = Box::new(move || {
            let answer = reload.clone();
            Box::pin(async move { answer })
        });
        (
            Link::to_proxy(output, input, document(), reload),
            BufReader::new(proxy_input),
            proxy_output,
        )
    }

    async fn write(output: &mut DuplexStream, stream: u8, content: &str) {
        let length = u32::try_from(content.len()).unwrap().to_be_bytes();
        output
            .write_all(&[&[stream, 0, 0, 0], &length[..], content.as_bytes()].concat())
            .await
            .unwrap();
    }

    async fn line(input: &mut BufReader<DuplexStream>) -> ToProxy {
        let mut line = String::new();
        input.read_line(&mut line).await.unwrap();
        serde_json::from_str(&line).unwrap()
    }

    #[tokio::test]
    async fn a_proxy_is_told_its_document_and_is_ready_when_it_says_so() {
        let (mut link, mut input, mut output) = link(Err("unused".into()));
        assert!(matches!(line(&mut input).await, ToProxy::Start(_)));
        write(&mut output, 1, "{\"ready\":{\"http\":\"172.18.0.2:3128\",").await;
        write(&mut output, 1, "\"dns\":null,\"tcp\":null}}\n").await;
        let listening = link.ready().await.unwrap();
        assert_eq!(listening.http, Some("172.18.0.2:3128".parse().unwrap()));
    }

    #[tokio::test]
    async fn a_proxy_that_ends_at_its_start_is_quoted() {
        let (mut link, _input, mut output) = link(Err("unused".into()));
        write(&mut output, 2, "cannot open the audit file\n").await;
        drop(output);
        let error = link.ready().await.unwrap_err().to_string();
        assert!(error.ends_with("cannot open the audit file"), "{error}");
    }

    #[tokio::test]
    async fn a_proxy_that_says_why_it_does_not_start_is_quoted() {
        let (mut link, _input, mut output) = link(Err("unused".into()));
        write(&mut output, 1, "{\"failed\":\"port 53 is taken\"}\n").await;
        let error = link.ready().await.unwrap_err().to_string();
        assert!(error.ends_with("port 53 is taken"), "{error}");
    }

    #[tokio::test]
    async fn a_proxy_that_asks_for_the_policy_gets_it_or_the_reason() {
        let (_link, mut input, mut output) = link(Ok(PolicyDocument::default()));
        line(&mut input).await;
        write(&mut output, 1, "\"reload\"\n").await;
        assert!(matches!(line(&mut input).await, ToProxy::Policy(_)));

        let (_link, mut input, mut output) = link_failing();
        line(&mut input).await;
        write(&mut output, 1, "\"reload\"\n").await;
        assert!(matches!(line(&mut input).await, ToProxy::ReloadFailed(why) if why == "line 3"));
    }

    fn link_failing() -> (Link, BufReader<DuplexStream>, DuplexStream) {
        link(Err("line 3".into()))
    }

    #[tokio::test]
    async fn ending_ends_the_proxys_input_and_waits_for_its_output_to_end() {
        let (link, mut input, output) = link(Err("unused".into()));
        line(&mut input).await;
        let ending = tokio::spawn(link.end());
        let mut rest = String::new();
        input.read_line(&mut rest).await.unwrap();
        assert_eq!(rest, "", "end of input");
        assert!(!ending.is_finished());
        drop(output);
        ending.await.unwrap();
    }

    #[tokio::test]
    async fn a_line_that_is_no_proxys_ends_the_conversation() {
        let (mut link, _input, mut output) = link(Err("unused".into()));
        write(&mut output, 1, "hello\n").await;
        let error = link.ready().await.unwrap_err().to_string();
        assert!(error.contains("not understood"), "{error}");
    }
}
