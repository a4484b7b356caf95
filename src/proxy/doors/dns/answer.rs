//! Answers: what they hold, why they hold nothing, and how they are cut to fit.

use std::net::Ipv4Addr;

use hickory_resolver::proto::op::{Edns, Message, OpCode, Query, ResponseCode};
use hickory_resolver::proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use hickory_resolver::proto::rr::rdata::{A, SOA};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

/// What a UDP answer may have without EDNS (RFC 1035, section 2.3.4).
const UDP_MIN: u16 = 512;
/// What is accepted and offered with EDNS: fits every path without fragments (RFC 9715).
pub(super) const UDP_MAX: u16 = 1232;
/// How long a client may keep an answer, or that there is none: rules change while a session runs.
const TTL: u32 = 5;
/// The EDNS option that says why (RFC 8914, section 2).
const EDE: u16 = 15;

/// Why an answer is not what was asked for, for programs (RFC 8914, section 5.2).
#[derive(Debug, Clone, Copy)]
#[repr(u16)]
pub(super) enum Why {
    /// The address is the proxy's, not the name's. (Of failures it is never said.)
    Forged = 4,
    /// Whoever runs this server does not let the name through.
    Blocked = 15,
    /// Nothing of this kind is served.
    NotSupported = 21,
    /// Whoever would know does not answer.
    Network = 23,
}

/// An answer to one packet.
#[derive(Debug)]
pub(super) struct Answer {
    message: Message,
    /// The bytes that the client takes over UDP.
    room: u16,
}

impl Answer {
    /// To a message, with what is copied of it: RFC 1035, section 4.1.1, and for those who check
    /// signatures themselves RFC 4035, section 3.2.2 (CD), and RFC 3225, section 3 (DO).
    pub(super) fn to(message: &Message) -> Self {
        let header = message.metadata;
        let mut answer = Self::to_header(header.id, header.op_code, header.recursion_desired);
        answer.message.metadata.checking_disabled = header.checking_disabled;
        if let Some(theirs) = &message.edns {
            answer.room = theirs.max_payload().clamp(UDP_MIN, UDP_MAX);
            let mut edns = Edns::new();
            edns.set_max_payload(UDP_MAX);
            edns.set_dnssec_ok(theirs.flags().dnssec_ok);
            answer.message.edns = Some(edns);
        }
        answer
    }

    /// To what has a header and cannot be read behind it.
    pub(super) fn to_header(id: u16, op_code: OpCode, recursion_desired: bool) -> Self {
        let mut message = Message::response(id, op_code);
        message.metadata.recursion_desired = recursion_desired;
        message.metadata.recursion_available = true;
        Self {
            message,
            room: UDP_MIN,
        }
    }

    /// Repeats the question, letter by letter: clients that vary the case of their names compare
    /// (draft-vixie-dnsext-dns0x20).
    pub(super) fn repeats(&mut self, question: &Query) {
        self.message.add_query(question.clone());
    }

    pub(super) fn coded(mut self, code: ResponseCode) -> Self {
        self.message.metadata.response_code = code;
        self
    }

    /// It cannot be served.
    pub(super) fn failed(self, code: ResponseCode, why: Why, text: &str) -> Self {
        self.explained(why, text).coded(code)
    }

    /// The name does not exist, as far as the sandbox is concerned.
    pub(super) fn blocked(self, text: &str) -> Self {
        self.explained(Why::Blocked, text)
            .coded(ResponseCode::NXDomain)
            .empty()
    }

    /// The name is where the proxy is.
    pub(super) fn at(mut self, own: Ipv4Addr) -> Self {
        if let Some(question) = self.message.queries.first() {
            let record = Record::from_rdata(question.name.clone(), TTL, RData::A(A(own)));
            self.message.add_answer(record);
        }
        self.explained(Why::Forged, "this is the proxy, which resolves the name")
    }

