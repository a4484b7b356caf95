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

impl Ends {
    /// The fall-back rule (design 3): the port only if there is no socket to reach.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(Response<Incoming>, Transport), ClientError> {
        let unreachable = match &self.socket {
            Some(socket) => match over_unix(socket, &method, path, body.clone()).await {
                Ok(answer) => return Ok((answer, Transport::Unix)),
                Err(error @ ClientError::Unreachable { .. }) => error,
                Err(error) => return Err(error),
            },
            None => ClientError::NoEnd,
        };
        match &self.tcp {
            Some(end) => Ok((over_tls(end, method, path, body).await?, Transport::Tls)),
            None => Err(unreachable),
        }
    }
}

async fn over_unix(
    socket: &Path,
    method: &Method,
    path: &str,
    body: Bytes,
) -> Result<Response<Incoming>, ClientError> {
    let at = || socket.display().to_string();
    let own =
        unix::own_socket(socket).map_err(|error| ClientError::Unreachable { at: at(), error })?;
    let client: legacy::Client<UnixConnector, Full<Bytes>> =
        legacy::Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .build(UnixConnector);
    let request = request(method, hyperlocal::Uri::new(own.path(), path).into(), body)?;
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

async fn over_tls(
    end: &TlsEnd,
    method: Method,
    path: &str,
    body: Bytes,
) -> Result<Response<Incoming>, ClientError> {
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
    let uri = path
        .parse()
        .map_err(|_| ClientError::Answer(format!("{path:?} is no path")))?;
    let request = request(&method, uri, body)?;
    sender
        .send_request(request)
        .await
        .map_err(|error| hung_up(error.to_string()))
}

fn request(
    method: &Method,
    uri: hyper::Uri,
    body: Bytes,
) -> Result<Request<Full<Bytes>>, ClientError> {
    Request::builder()
        .method(method)
        .uri(uri)
        .header(HOST, "vibepit")
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(body))
        .map_err(|error| ClientError::Answer(error.to_string()))
}
