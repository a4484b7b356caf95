//! A session as a launcher makes one, with a project and a name of its own: the directory and its
//! lock are this process's, the proxy is the real one, started over its standard input.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Stdio};

use time::OffsetDateTime;
use vibepit::api::{
    ControlPoints, Document, Doors, FromProxy, HostAccess, Identity, PolicyDocument, ToProxy,
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
    /// Starts one in an environment.
    pub(crate) fn start(home: &Home, name: &str, project: Option<&Path>) -> Self {
        let id = SessionId::random().expect("an id");
        let dir = SessionDir::create(&runtime(home), &id).expect("a session's directory");
        let keys = mint(OffsetDateTime::now_utc()).expect("keys");
        let document = Document {
            session: Identity {
                id: id.to_string(),
                name: name.to_owned(),
                project_dir: project.map(Path::to_owned),
                runtime: "docker".to_owned(),
            },
            policy: PolicyDocument::default(),
            doors: Doors {
                http: Some(([127, 0, 0, 1], 0).into()),
                dns: None,
            },
            control: ControlPoints {
                sockets: vec![dir.control_socket()],
                tcp: Some(([127, 0, 0, 1], 0).into()),
            },
            tls: Some(keys.server.clone()),
            audit: None,
            host: HostAccess::Loopback,
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
        let mut answer = String::new();
        let mut output = BufReader::new(proxy.stdout.as_mut().expect("its output"));
        output.read_line(&mut answer).expect("its answer");
        let listening = match serde_json::from_str(&answer) {
            Ok(FromProxy::Ready(listening)) => listening,
            other => panic!("{other:?}: {answer}"),
        };
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
