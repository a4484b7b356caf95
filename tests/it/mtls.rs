//! Who gets through the TCP port of a control plane, and who does not: real certificates, real
//! handshakes, and the tools that people have.

use std::io;
use std::net::SocketAddr;
use std::process::Output;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use time::OffsetDateTime;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use vibepit::api::TlsMaterial;
use vibepit::launcher::pki::{Minted, mint};
use vibepit::session::{
    Control, Credentials, Doors, Record, RuntimeDir, SessionDir, SessionId, discover,
};
use vibepit::transport::tls;

fn session() -> Minted {
    mint(OffsetDateTime::now_utc()).expect("the test's own part")
}

fn client(with: &Credentials) -> Arc<tls::ClientConfig> {
    tls::client_config(&with.ca, &with.cert, &with.key).expect("the test's own part")
}

async fn port() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("the test's own part");
    let addr = listener.local_addr().expect("the test's own part");
    (listener, addr)
}

/// Serves one connection: shakes hands, reads what there is, and answers as HTTP would.
async fn serve_one(listener: &TcpListener, with: &TlsMaterial) -> io::Result<String> {
    let config = tls::server_config(&with.ca, &with.cert, &with.key).expect("the test's own part");
    let (tcp, _) = listener.accept().await?;
    let mut stream = tls::accept(tcp, config).await?;
    let mut heard = vec![0; 4096];
    let length = stream.read(&mut heard).await?;
    stream
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        .await?;
    stream.shutdown().await?;
    heard.truncate(length);
    Ok(String::from_utf8(heard).expect("the test's own part"))
}

