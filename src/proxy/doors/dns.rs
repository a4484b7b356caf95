//! The name server of the sandbox, over UDP and TCP. It admits names as the other doors admit
//! targets; the address of an admissible name is the proxy's own, so that no A or AAAA question
//! ever leaves the machine (design 7).
//!
//! Nothing the sandbox sent is passed on: a question that goes upstream is made anew from a name
//! and a type that were judged.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_resolver::proto::rr::rdata::A;
use hickory_resolver::proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use hickory_resolver::proto::rr::{DNSClass, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::policy::{Door, Host, Reason};
use crate::proxy::gate::{Admissible, HOST_NAME};
use crate::proxy::resolve::Unresolved;

use super::{ACCEPT_PAUSE, Road};

/// What a UDP answer may have without EDNS (RFC 1035, section 2.3.4).
const UDP_MIN: u16 = 512;
/// What is accepted and offered with EDNS: fits every path without fragments (RFC 9715).
const UDP_MAX: u16 = 1232;
/// How long a TCP client may be silent, or take for one question.
const TCP_SILENCE: Duration = Duration::from_secs(5);
const TCP_CONNECTIONS: usize = 128;
/// Questions that wait for an upstream answer at a time.
const UPSTREAM: usize = 256;
/// How long a client may keep an answer: rules change while a session runs.
const TTL: u32 = 5;
/// "Blocked" (RFC 8914, section 4.16).
const EDE_BLOCKED: u16 = 15;

/// The DNS door.
pub(in crate::proxy) struct NameServer {
    pub(in crate::proxy) road: Arc<Road>,
    /// What an admissible name resolves to: where the other doors are.
    pub(in crate::proxy) own: Ipv4Addr,
    upstream: Arc<Semaphore>,
}

/// What a question comes to.
enum Outcome {
    /// Not worth an answer: no question at all.
    Silence,
    Answer(Message),
    /// It goes upstream first.
    Ask(Box<Message>, crate::policy::Name, RecordType),
}

impl NameServer {
    pub(in crate::proxy) fn new(road: Arc<Road>, own: IpAddr) -> Self {
        let own = match own {
            IpAddr::V4(own) => own,
            IpAddr::V6(_) => Ipv4Addr::LOCALHOST,
        };
        Self {
            road,
            own,
            upstream: Arc::new(Semaphore::new(UPSTREAM)),
        }
    }

    /// Serves UDP until the socket fails for good.
    pub(in crate::proxy) async fn serve_udp(self: Arc<Self>, socket: UdpSocket) {
        let socket = Arc::new(socket);
        let mut packet = [0; UDP_MAX as usize];
        loop {
            let Ok((length, client)) = socket.recv_from(&mut packet).await else {
                // An ICMP error for an earlier answer, or no memory: neither ends the service.
                sleep(ACCEPT_PAUSE).await;
                continue;
            };
            match self.judge(&packet[..length]).await {
                Outcome::Silence => {}
                Outcome::Answer(answer) => {
                    let _ = socket
                        .send_to(&wire(&answer, Some(&packet[..length])), client)
                        .await;
                }
                Outcome::Ask(answer, name, kind) => {
                    self.spawn_upstream(
                        *answer,
                        name,
                        kind,
                        Arc::clone(&socket),
                        client,
                        &packet[..length],
                    );
                }
            }
        }
    }

    fn spawn_upstream(
        self: &Arc<Self>,
        answer: Message,
        name: crate::policy::Name,
        kind: RecordType,
        socket: Arc<UdpSocket>,
        client: SocketAddr,
        question: &[u8],
    ) {
        // Beyond that many the client asks again, as it does for any lost packet.
        let Ok(place) = Arc::clone(&self.upstream).try_acquire_owned() else {
            return;
        };
        let server = Arc::clone(self);
        let question = question.to_vec();
        tokio::spawn(async move {
            let answer = server.upstream(answer, &name, kind).await;
            let _ = socket
                .send_to(&wire(&answer, Some(&question)), client)
                .await;
            drop(place);
        });
    }

    /// Serves TCP until the listener fails for good.
    pub(in crate::proxy) async fn serve_tcp(self: Arc<Self>, listener: TcpListener) {
        let places = Arc::new(Semaphore::new(TCP_CONNECTIONS));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                return;
            };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let server = Arc::clone(&self);
                    tokio::spawn(async move {
                        let _ = server.serve_stream(stream).await;
                        drop(place);
                    });
                }
                Err(_) => sleep(ACCEPT_PAUSE).await,
            }
        }
    }

    /// One TCP client: questions with their length in front (RFC 1035, section 4.2.2).
    async fn serve_stream(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        loop {
            let question = timeout(TCP_SILENCE, async {
                let length = stream.read_u16().await?;
                if length > UDP_MAX {
                    return Err(io::Error::from(io::ErrorKind::InvalidData));
                }
                let mut question = vec![0; usize::from(length)];
                stream.read_exact(&mut question).await?;
                Ok(question)
            });
            let question = question.await??;
            let answer = match self.judge(&question).await {
                Outcome::Silence => return Ok(()),
                Outcome::Answer(answer) => answer,
                Outcome::Ask(answer, name, kind) => self.upstream(*answer, &name, kind).await,
            };
            let bytes = wire(&answer, None);
            let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
            let framed = [&length.to_be_bytes()[..], &bytes].concat();
            timeout(TCP_SILENCE, stream.write_all(&framed)).await??;
        }
    }

    /// Parses a question and decides about it.
    async fn judge(&self, packet: &[u8]) -> Outcome {
        match read(packet) {
            Read::Silence => Outcome::Silence,
            Read::Answer(answer) => Outcome::Answer(answer),
            Read::Malformed { answer, shown, why } => {
                self.road.gate.malformed(&shown, Door::Dns, why).await;
                refused(answer, ResponseCode::NXDomain)
            }
            Read::Question { answer, host, kind } => self.admit(answer, host, kind).await,
        }
    }

    async fn admit(&self, mut answer: Message, host: Host, kind: RecordType) -> Outcome {
        let admissible = match self.road.gate.admits_name(&host) {
            Ok(admissible) => admissible,
            Err((reason, why)) => {
                let text = format!("vibepit: {why}");
                self.road.gate.refused_name(&host, reason, why).await;
                blocked(&mut answer, &text);
                return refused(answer, ResponseCode::NXDomain);
            }
        };
        let Host::Name(name) = host else {
            return refused(answer, ResponseCode::NXDomain);
        };
        match kind {
            RecordType::A => {
                let asked = answer.queries.first().map(|question| question.name.clone());
                let own = RData::A(A(self.own));
                answer.add_answers(asked.map(|asked| Record::from_rdata(asked, TTL, own)));
                Outcome::Answer(answer)
            }
            // The sandbox has IPv4 alone; and what HTTPS and SVCB say would lead past the proxy.
            RecordType::AAAA | RecordType::HTTPS | RecordType::SVCB => Outcome::Answer(answer),
            // RFC 8482; and zone transfers have no business here.
            RecordType::ANY | RecordType::AXFR | RecordType::IXFR => {
                refused(answer, ResponseCode::NotImp)
            }
            // A question is a way out as well, and nobody has allowed it yet.
            _ if admissible == Admissible::IfAskedAbout => {
                let why = "no rule allows it yet";
                blocked(&mut answer, &format!("vibepit: {why}"));
                let reason = Reason::Unlisted;
                self.road
                    .gate
                    .refused_name(&Host::Name(name), reason, why.to_owned())
                    .await;
                refused(answer, ResponseCode::NXDomain)
            }
            // Nobody upstream knows it.
            _ if name.as_str() == HOST_NAME => Outcome::Answer(answer),
            kind => Outcome::Ask(Box::new(answer), name, kind),
        }
    }

    async fn upstream(
        &self,
        mut answer: Message,
        name: &crate::policy::Name,
        kind: RecordType,
    ) -> Message {
        match self
            .road
            .dialler
            .resolver
            .load_full()
            .records(name, kind)
            .await
        {
            Ok(records) => {
                // Addresses that come along would lead past the proxy.
                let records = records
                    .into_iter()
                    .filter(|record| !matches!(record.data, RData::A(_) | RData::AAAA(_)));
                answer.add_answers(records);
            }
            Err(Unresolved::NoAddress) => {}
            Err(Unresolved::TimedOut | Unresolved::Failed(_)) => {
                answer.metadata.response_code = ResponseCode::ServFail;
            }
        }
        answer
    }
}

