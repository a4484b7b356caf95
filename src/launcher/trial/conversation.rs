//! A command that is told something, and whose answer is kept: nobody's streams are joined to it.

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

use super::super::attach::{Channel, Demux};
use super::super::job::{Job, Output};

/// What a command may write in all.
const MOST_SAID: usize = 1024 * 1024;

/// Tells the command this, and waits for its end: what it wrote to its standard output.
pub(super) async fn converse(job: Job, told: &[u8]) -> Result<Vec<u8>> {
    let broken = "the streams of the sandbox's command broke off";
    let Job {
        output,
        mut input,
        control,
    } = job;
    input.write_all(told).await.context(broken)?;
    input.shutdown().await.context(broken)?;
    let (said, complained) = match output {
        Output::Terminal(output) => (whole(output).await.context(broken)?, Vec::new()),
        Output::Framed(output) => framed(output).await.context(broken)?,
        Output::Apart(output, error) => {
            tokio::try_join!(whole(output), whole(error)).context(broken)?
        }
    };
    let exit_code = control.wait().await?;
    ensure!(
        exit_code == 0,
        "the sandbox's command ended with {exit_code}: {}",
        String::from_utf8_lossy(&complained).trim()
    );
    Ok(said)
}

async fn whole(output: impl AsyncRead + Unpin) -> std::io::Result<Vec<u8>> {
    let mut said = Vec::new();
    let most = u64::try_from(MOST_SAID).unwrap_or(u64::MAX);
    output.take(most).read_to_end(&mut said).await?;
    Ok(said)
}

async fn framed(output: impl AsyncRead + Unpin) -> std::io::Result<(Vec<u8>, Vec<u8>)> {
    let mut output = Demux::new(output);
    let (mut said, mut complained) = (Vec::new(), Vec::new());
    let mut buffer = vec![0; 16 * 1024];
    while let Some((channel, piece)) = output.read(&mut buffer).await? {
        let kept = match channel {
            Channel::Stdout => &mut said,
            Channel::Stderr => &mut complained,
        };
        let room = MOST_SAID.saturating_sub(kept.len());
        kept.extend_from_slice(&piece[..piece.len().min(room)]);
    }
    Ok((said, complained))
}
