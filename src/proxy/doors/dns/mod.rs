//! The name server of the sandbox, over UDP and TCP. It admits names as the other doors admit
//! targets; the address of an admissible name is the proxy's own, so that no A or AAAA question
//! ever leaves the machine (design 7).
//!
//! Nothing the sandbox sent is passed on: a question that goes upstream is made anew from a name
//! and a type that were judged.

mod answer;
mod question;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::RecordType;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::{sleep, sleep_until};

use crate::policy::{Door, Host, Name};
use crate::proxy::descriptors::NAME_SERVER;
use crate::proxy::gate::{Admissible, HOST_NAME, RefusedName};
use crate::proxy::resolve::Unresolved;

use self::answer::{Answer, UDP_MAX, Why};
use self::question::{Read, read};
use super::patience::within;
use super::{ACCEPT_PAUSE, Road};

/// How long a TCP client may be silent, or take for one question.
const TCP_SILENCE: Duration = Duration::from_secs(5);
/// How long it may be, once somebody else wants its place.
const TCP_MOMENT: Duration = Duration::from_millis(100);
/// Questions over UDP that wait for an upstream answer at a time.
const UPSTREAM: usize = 256;
/// And over TCP: half of the connections, so that the others are left to what is answered here.
const UPSTREAM_FOR_TCP: usize = NAME_SERVER / 2;
/// How often a flood of questions is told, while it lasts.
const TOLD: Duration = Duration::from_secs(10);

/// The DNS door.
pub(in crate::proxy) struct NameServer {
    pub(in crate::proxy) road: Arc<Road>,
    /// What an admissible name resolves to: where the other doors are.
    pub(in crate::proxy) own: Ipv4Addr,
    upstream_for_udp: Arc<Semaphore>,
    upstream_for_tcp: Semaphore,
}

