//! The resolver upstream: an authoritative server on loopback that answers the names a test
//! gives it, and remembers every question.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, SOA, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};

/// A resolver. It serves for as long as the test's process lives.
pub(crate) struct Resolver {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    zone: Mutex<HashMap<String, Vec<Says>>>,
    /// Of names that nothing is said of.
    otherwise: Says,
    questions: Mutex<Vec<Question>>,
}

/// What the resolver says of a name.
#[derive(Debug, Clone)]
pub(crate) enum Says {
    /// These addresses, for A and AAAA as they fit.
    Addresses(Vec<IpAddr>),
    /// Another name, and its addresses in the same answer.
    Alias(String, Vec<IpAddr>),
    /// A text, for TXT; and an address that nobody asked for in the additional section.
    Text(String),
    /// Addresses too many for UDP: truncated there, whole over TCP.
    TextsOverTcp(Vec<String>),
    /// A response code.
    Fails(ResponseCode),
    /// Nothing.
    Silence,
}

/// A question that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    /// As it was spelled.
    pub(crate) name: String,
    pub(crate) kind: RecordType,
    /// Transaction.
    pub(crate) id: u16,
    /// Codes of the EDNS options that came along.
    pub(crate) options: Vec<u16>,
    /// Records beside the question, OPT not counted.
    pub(crate) extra_records: usize,
    pub(crate) over_tcp: bool,
}

impl Resolver {
    /// Answers for these names; others do not exist.
    pub(crate) fn new(zone: &[(&str, Says)]) -> Self {
        Self::at([127, 0, 0, 1].into(), zone)
    }

    /// As [`Self::new`], at an address of this machine.
    pub(crate) fn at(address: IpAddr, zone: &[(&str, Says)]) -> Self {
        let resolver = Self::listening(address, Says::Fails(ResponseCode::NXDomain));
        for (name, says) in zone {
            resolver.set(name, says.clone());
        }
        resolver
    }

    /// Says the same of every name.
    pub(crate) fn otherwise(otherwise: Says) -> Self {
        Self::listening([127, 0, 0, 1].into(), otherwise)
    }

    fn listening(address: IpAddr, otherwise: Says) -> Self {
        let (udp, tcp) = sockets(address);
        let address = udp.local_addr().expect("its address");
        let state = Arc::new(State {
            zone: Mutex::new(HashMap::new()),
            otherwise,
            questions: Mutex::new(Vec::new()),
        });
        let over_udp = Arc::clone(&state);
        thread::spawn(move || over_udp.serve_udp(&udp));
        let over_tcp = Arc::clone(&state);
        thread::spawn(move || {
            for stream in tcp.incoming().map_while(Result::ok) {
                let state = Arc::clone(&over_tcp);
                thread::spawn(move || state.serve_tcp(stream));
            }
        });
        Self { address, state }
    }

    /// Every name of a list at 127.0.0.1.
    pub(crate) fn at_loopback(names: &[&str]) -> Self {
        let here: IpAddr = [127, 0, 0, 1].into();
        let zone: Vec<_> = names
            .iter()
            .map(|name| (*name, Says::addresses([here])))
            .collect();
        Self::new(&zone)
    }

    /// From now on it says this of a name.
    pub(crate) fn set(&self, name: &str, says: Says) {
        self.set_in_turn(name, [says]);
    }

    /// The first question for each type gets the first answer, and so on; the last one stays.
    pub(crate) fn set_in_turn(&self, name: &str, says: impl IntoIterator<Item = Says>) {
        let mut says: Vec<_> = says.into_iter().collect();
        says.reverse();
        let mut zone = self
            .state
            .zone
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        zone.insert(name.to_owned(), says);
    }

    /// The line of config.toml that makes a proxy ask it.
    pub(crate) fn config(&self) -> String {
        format!("upstream_dns = [\"{}\"]\n", self.address)
    }

    /// Every question so far.
    pub(crate) fn questions(&self) -> Vec<Question> {
        let questions = self
            .state
            .questions
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        questions.clone()
    }
}

impl Says {
    pub(crate) fn addresses<I: Into<IpAddr>>(addresses: impl IntoIterator<Item = I>) -> Self {
        Self::Addresses(addresses.into_iter().map(Into::into).collect())
    }
}

/// One port on both transports.
fn sockets(address: IpAddr) -> (UdpSocket, TcpListener) {
    for _ in 0..100 {
        let tcp = TcpListener::bind((address, 0)).expect("a port");
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr().expect("its address")) {
            return (udp, tcp);
        }
    }
    panic!("no port is free on both transports");
}

