//! The DNS door: whatever a packet holds, the answer is one message that a client can match to
//! its question, that fits, and that says no more than the door may say; and a name that it hands
//! to the rules means the same however it was spelled.

#![no_main]

use std::net::Ipv4Addr;

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use hickory_proto::rr::{DNSClass, RData, RecordType};
use libfuzzer_sys::{Corpus, fuzz_target};
use vibepit::policy::{Host, Name};
use vibepit::proxy::read_dns;

/// Where the proxy would be.
const OWN: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

fuzz_target!(|packet: &[u8]| -> Corpus {
    // What the door reads of one.
    if packet.len() > 1232 {
        return Corpus::Reject;
    }
    let refused = read_dns(packet, None);
    let admitted = read_dns(packet, Some(OWN));

    // Silence is for what has no number to answer to, and for answers.
    let answerable = packet.len() >= 12 && packet[2] & 0x80 == 0;
    assert_eq!(refused.is_some(), answerable);
    assert_eq!(admitted.is_some(), answerable);
    let (Some((refused, host)), Some((admitted, again))) = (refused, admitted) else {
        return Corpus::Keep;
    };
    assert_eq!(host, again, "the name does not hang on what becomes of it");

    let question = Message::from_vec(packet).ok();
    for (bytes, own) in [(refused, None), (admitted, Some(OWN))] {
        let answer = Message::from_vec(&bytes).expect("an answer is a message");
        matches_its_question(packet, &answer);
        fits(&bytes, &answer, question.as_ref());
        says_no_more_than_it_may(&answer, question.as_ref(), host.as_ref(), own);
    }
    if let (Some(host), Some(question)) = (host, question) {
        is_one_name(&host, &question);
    }
    Corpus::Keep
});

/// RFC 1035, section 4.1.1: what is copied from the question's header.
fn matches_its_question(packet: &[u8], answer: &Message) {
    let header = &answer.metadata;
    assert_eq!(header.id.to_be_bytes(), packet[..2]);
    assert_eq!(header.message_type, MessageType::Response);
    assert_eq!(u8::from(header.op_code), packet[2] >> 3 & 0xf);
    assert_eq!(header.recursion_desired, packet[2] & 1 == 1);
    assert!(
        !header.authoritative && !header.authentic_data,
        "{header:?}"
    );
}

/// RFC 1035, section 2.3.4, and RFC 6891, section 6.2.5; never more than 1232 bytes.
fn fits(bytes: &[u8], answer: &Message, question: Option<&Message>) {
    let edns = question.and_then(|question| question.edns.as_ref());
    let room = edns.map_or(512, |edns| edns.max_payload().clamp(512, 1232));
    assert!(
        bytes.len() <= usize::from(room),
        "{} bytes, and room for {room}",
        bytes.len()
    );
    assert_eq!(edns.is_some(), answer.edns.is_some());
    let Some(edns) = &answer.edns else { return };
    assert_eq!((edns.version(), edns.max_payload()), (0, 1232));
    for (code, option) in edns.options().as_ref() {
        assert_eq!(*code, EdnsCode::from(15));
        let EdnsOption::Unknown(15, data) = option else {
            panic!("{option:?}");
        };
        let text = std::str::from_utf8(&data[2..]).expect("the text of an error is UTF-8");
        assert_eq!(data[..2], [0, 15]);
        assert!(text.starts_with("vibepit: "), "{text:?}");
        assert!(text.bytes().all(|b| (b' '..=b'~').contains(&b)), "{text:?}");
    }
}

fn says_no_more_than_it_may(
    answer: &Message,
    question: Option<&Message>,
    host: Option<&Host>,
    own: Option<Ipv4Addr>,
) {
    assert!(answer.authorities.is_empty() && answer.additionals.is_empty());
    let code = answer.metadata.response_code;
    let Some(question) = question else {
        assert_eq!(code, ResponseCode::FormErr);
        assert!(answer.queries.is_empty() && answer.answers.is_empty());
        return;
    };
    let newer = question
        .edns
        .as_ref()
        .is_some_and(|edns| edns.version() > 0);
    assert_eq!(
        u16::from(code) == u16::from(ResponseCode::BADVERS),
        newer,
        "RFC 6891, section 6.1.3"
    );
    for (said, asked) in answer.queries.iter().zip(&question.queries) {
        assert_eq!(said, asked);
        assert!(said.name.eq_case(&asked.name), "{said} for {asked}");
    }
    let Some(host) = host else {
        assert!(answer.answers.is_empty(), "{answer:?}");
        assert_ne!(code, ResponseCode::NoError);
        return;
    };

    let [asked] = question.queries.as_slice() else {
        panic!("{host} out of {} questions", question.queries.len());
    };
    assert_eq!(question.metadata.op_code, OpCode::Query);
    assert_eq!(asked.query_class, DNSClass::IN);
    assert_eq!(answer.queries.len(), 1);
    let Some(own) = own else {
        assert!(answer.answers.is_empty(), "{answer:?}");
        assert_eq!(code, ResponseCode::NXDomain);
        assert!(
            answer.metadata.truncation
                || answer
                    .edns
                    .as_ref()
                    .is_none_or(|edns| !edns.options().as_ref().is_empty()),
            "an error is left out only where there is no room for it"
        );
        return;
    };
    assert_eq!(
        answer.answers.len(),
        usize::from(asked.query_type == RecordType::A)
    );
    for record in &answer.answers {
        assert_eq!(record.data, RData::A(own.into()));
        assert!(record.name.eq_case(&asked.name), "{record}");
    }
}

fn is_one_name(host: &Host, question: &Message) {
    let Host::Name(name) = host else {
        panic!("an address was asked about: {host}");
    };
    assert_eq!(Name::from_wire(name.as_bytes()).as_ref(), Ok(name));
    assert_eq!(
        Host::from_wire(host.to_string().as_bytes()).as_ref(),
        Ok(host)
    );
    let labels: Vec<_> = question.queries[0].name.iter().collect();
    let spelled = labels.join(&b'.').to_ascii_lowercase();
    assert_eq!(name.as_bytes(), spelled, "only case may change");

    // The same question without compression, in capitals, and nothing beside it.
    let mut plain = question.metadata.id.to_be_bytes().to_vec();
    plain.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in labels {
        plain.push(u8::try_from(label.len()).expect("a label has at most 63 bytes"));
        plain.extend(label.to_ascii_uppercase());
    }
    plain.extend([0, 0, 1, 0, 1]);
    let (_, same) = read_dns(&plain, None).expect("it is a question");
    assert_eq!(same.as_ref(), Some(host));
}
