//! Rows about the name server of the sandbox: what it answers itself, and what little leaves.

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use crate::support::dns::{Tcp, Udp, ask, question, with_edns};
use crate::support::{Launch, Proxy, Resolver, Says, unescaped};

use super::bench::POLICY;
use super::rows;

/// A text for every name, and a proxy that asks there.
fn bench(more_rules: &str) -> (Resolver, Proxy) {
    let resolver = Resolver::otherwise(Says::Text("hello".into()));
    let policy = POLICY.replace("allow = [", &format!("allow = [{more_rules}"));
    let proxy = Launch::new(format!("{policy}{}", resolver.config())).start();
    (resolver, proxy)
}

fn code(answer: &Message) -> ResponseCode {
    answer.metadata.response_code
}

#[test]
pub(super) fn the_answer_echoes_the_spelling_of_the_question() {
    let (_, proxy) = bench("");
    let answer = ask(proxy.dns(), &question("aLlOwEd.ExAmPlE", RecordType::A));
    assert_eq!(answer.queries[0].name.to_ascii(), "aLlOwEd.ExAmPlE.");
    assert_eq!(answer.answers[0].name.to_ascii(), "aLlOwEd.ExAmPlE.");
    assert_eq!(answer.answers.len(), 1);
}

#[test]
pub(super) fn a_name_that_no_rule_allows_is_answered_here() {
    let (resolver, proxy) = bench("");
    for name in [
        "unknown.example",
        "secret.attacker.example",
        "denied.example",
    ] {
        for kind in [
            RecordType::A,
            RecordType::AAAA,
            RecordType::TXT,
            RecordType::MX,
        ] {
            let logged = proxy.logged();
            let answer = ask(proxy.dns(), &question(name, kind));
            assert_eq!(code(&answer), ResponseCode::NXDomain, "{name} {kind}");
            assert_eq!(answer.answers, []);
            assert_eq!(proxy.logs(logged).len(), 1);
        }
    }
    assert_eq!(resolver.questions(), []);
}

#[test]
pub(super) fn a_wildcard_covers_one_label_and_carries_no_more() {
    let (resolver, proxy) = bench("\"*.allowed.example:443\", ");
    let label = "a".repeat(63);
    let deep = format!("{label}.{label}.{label}.allowed.example");
    let answer = ask(proxy.dns(), &question(&deep, RecordType::A));
    assert_eq!(code(&answer), ResponseCode::NXDomain);
    // One label of any length is what such a rule means; and even then no A question leaves.
    let answer = ask(
        proxy.dns(),
        &question(&format!("{label}.allowed.example"), RecordType::A),
    );
    assert_eq!(
        (code(&answer), answer.answers.len()),
        (ResponseCode::NoError, 1)
    );
    assert_eq!(resolver.questions(), []);
}

#[test]
pub(super) fn other_types_are_asked_for_allowed_names_alone() {
    // The table would answer these types here, for every name. The design answers them for
    // allowed names, and the question goes upstream made anew.
    let (resolver, proxy) = bench("");
    for kind in [
        RecordType::SRV,
        RecordType::PTR,
        RecordType::RRSIG,
        RecordType::DNSKEY,
    ] {
        let answer = ask(proxy.dns(), &question("unknown.example", kind));
        assert_eq!(code(&answer), ResponseCode::NXDomain, "{kind}");
        assert_eq!(resolver.questions(), [], "{kind}");
    }
    for kind in [RecordType::SRV, RecordType::PTR, RecordType::DNSKEY] {
        let answer = ask(proxy.dns(), &question("allowed.example", kind));
        assert_eq!(
            (code(&answer), answer.answers.len()),
            (ResponseCode::NoError, 0),
            "{kind}"
        );
    }
    let asked: Vec<_> = resolver.questions().iter().map(|q| q.kind).collect();
    assert_eq!(
        asked,
        [RecordType::SRV, RecordType::PTR, RecordType::DNSKEY]
    );
}

