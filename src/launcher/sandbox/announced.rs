//! Commands that say first which process they are, in a line that nobody else sees. On another
//! machine nothing else tells what a signal is to be sent to: an engine knows its own numbers of
//! processes, and none of those in the sandbox.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// A process's number, and what a terminal makes of the end of the line: it has at most ten digits.
const LINE: usize = 12;

/// What a command said first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Announced {
    /// The number of its process in the sandbox.
    Process(u32),
    /// It cannot be run: what a shell exits with then.
    Cannot(i64),
    /// Nothing of that.
    Nothing,
}

/// Says whether the command can be run, then which process it is, and becomes it. (`command -v` of
/// busybox is content with a path that is there.)
const SCRIPT: &str = "no() { echo \"!$1\"; exit 1; }; \
                      case $1 in \
                      */*) [ -e \"$1\" ] || no 127; [ -f \"$1\" ] && [ -x \"$1\" ] || no 126;; \
                      *) command -v \"$1\" >/dev/null 2>&1 || no 127;; \
                      esac; echo $$; exec \"$@\"";

/// The command behind a shell, which becomes it once it has said its number.
pub(super) fn command(command: &[String]) -> Vec<String> {
    let shell = ["/bin/sh", "-c", SCRIPT, "sh"];
    let shell = shell.into_iter().map(str::to_owned);
    shell.chain(command.iter().cloned()).collect()
}

/// What sends this signal to a process of the sandbox.
pub(super) fn kill(signal: &str, pid: u32) -> Vec<String> {
    // POSIX has the names without the first three letters (kill(1p)).
    let name = signal.strip_prefix("SIG").unwrap_or(signal);
    let kill = format!("kill -s {name} {pid}");
    ["/bin/sh", "-c", &kill].map(str::to_owned).to_vec()
}

/// Takes that line off an output. One that begins otherwise is left as it is: so an engine tells
/// that there is no such shell.
pub(super) async fn take<R: AsyncRead + Unpin>(
    mut output: R,
    terminal: bool,
) -> io::Result<(impl AsyncRead + Unpin + use<R>, Announced)> {
    let mut errors = Vec::new();
    let mut taken = Vec::new();
    // Of a terminal there is one stream without frames.
    let mut left = match terminal {
        true => LINE,
        false => loop {
            match frame(&mut output, &mut taken).await? {
                // What comes of two pipes has no order: that the command cannot be run may be
                // heard before the number.
                Frame::Errors(length) if errors.len() + length <= ERRORS => {
                    (&mut output)
                        .take(length as u64)
                        .read_to_end(&mut taken)
                        .await?;
                    errors.append(&mut taken);
                }
                Frame::Output(length) => break length,
                Frame::Errors(_) | Frame::Other => break 0,
            }
        },
    };
    let head = taken.len();
    let mut said = Announced::Nothing;
    while left > 0 && taken.len() < head + LINE {
        let mut byte = [0];
        if output.read(&mut byte).await? == 0 {
            break;
        }
        left -= 1;
        taken.push(byte[0]);
        if byte[0] == b'\n' {
            said = read(&taken[head..]);
            break;
        }
    }
    let before = match said {
        Announced::Nothing => taken,
        _ if terminal || left == 0 => Vec::new(),
        // The rest of the frame, as a frame of its own.
        _ => [&STDOUT[..], &(left as u32).to_be_bytes()].concat(),
    };
    errors.extend(before);
    Ok((io::Cursor::new(errors).chain(output), said))
}

/// How a frame of standard output begins ([`Demux`](super::super::attach::Demux)).
const STDOUT: [u8; 4] = [1, 0, 0, 0];
/// And one of standard error.
const STDERR: [u8; 4] = [2, 0, 0, 0];
/// More errors than that are no shell's that cannot run a command.
const ERRORS: usize = 4096;

/// What a frame is of, and how long.
enum Frame {
    Output(usize),
    Errors(usize),
    Other,
}

/// Reads the head of a frame.
async fn frame(output: &mut (impl AsyncRead + Unpin), taken: &mut Vec<u8>) -> io::Result<Frame> {
    let mut head = output.take(8);
    head.read_to_end(taken).await?;
    let Some((kind, Ok(length))) = taken
        .split_first_chunk::<4>()
        .map(|(k, l)| (k, l.try_into()))
    else {
        return Ok(Frame::Other);
    };
    let length = u32::from_be_bytes(length) as usize;
    Ok(match *kind {
        STDOUT => Frame::Output(length),
        STDERR => Frame::Errors(length),
        _ => Frame::Other,
    })
}

fn read(line: &[u8]) -> Announced {
    let Ok(line) = str::from_utf8(line) else {
        return Announced::Nothing;
    };
    match line.trim_end() {
        "!126" => Announced::Cannot(126),
        "!127" => Announced::Cannot(127),
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => match digits.parse() {
            // The first process of the sandbox is not the command.
            Ok(pid @ 2..) => Announced::Process(pid),
            _ => Announced::Nothing,
        },
        _ => Announced::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(stream: u8, content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len()).unwrap().to_be_bytes();
        [&[stream, 0, 0, 0], &length[..], content].concat()
    }

    async fn taken(output: &[u8], terminal: bool) -> (Announced, Vec<u8>) {
        let (mut output, said) = take(output, terminal).await.unwrap();
        let mut rest = Vec::new();
        output.read_to_end(&mut rest).await.unwrap();
        (said, rest)
    }

    #[tokio::test]
    async fn the_line_is_taken_off_and_nothing_else() {
        let after = frame(2, b"err");
        let whole = [frame(1, b"42\n"), after.clone()].concat();
        assert_eq!(
            taken(&whole, false).await,
            (Announced::Process(42), after.clone())
        );
        let overtaken = [after.clone(), frame(1, b"42\n")].concat();
        assert_eq!(
            taken(&overtaken, false).await,
            (Announced::Process(42), after.clone())
        );
        let cannot = frame(1, b"!127\n");
        assert_eq!(
            taken(&cannot, false).await,
            (Announced::Cannot(127), Vec::new())
        );
        let joined = [frame(1, b"42\nout\n"), after.clone()].concat();
        let expected = [frame(1, b"out\n"), after].concat();
        assert_eq!(
            taken(&joined, false).await,
            (Announced::Process(42), expected)
        );
        let expected = (Announced::Process(4_194_304), b"$ ".to_vec());
        assert_eq!(taken(b"4194304\r\n$ ", true).await, expected);
    }

    #[tokio::test]
    async fn what_is_no_such_line_is_left_as_it_is() {
        for content in [
            "OCI runtime exec failed: no /bin/sh\n",
            "+7\n",
            "1\n",
            "\n",
            "7",
        ] {
            let framed = frame(1, content.as_bytes());
            assert_eq!(taken(&framed, false).await, (Announced::Nothing, framed));
            let plain = content.as_bytes();
            assert_eq!(
                taken(plain, true).await,
                (Announced::Nothing, plain.to_vec())
            );
        }
        for output in [&frame(2, b"42\n")[..], b"", b"\x01\0\0"] {
            assert_eq!(
                taken(output, false).await,
                (Announced::Nothing, output.to_vec())
            );
        }
    }

    #[test]
    fn a_signal_is_named_as_a_shell_names_it() {
        assert_eq!(kill("SIGHUP", 7)[2], "kill -s HUP 7");
    }
}
