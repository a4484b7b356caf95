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
use crate::proxy::gate::{Admissible, HOST_NAME, RefusedName};
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
/// The EDNS option that carries one (RFC 8914, section 2).
const EDE: u16 = 15;

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
                Outcome::Answer(coded(answer, ResponseCode::NXDomain))
            }
            Read::Question { answer, host, kind } => self.admit(answer, host, kind).await,
        }
    }

    async fn admit(&self, answer: Message, host: Host, kind: RecordType) -> Outcome {
        let refusal = match self.road.gate.admits_name(&host) {
            Err(refusal) => Some(refusal),
            // A question is a way out as well, and nobody has allowed it yet.
            Ok(Admissible::IfAskedAbout) if is_answered_upstream(kind) => {
                Some(RefusedName::unlisted("no rule allows it yet"))
            }
            Ok(Admissible::Limited) if is_answered_upstream(kind) => Some(RefusedName::uncounted()),
            Ok(Admissible::Allowed | Admissible::Limited | Admissible::IfAskedAbout) => None,
        };
        if let Some(refusal) = refusal {
            let answer = refused(answer, &refusal.why);
            self.road.gate.refused_name(&host, refusal).await;
            return Outcome::Answer(answer);
        }
        admitted(answer, host, kind, self.own)
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

/// Whether a question of this kind would leave the machine.
fn is_answered_upstream(kind: RecordType) -> bool {
    use RecordType::{A, AAAA, ANY, AXFR, HTTPS, IXFR, SVCB};
    !matches!(kind, A | AAAA | HTTPS | SVCB | ANY | AXFR | IXFR)
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
    let header = message.metadata;
    let mut answer = answer_to(header.id, header.op_code, header.recursion_desired);
    let with = |answer, code| Read::Answer(coded(answer, code));
    if let Some(theirs) = &message.edns {
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_MAX);
        answer.edns = Some(edns);
        // RFC 6891, section 6.1.3: version 0 is all there is here.
        if theirs.version() > 0 {
            return with(answer, ResponseCode::BADVERS);
        }
    }
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

/// Reads a packet as the door does, and writes down what it would answer over UDP and which host
/// was asked about: as if `own` were the proxy's address and every name admissible, or without
/// one, as if none were. For the fuzzer: the door itself needs a proxy around it.
#[doc(hidden)]
pub fn read_and_answer(packet: &[u8], own: Option<Ipv4Addr>) -> Option<(Vec<u8>, Option<Host>)> {
    let (answer, host) = match read(packet) {
        Read::Silence => return None,
        Read::Answer(answer) => (answer, None),
        Read::Malformed { answer, .. } => (coded(answer, ResponseCode::NXDomain), None),
        Read::Question { answer, host, kind } => {
            let outcome = match own {
                Some(own) => admitted(answer, host.clone(), kind, own),
                None => Outcome::Answer(refused(answer, &format!("denied by the rule {host}"))),
            };
            match outcome {
                Outcome::Silence => return None,
                Outcome::Answer(answer) => (answer, Some(host)),
                Outcome::Ask(answer, ..) => (*answer, Some(host)),
            }
        }
    };
    Some((wire(&answer, Some(packet)), host))
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

/// What an admissible name comes to.
fn admitted(mut answer: Message, host: Host, kind: RecordType, own: Ipv4Addr) -> Outcome {
    let Host::Name(name) = host else {
        return Outcome::Answer(coded(answer, ResponseCode::NXDomain));
    };
    match kind {
        RecordType::A => {
            let asked = answer.queries.first().map(|question| question.name.clone());
            let own = RData::A(A(own));
            answer.add_answers(asked.map(|asked| Record::from_rdata(asked, TTL, own)));
            Outcome::Answer(answer)
        }
        // The sandbox has IPv4 alone; and what HTTPS and SVCB say would lead past the proxy.
        RecordType::AAAA | RecordType::HTTPS | RecordType::SVCB => Outcome::Answer(answer),
        // RFC 8482; and zone transfers have no business here.
        RecordType::ANY | RecordType::AXFR | RecordType::IXFR => {
            Outcome::Answer(coded(answer, ResponseCode::NotImp))
        }
        // Nobody upstream knows it.
        _ if name.as_str() == HOST_NAME => Outcome::Answer(answer),
        kind => Outcome::Ask(Box::new(answer), name, kind),
    }
}

/// What a name comes to that is not admissible.
fn refused(mut answer: Message, why: &str) -> Message {
    blocked(&mut answer, &format!("vibepit: {why}"));
    coded(answer, ResponseCode::NXDomain)
}

fn coded(mut answer: Message, code: ResponseCode) -> Message {
    answer.metadata.response_code = code;
    answer
}

/// Extended DNS Error "Blocked" with a text for a person (RFC 8914), where the client does EDNS.
fn blocked(answer: &mut Message, text: &str) {
    if let Some(edns) = &mut answer.edns {
        let data = [&EDE_BLOCKED.to_be_bytes()[..], text.as_bytes()].concat();
        edns.options_mut().insert(EdnsOption::Unknown(EDE, data));
    }
}

/// A packet that is no message: FORMERR if it has a header that can be answered.
fn unreadable(packet: &[u8]) -> Read {
    match packet {
        // QR clear: it was meant as a question.
        [high, low, flags, ..] if packet.len() >= 12 && flags & 0x80 == 0 => {
            let id = u16::from_be_bytes([*high, *low]);
            let answer = answer_to(id, OpCode::from_u8(flags >> 3 & 0xf), flags & 1 == 1);
            Read::Answer(coded(answer, ResponseCode::FormErr))
        }
        _ => Read::Silence,
    }
}

/// An answer with what is copied from the question's header (RFC 1035, section 4.1.1).
fn answer_to(id: u16, op_code: OpCode, recursion_desired: bool) -> Message {
    let mut answer = Message::response(id, op_code);
    answer.metadata.recursion_desired = recursion_desired;
    answer.metadata.recursion_available = true;
    answer
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
    // The question stays, and that EDNS is spoken: 282 bytes at most. The text of an extended
    // error may be longer than what is left of 512 (RFC 8914, section 3: it is dropped first).
    let mut cut = answer.truncate();
    if let Some(edns) = &mut cut.edns {
        edns.options_mut().remove(EdnsCode::from(EDE));
    }
    cut.to_vec().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_resolver::proto::rr::Name;

    /// A question for the address of `name`, with EDNS of this version and room for 512 bytes.
    fn question(name: &str, edns_version: u8) -> Message {
        let mut question = Message::new(7, MessageType::Query, OpCode::Query);
        let name = Name::from_ascii(name).unwrap();
        question.add_query(Query::query(name, RecordType::A));
        let mut edns = Edns::new();
        edns.set_version(edns_version);
        question.edns = Some(edns);
        question
    }

    fn answered(question: &[u8]) -> Message {
        let (answer, _) = read_and_answer(question, None).unwrap();
        Message::from_vec(&answer).unwrap()
    }

    #[test]
    fn why_a_name_is_refused_is_left_out_where_it_does_not_fit() {
        let label = "a".repeat(63);
        let long = format!("{label}.{label}.{label}.{}.", "a".repeat(61));
        let (bytes, _) = read_and_answer(&question(&long, 0).to_vec().unwrap(), None).unwrap();
        assert!(bytes.len() <= usize::from(UDP_MIN), "{}", bytes.len());
        let answer = Message::from_vec(&bytes).unwrap();
        assert!(answer.metadata.truncation);
        assert_eq!(answer.metadata.response_code, ResponseCode::NXDomain);
        assert!(answer.edns.unwrap().options().as_ref().is_empty());

        let answer = answered(&question("a.test.", 0).to_vec().unwrap());
        assert!(!answer.metadata.truncation);
        assert!(!answer.edns.unwrap().options().as_ref().is_empty());
    }

    #[test]
    fn an_answer_to_what_cannot_be_read_still_has_the_header_that_was_sent() {
        // An update that recursion is desired for, and a label that runs out of the packet.
        let answer = answered(b"\x12\x34\x29\x00\x00\x01\x00\x00\x00\x00\x00\x00\x3fabc");
        assert_eq!(answer.metadata.id, 0x1234);
        assert_eq!(answer.metadata.op_code, OpCode::Update);
        assert!(answer.metadata.recursion_desired);
        assert_eq!(answer.metadata.response_code, ResponseCode::FormErr);
    }

    #[test]
    fn a_client_of_a_newer_edns_is_told_which_version_is_spoken() {
        let answer = answered(&question("a.test.", 1).to_vec().unwrap());
        // 16 is BADSIG as well, and that is how it is read.
        assert_eq!(u16::from(answer.metadata.response_code), 16);
        assert_eq!(answer.edns.unwrap().version(), 0);
    }
}
