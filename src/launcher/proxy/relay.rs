//! The control port of a proxy on another machine, as a port of this one: every connection is
//! carried by a command in the proxy's container, over the engine's own connection. What goes
//! through is TLS from end to end, and not looked into.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use bollard::errors::Error;
use bollard::models::ExecConfig;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::super::attach::{self, Channel, Demux};
use super::super::container;
use super::super::engine::Engine;

/// Connections at a time: each is a process over there.
const CONNECTIONS: usize = 48;

/// How long a connection waits while the way to the engine is being made again.
const PATIENCE: Duration = Duration::from_secs(30);
const TRY_AGAIN: Duration = Duration::from_millis(250);

/// Dropping it ends its connections.
pub(crate) struct Relay {
    /// Its end on this machine.
    pub(super) local: SocketAddr,
    _serving: JoinSet<()>,
}

impl Relay {
    /// Listens on this machine's loopback. `program` is vibepit in the `proxy`'s container.
    pub(super) async fn open(
        engine: &Engine,
        proxy: String,
        program: String,
        control: SocketAddr,
    ) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .context("no port of 127.0.0.1 can be listened on")?;
        let local = listener.local_addr()?;
        let way = Arc::new(Way {
            engine: engine.clone(),
            proxy,
            command: vec![
                program,
                "proxy".to_owned(),
                "--relay".to_owned(),
                control.to_string(),
            ],
        });
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, way));
        Ok(Self {
            local,
            _serving: serving,
        })
    }
}

/// How a connection is carried.
struct Way {
    engine: Engine,
    proxy: String,
    command: Vec<String>,
}

async fn serve(listener: TcpListener, way: Arc<Way>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let way = Arc::clone(&way);
        connections.spawn(async move {
            // Whoever connected sees it close.
            let _ = carry(stream, &way).await;
            drop(permit);
        });
    }
}

async fn carry(mut stream: TcpStream, way: &Way) -> Result<()> {
    let config = ExecConfig {
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        cmd: Some(way.command.clone()),
        user: Some(container::user(way.engine.facts())),
        ..ExecConfig::default()
    };
    let began = Instant::now();
    let exec = loop {
        let made = way
            .engine
            .docker
            .create_exec(&way.proxy, config.clone())
            .await;
        match made {
            Ok(made) => break made.id,
            Err(error @ Error::DockerResponseServerError { .. }) => return Err(error.into()),
            // The way to the engine may be in the making.
            Err(error) if began.elapsed() > PATIENCE => return Err(error.into()),
            Err(_) => sleep(TRY_AGAIN).await,
        }
    };
    let begin = json!({"Detach": false, "Tty": false});
    let (output, mut input) = attach::start_exec(&way.engine, &exec, &begin).await?;
    let (mut from_here, mut to_here) = stream.split();
    let out = async {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            match from_here.read(&mut buffer).await? {
                0 => break,
                count => input.write_all(&buffer[..count]).await?,
            }
        }
        input.shutdown().await
    };
    let back = async {
        let mut output = Demux::new(output);
        let mut buffer = vec![0; 16 * 1024];
        while let Some((channel, piece)) = output.read(&mut buffer).await? {
            if channel == Channel::Stdout {
                to_here.write_all(piece).await?;
            }
        }
        to_here.shutdown().await
    };
    // When the far side is over, so is the connection, whatever else is still said here.
    tokio::select! {
        back = back => back?,
        Err(error) = out => return Err(error.into()),
    }
    Ok(())
}
