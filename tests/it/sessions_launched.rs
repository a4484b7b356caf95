//! A session as a launcher makes one, with a project and a name of its own: the directory and its
//! lock are this process's, the proxy is the real one, started over its standard input.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Stdio};

use time::OffsetDateTime;
use vibepit::api::{
    ControlPoints, Document, DoorAddresses, Doors, FromProxy, HostAccess, Identity, Listening,
    PolicyDocument, ToProxy,
};
use vibepit::launcher::pki::{Minted, mint};
use vibepit::session::{Control, Record, RuntimeDir, SessionDir, SessionId};

use crate::support::Home;

/// A running session. Dropping it kills the proxy and gives the lock back; what it left in the
/// runtime directory stays, as after a crash.
pub(crate) struct Launched {
    pub(crate) dir: SessionDir,
    pub(crate) keys: Minted,
    /// What session.json says.
    pub(crate) record: Record,
    proxy: Child,
    lifeline: UnixListener,
}

/// The runtime directory of an environment.
pub(crate) fn runtime(home: &Home) -> RuntimeDir {
    RuntimeDir::open_or_create_at(&home.runtime().join("vibepit")).expect("a runtime directory")
}

/// The record of a session that has nothing but a socket.
pub(crate) fn record(dir: &SessionDir, name: &str, project: Option<&Path>) -> Record {
    Record {
        version: Record::VERSION,
        id: dir.id(),
        name: name.to_owned(),
        project_dir: project.map(Path::to_owned),
        runtime: "docker".to_owned(),
        created: "2026-01-02T03:04:05Z".to_owned(),
        pid: std::process::id(),
        control: Control {
            socket: Some(dir.control_socket()),
            tcp: None,
        },
        proxy: vibepit::session::Doors::default(),
        sandbox: None,
    }
}

impl Launched {
    /// Starts one in an environment, with an HTTP door of its own.
    pub(crate) fn start(home: &Home, name: &str, project: Option<&Path>) -> Self {
        let doors = Doors::At(DoorAddresses {
            http: Some(([127, 0, 0, 1], 0).into()),
            ..DoorAddresses::default()
        });
        Self::with_doors(home, name, project, doors)
    }

    fn with_doors(home: &Home, name: &str, project: Option<&Path>, doors: Doors) -> Self {
        let id = SessionId::random().expect("an id");
        let dir = SessionDir::create(&runtime(home), &id).expect("a session's directory");
        let keys = mint(OffsetDateTime::now_utc()).expect("keys");
        let lifeline_socket = dir.socket_dir().join("launcher.sock");
        let lifeline = UnixListener::bind(&lifeline_socket).expect("a lifeline");
        let document = Document {
            session: Identity {
                id: id.to_string(),
                name: name.to_owned(),
                project_dir: project.map(Path::to_owned),
                runtime: "docker".to_owned(),
            },
            policy: PolicyDocument::default(),
            doors,
            control: ControlPoints {
                sockets: vec![dir.control_socket()],
                tcp: Some(([127, 0, 0, 1], 0).into()),
            },
            tls: Some(keys.server.clone()),
            decisions: None,
            saved: Vec::new(),
            audit: None,
            audit_over_output: false,
            patience: None,
            host: HostAccess::Loopback,
            lifeline: Some(lifeline_socket),
        };
        let mut command = home.vibepit();
        command
            .args(["proxy", "--stdin"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut proxy = command.spawn().expect("the binary starts");
        let mut line = serde_json::to_vec(&ToProxy::Start(Box::new(document))).expect("JSON");
        line.push(b'\n');
        let mut input = proxy.stdin.as_ref().expect("its input");
        input.write_all(&line).expect("it reads its document");
        let listening = ready(&mut proxy);
        dir.write_credentials(&keys.client).expect("credentials");
        let mut record = record(&dir, name, project);
        record.control.tcp = listening.tcp;
        record.proxy.http = listening.http;
        dir.announce(&record).expect("an announcement");
        Self {
            dir,
            keys,
            record,
            proxy,
            lifeline,
        }
    }

    pub(crate) fn id(&self) -> String {
        self.dir.id().to_string()
    }
}

impl Drop for Launched {
    fn drop(&mut self) {
        let _ = self.proxy.kill();
        let _ = self.proxy.wait();
    }
}

/// What a child says of its doors, in its first line.
fn ready(child: &mut Child) -> Listening {
    let mut answer = String::new();
    let mut output = BufReader::new(child.stdout.as_mut().expect("its output"));
    output.read_line(&mut answer).expect("its answer");
    match serde_json::from_str(&answer) {
        Ok(FromProxy::Ready(listening)) => listening,
        other => panic!("{other:?}: {answer}"),
    }
}

#[test]
fn a_proxy_ends_when_its_launcher_does_even_if_its_input_stays_open() {
    let home = Home::new();
    let mut session = Launched::start(&home, "demo", None);
    let (line, _) = session.lifeline.accept().expect("the proxy's connection");
    // Waiting for a child closes its input if it is still there.
    let input = session.proxy.stdin.take().expect("its input");
    drop(line);
    assert_eq!(session.proxy.wait().expect("its end").code(), Some(0));
    drop(input);
    assert!(!session.dir.control_socket().exists());
}

#[test]
fn doors_that_a_holder_opened_are_the_proxys_and_refuse_when_it_is_gone() {
    let home = Home::new();
    let socket = home.home().join("doors.sock");
    let mut holder = home
        .vibepit()
        .args(["proxy", "--http", "127.0.0.1:0", "--dns", "127.0.0.1:0"])
        .arg("--hand-over")
        .arg(&socket)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let opened = ready(&mut holder);
    let session = Launched::with_doors(&home, "demo", None, Doors::Held(socket.clone()));
    assert_eq!(session.record.proxy.http, opened.http);
    assert!(!socket.exists(), "nobody else gets the doors");

    let door = opened.http.expect("the HTTP door");
    let mut client = TcpStream::connect(door).expect("a connection");
    client
        .write_all(b"GET http://x.test/ HTTP/1.1\r\nHost: x.test\r\nConnection: close\r\n\r\n")
        .expect("a request");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("an answer");
    assert!(
        answer.starts_with("HTTP/1.1 403 vibepit: x.test:80"),
        "{answer}"
    );

    drop(session);
    let refused = TcpStream::connect(door).expect_err("a refusal");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    drop(holder.stdin.take());
    assert_eq!(holder.wait().expect("its end").code(), Some(0));
}
