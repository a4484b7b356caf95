//! The conversation with a session's proxy, or with the holder of its sandbox's network, over
//! standard input and output. The input is also its lifeline: while this value lives, it is open.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::super::attach::{Again, Demux};
use super::speech::Speech;
use super::talk::{Event, Far, Reload, Talk};
use crate::api::{Document, Listening};

/// How long a proxy may take to open its doors, a million rules included.
const START: Duration = Duration::from_secs(20);

/// How long a proxy may take to drain when its input has ended.
const END: Duration = Duration::from_secs(10);

/// What they are called in a message.
const PROXY: &str = "the proxy";
const HOLDER: &str = "the holder of the sandbox's network";

/// A proxy or a holder that is being spoken to.
pub(crate) struct Link {
    who: &'static str,
    events: mpsc::Receiver<Event>,
    end: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

/// What a proxy is told at its start, and what answers it later.
type Told = (Document, Reload);

impl Link {
    /// Sends the document and begins to listen.
    pub(super) fn to_proxy<R, W>(output: R, input: W, told: Told) -> Self
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let speech = Speech::Framed(Demux::new(output));
        Self::start(PROXY, speech, input, Some(told), None, None)
    }

    /// The same with one on another machine.
    pub(super) fn to_far_proxy<R, W>(
        output: R,
        input: W,
        told: Told,
        far: Far,
        again: Again<R, W>,
    ) -> Self
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let speech = Speech::Framed(Demux::new(output));
        Self::start(PROXY, speech, input, Some(told), Some(far), Some(again))
    }

    /// The same with a process, whose standard output and standard error are two streams.
    pub(super) fn to_process<R, E, W>((output, error): (R, E), input: W, told: Told) -> Self
    where
        R: AsyncRead + Send + Unpin + 'static,
        E: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let speech = Speech::<R>::Apart(Some(Box::new(output)), Some(Box::new(error)));
        Self::start(PROXY, speech, input, Some(told), None, None)
    }

    /// Begins to listen. A holder needs to be told nothing.
    pub(super) fn to_holder<R, W>(output: R, input: W, again: Option<Again<R, W>>) -> Self
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let speech = Speech::Framed(Demux::new(output));
        Self::start(HOLDER, speech, input, None, None, again)
    }

    fn start<R, W>(
        who: &'static str,
        speech: Speech<R>,
        input: W,
        told: Option<Told>,
        far: Option<Far>,
        again: Option<Again<R, W>>,
    ) -> Self
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, events) = mpsc::channel(4);
        let (end, ending) = oneshot::channel();
        let (document, reload) = told.unzip();
        let talk = Talk::new(input, sender, reload, far);
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, duplex};

    use super::*;
    use crate::api::{ControlPoints, Doors, HostAccess, Identity, PolicyDocument, ToProxy};

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
            saved: Vec::new(),
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
            Link::to_proxy(output, input, (document(), reload)),
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