/// A packet, before anything is decided about it.
enum Read {
    /// Not worth an answer.
    Silence,
    /// It can be answered without knowing a rule.
    Answer(Message),
    /// The name that it asks about is none: what can be shown of it, and why.
    Malformed {
        answer: Message,
        shown: Vec<u8>,
        why: String,
    },
    /// A question, and the answer to it but for what matters.
    Question {
        answer: Message,
        host: Host,
        kind: RecordType,
    },
}

fn read(packet: &[u8]) -> Read {
    let Ok(message) = Message::from_vec(packet) else {
        return unreadable(packet);
    };
    if message.metadata.message_type != MessageType::Query {
        return Read::Silence;
    }
    let mut answer = Message::response(message.metadata.id, message.metadata.op_code);
    answer.metadata.recursion_desired = message.metadata.recursion_desired;
    answer.metadata.recursion_available = true;
    if message.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_MAX);
        answer.edns = Some(edns);
    }
    let with = |mut answer: Message, code| {
        answer.metadata.response_code = code;
        Read::Answer(answer)
    };
    if message.metadata.op_code != OpCode::Query {
        return with(answer, ResponseCode::NotImp);
    }
    let [question] = message.queries.as_slice() else {
        return with(answer, ResponseCode::FormErr);
    };
    answer.add_query(question.clone());
    if question.query_class != DNSClass::IN {
        return with(answer, ResponseCode::Refused);
    }
    match asked(question) {
        Ok(host) => Read::Question {
            answer,
            host,
            kind: question.query_type,
        },
        Err((shown, why)) => Read::Malformed { answer, shown, why },
    }
}

