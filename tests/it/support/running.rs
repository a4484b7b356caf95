//! A program that runs beside the test: it is told lines, and what it says is read line by line.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::PATIENCE;

/// A program whose streams are all piped. Dropping it asks it to end, and waits until it did.
pub(crate) struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    out: Receiver<String>,
    err: Receiver<String>,
}

impl Running {
    /// Starts it.
    #[track_caller]
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        Self {
            stdin: child.stdin.take(),
            out: lines(child.stdout.take().expect("its output")),
            err: lines(child.stderr.take().expect("its errors")),
            child,
        }
    }

    /// Sends it a line.
    #[track_caller]
    pub(crate) fn tell(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("an open input");
        writeln!(stdin, "{line}").expect("the line is taken");
    }

    /// The next line of its output.
    #[track_caller]
    pub(crate) fn line(&mut self) -> String {
        match self.out.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(error) => {
                let errors: Vec<_> = self.err.try_iter().collect();
                panic!("no line: {error}; {errors:?}")
            }
        }
    }

    /// The next line of its output, if it comes in time.
    pub(crate) fn line_within(&mut self, patience: Duration) -> Option<String> {
        self.out.recv_timeout(patience).ok()
    }

    /// Waits for a line of its errors that fits.
    #[track_caller]
    pub(crate) fn warns(&mut self, fits: impl Fn(&str) -> bool) -> String {
        let mut others = Vec::new();
        loop {
            match self.err.recv_timeout(PATIENCE) {
                Ok(line) if fits(&line) => return line,
                Ok(line) => others.push(line),
                Err(error) => panic!("no such line: {error}; {others:?}"),
            }
        }
    }

    /// Its process; of `vibepit run`, the launcher.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("a pid"))
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("a signal");
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("its end")
    }

    /// Its output ends, without a further line.
    #[track_caller]
    pub(crate) fn is_silent(&mut self) {
        assert_eq!(
            self.out.recv_timeout(PATIENCE),
            Err(RecvTimeoutError::Disconnected)
        );
    }

    /// Ends its input and waits for its end: its exit code, and those of its errors that nobody
    /// has read.
    #[track_caller]
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        drop(self.stdin.take());
        let status = self.wait();
        let said: Vec<String> = self.err.iter().collect();
        (status.code(), said.join("\n"))
    }
}

impl Running {
    /// Asks it to end, and waits until it did: as [`Self::end`].
    #[track_caller]
    pub(crate) fn end_by_term(self) -> (Option<i32>, String) {
        self.signal(Signal::SIGTERM);
        self.end()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Only what a test did not bring to its end: everything is to be taken away again.
        drop(self.stdin.take());
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = kill(self.pid(), Signal::SIGTERM);
            let _ = self.child.wait();
        }
        if thread::panicking() {
            // What the program had to say may be why the test fails.
            let said: Vec<String> = self.err.iter().collect();
            #[expect(clippy::print_stderr)]
            {
                eprintln!("it said: {}", said.join("\n"));
            }
        }
    }
}

/// The lines of a stream, as they come.
pub(super) fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (send, receive) = channel();
    thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut line = Vec::new();
        while matches!(stream.read_until(b'\n', &mut line), Ok(1..)) {
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end_matches(['\r', '\n']).to_owned();
            line.clear();
            if send.send(text).is_err() {
                break;
            }
        }
    });
    receive
}