#[test]
pub(super) fn what_is_no_plain_question_goes_nowhere() {
    let (resolver, proxy) = bench("");
    let server = proxy.dns();

    let mut two = question("allowed.example", RecordType::A);
    two.queries
        .extend(question("secret.attacker.example", RecordType::TXT).queries);
    assert_eq!(code(&ask(server, &two)), ResponseCode::FormErr);

    let mut chaos = question("version.bind", RecordType::TXT);
    chaos.queries[0].query_class = DNSClass::CH;
    assert_eq!(code(&ask(server, &chaos)), ResponseCode::Refused);

    // An answer is not answered: the next packet is that to the question behind it.
    let client = Udp::to(server);
    let mut posing = question("allowed.example", RecordType::A);
    posing.metadata.message_type = MessageType::Response;
    client.send(&posing.to_vec().expect("a message"));
    client.ask(&question("allowed.example", RecordType::A));

    let row = rows()
        .into_iter()
        .find(|row| row.id == "NUL-009")
        .expect("a row");
    let header = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00";
    let client = Udp::to(server);
    client.send(&[&header[..], &unescaped(&row.input)].concat());
    let answer = Message::from_vec(&client.receive()).expect("an answer");
    assert_eq!(
        (answer.metadata.id, code(&answer)),
        (0x1234, ResponseCode::NXDomain)
    );

    assert_eq!(resolver.questions(), []);
}

#[test]
pub(super) fn a_question_that_goes_upstream_is_made_anew() {
    let (resolver, proxy) = bench("");
    let mut carrier = question("aLlOwEd.ExAmPlE", RecordType::TXT);
    let stowaway = Name::from_ascii("secret.attacker.example.").expect("a name");
    let stowaway = Record::from_rdata(stowaway, 60, RData::A(A([192, 0, 2, 1].into())));
    carrier.add_additional(stowaway);
    let carrier = with_edns(carrier, 1232, &[(65001, &[b'x'; 400])]);
    // Many transactions, of which none may be seen outside.
    for id in 0..16 {
        let mut carrier = carrier.clone();
        carrier.metadata.id = id;
        let answer = ask(proxy.dns(), &carrier);
        assert_eq!(
            (code(&answer), answer.answers.len()),
            (ResponseCode::NoError, 1)
        );
        let options = answer.edns.expect("EDNS").options().as_ref().len();
        assert_eq!(options, 0, "an option comes back");
    }
    let questions = resolver.questions();
    assert!(!questions.is_empty());
    for question in &questions {
        assert_eq!(question.name, "allowed.example");
        assert_eq!(
            (question.options.len(), question.extra_records),
            (0, 0),
            "{question:?}"
        );
    }
    let ids: Vec<_> = questions.iter().map(|question| question.id).collect();
    assert!(
        !ids.iter().enumerate().all(|(n, id)| usize::from(*id) == n),
        "{ids:?}"
    );

    // And an A question does not go upstream at all.
    let before = questions.len();
    ask(
        proxy.dns(),
        &with_edns(
            question("allowed.example", RecordType::A),
            1232,
            &[(65001, b"x")],
        ),
    );
    assert_eq!(resolver.questions().len(), before);
}

#[test]
pub(super) fn a_length_that_no_question_has_ends_the_connection() {
    let (_, proxy) = bench("");
    let mut client = Tcp::to(proxy.dns());
    client.send_raw(b"\xff\xff\x00");
    assert_eq!(client.receive(), None);
    // The next one is served.
    Tcp::to(proxy.dns()).ask(&question("allowed.example", RecordType::A));
}

#[test]
pub(super) fn addresses_nobody_asked_for_are_taken_out_of_an_answer() {
    // The resolver adds "A 10.0.0.1" to every text.
    let (_, proxy) = bench("");
    let answer = ask(proxy.dns(), &question("allowed.example", RecordType::TXT));
    assert_eq!(answer.answers.len(), 1);
    let addresses = |record: &Record| matches!(record.data, RData::A(_) | RData::AAAA(_));
    assert!(!answer.all_sections().any(addresses), "{answer:?}");
}
