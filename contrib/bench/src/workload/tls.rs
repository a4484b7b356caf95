//! Whole TLS 1.3 handshakes through a new tunnel each, and the first byte after it. The ends do
//! most of the work; what shows in a proxy is several small writes to and fro.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use anyhow::Result;
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::AsyncReadExt;
use tokio_rustls::TlsConnector;

use super::{Aim, Bench, Cell, Metric, Workload};
use crate::load::{Client, Opens, Way};

pub(crate) struct Tls {
    pub(crate) clients: usize,
}

impl Workload for Tls {
    fn name(&self) -> String {
        format!("tls-{}", self.clients)
    }

    fn aims(&self) -> Vec<Aim> {
        vec![Aim::at_least(Metric::Rate, 0.95, Some("splice"))]
    }

    fn round(&self, bench: &Bench) -> Vec<Cell> {
        let services = &bench.origin.services;
        bench.each(
            |_| true,
            |contender| {
                let connector = connector(&services.certificate)?;
                let way = Way::new(contender.proxy, &services.tls);
                bench.timed(contender.id(), self.clients, |client| Handshake {
                    way: way.of_client(client),
                    name: ServerName::from(IpAddr::from([127, 0, 0, 1])),
                    connector: connector.clone(),
                })
            },
        )
    }
}

/// A client that shakes hands on a way of its own.
pub(crate) struct Handshake<W> {
    pub(crate) way: W,
    pub(crate) name: ServerName<'static>,
    pub(crate) connector: TlsConnector,
}

impl<W: Opens> Client for Handshake<W> {
    async fn operation(&mut self) -> io::Result<()> {
        let stream = self.way.open().await?;
        let mut stream = self.connector.connect(self.name.clone(), stream).await?;
        stream.read_u8().await.map(drop)
    }
}

pub(crate) fn connector(certificate: &str) -> Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(certificate.as_bytes())?)?;
    let mut config =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(TlsConnector::from(Arc::new(config)))
}