/// Reads a packet as the door does, and writes down what it would answer. For the fuzzer: the
/// door itself needs a proxy around it.
#[doc(hidden)]
pub fn read_and_answer(packet: &[u8]) -> Option<(Vec<u8>, Option<Host>)> {
    match read(packet) {
        Read::Silence => None,
        Read::Answer(answer) | Read::Malformed { answer, .. } => {
            Some((wire(&answer, Some(packet)), None))
        }
        Read::Question {
            mut answer, host, ..
        } => {
            blocked(&mut answer, "vibepit");
            Some((wire(&answer, Some(packet)), Some(host)))
        }
    }
}

/// The host that is asked about, parsed as every other door parses one; or what can be shown of
/// it, and why it is none.
fn asked(question: &Query) -> Result<Host, (Vec<u8>, String)> {
    let mut text = Vec::with_capacity(64);
    for label in question.name.iter() {
        if !text.is_empty() {
            text.push(b'.');
        }
        // A dot within a label would make two of it.
        if label.contains(&b'.') {
            return Err((
                question.name.to_ascii().into_bytes(),
                "a label holds a dot".to_owned(),
            ));
        }
        text.extend_from_slice(label);
    }
    match Host::from_wire(&text) {
        Ok(Host::Name(name)) => Ok(Host::Name(name)),
        Ok(Host::Ip(_)) => Err((text, Reason::Malformed.to_string())),
        Err(error) => Err((text, error.to_string())),
    }
}

fn refused(mut answer: Message, code: ResponseCode) -> Outcome {
    answer.metadata.response_code = code;
    Outcome::Answer(answer)
}

/// Extended DNS Error "Blocked" with a text for a person (RFC 8914), where the client does EDNS.
fn blocked(answer: &mut Message, text: &str) {
    if let Some(edns) = &mut answer.edns {
        let data = [&EDE_BLOCKED.to_be_bytes()[..], text.as_bytes()].concat();
        let option = EdnsOption::Unknown(15, data);
        debug_assert_eq!(EdnsCode::from(15), EdnsCode::Unknown(15));
        edns.options_mut().insert(option);
    }
}

/// A packet that is no message: FORMERR if it has a header that can be answered.
fn unreadable(packet: &[u8]) -> Read {
    match packet {
        // QR clear: it was meant as a question.
        [high, low, flags, ..] if packet.len() >= 12 && flags & 0x80 == 0 => {
            let id = u16::from_be_bytes([*high, *low]);
            Read::Answer(Message::error_msg(id, OpCode::Query, ResponseCode::FormErr))
        }
        _ => Read::Silence,
    }
}

/// The bytes of an answer; over UDP cut to what the client takes.
fn wire(answer: &Message, udp_question: Option<&[u8]>) -> Vec<u8> {
    let bytes = answer.to_vec().unwrap_or_default();
    let Some(question) = udp_question else {
        return bytes;
    };
    let offered = Message::from_vec(question).map_or(UDP_MIN, |message| match &message.edns {
        Some(edns) => edns.max_payload().clamp(UDP_MIN, UDP_MAX),
        None => UDP_MIN,
    });
    if bytes.len() <= usize::from(offered) {
        return bytes;
    }
    let mut cut = answer.truncate();
    cut.metadata.truncation = true;
    cut.to_vec().unwrap_or_default()
}
