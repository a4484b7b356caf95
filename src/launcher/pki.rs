//! A session's key material: one CA, one server, one client, made at the start and never renewed.
//! The CA's key exists only while [`mint`] runs, so that nobody can add a client later. The one
//! owner of rcgen; writes no file.

use std::net::{IpAddr, Ipv4Addr};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};
use time::{Duration, OffsetDateTime};

use crate::api::TlsMaterial;
use crate::session::{Credentials, random_bytes};

/// How long the certificates are valid.
const LIFETIME: Duration = Duration::days(30);

/// How far the clock of a remote engine's host may be behind ours.
const CLOCK_SKEW: Duration = Duration::minutes(5);

/// The common name of the client's certificate, and so the actor that an audit log names.
const CLIENT_NAME: &str = "vibepit CLI";

/// Both halves of a session's key material.
#[derive(Debug)]
pub struct Minted {
    /// For the proxy, over its standard input.
    pub server: TlsMaterial,
    /// For the clients, in the session's directory.
    pub client: Credentials,
}

/// Why no key material could be made.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// No randomness.
    #[error("cannot make the session's keys: no random bytes to be had: {0}")]
    Random(#[from] std::io::Error),
    /// A certificate could not be put together.
    #[error("cannot make the session's certificates: {0}")]
    Certificate(#[from] rcgen::Error),
}

/// Makes the key material of one session, valid from a little before `now` for thirty days.
///
/// # Errors
///
/// [`PkiError`] when the system gives no random bytes, or `now` is out of X.509's range.
pub fn mint(now: OffsetDateTime) -> Result<Minted, PkiError> {
    let mut ca = params("vibepit session CA", now)?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let ca_key = ed25519_key()?;
    let ca_cert = ca.self_signed(&ca_key)?.pem();
    let issuer = Issuer::new(ca, ca_key);

    let mut server = params("vibepit proxy", now)?;
    server.subject_alt_names = vec![SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST))];
    let server = leaf(server, ExtendedKeyUsagePurpose::ServerAuth, &issuer)?;
    let client = leaf(
        params(CLIENT_NAME, now)?,
        ExtendedKeyUsagePurpose::ClientAuth,
        &issuer,
    )?;

    Ok(Minted {
        server: TlsMaterial {
            ca: ca_cert.clone(),
            cert: server.cert,
            key: server.key,
        },
        client: Credentials {
            ca: ca_cert,
            cert: client.cert,
            key: client.key,
        },
    })
}

struct Leaf {
    cert: String,
    key: String,
}

fn leaf(
    mut params: CertificateParams,
    purpose: ExtendedKeyUsagePurpose,
    issuer: &Issuer<'_, KeyPair>,
) -> Result<Leaf, PkiError> {
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![purpose];
    params.use_authority_key_identifier_extension = true;
    let key = ed25519_key()?;
    let cert = params.signed_by(&key, issuer)?.pem();
    Ok(Leaf {
        cert,
        key: key.serialize_pem(),
    })
}

fn params(name: &str, now: OffsetDateTime) -> Result<CertificateParams, PkiError> {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    let mut params = CertificateParams::default();
    params.distinguished_name = subject;
    params.not_before = now - CLOCK_SKEW;
    params.not_after = now + LIFETIME;
    params.serial_number = Some(SerialNumber::from_slice(&random_bytes::<16>()?));
    Ok(params)
}

/// A new key, as PKCS#8 version 1. rcgen by itself writes version 2, with the public key
/// appended, which OpenSSL 3.0 (so curl, so Python) cannot read.
fn ed25519_key() -> Result<KeyPair, PkiError> {
    /// PrivateKeyInfo { version 0, { 1.3.101.112 }, OCTET STRING { OCTET STRING (32 bytes) } }:
    /// RFC 8410, section 7.
    const HEADER: [u8; 16] = [
        0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04,
        0x20,
    ];
    // An Ed25519 private key is 32 random bytes (RFC 8032, section 5.1.5).
    let der = [&HEADER[..], &random_bytes::<32>()?].concat();
    Ok(KeyPair::try_from(der)?)
}
