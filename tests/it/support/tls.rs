//! An authority that a test makes, and the certificates it signs: for clients that are told to
//! trust it, and origins that speak TLS to them.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::wire::Duplex;

/// Who signs.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    der: CertificateDer<'static>,
}

impl Authority {
    /// A new one, that nobody trusts yet.
    pub(crate) fn new() -> Self {
        let mut params = named("test authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        let own = params.self_signed(&key).expect("a certificate");
        Self {
            pem: own.pem(),
            der: own.into(),
            issuer: Issuer::new(params, key),
        }
    }

    /// Its certificate, for the client's option.
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// What a server needs that is to be taken for this name.
    pub(crate) fn server(&self, name: &str) -> Arc<ServerConfig> {
        let mut params = named(name);
        let name = name.try_into().expect("a name of DNS");
        params.subject_alt_names = vec![rcgen::SanType::DnsName(name)];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a signature");
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        // With that of the authority, for clients that are told of it by its key.
        let chain = vec![certificate.into(), self.der.clone()];
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions of TLS")
            .with_no_client_auth()
            .with_single_cert(chain, PrivateKeyDer::Pkcs8(key));
        Arc::new(config.expect("a certificate and its key"))
    }
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// The server's end of a connection. The handshake is made with the first byte.
pub(super) struct Secured(StreamOwned<ServerConnection, TcpStream>);

impl Secured {
    pub(super) fn new(stream: TcpStream, config: &Arc<ServerConfig>) -> Self {
        let session = ServerConnection::new(Arc::clone(config)).expect("a session");
        Self(StreamOwned::new(session, stream))
    }
}

impl Read for Secured {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

impl Write for Secured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Duplex for Secured {
    fn end_writing(&self) -> io::Result<()> {
        self.0.sock.shutdown(Shutdown::Write)
    }

    fn set_write_patience(&self, patience: Duration) {
        self.0.sock.set_write_patience(patience);
    }

    fn reset_at_close(&self) {
        self.0.sock.reset_at_close();
    }
}

/// A ClientHello for this name, as a TLS library sends it.
pub(crate) fn hello(name: &str) -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let name = name.to_owned().try_into().expect("a name");
    let mut client = rustls::ClientConnection::new(config.into(), name).expect("a client");
    let mut sent = Vec::new();
    client.write_tls(&mut sent).expect("a hello");
    sent
}
