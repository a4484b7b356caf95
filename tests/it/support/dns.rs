//! A DNS client that sends what it is given.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};

use hickory_proto::op::{Edns, Message, Query};
use hickory_proto::rr::rdata::opt::EdnsOption;
use hickory_proto::rr::{Name, RecordType};

use super::PATIENCE;

/// A question, with the name spelled as it is here.
pub(crate) fn question(name: &str, kind: RecordType) -> Message {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    let name = Name::from_ascii(format!("{name}.")).expect("a name");
    message.add_query(Query::query(name, kind));
    message
}

/// The same with EDNS, so that the answer may explain itself.
pub(crate) fn with_edns(mut message: Message, payload: u16, options: &[(u16, &[u8])]) -> Message {
    let mut edns = Edns::new();
    edns.set_max_payload(payload);
    for (code, data) in options {
        edns.options_mut()
            .insert(EdnsOption::Unknown(*code, data.to_vec()));
    }
    message.edns = Some(edns);
    message
}

/// A client over UDP.
pub(crate) struct Udp(UdpSocket);

impl Udp {
    pub(crate) fn to(server: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        socket.connect(server).expect("a server");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Self(socket)
    }

    pub(crate) fn send(&self, bytes: &[u8]) {
        self.0.send(bytes).expect("a packet");
    }

    /// The next packet.
    #[track_caller]
    pub(crate) fn receive(&self) -> Vec<u8> {
        let mut packet = vec![0; 65_536];
        let length = self.0.recv(&mut packet).expect("an answer");
        packet.truncate(length);
        packet
    }

    /// Asks, and takes the next packet for the answer.
    #[track_caller]
    pub(crate) fn ask(&self, question: &Message) -> Message {
        self.send(&question.to_vec().expect("a question"));
        let answer = Message::from_vec(&self.receive()).expect("an answer");
        assert_eq!(
            answer.metadata.id, question.metadata.id,
            "an answer to something else"
        );
        answer
    }
}

/// Asks once over UDP.
#[track_caller]
pub(crate) fn ask(server: SocketAddr, question: &Message) -> Message {
    Udp::to(server).ask(question)
}

/// A client over TCP.
pub(crate) struct Tcp(TcpStream);

impl Tcp {
    pub(crate) fn to(server: SocketAddr) -> Self {
        let stream = TcpStream::connect(server).expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Self(stream)
    }

    pub(crate) fn send(&mut self, question: &[u8]) {
        let length = u16::try_from(question.len()).expect("a length");
        let framed = [&length.to_be_bytes()[..], question].concat();
        self.0.write_all(&framed).expect("the question is taken");
    }

    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).expect("the bytes are taken");
    }

    /// The next answer; `None` when the connection ends.
    pub(crate) fn receive(&mut self) -> Option<Vec<u8>> {
        let mut length = [0; 2];
        self.0.read_exact(&mut length).ok()?;
        let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
        self.0.read_exact(&mut answer).ok()?;
        Some(answer)
    }

    #[track_caller]
    pub(crate) fn ask(&mut self, question: &Message) -> Message {
        self.send(&question.to_vec().expect("a question"));
        Message::from_vec(&self.receive().expect("an answer")).expect("an answer")
    }
}

/// The code and the text of an answer's Extended DNS Error (RFC 8914).
pub(crate) fn extended_error(answer: &Message) -> Option<(u16, String)> {
    let options = answer.edns.as_ref()?.options().as_ref();
    options.iter().find_map(|(code, option)| match option {
        EdnsOption::Unknown(15, data) if u16::from(*code) == 15 => {
            let (code, text) = data.split_first_chunk::<2>()?;
            let text = String::from_utf8_lossy(text).into_owned();
            Some((u16::from_be_bytes(*code), text))
        }
        _ => None,
    })
}
