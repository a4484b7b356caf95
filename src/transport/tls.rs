//! The TCP way to the control plane: TLS 1.3 with certificates on both sides, against one
//! session's CA alone. The one owner of rustls. Knows neither files nor sessions.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, version};
use tokio::net::{TcpStream, ToSocketAddrs};
use tokio_rustls::{TlsAcceptor, TlsConnector};

pub use rustls::{ClientConfig, ServerConfig};

/// The client's end of a TLS connection.
pub type ClientStream = tokio_rustls::client::TlsStream<TcpStream>;
/// The server's end of a TLS connection.
pub type ServerStream = tokio_rustls::server::TlsStream<TcpStream>;

/// Why key material cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A part is not PEM, or holds something else than it should.
    #[error("the {what} cannot be read as PEM: {source}")]
    Pem {
        /// Which part.
        what: &'static str,
        /// What the parser says.
        source: rustls::pki_types::pem::Error,
    },
    /// A part holds nothing of its kind.
    #[error("the {what} is empty: a PEM certificate was expected")]
    Empty {
        /// Which part.
        what: &'static str,
    },
    /// The CA certificate is of no use as a root of trust.
    #[error("the CA certificate cannot be used: {0}")]
    Ca(String),
    /// Certificate and key are refused, or do not belong together.
    #[error("the certificate and its key cannot be used together: {0}")]
    Identity(rustls::Error),
}

/// A server that speaks TLS 1.3 only, and only to clients with a certificate of this CA.
///
/// # Errors
///
/// [`TlsError`] when a part is not what it should be.
pub fn server_config(
    ca_pem: &str,
    cert_pem: &str,
    key_pem: &str,
) -> Result<Arc<ServerConfig>, TlsError> {
    let (roots, chain, key) = material(ca_pem, cert_pem, key_pem)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map_err(|error| TlsError::Ca(error.to_string()))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13])
        .map_err(TlsError::Identity)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(TlsError::Identity)?;
    // Every connection proves its certificate anew: no tickets, no resumption, no early data
    // (which an onlooker could replay: RFC 8446, section 8).
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}

/// A client that speaks TLS 1.3 only, shows its certificate, and trusts this CA alone.
///
/// # Errors
///
/// [`TlsError`] when a part is not what it should be.
pub fn client_config(
    ca_pem: &str,
    cert_pem: &str,
    key_pem: &str,
) -> Result<Arc<ClientConfig>, TlsError> {
    let (roots, chain, key) = material(ca_pem, cert_pem, key_pem)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13])
        .map_err(TlsError::Identity)?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .map_err(TlsError::Identity)?;
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// Connects to `addr` and shakes hands, as [`handshake`] does.
///
/// # Errors
///
/// What connecting or the handshake says.
pub async fn connect(
    addr: impl ToSocketAddrs,
    config: Arc<ClientConfig>,
) -> io::Result<ClientStream> {
    handshake(TcpStream::connect(addr).await?, config).await
}

/// Shakes hands with a server. Whatever address led there (an SSH tunnel's end, say), the server
/// must prove that it is 127.0.0.1 of this session's CA.
///
/// # Errors
///
/// What the handshake says; a server of another session fails it. That the server refuses *our*
/// certificate shows only with the first read (RFC 8446, section 4.4.2).
pub async fn handshake(tcp: TcpStream, config: Arc<ClientConfig>) -> io::Result<ClientStream> {
    tcp.set_nodelay(true)?;
    let name = ServerName::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST).into());
    TlsConnector::from(config).connect(name, tcp).await
}

/// Shakes hands with a server that must prove to be `host`, a name or an address, of the
/// configured CA.
///
/// # Errors
///
/// What the handshake says, and when `host` is neither.
pub async fn handshake_with(
    host: &str,
    tcp: TcpStream,
    config: Arc<ClientConfig>,
) -> io::Result<ClientStream> {
    tcp.set_nodelay(true)?;
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    TlsConnector::from(config).connect(name, tcp).await
}

/// Shakes hands with a client that connected. Put a deadline on it: a silent client never ends.
///
/// # Errors
///
/// What the handshake says, when the client has no certificate of this CA, among other things.
pub async fn accept(tcp: TcpStream, config: Arc<ServerConfig>) -> io::Result<ServerStream> {
    tcp.set_nodelay(true)?;
    TlsAcceptor::from(config).accept(tcp).await
}

type Material = (
    RootCertStore,
    Vec<CertificateDer<'static>>,
    PrivateKeyDer<'static>,
);

fn material(ca_pem: &str, cert_pem: &str, key_pem: &str) -> Result<Material, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("CA certificate", ca_pem)? {
        roots
            .add(certificate)
            .map_err(|error| TlsError::Ca(error.to_string()))?;
    }
    let chain = certificates("certificate", cert_pem)?;
    let key =
        PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).map_err(|source| TlsError::Pem {
            what: "private key",
            source,
        })?;
    Ok((roots, chain, key))
}

fn certificates(what: &'static str, pem: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| TlsError::Pem { what, source })?;
    if found.is_empty() {
        return Err(TlsError::Empty { what });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn material_that_is_not_pem_is_refused_by_name() {
        let ca = server_config("", "", "").unwrap_err();
        assert_eq!(
            ca.to_string(),
            "the CA certificate is empty: a PEM certificate was expected"
        );
        let garbage = "-----BEGIN CERTIFICATE-----\nnot base64!\n-----END CERTIFICATE-----\n";
        let ca = client_config(garbage, "", "").unwrap_err();
        assert!(
            matches!(
                ca,
                TlsError::Pem {
                    what: "CA certificate",
                    ..
                }
            ),
            "{ca}"
        );
        let hollow = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let ca = client_config(hollow, "", "").unwrap_err();
        assert!(matches!(ca, TlsError::Ca(_)), "{ca}");
    }
}
