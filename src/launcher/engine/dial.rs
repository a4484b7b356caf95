//! A new connection to an engine, by whatever way leads there.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bollard::errors::Error;
use bollard::{BollardRequest, ClientVersion, Docker};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{HOST, HeaderValue};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::super::endpoint::{Endpoint, TcpEnd, TlsFiles};
use super::EngineError;
use super::tunnel::Tunnel;
use crate::transport::tls;

/// Seconds a single call to the engine may take. Starting a container on a busy machine takes
/// several; an engine that needs more than this is stuck.
const CALL_SECONDS: u64 = 120;

/// What an answer that is read as a whole may weigh: a list of some thousand containers does not.
const ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// The two directions of a connection.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// How an engine is reached.
#[derive(Debug, Clone)]
pub(crate) enum Dial {
    /// At a socket of this machine.
    Unix(PathBuf),
    /// At a port of this machine.
    Tcp(TcpEnd),
    /// At a port where an engine proves who it is, and we do.
    Tls(TcpEnd, Arc<tls::ClientConfig>),
    /// Through a forwarding of ssh's.
    Ssh(Arc<Tunnel>),
}

impl Dial {
    /// The way to an endpoint. Of another machine, it may have to be made first.
    pub(super) async fn to(endpoint: &Endpoint) -> Result<Self, EngineError> {
        Ok(match endpoint {
            Endpoint::Unix(end) => Self::Unix(end.path().to_owned()),
            Endpoint::Tcp(end) => match end.tls() {
                None => Self::Tcp(end.clone()),
                Some(files) => {
                    let config = config(files).map_err(|why| EngineError::Keys {
                        directory: files.directory().to_owned(),
                        why,
                    })?;
                    Self::Tls(end.clone(), config)
                }
            },
            Endpoint::Ssh(end) => {
                let tunnel = Tunnel::open(end).await;
                let tunnel = tunnel.map_err(|source| EngineError::Ssh {
                    at: endpoint.to_string(),
                    command: end.command(),
                    source,
                })?;
                Self::Ssh(Arc::new(tunnel))
            }
        })
    }

    /// Uid and gid of the person on the engine's machine, where the way there tells.
    pub(super) fn person(&self) -> Option<(u32, u32)> {
        match self {
            Self::Ssh(tunnel) => Some(tunnel.person()),
            Self::Unix(_) | Self::Tcp(_) | Self::Tls(..) => None,
        }
    }

    /// How often the way there was lost and made again, as far as it tells.
    pub(crate) fn again(&self) -> u64 {
        match self {
            Self::Ssh(tunnel) => tunnel.again(),
            Self::Unix(_) | Self::Tcp(_) | Self::Tls(..) => 0,
        }
    }

    /// Opens a connection.
    pub(super) async fn connect(&self) -> io::Result<Box<dyn Duplex>> {
        match self {
            Self::Unix(path) => Ok(Box::new(UnixStream::connect(path).await?)),
            Self::Tcp(end) => Ok(Box::new(
                TcpStream::connect((end.host(), end.port())).await?,
            )),
            Self::Tls(end, config) => {
                let stream = TcpStream::connect((end.host(), end.port())).await?;
                let stream = tls::handshake_with(end.host(), stream, Arc::clone(config)).await?;
                Ok(Box::new(stream))
            }
            Self::Ssh(tunnel) => Ok(Box::new(tunnel.connect().await?)),
        }
    }

    /// Opens a connection and makes it one of HTTP, which may be upgraded.
    pub(crate) async fn http<B>(&self) -> Result<SendRequest<B>, Error>
    where
        B: hyper::body::Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let stream = self.connect().await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection.with_upgrades());
        Ok(sender)
    }

    /// The JSON at a path that the library does not read as a whole.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        let asking = async {
            let request = Request::get(path)
                .header(HOST, "docker")
                .body(Empty::<Bytes>::new())?;
            let answer = self.http().await?.send_request(request).await?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), ANSWER_BYTES).collect();
            let body = body.await.map_err(io::Error::other)?.to_bytes();
            if !status.is_success() {
                return Err(Error::DockerResponseServerError {
                    status_code: status.as_u16(),
                    message: String::from_utf8_lossy(&body).trim().to_owned(),
                });
            }
            Ok(serde_json::from_slice(&body).map_err(io::Error::other)?)
        };
        let patience = Duration::from_secs(CALL_SECONDS);
        let answer = timeout(patience, asking).await;
        answer.unwrap_or(Err(Error::RequestTimeoutError))
    }

    /// The library's client, each of whose calls has a connection of its own: the ways that are
    /// slow to open are forwarded by somebody who keeps one open.
    pub(super) fn client(&self, version: &ClientVersion) -> Result<Docker, Error> {
        let dial = self.clone();
        let call = move |request: BollardRequest| call(dial.clone(), request);
        Docker::connect_with_custom_transport(call, Some("http://docker"), CALL_SECONDS, version)
    }
}

/// What proves both sides to each other.
fn config(files: &TlsFiles) -> Result<Arc<tls::ClientConfig>, String> {
    let read = |part: &str| {
        let path = files.directory().join(part);
        std::fs::read_to_string(&path).map_err(|error| format!("{part}: {error}"))
    };
    tls::client_config(&read("ca.pem")?, &read("cert.pem")?, &read("key.pem")?)
        .map_err(|error| error.to_string())
}

async fn call(dial: Dial, mut request: BollardRequest) -> Result<Response<Incoming>, Error> {
    let mut sender = dial.http().await?;
    let host = HeaderValue::from_static("docker");
    request.headers_mut().insert(HOST, host);
    // What a server is asked for is a path (RFC 9112, section 3.2.1).
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = path.map_or_else(Uri::default, Uri::from);
    Ok(sender.send_request(request).await?)
}