/// Speaks one line and reads the answer. In TLS 1.3 a client learns with the first read that its
/// certificate was refused.
async fn ask(addr: SocketAddr, config: Arc<tls::ClientConfig>) -> io::Result<String> {
    let mut stream = tls::connect(addr, config).await?;
    stream.write_all(b"hello").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// What the server and the client of one connection say.
async fn meet(
    server: &TlsMaterial,
    config: Arc<tls::ClientConfig>,
) -> (io::Result<String>, io::Result<String>) {
    let (listener, addr) = port().await;
    tokio::join!(serve_one(&listener, server), ask(addr, config))
}

#[tokio::test]
async fn the_sessions_own_client_is_served() {
    let session = session();
    let (heard, answer) = meet(&session.server, client(&session.client)).await;
    assert_eq!(heard.unwrap(), "hello");
    assert!(answer.unwrap().ends_with("ok"));
}

#[tokio::test]
async fn a_client_without_a_certificate_is_refused() {
    let session = session();
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(session.client.ca.as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = tls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let (heard, answer) = meet(&session.server, Arc::new(config)).await;
    assert!(
        heard
            .unwrap_err()
            .to_string()
            .contains("peer sent no certificates")
    );
    answer.unwrap_err();
}

#[tokio::test]
async fn a_client_of_another_session_is_refused() {
    let (session, other) = (session(), session());
    // It knows our CA, which is no secret, and has a good certificate of another.
    let stranger = Credentials {
        ca: session.client.ca.clone(),
        ..other.client
    };
    let (heard, answer) = meet(&session.server, client(&stranger)).await;
    heard.unwrap_err();
    answer.unwrap_err();
}

#[tokio::test]
async fn a_servers_certificate_does_not_make_a_client() {
    let session = session();
    let TlsMaterial { ca, cert, key } = session.server.clone();
    let (heard, answer) = meet(&session.server, client(&Credentials { ca, cert, key })).await;
    heard.unwrap_err();
    answer.unwrap_err();
}

#[tokio::test]
async fn a_server_of_another_session_is_not_spoken_to() {
    let (session, other) = (session(), session());
    let (heard, answer) = meet(&other.server, client(&session.client)).await;
    heard.unwrap_err();
    assert!(
        answer
            .unwrap_err()
            .to_string()
            .contains("invalid peer certificate")
    );
}

/// FAIL-012. In the place of a machine whose clock is wrong, certificates that were made at another
/// time than it is now.
#[tokio::test]
async fn a_clock_that_makes_certificates_invalid_ends_the_connection_with_the_reason() {
    let years = time::Duration::days(3650);
    for (made, reason) in [
        (OffsetDateTime::now_utc() + years, "not valid yet"),
        (OffsetDateTime::now_utc() - years, "expired"),
    ] {
        let session = mint(made).expect("the test's own part");
        let (heard, answer) = meet(&session.server, client(&session.client)).await;
        heard.unwrap_err();
        let why = answer.unwrap_err().to_string();
        assert!(why.contains(reason), "{why}");
    }
}

#[tokio::test]
async fn a_clients_certificate_does_not_make_a_server() {
    let session = session();
    let Credentials { ca, cert, key } = session.client.clone();
    let (heard, answer) = meet(&TlsMaterial { ca, cert, key }, client(&session.client)).await;
    heard.unwrap_err();
    answer.unwrap_err();
}

#[tokio::test]
async fn plain_text_is_refused() {
    let session = session();
    let (listener, addr) = port().await;
    let talk = async {
        let mut stream = TcpStream::connect(addr).await?;
        stream
            .write_all(b"GET /rules HTTP/1.1\r\nHost: vibepit\r\n\r\n")
            .await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        io::Result::Ok(answer)
    };
    let (heard, answer) = tokio::join!(serve_one(&listener, &session.server), talk);
    heard.unwrap_err();
    assert!(!answer.unwrap_or_default().starts_with(b"HTTP"));
}

/// Runs a curl that has the client's material in files. `None` when curl is not installed.
async fn curl(addr: SocketAddr, with: &Credentials, more: &[&str]) -> Option<Output> {
    let dir = tempfile::tempdir().expect("the test's own part");
    for (name, text) in [("ca", &with.ca), ("cert", &with.cert), ("key", &with.key)] {
        std::fs::write(dir.path().join(name), text).expect("the test's own part");
    }
    let ran = Command::new("curl")
        .current_dir(dir.path())
        .args([
            "--silent",
            "--show-error",
            "--noproxy",
            "*",
            "--max-time",
            "20",
        ])
        .args(["--cacert", "ca", "--cert", "cert", "--key", "key"])
        .args(more)
        .arg(format!("https://{addr}/rules"))
        .output()
        .await;
    match ran {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        ran => Some(ran.expect("the test's own part")),
    }
}

#[tokio::test]
async fn curl_is_a_client_too() {
    let (session, (listener, addr)) = (session(), port().await);
    let server = session.server.clone();
    let served = tokio::spawn(async move { serve_one(&listener, &server).await });
    let Some(ran) = curl(addr, &session.client, &[]).await else {
        return skip("curl is not installed");
    };
    assert_eq!(String::from_utf8_lossy(&ran.stdout), "ok", "{ran:?}");
    assert!(
        served
            .await
            .unwrap()
            .unwrap()
            .starts_with("GET /rules HTTP/1.1")
    );
}

#[tokio::test]
async fn tls_1_2_is_refused() {
    let (session, (listener, addr)) = (session(), port().await);
    let server = session.server.clone();
    let served = tokio::spawn(async move { serve_one(&listener, &server).await });
    let Some(ran) = curl(addr, &session.client, &["--tls-max", "1.2"]).await else {
        return skip("curl is not installed");
    };
    assert!(!ran.status.success(), "{ran:?}");
    let refused = served.await.unwrap().unwrap_err().to_string();
    assert!(refused.contains("incompatible"), "{refused}");
}

#[tokio::test]
async fn a_session_without_a_socket_is_live_when_its_port_proves_to_be_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = RuntimeDir::open_or_create_at(&dir.path().join("vibepit")).unwrap();
    let (ours, other) = (session(), session());
    let (listener, addr) = port().await;
    let announced = SessionDir::create(&runtime, &SessionId::random().unwrap()).unwrap();
    announced.write_credentials(&ours.client).unwrap();
    announced
        .announce(&Record {
            version: Record::VERSION,
            id: announced.id(),
            name: "remote".into(),
            project_dir: None,
            runtime: "docker".into(),
            created: "2026-01-02T03:04:05Z".into(),
            pid: 1,
            control: Control {
                socket: None,
                tcp: Some(addr),
            },
            proxy: Doors::default(),
            sandbox: None,
        })
        .unwrap();
    let found = discover(&runtime).pop().unwrap();
    assert_eq!(found.read_credentials().unwrap(), ours.client);
    let (_, live) = tokio::join!(serve_one(&listener, &ours.server), found.is_live());
    assert!(live);
    // The port was taken over by somebody else meanwhile.
    let (_, live) = tokio::join!(serve_one(&listener, &other.server), found.is_live());
    assert!(!live);
    drop(listener);
    assert!(!found.is_live().await);
}

#[allow(clippy::print_stderr, reason = "a test that did not run has to say so")]
fn skip(why: &str) {
    eprintln!("skipped: {why}");
}
