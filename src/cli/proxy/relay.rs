//! What a launcher on another machine starts in the proxy's container for each connection to the
//! control port: standard input and output on one side, the port on the other.

use std::net::SocketAddr;
use std::process::ExitCode;

use tokio::io::{AsyncReadExt, AsyncWriteExt, join, stdin, stdout};
use tokio::net::TcpStream;

use crate::cli::failure::Failure;

/// Carries bytes until the port's side is over.
pub(super) async fn run(control: SocketAddr) -> Result<ExitCode, Failure> {
    let (mut from_port, mut to_port) = TcpStream::connect(control).await?.into_split();
    let mut here = join(stdin(), stdout());
    let mut buffer = [vec![0; 16 * 1024], vec![0; 16 * 1024]];
    let [typed, said] = &mut buffer;
    let mut open = true;
    loop {
        tokio::select! {
            count = here.read(typed), if open => match count? {
                0 => {
                    open = false;
                    to_port.shutdown().await?;
                }
                count => to_port.write_all(&typed[..count]).await?,
            },
            count = from_port.read(said) => match count? {
                0 => return Ok(ExitCode::SUCCESS),
                count => {
                    here.write_all(&said[..count]).await?;
                    here.flush().await?;
                }
            }
        }
    }
}
