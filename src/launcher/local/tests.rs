//! A sandbox whose inside is the test's: what it is told, and what comes of an inside that lies.

use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::super::job::{Job, Kill, Output, Spec};
use super::super::request::CannotRun;
use super::enclosure::Enclosure;
use super::limits::Limits;
use super::sandbox::Sandbox;
use crate::transport::passing;

/// A sandbox, and its inside.
fn sandbox() -> (Sandbox, UnixStream) {
    let (ours, inside) = UnixStream::pair().unwrap();
    let environment = ["A=common", "B=common"].map(str::to_owned).to_vec();
    let sandbox = Sandbox::new(Enclosure::of(ours), environment, Limits::none());
    (sandbox, inside)
}

fn spec(terminal: bool) -> Spec {
    Spec {
        command: vec!["make".to_owned()],
        env: vec!["B=own".to_owned()],
        directory: PathBuf::from("/project"),
        terminal: terminal.then_some((24, 80)),
    }
}

/// What the inside is told. (Descriptors that come along are dropped.)
async fn told(inside: &mut BufReader<UnixStream>) -> Value {
    let mut line = String::new();
    inside.read_line(&mut line).await.unwrap();
    serde_json::from_str(&line).unwrap()
}

/// Has the inside say this once it is told to start a command.
async fn answering(terminal: bool, says: &[u8]) -> anyhow::Result<Job> {
    let (sandbox, inside) = sandbox();
    let mut inside = BufReader::new(inside);
    let spec = spec(terminal);
    let (job, ()) = tokio::join!(sandbox.exec(&spec), async {
        told(&mut inside).await;
        inside.write_all(says).await.unwrap();
    });
    job
}

#[tokio::test]
async fn a_command_is_told_with_what_all_have_and_its_own_and_ends_as_is_said() {
    let (sandbox, inside) = sandbox();
    let mut inside = BufReader::new(inside);
    let spec = spec(false);
    let (job, line) = tokio::join!(sandbox.exec(&spec), async {
        let line = told(&mut inside).await;
        let says = b"{\"started\":{\"job\":1}}\n";
        inside.write_all(says).await.unwrap();
        line
    });
    let job = job.unwrap();
    let expected = json!({"run": {"job": 1, "command": {
        "words": ["make"], "env": ["A=common", "B=own"], "directory": "/project", "terminal": null,
    }}});
    assert_eq!(line, expected);
    job.control.signal(Kill::Pipe).await;
    let expected = json!({"signal": {"job": 1, "signal": "SIGPIPE"}});
    assert_eq!(told(&mut inside).await, expected);
    inside
        .write_all(b"{\"ended\":{\"job\":1,\"exit_code\":7}}\n")
        .await
        .unwrap();
    assert_eq!(job.control.wait().await.unwrap(), 7);
    assert_eq!(job.control.wait().await.unwrap(), 7);
    let Output::Apart(mut output, _) = job.output else {
        panic!("two streams");
    };
    let mut said = String::new();
    output.read_to_string(&mut said).await.unwrap();
    assert_eq!(said, "", "it ends with the command");
}

#[tokio::test]
async fn a_command_that_cannot_be_run_has_the_code_of_a_shell() {
    let says = br#"{"cannot_run":{"job":1,"exit_code":127,"why":"there is no such program"}}"#;
    let error = answering(false, &[&says[..], b"\n"].concat())
        .await
        .err()
        .unwrap();
    assert_eq!(error.downcast_ref::<CannotRun>().unwrap().exit_code, 127);
    assert!(error.to_string().contains("make"), "{error}");
}

#[tokio::test]
async fn an_inside_that_lies_ends_the_sandbox() {
    let long = [vec![b'x'; 20_000], b"\n".to_vec()].concat();
    for (terminal, says) in [
        // Of a command that there is not.
        (false, &b"{\"ended\":{\"job\":2,\"exit_code\":0}}\n"[..]),
        (false, b"{\"started\":{\"job\":2}}\n"),
        // Without the terminal that was to come along.
        (true, b"{\"started\":{\"job\":1}}\n"),
        (
            false,
            b"{\"cannot_run\":{\"job\":9,\"exit_code\":1,\"why\":\"\"}}\n",
        ),
        (false, b"\"ready\"\n"),
        (false, b"\"doors\"\n"),
        (false, b"what?\n"),
        (false, &long),
    ] {
        let ended = timeout(Duration::from_secs(20), answering(terminal, says));
        let error = ended.await.expect("it ends").err().unwrap().to_string();
        let shown = String::from_utf8_lossy(&says[..says.len().min(60)]);
        assert!(error.contains("the sandbox has ended"), "{shown}: {error}");
    }
}

#[tokio::test]
async fn descriptors_that_nobody_asked_for_end_the_sandbox() {
    let (sandbox, inside) = sandbox();
    let null = std::fs::File::open("/dev/null").unwrap();
    let spec = spec(false);
    let (job, ()) = tokio::join!(sandbox.exec(&spec), async {
        let many = [null.as_fd(); 4];
        passing::send(&inside, b"\"ready\"".to_vec(), &many).unwrap();
    });
    let error = job.err().unwrap().to_string();
    assert!(error.contains("the sandbox has ended"), "{error}");
}

#[tokio::test]
async fn commands_end_with_the_sandbox() {
    let (sandbox, inside) = sandbox();
    let mut inside = BufReader::new(inside);
    let spec = spec(false);
    let (job, ()) = tokio::join!(sandbox.exec(&spec), async {
        told(&mut inside).await;
        inside
            .write_all(b"{\"started\":{\"job\":1}}\n")
            .await
            .unwrap();
    });
    let (job, life) = (job.unwrap(), sandbox.life());
    drop(inside);
    assert_eq!(job.control.wait().await.unwrap(), 137);
    assert_eq!(life.control.wait().await.unwrap(), 137);
    let error = sandbox.exec(&spec).await.err().unwrap().to_string();
    assert!(error.contains("last words"), "{error}");
}
