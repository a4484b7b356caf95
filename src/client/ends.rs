//! The two ways to a control plane: its Unix socket and its mTLS port. What is asked, and what is
//! answered, is not known here.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyperlocal::UnixConnector;
use tokio::net::TcpStream;

use super::ClientError;
use crate::api::BY;
use crate::transport::{tls, unix};

/// Where a control plane is.
#[derive(Debug, Clone, Default)]
pub struct Ends {
    /// Its Unix socket.
    pub socket: Option<PathBuf>,
    /// Its mTLS port.
    pub tcp: Option<TlsEnd>,
}

/// An mTLS port and what is needed to speak to it.
#[derive(Clone)]
pub struct TlsEnd {
    /// Where it is, or where a tunnel to it begins.
    pub addr: SocketAddr,
    /// The session's CA, the client's certificate and its key.
    pub config: Arc<rustls::ClientConfig>,
}

impl std::fmt::Debug for TlsEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TlsEnd({})", self.addr)
    }
}

/// What served the last call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// The Unix socket.
    Unix,
    /// The mTLS port.
    Tls,
}

/// What is sent.
#[derive(Clone)]
pub(super) struct Call<'a> {
    pub(super) method: Method,
    pub(super) path: &'a str,
    pub(super) body: Bytes,
    /// What a person decides with: see [`BY`].
    pub(super) by: Option<&'static str>,
}

impl Ends {
    /// The fall-back rule (design 3): the port only if there is no socket to reach.
    pub(super) async fn send(
        &self,
        call: Call<'_>,
    ) -> Result<(Response<Incoming>, Transport), ClientError> {
        let unreachable = match &self.socket {
            Some(socket) => match over_unix(socket, call.clone()).await {
                Ok(answer) => return Ok((answer, Transport::Unix)),
                Err(error @ ClientError::Unreachable { .. }) => error,
                Err(error) => return Err(error),
            },
            None => ClientError::NoEnd,
        };
        match &self.tcp {
            Some(end) => Ok((over_tls(end, call).await?, Transport::Tls)),
            None => Err(unreachable),
        }
    }
}

async fn over_unix(socket: &Path, call: Call<'_>) -> Result<Response<Incoming>, ClientError> {
    let at = || socket.display().to_string();
    let own =
        unix::own_socket(socket).map_err(|error| ClientError::Unreachable { at: at(), error })?;
    let client: legacy::Client<UnixConnector, Full<Bytes>> =
        legacy::Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .build(UnixConnector);
    let uri = hyperlocal::Uri::new(own.path(), call.path).into();
    let request = request(uri, call)?;
    client.request(request).await.map_err(|error| {
        let source = std::error::Error::source(&error);
        match source.and_then(|source| source.downcast_ref::<io::Error>()) {
            Some(source) if error.is_connect() => ClientError::Unreachable {
                at: at(),
                error: io::Error::new(source.kind(), source.to_string()),
            },
            _ => ClientError::HungUp {
                at: at(),
                error: source.map_or_else(|| error.to_string(), ToString::to_string),
            },
        }
    })
}

async fn over_tls(end: &TlsEnd, call: Call<'_>) -> Result<Response<Incoming>, ClientError> {
    let at = || end.addr.to_string();
    let hung_up = |error: String| ClientError::HungUp { at: at(), error };
    let stream = TcpStream::connect(end.addr)
        .await
        .map_err(|error| ClientError::Unreachable { at: at(), error })?;
    let stream = tls::handshake(stream, Arc::clone(&end.config))
        .await
        .map_err(|error| ClientError::Handshake { at: at(), error })?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| hung_up(error.to_string()))?;
    tokio::spawn(connection);
    let uri = call
        .path
        .parse()
        .map_err(|_| ClientError::Answer(format!("{:?} is no path", call.path)))?;
    let request = request(uri, call)?;
    sender
        .send_request(request)
        .await
        .map_err(|error| hung_up(error.to_string()))
}

fn request(uri: hyper::Uri, call: Call<'_>) -> Result<Request<Full<Bytes>>, ClientError> {
    let request = Request::builder()
        .method(call.method)
        .uri(uri)
        .header(HOST, "vibepit")
        .header(CONTENT_TYPE, "application/json");
    let request = match call.by {
        Some(by) => request.header(BY, by),
        None => request,
    };
    request
        .body(Full::new(call.body))
        .map_err(|error| ClientError::Answer(error.to_string()))
}
