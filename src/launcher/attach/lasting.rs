//! Streams of a container on another machine that outlive the connection: it is attached to again.
//! What was typed meanwhile comes after; what was written meanwhile is lost, and drawn again by what
//! knows how to.

use std::time::Duration;

use bollard::query_parameters::ResizeContainerTTYOptionsBuilder;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, duplex, split};
use tokio::time::{sleep, timeout};

use super::super::container;
use super::super::engine::Engine;
use super::super::image::is_missing;
use super::stream::{Input, Output, attach};
use super::terminal::size;

/// How long it is tried: what is there has given us up by then.
const PATIENCE: Duration = Duration::from_secs(180);
/// Pauses between two tries: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(4));

/// Finds the other side's output and input again when the connection was lost; `None` when it is
/// gone.
pub(crate) type Again<R, W> = Box<dyn Fn() -> BoxFuture<'static, Option<(R, W)>> + Send + Sync>;

/// Attaches once more, as often as it is called; `None` when the container does not run any more.
pub(crate) fn again(engine: &Engine, container: String) -> Again<Output, Input> {
    let engine = engine.clone();
    Box::new(move || {
        let (engine, container) = (engine.clone(), container.clone());
        Box::pin(async move {
            let found = timeout(PATIENCE, find(&engine, &container)).await;
            found.ok().flatten()
        })
    })
}

async fn find(engine: &Engine, container: &str) -> Option<(Output, Input)> {
    let mut pause = PAUSES.0;
    loop {
        match container::inspect(engine, container).await {
            Ok(found) => {
                let running = found.state.and_then(|state| state.running);
                if running != Some(true) {
                    return None;
                }
                if let Ok(streams) = attach(engine, container).await {
                    return Some(streams);
                }
            }
            Err(error) if error.downcast_ref().is_some_and(is_missing) => return None,
            Err(_) => {}
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}

/// The streams of a command with a terminal, which goes on without us.
pub(crate) fn lasting(
    engine: &Engine,
    container: String,
    output: Output,
    input: Input,
) -> (
    impl AsyncRead + Send + Unpin + use<>,
    impl AsyncWrite + Send + Unpin + use<>,
) {
    let again = again(engine, container.clone());
    let engine = engine.clone();
    let (near, far) = duplex(32 * 1024);
    tokio::spawn(async move {
        let (mut output, mut input) = (output, input);
        let (mut typed, mut shown) = split(far);
        let (mut from_there, mut from_here) = (vec![0; 16 * 1024], vec![0; 1024]);
        let mut open = true;
        // Typed, and not taken.
        let mut unsent = Vec::new();
        loop {
            tokio::select! {
                count = output.read(&mut from_there) => match count {
                    Ok(count @ 1..) => if shown.write_all(&from_there[..count]).await.is_err() {
                        return;
                    },
                    Ok(0) | Err(_) => match again().await {
                        Some(streams) => {
                            (output, input) = streams;
                            redraw(&engine, &container).await;
                            send(&mut input, &mut unsent).await;
                        }
                        None => break,
                    },
                },
                count = typed.read(&mut from_here), if open && unsent.is_empty() => match count {
                    Ok(count @ 1..) => {
                        unsent.extend_from_slice(&from_here[..count]);
                        send(&mut input, &mut unsent).await;
                    }
                    Ok(0) | Err(_) => open = false,
                },
            }
        }
        let _ = shown.shutdown().await;
    });
    split(near)
}

/// What cannot be sent is kept: the output is about to end, and then there is another input.
async fn send(input: &mut Input, unsent: &mut Vec<u8>) {
    if input.write_all(unsent).await.is_ok() {
        unsent.clear();
    }
}

/// Has what was drawn meanwhile drawn again: a shell its prompt, and a program that fills the
/// screen all of it. Only another size makes them.
async fn redraw(engine: &Engine, container: &str) {
    let Some((rows, columns)) = size() else {
        return;
    };
    for columns in [columns.saturating_sub(1).max(1), columns] {
        let options = ResizeContainerTTYOptionsBuilder::default()
            .h(rows.into())
            .w(columns.into())
            .build();
        let _ = engine.docker.resize_container_tty(container, options).await;
    }
}
