//! As much of HTTP/1.1 as reading the answers of the contenders takes.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// The head of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Bytes of the head, the empty line included.
    pub(crate) head: usize,
    pub(crate) content_length: Option<usize>,
    /// The connection serves no further request.
    pub(crate) close: bool,
}

/// Reads until the head of an answer is whole. `buffer` starts empty and may end with a part of
/// the body.
pub(crate) async fn read_head(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
) -> io::Result<Answer> {
    loop {
        if stream.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            return parse(&buffer[..end + 4]).ok_or_else(|| io::ErrorKind::InvalidData.into());
        }
        if buffer.len() > 1 << 16 {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
}

/// Reads an answer and drops its body; says how long that was.
pub(crate) async fn read_answer(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
) -> io::Result<(Answer, usize)> {
    buffer.clear();
    let answer = read_head(stream, buffer).await?;
    let whole = answer.content_length.map(|length| answer.head + length);
    while whole.is_none_or(|whole| buffer.len() < whole) {
        if stream.read_buf(buffer).await? == 0 {
            if whole.is_some() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            break;
        }
    }
    let body = buffer.len() - answer.head;
    Ok((answer, body))
}

fn parse(head: &[u8]) -> Option<Answer> {
    let text = std::str::from_utf8(head).ok()?;
    let mut lines = text.split("\r\n");
    let (version, rest) = lines.next()?.split_once(' ')?;
    let status = rest.get(..3)?.parse().ok()?;
    let mut answer = Answer {
        status,
        head: head.len(),
        content_length: None,
        close: version == "HTTP/1.0",
    };
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("content-length") {
            answer.content_length = Some(value.trim().parse().ok()?);
        } else if name.eq_ignore_ascii_case("connection") {
            answer.close = value.trim().eq_ignore_ascii_case("close");
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            return None;
        }
    }
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_its_length_and_whether_the_connection_goes_on() {
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 12\r\nConnection: Close\r\n\r\n";
        let answer = Answer {
            status: 200,
            head: 58,
            content_length: Some(12),
            close: true,
        };
        assert_eq!(parse(head), Some(answer));
        assert_eq!(
            parse(b"HTTP/1.0 403 Filtered\r\n\r\n").map(|a| a.close),
            Some(true)
        );
        assert_eq!(
            parse(b"HTTP/1.1 403 Filtered\r\n\r\n").map(|a| a.close),
            Some(false)
        );
    }
}
