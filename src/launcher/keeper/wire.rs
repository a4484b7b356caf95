//! Lines and frames over a connection to a keeper, both ways. What they are about is not known
//! here.

use std::io;

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::api::{FRAME_HEAD, Frame, KEEPER_LINE};

/// Writes a line.
pub(super) async fn say(to: &mut (impl AsyncWrite + Unpin), what: &impl Serialize) -> Result<()> {
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    to.write_all(&line).await?;
    Ok(())
}

/// Reads a line, and nothing of what is behind it.
pub(super) async fn hear<T: DeserializeOwned>(from: &mut (impl AsyncRead + Unpin)) -> Result<T> {
    let mut line = Vec::new();
    loop {
        match from.read_u8().await {
            Ok(b'\n') => break,
            Ok(byte) if line.len() < KEEPER_LINE => line.push(byte),
            Ok(_) => bail!("the other side's line does not end"),
            Err(error) => return Err(error).context("the other side went away"),
        }
    }
    serde_json::from_slice(&line).context("the other side's line is not understood")
}

/// Writes a frame.
pub(super) async fn send(to: &mut (impl AsyncWrite + Unpin), frame: &Frame) -> io::Result<()> {
    to.write_all(&frame.encode()).await
}

/// Reads a frame; `None` at the end.
pub(super) async fn receive(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Frame>> {
    let mut head = [0; FRAME_HEAD];
    match from.read_exact(&mut head).await {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    };
    let invalid = || io::Error::new(io::ErrorKind::InvalidData, "not a frame");
    let mut content = vec![0; Frame::length(head).ok_or_else(invalid)?];
    from.read_exact(&mut content).await?;
    Frame::decode(head[0], content)
        .map(Some)
        .ok_or_else(invalid)
}