    /// What was found upstream of one type. Anything else that comes along, addresses above all,
    /// could lead past the proxy.
    pub(super) fn found(mut self, records: Vec<Record>, kind: RecordType) -> Self {
        let wanted = |record: &Record| {
            let found = record.record_type();
            found == kind || matches!(found, RecordType::CNAME | RecordType::DNAME)
        };
        self.message
            .add_answers(records.into_iter().filter(|record| wanted(record)));
        match self.message.answers.is_empty() {
            true => self.empty(),
            false => self,
        }
    }

    /// There is nothing, and it may be remembered for a moment: without an SOA record no client
    /// would (RFC 2308, section 5). All names are in one zone here, whose apex is the root.
    pub(super) fn empty(mut self) -> Self {
        let (server, nobody) = (name(&["vibepit", "internal"]), name(&["nobody", "invalid"]));
        let seconds = i32::try_from(TTL).unwrap_or(i32::MAX);
        let soa = SOA::new(server, nobody, 1, seconds, seconds, seconds, TTL);
        let record = Record::from_rdata(Name::root(), TTL, RData::SOA(soa));
        self.message.add_authority(record);
        self
    }

    /// A client that reads this asks again over TCP.
    pub(super) fn over_tcp(mut self) -> Self {
        self.message.metadata.truncation = true;
        self
    }

    /// Says why, to a client that speaks EDNS.
    fn explained(mut self, why: Why, text: &str) -> Self {
        if let Some(edns) = &mut self.message.edns {
            let text = format!("vibepit: {text}");
            let data = [&(why as u16).to_be_bytes()[..], text.as_bytes()].concat();
            edns.options_mut().insert(EdnsOption::Unknown(EDE, data));
        }
        self
    }

    /// Its bytes.
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.message.to_vec().unwrap_or_default()
    }

    /// Its bytes over UDP: no more than the client takes.
    pub(super) fn udp_bytes(mut self) -> Vec<u8> {
        let room = usize::from(self.room);
        let whole = self.bytes();
        if whole.len() <= room {
            return whole;
        }
        // The words for a person are the first to go: nobody is to ask again for their sake
        // (RFC 8914, section 3).
        if let Some(edns) = &mut self.message.edns
            && let Some(EdnsOption::Unknown(_, data)) = edns.option(EdnsCode::from(EDE))
        {
            let code = data[..data.len().min(2)].to_vec();
            edns.options_mut().remove(EdnsCode::from(EDE));
            edns.options_mut().insert(EdnsOption::Unknown(EDE, code));
            let without = self.bytes();
            if without.len() <= room {
                return without;
            }
        }
        // The question stays, and that EDNS is spoken: 288 bytes at most.
        self.message.truncate().to_vec().unwrap_or_default()
    }
}

fn name(labels: &[&str]) -> Name {
    // Fixed labels of letters: they make a name.
    Name::from_labels(labels.iter().map(|label| label.as_bytes())).unwrap_or_else(|_| Name::root())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_resolver::proto::rr::rdata::{AAAA, CNAME, TXT};

    #[test]
    fn of_what_is_found_upstream_only_what_was_asked_for_goes_on() {
        let owner = name(&["a", "test"]);
        let records = [
            RData::CNAME(CNAME(owner.clone())),
            RData::TXT(TXT::new(vec!["hello".to_owned()])),
            RData::A(A([192, 0, 2, 1].into())),
            RData::AAAA(AAAA([0; 8].into())),
            RData::SOA(SOA::new(owner.clone(), owner.clone(), 1, 1, 1, 1, 1)),
        ];
        let records = records.map(|data| Record::from_rdata(owner.clone(), 1, data));
        let answer = |kind| Answer::to_header(1, OpCode::Query, true).found(records.to_vec(), kind);
        let kinds = |kind| -> Vec<_> {
            let answers = answer(kind).message.answers;
            answers.iter().map(Record::record_type).collect()
        };
        assert_eq!(kinds(RecordType::TXT), [RecordType::CNAME, RecordType::TXT]);
        assert_eq!(kinds(RecordType::SOA), [RecordType::CNAME, RecordType::SOA]);
        assert_eq!(kinds(RecordType::MX), [RecordType::CNAME]);
    }
}