/// What a question comes to.
enum Outcome {
    /// Not worth an answer: no question at all.
    Silence,
    Answer(Answer),
    /// It goes upstream first.
    Ask(Answer, Name, RecordType),
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
            upstream_for_udp: Arc::new(Semaphore::new(UPSTREAM)),
            upstream_for_tcp: Semaphore::new(UPSTREAM_FOR_TCP),
        }
    }

    /// Serves UDP until the socket fails for good.
    pub(in crate::proxy) async fn serve_udp(self: Arc<Self>, socket: UdpSocket) {
        let socket = Arc::new(socket);
        let mut packet = [0; UDP_MAX as usize];
        let mut excess = Excess::default();
        loop {
            let Ok((length, client)) = socket.recv_from(&mut packet).await else {
                // An ICMP error for an earlier answer, or no memory: neither ends the service.
                sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let read = read(&packet[..length]);
            if !self.road.gate.questions.takes_over_udp() {
                if let Some(answer) = self.turn_away(read, &mut excess).await {
                    let _ = socket.send_to(&answer.udp_bytes(), client).await;
                }
                continue;
            }
            match self.judge(read).await {
                Outcome::Silence => {}
                Outcome::Answer(answer) => {
                    let _ = socket.send_to(&answer.udp_bytes(), client).await;
                }
                Outcome::Ask(answer, name, kind) => {
                    self.spawn_upstream(answer, name, kind, Arc::clone(&socket), client);
                }
            }
        }
    }

    /// What is said to a question beyond the limit: to come back over TCP, where each client has
    /// its turn, so that one who floods takes nothing from one who does not. BIND calls that to
    /// slip (its rate-limit clause), and drops a part of such answers lest somebody else is flooded
    /// with them; here nobody else is on the network. An error would be taken for the answer: stubs
    /// go no further than SERVFAIL or REFUSED of their only server.
    async fn turn_away(&self, read: Read, excess: &mut Excess) -> Option<Answer> {
        match read {
            Read::Silence => None,
            Read::Answer(answer) => Some(answer),
            Read::Malformed { answer, .. } => Some(answer.over_tcp()),
            Read::Question { answer, host, .. } => {
                if let Some(count) = excess.count(Instant::now()) {
                    self.road.gate.too_many_questions(&host, count).await;
                }
                Some(answer.over_tcp())
            }
        }
    }

    fn spawn_upstream(
        self: &Arc<Self>,
        answer: Answer,
        name: Name,
        kind: RecordType,
        socket: Arc<UdpSocket>,
        client: SocketAddr,
    ) {
        // Beyond that many the client asks again, as it does for any lost packet.
        let Ok(place) = Arc::clone(&self.upstream_for_udp).try_acquire_owned() else {
            return;
        };
        let server = Arc::clone(self);
        tokio::spawn(async move {
            let answer = server.upstream(answer, &name, kind).await;
            let _ = socket.send_to(&answer.udp_bytes(), client).await;
            drop(place);
        });
    }

    /// Serves TCP until the listener fails for good.
    pub(in crate::proxy) async fn serve_tcp(self: Arc<Self>, listener: TcpListener) {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let places = &self.road.dialler.descriptors.name_server;
            let Some(place) = places.take().await else {
                return;
            };
            let server = Arc::clone(&self);
            tokio::spawn(async move {
                let _ = server.serve_stream(stream).await;
                drop(place);
            });
        }
    }

    /// One TCP client: questions with their length in front (RFC 1035, section 4.2.2).
    async fn serve_stream(&self, mut stream: TcpStream) -> io::Result<()> {
        let wanted = self.road.dialler.descriptors.name_server.wanted();
        loop {
            let question = async {
                let length = stream.read_u16().await?;
                if length > UDP_MAX {
                    return Err(io::Error::from(io::ErrorKind::InvalidData));
                }
                let mut question = vec![0; usize::from(length)];
                stream.read_exact(&mut question).await?;
                Ok(question)
            };
            let Ok(question) = within(TCP_MOMENT, TCP_SILENCE, wanted, question).await else {
                return Ok(());
            };
            let question = question?;
            if let Some(turn) = self.road.gate.questions.turn_over_tcp() {
                sleep_until(turn.into()).await;
            }
            let answer = match self.judge(read(&question)).await {
                Outcome::Silence => return Ok(()),
                Outcome::Answer(answer) => answer,
                Outcome::Ask(answer, name, kind) => match self.upstream_for_tcp.try_acquire() {
                    Ok(_place) => self.upstream(answer, &name, kind).await,
                    Err(_) => {
                        let why = "too many questions wait for the resolver already";
                        answer.failed(ResponseCode::ServFail, Why::Network, why)
                    }
                },
            };
            let bytes = answer.bytes();
            let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
            let framed = [&length.to_be_bytes()[..], &bytes].concat();
            match within(TCP_MOMENT, TCP_SILENCE, wanted, stream.write_all(&framed)).await {
                Ok(written) => written?,
                Err(_) => return Ok(()),
            }
        }
    }

    /// Decides about a question.
    async fn judge(&self, read: Read) -> Outcome {
        match read {
            Read::Silence => Outcome::Silence,
            Read::Answer(answer) => Outcome::Answer(answer),
            Read::Malformed { answer, shown, why } => {
                let answer = answer.blocked(&why);
                self.road.gate.malformed(&shown, Door::Dns, why).await;
                Outcome::Answer(answer)
            }
            Read::Question { answer, host, kind } => self.admit(answer, host, kind).await,
        }
    }

    async fn admit(&self, answer: Answer, host: Host, kind: RecordType) -> Outcome {
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
            let answer = answer.blocked(&refusal.why);
            self.road.gate.refused_name(&host, refusal).await;
            return Outcome::Answer(answer);
        }
        admitted(answer, host, kind, self.own)
    }

    async fn upstream(&self, answer: Answer, name: &Name, kind: RecordType) -> Answer {
        let _descriptors = self.road.dialler.descriptors.for_a_question().await;
        let resolver = self.road.dialler.resolver.load_full();
        let why = match resolver.records(name, kind).await {
            Ok(records) => return answer.found(records, kind),
            Err(Unresolved::NoAddress) => return answer.empty(),
            Err(Unresolved::TimedOut) => "no resolver answered in time",
            Err(Unresolved::Failed(_)) => "the resolver failed",
        };
        answer.failed(ResponseCode::ServFail, Why::Network, why)
    }
}

