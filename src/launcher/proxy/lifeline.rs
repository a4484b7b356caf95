//! The proxy's second lifeline: a Unix socket whose connections stay open for as long as this
//! process lives. The first, its standard input, goes through the engine, and an engine that is
//! killed leaves it open.

use std::io;
use std::path::Path;

use tokio::task::JoinSet;

use super::host_ports::listen;

/// The socket's name in the session's socket directory.
pub(super) const SOCKET: &str = "launcher.sock";

/// Dropping it cuts the line.
pub(crate) struct Lifeline {
    _holding: JoinSet<()>,
}

impl Lifeline {
    /// Begins to listen in `directory`.
    ///
    /// # Errors
    ///
    /// When the socket cannot be made.
    pub(super) fn hold(directory: &Path) -> io::Result<Self> {
        let listener = listen(directory, SOCKET)?;
        let mut holding = JoinSet::new();
        holding.spawn(async move {
            // One proxy is all there is.
            let _proxy = listener.accept().await;
            std::future::pending::<()>().await;
        });
        Ok(Self { _holding: holding })
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::UnixStream;

    use super::*;

    #[tokio::test]
    async fn a_connection_ends_with_the_line_and_not_before() {
        let directory = tempfile::tempdir().unwrap();
        let line = Lifeline::hold(directory.path()).unwrap();
        let mut proxy = UnixStream::connect(directory.path().join(SOCKET))
            .await
            .unwrap();
        proxy.writable().await.unwrap();
        let nothing = proxy.try_read(&mut [0]).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        drop(line);
        assert_eq!(proxy.read(&mut [0]).await.unwrap_or(0), 0);
    }
}
