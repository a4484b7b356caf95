//! Reads a packet: what is asked, or what can be said without asking anybody. Everything in it
//! was chosen by the sandbox.

use hickory_resolver::proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_resolver::proto::rr::{DNSClass, RecordType};

use crate::policy::{Host, Reason};

use super::answer::{Answer, Why};

/// A packet, before anything is decided about it.
pub(super) enum Read {
    /// Not worth an answer: no question at all.
    Silence,
    /// It can be answered without knowing a rule.
    Answer(Answer),
    /// The name that it asks about is none: what can be shown of it, and why.
    Malformed {
        answer: Answer,
        shown: Vec<u8>,
        why: String,
    },
    /// A question, and the answer to it but for what matters.
    Question {
        answer: Answer,
        host: Host,
        kind: RecordType,
    },
}

pub(super) fn read(packet: &[u8]) -> Read {
    let Ok(message) = Message::from_vec(packet) else {
        return unreadable(packet);
    };
    if message.metadata.message_type != MessageType::Query {
        return Read::Silence;
    }
    let mut answer = Answer::to(&message);
    // RFC 6891, section 6.1.3: version 0 is all there is here.
    if message.edns.is_some_and(|edns| edns.version() > 0) {
        return Read::Answer(answer.coded(ResponseCode::BADVERS));
    }
    if message.metadata.op_code != OpCode::Query {
        return Read::Answer(answer.failed(
            ResponseCode::NotImp,
            Why::NotSupported,
            "only questions are answered",
        ));
    }
    // RFC 9619: there is one, whatever RFC 1035 has room for.
    let [question] = message.queries.as_slice() else {
        return Read::Answer(answer.coded(ResponseCode::FormErr));
    };
    answer.repeats(question);
    if question.query_class != DNSClass::IN {
        return Read::Answer(answer.failed(
            ResponseCode::Refused,
            Why::NotSupported,
            "only the class IN is served",
        ));
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

/// A packet that is no message: FORMERR if it has a header that can be answered.
fn unreadable(packet: &[u8]) -> Read {
    match packet {
        // QR clear: it was meant as a question.
        [high, low, flags, ..] if packet.len() >= 12 && flags & 0x80 == 0 => {
            let id = u16::from_be_bytes([*high, *low]);
            let op_code = OpCode::from_u8(flags >> 3 & 0xf);
            let answer = Answer::to_header(id, op_code, flags & 1 == 1);
            Read::Answer(answer.coded(ResponseCode::FormErr))
        }
        _ => Read::Silence,
    }
}
