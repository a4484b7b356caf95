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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;
    use std::process::{Command, Output};

    fn openssl(dir: &Path, arguments: &[&str]) -> Option<Output> {
        Command::new("openssl")
            .current_dir(dir)
            .args(arguments)
            .output()
            .ok()
    }

    fn written(minted: &Minted) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("ca.pem", &minted.client.ca),
            ("server.pem", &minted.server.cert),
            ("server-key.pem", &minted.server.key),
            ("client.pem", &minted.client.cert),
            ("client-key.pem", &minted.client.key),
        ] {
            fs::write(dir.path().join(name), text).unwrap();
        }
        dir
    }

    #[test]
    fn keys_are_pkcs8_version_1_that_openssl_reads() {
        let minted = mint(OffsetDateTime::now_utc()).unwrap();
        for key in [&minted.server.key, &minted.client.key] {
            // 48 bytes of DER are 64 digits of base64; version 2 has more.
            let digits: usize = key
                .lines()
                .filter(|l| !l.starts_with('-'))
                .map(str::len)
                .sum();
            assert_eq!(digits, 64);
        }
        let dir = written(&minted);
        for (key, cert) in [
            ("server-key.pem", "server.pem"),
            ("client-key.pem", "client.pem"),
        ] {
            let Some(of_key) = openssl(dir.path(), &["pkey", "-in", key, "-pubout"]) else {
                return skip("openssl is not installed");
            };
            assert!(
                of_key.status.success(),
                "{}",
                String::from_utf8_lossy(&of_key.stderr)
            );
            let of_cert = openssl(dir.path(), &["x509", "-in", cert, "-noout", "-pubkey"]).unwrap();
            assert_eq!(of_key.stdout, of_cert.stdout, "{key} belongs to {cert}");
        }
    }

    #[test]
    fn each_certificate_serves_its_own_purpose_and_no_other() {
        let dir = written(&mint(OffsetDateTime::now_utc()).unwrap());
        for (cert, purpose, holds) in [
            ("server.pem", "sslserver", true),
            ("server.pem", "sslclient", false),
            ("client.pem", "sslclient", true),
            ("client.pem", "sslserver", false),
        ] {
            let arguments = [
                "verify",
                "-x509_strict",
                "-CAfile",
                "ca.pem",
                "-purpose",
                purpose,
                cert,
            ];
            let Some(verified) = openssl(dir.path(), &arguments) else {
                return skip("openssl is not installed");
            };
            let said = String::from_utf8_lossy(&verified.stderr);
            assert_eq!(
                verified.status.success(),
                holds,
                "{cert} as {purpose}: {said}"
            );
        }
    }

    #[test]
    fn the_certificates_say_what_the_contract_says() {
        let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        let dir = written(&mint(now).unwrap());
        let text = |cert: &str| {
            openssl(
                dir.path(),
                &[
                    "x509", "-in", cert, "-noout", "-text", "-nameopt", "RFC2253",
                ],
            )
            .map(|shown| String::from_utf8(shown.stdout).unwrap())
        };
        let Some(server) = text("server.pem") else {
            return skip("openssl is not installed");
        };
        let (client, ca) = (text("client.pem").unwrap(), text("ca.pem").unwrap());
        for (cert, says) in [
            (&server, "IP Address:127.0.0.1"),
            (&server, "TLS Web Server Authentication"),
            (&client, "Subject: CN=vibepit CLI"),
            (&client, "TLS Web Client Authentication"),
            (&ca, "CA:TRUE, pathlen:0"),
        ] {
            assert!(cert.contains(says), "{says}: {cert}");
        }
        for cert in [&server, &client, &ca] {
            // Five minutes before the moment given, thirty days after it.
            assert!(
                cert.contains("Not Before: Jan 15 07:55:00 2027 GMT"),
                "{cert}"
            );
            assert!(
                cert.contains("Not After : Feb 14 08:00:00 2027 GMT"),
                "{cert}"
            );
            assert!(cert.contains("ED25519"), "{cert}");
        }
    }

    #[test]
    fn no_two_sessions_and_no_two_certificates_share_a_key_or_a_serial_number() {
        let now = OffsetDateTime::now_utc();
        let (one, two) = (mint(now).unwrap(), mint(now).unwrap());
        let mut keys = vec![
            &one.server.key,
            &one.client.key,
            &two.server.key,
            &two.client.key,
        ];
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), 4);
        let (one, two) = (written(&one), written(&two));
        let mut serials = Vec::new();
        for dir in [&one, &two] {
            for cert in ["ca.pem", "server.pem", "client.pem"] {
                let Some(shown) = openssl(dir.path(), &["x509", "-in", cert, "-noout", "-serial"])
                else {
                    return skip("openssl is not installed");
                };
                serials.push(String::from_utf8(shown.stdout).unwrap());
            }
        }
        // `serial=` and 32 digits, fewer when the first ones are zero.
        assert!(
            serials.iter().all(|serial| serial.trim().len() > 30),
            "{serials:?}"
        );
        serials.sort();
        serials.dedup();
        assert_eq!(serials.len(), 6);
    }

    #[test]
    fn a_log_never_shows_a_key() {
        let shown = format!("{:?}", mint(OffsetDateTime::now_utc()).unwrap());
        assert!(!shown.contains("PRIVATE"), "{shown}");
    }

    #[allow(clippy::print_stderr, reason = "a test that did not run has to say so")]
    fn skip(why: &str) {
        eprintln!("skipped: {why}");
    }
}