/// Questions that were turned away and not told of yet, and when some were told of last.
#[derive(Default)]
struct Excess(u64, Option<Instant>);

impl Excess {
    /// One more. How many are to be told of, if it is time.
    fn count(&mut self, now: Instant) -> Option<u64> {
        self.0 += 1;
        if self.1.is_some_and(|told| now - told < TOLD) {
            return None;
        }
        self.1 = Some(now);
        Some(std::mem::take(&mut self.0))
    }
}

/// Whether a question of this kind would leave the machine.
fn is_answered_upstream(kind: RecordType) -> bool {
    use RecordType::{A, AAAA, HTTPS, SVCB};
    !matches!(kind, A | AAAA | HTTPS | SVCB) && !is_no_record(kind)
}

/// A type that no record is of: every type at once (RFC 8482), a zone transfer, and what else is
/// said between servers (RFC 6895, section 3.1).
fn is_no_record(kind: RecordType) -> bool {
    matches!(kind, RecordType::ZERO | RecordType::OPT) || (128..=255).contains(&u16::from(kind))
}

/// What an admissible name comes to.
fn admitted(answer: Answer, host: Host, kind: RecordType, own: Ipv4Addr) -> Outcome {
    let Host::Name(name) = host else {
        return Outcome::Answer(answer.blocked("an address is no name"));
    };
    Outcome::Answer(match kind {
        RecordType::A => answer.at(own),
        // The sandbox has IPv4 alone; and what HTTPS and SVCB say would lead past the proxy.
        RecordType::AAAA | RecordType::HTTPS | RecordType::SVCB => answer.empty(),
        kind if is_no_record(kind) => {
            let why = "there are no records of this type";
            answer.failed(ResponseCode::NotImp, Why::NotSupported, why)
        }
        // Nobody upstream knows it.
        _ if name.as_str() == HOST_NAME => answer.empty(),
        kind => return Outcome::Ask(answer, name, kind),
    })
}

/// Reads a packet as the door does, and writes down what it would answer over UDP and which host
/// was asked about: as if `own` were the proxy's address and every name admissible, or without
/// one, as if none were. For the fuzzer: the door itself needs a proxy around it.
#[doc(hidden)]
pub fn read_and_answer(packet: &[u8], own: Option<Ipv4Addr>) -> Option<(Vec<u8>, Option<Host>)> {
    let (answer, host) = match read(packet) {
        Read::Silence => return None,
        Read::Answer(answer) => (answer, None),
        Read::Malformed { answer, why, .. } => (answer.blocked(&why), None),
        Read::Question { answer, host, kind } => {
            let outcome = match own {
                Some(own) => admitted(answer, host.clone(), kind, own),
                None => Outcome::Answer(answer.blocked(&format!("denied by the rule {host}"))),
            };
            match outcome {
                Outcome::Silence => return None,
                Outcome::Answer(answer) | Outcome::Ask(answer, ..) => (answer, Some(host)),
            }
        }
    };
    Some((answer.udp_bytes(), host))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_resolver::proto::op::{Edns, Message, MessageType, OpCode, Query};
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

    /// The data of the option that says why.
    fn explained(answer: &Message) -> Vec<u8> {
        use hickory_resolver::proto::rr::rdata::opt::EdnsOption;
        let options = answer.edns.as_ref().unwrap().options().as_ref();
        match options {
            [(_, EdnsOption::Unknown(15, data))] => data.clone(),
            other => panic!("{other:?}"),
        }
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
        assert!(bytes.len() <= 512, "{}", bytes.len());
        let answer = Message::from_vec(&bytes).unwrap();
        // Nobody has to come back for it: what matters is there.
        assert!(!answer.metadata.truncation);
        assert_eq!(answer.metadata.response_code, ResponseCode::NXDomain);
        assert_eq!(explained(&answer), [0, 15]);

        let answer = answered(&question("a.test.", 0).to_vec().unwrap());
        assert_eq!(
            explained(&answer),
            b"\0\x0fvibepit: denied by the rule a.test"
        );
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