impl State {
    fn serve_udp(&self, socket: &UdpSocket) {
        let mut packet = [0; 4096];
        while let Ok((length, client)) = socket.recv_from(&mut packet) {
            if let Some(answer) = self.answer(&packet[..length], false) {
                let _ = socket.send_to(&answer, client);
            }
        }
    }

    fn serve_tcp(&self, mut stream: TcpStream) {
        let mut length = [0; 2];
        while stream.read_exact(&mut length).is_ok() {
            let mut packet = vec![0; usize::from(u16::from_be_bytes(length))];
            if stream.read_exact(&mut packet).is_err() {
                return;
            }
            let Some(answer) = self.answer(&packet, true) else {
                continue;
            };
            let length = u16::try_from(answer.len()).expect("a length").to_be_bytes();
            if stream.write_all(&[&length[..], &answer].concat()).is_err() {
                return;
            }
        }
    }

    fn answer(&self, packet: &[u8], over_tcp: bool) -> Option<Vec<u8>> {
        let message = Message::from_vec(packet).ok()?;
        let query = message.queries.first()?;
        let name = query.name.to_ascii();
        let options = message
            .edns
            .iter()
            .flat_map(|edns| edns.options().as_ref().iter());
        let question = Question {
            name: name.trim_end_matches('.').to_owned(),
            kind: query.query_type,
            id: message.metadata.id,
            options: options.map(|(code, _)| u16::from(*code)).collect(),
            extra_records: message.all_sections().count(),
            over_tcp,
        };
        let says = self.says(&question);
        self.questions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(question);
        let mut answer = message.clone();
        answer.metadata.message_type = MessageType::Response;
        answer.metadata.authoritative = true;
        answer.metadata.recursion_available = true;
        answer.edns = None;
        answer.additionals.clear();
        fill(&mut answer, says, &query.name, query.query_type, over_tcp)?;
        answer.to_vec().ok()
    }

    /// Answers that come in turn are counted by the A questions: both families of a name are
    /// asked for at once.
    fn says(&self, question: &Question) -> Says {
        let mut zone = self.zone.lock().unwrap_or_else(PoisonError::into_inner);
        match zone.get_mut(&question.name.to_ascii_lowercase()) {
            None => self.otherwise.clone(),
            Some(says) if says.len() > 1 && question.kind == RecordType::A => {
                says.pop().expect("more than one")
            }
            Some(says) => says.last().expect("at least one").clone(),
        }
    }
}

/// Puts what is said into an answer. `None`: nothing is sent.
fn fill(
    answer: &mut Message,
    says: Says,
    name: &Name,
    kind: RecordType,
    over_tcp: bool,
) -> Option<()> {
    // TTL 0: nothing may be kept, so that a second look-up would be a second question.
    let record = |name: &Name, data| Record::from_rdata(name.clone(), 0, data);
    match says {
        Says::Addresses(addresses) => {
            answer.add_answers(fitting(&addresses, kind).map(|data| record(name, data)));
        }
        Says::Alias(other, addresses) => {
            let other = Name::from_ascii(format!("{other}.")).expect("a name");
            answer.add_answer(record(name, RData::CNAME(CNAME(other.clone()))));
            answer.add_answers(fitting(&addresses, kind).map(|data| record(&other, data)));
        }
        Says::Text(text) => {
            if kind == RecordType::TXT {
                answer.add_answer(record(name, RData::TXT(TXT::new(vec![text]))));
                let glue = RData::A(A([10, 0, 0, 1].into()));
                answer.add_additional(record(name, glue));
            }
        }
        Says::TextsOverTcp(_) if !over_tcp => answer.metadata.truncation = true,
        Says::TextsOverTcp(texts) => {
            let texts = texts
                .into_iter()
                .map(|text| RData::TXT(TXT::new(vec![text])));
            answer.add_answers(texts.map(|data| record(name, data)));
        }
        Says::Fails(code) => answer.metadata.response_code = code,
        Says::Silence => return None,
    }
    if answer.answers.is_empty() {
        let zone = Name::from_ascii("test.").expect("a name");
        let soa = SOA::new(zone.clone(), zone.clone(), 1, 60, 60, 60, 0);
        answer.add_authority(record(&zone, RData::SOA(soa)));
    }
    Some(())
}

fn fitting(addresses: &[IpAddr], kind: RecordType) -> impl Iterator<Item = RData> {
    addresses
        .iter()
        .filter_map(move |address| match (address, kind) {
            (IpAddr::V4(v4), RecordType::A) => Some(RData::A(A(*v4))),
            (IpAddr::V6(v6), RecordType::AAAA) => Some(RData::AAAA(AAAA(*v6))),
            _ => None,
        })
}
