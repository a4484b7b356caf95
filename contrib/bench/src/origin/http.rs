//! Answers every request of a kept-alive connection with the same 1 KiB.

use std::io;
use std::sync::LazyLock;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Bytes in the body of every answer.
pub(crate) const BODY: usize = 1024;

static ANSWER: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let head = format!(
        "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nServer: origin\r\n\
         Content-Type: application/octet-stream\r\nContent-Length: {BODY}\r\n\
         Cache-Control: no-store\r\n\r\n"
    );
    [head.into_bytes(), vec![b'v'; BODY]].concat()
});

pub(crate) async fn serve(mut stream: TcpStream) -> io::Result<()> {
    let mut head = Vec::with_capacity(2048);
    loop {
        head.clear();
        while !head.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut head).await? == 0 {
                return Ok(());
            }
        }
        stream.write_all(&ANSWER).await?;
    }
}
