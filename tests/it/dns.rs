//! The name server of the sandbox: admissible names are where the proxy is, the others do not
//! exist, and an answer says why.

use std::net::{IpAddr, Ipv4Addr};

use hickory_proto::op::{Message, OpCode, ResponseCode};
use hickory_proto::rr::{RData, RecordType};

use crate::support::dns::{Tcp, Udp, ask, extended_error, question, with_edns};
use crate::support::{Proxy, Ran, Resolver, Says, require};

fn proxy(resolver: &Resolver) -> Proxy {
    Proxy::start(format!(
        "allow = [\"a.test:443\", \"*.b.test\"]\ndeny = [\"no.b.test\"]\n{}",
        resolver.config()
    ))
}

fn code(answer: &Message) -> ResponseCode {
    answer.metadata.response_code
}

/// Texts that do not fit into one packet together.
fn texts() -> Says {
    Says::TextsOverTcp((0..12).map(|n| format!("{n:0>200}")).collect())
}

#[test]
fn an_admissible_name_is_where_the_proxy_is() {
    let resolver = Resolver::new(&[]);
    let proxy = proxy(&resolver);
    for name in ["a.test", "x.b.test"] {
        let answer = ask(proxy.dns(), &question(name, RecordType::A));
        assert_eq!(code(&answer), ResponseCode::NoError, "{name}");
        assert!(answer.metadata.recursion_available);
        let [record] = answer.answers.as_slice() else {
            panic!("{answer:?}");
        };
        let RData::A(address) = &record.data else {
            panic!("{record:?}");
        };
        assert_eq!(IpAddr::V4(address.0), proxy.http().ip());
        // Rules change while a session runs: an answer is not kept for long.
        assert!(record.ttl <= 10, "{record:?}");
    }
    assert_eq!(resolver.questions(), []);
}

#[test]
fn a_refused_name_does_not_exist_and_the_answer_says_why() {
    let resolver = Resolver::new(&[]);
    let proxy = proxy(&resolver);
    for (name, word) in [("no.b.test", "no.b.test"), ("c.test", "no rule allows it")] {
        let logged = proxy.logged();
        let asked = with_edns(question(name, RecordType::A), 1232, &[]);
        let answer = ask(proxy.dns(), &asked);
        assert_eq!(code(&answer), ResponseCode::NXDomain, "{name}");
        let (error, text) = extended_error(&answer).expect("an extended error");
        assert_eq!(error, 15);
        assert!(
            text.starts_with("vibepit: ") && text.contains(word),
            "{text}"
        );
        let entries = proxy.logs(logged);
        assert_eq!(entries.len(), 1, "{entries:?}");
        assert_eq!(
            (&entries[0]["domain"], &entries[0]["door"]),
            (&name.into(), &"dns".into())
        );
    }
    // A client without EDNS gets none.
    let answer = ask(proxy.dns(), &question("c.test", RecordType::A));
    assert_eq!(
        (code(&answer), answer.edns.is_none()),
        (ResponseCode::NXDomain, true)
    );
    assert_eq!(resolver.questions(), []);
}

#[test]
fn what_would_lead_past_the_proxy_is_not_there() {
    let resolver = Resolver::new(&[]);
    let proxy = proxy(&resolver);
    for kind in [RecordType::AAAA, RecordType::HTTPS, RecordType::SVCB] {
        let answer = ask(proxy.dns(), &question("a.test", kind));
        assert_eq!(
            (code(&answer), answer.answers.len()),
            (ResponseCode::NoError, 0),
            "{kind}"
        );
        let answer = ask(proxy.dns(), &question("c.test", kind));
        assert_eq!(code(&answer), ResponseCode::NXDomain, "{kind}");
    }
    for kind in [RecordType::ANY, RecordType::AXFR, RecordType::IXFR] {
        let answer = ask(proxy.dns(), &question("a.test", kind));
        assert_eq!(code(&answer), ResponseCode::NotImp, "{kind}");
    }
    let mut notify = question("a.test", RecordType::SOA);
    notify.metadata.op_code = OpCode::Notify;
    assert_eq!(code(&ask(proxy.dns(), &notify)), ResponseCode::NotImp);
    assert_eq!(resolver.questions(), []);
}

#[test]
fn other_types_of_an_allowed_name_are_asked_upstream() {
    let resolver = Resolver::new(&[("a.test", Says::Text("hello".into()))]);
    let proxy = proxy(&resolver);
    let answer = ask(proxy.dns(), &question("A.test", RecordType::TXT));
    let texts: Vec<_> = answer
        .answers
        .iter()
        .map(|record| record.data.to_string())
        .collect();
    assert_eq!(texts, ["hello"]);
    assert_eq!(resolver.questions()[0].name, "a.test");
    // The name exists, whatever the resolver thinks of it: it has an address here.
    let answer = ask(proxy.dns(), &question("x.b.test", RecordType::MX));
    assert_eq!(
        (code(&answer), answer.answers.len()),
        (ResponseCode::NoError, 0)
    );
    resolver.set("a.test", Says::Fails(ResponseCode::ServFail));
    let answer = ask(proxy.dns(), &question("a.test", RecordType::MX));
    assert_eq!(code(&answer), ResponseCode::ServFail);
}

#[test]
fn an_answer_that_does_not_fit_is_cut_over_udp_and_whole_over_tcp() {
    let resolver = Resolver::new(&[("a.test", texts())]);
    let proxy = proxy(&resolver);
    let asked = question("a.test", RecordType::TXT);
    for (asked, room) in [
        (asked.clone(), 512),
        (with_edns(asked.clone(), 600, &[]), 600),
        // As much as every path carries, however much the client would take.
        (with_edns(asked.clone(), 4096, &[]), 1232),
        // Less than the least is the least (RFC 6891, section 6.2.3).
        (with_edns(asked.clone(), 0, &[]), 512),
    ] {
        let client = Udp::to(proxy.dns());
        client.send(&asked.to_vec().expect("a question"));
        let packet = client.receive();
        assert!(
            packet.len() <= room,
            "{} bytes, and room for {room}",
            packet.len()
        );
        let answer = Message::from_vec(&packet).expect("an answer");
        assert!(answer.metadata.truncation, "{answer:?}");
    }
    let answer = Tcp::to(proxy.dns()).ask(&asked);
    assert_eq!(
        (answer.metadata.truncation, answer.answers.len()),
        (false, 12)
    );
    assert!(
        resolver
            .questions()
            .iter()
            .any(|question| question.over_tcp)
    );
}

#[test]
fn one_tcp_connection_takes_many_questions() {
    let resolver = Resolver::new(&[("a.test", Says::Text("hello".into()))]);
    let proxy = proxy(&resolver);
    let asked: Vec<_> = [
        ("a.test", RecordType::TXT),
        ("c.test", RecordType::A),
        ("a.test", RecordType::A),
    ]
    .map(|(name, kind)| question(name, kind))
    .into();
    let mut client = Tcp::to(proxy.dns());
    for question in &asked {
        client.send(&question.to_vec().expect("a question"));
    }
    for question in &asked {
        let answer = Message::from_vec(&client.receive().expect("an answer")).expect("an answer");
        assert_eq!(answer.metadata.id, question.metadata.id);
        assert_eq!(answer.queries, question.queries);
    }
    // A length in parts is a length.
    let bytes = asked[2].to_vec().expect("a question");
    let length = u16::try_from(bytes.len()).expect("a length").to_be_bytes();
    for part in [&length[..1], &length[1..], &bytes[..5], &bytes[5..]] {
        client.send_raw(part);
    }
    assert!(client.receive().is_some());
}

#[test]
fn garbage_neither_stops_the_name_server_nor_gets_it_to_talk() {
    let resolver = Resolver::new(&[]);
    let proxy = proxy(&resolver);
    let client = Udp::to(proxy.dns());
    // Too short for a header, or marked as an answer: silence.
    for silent in [
        &b""[..],
        b"\x12",
        b"\x12\x34\x01\x00\x00\x01",
        &[0xff; 12],
        &[0xff; 600],
    ] {
        client.send(silent);
    }
    // A header that promises what does not come, a name that runs in circles, one that runs out
    // of the packet: FORMERR to the number that was sent.
    let header = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00";
    for behind in [
        &b""[..],
        b"\xc0\x0c\x00\x01\x00\x01",
        b"\xc0\xff",
        b"\x3fabc",
        b"\x80a\x00",
    ] {
        client.send(&[&header[..], behind].concat());
        let answer = Message::from_vec(&client.receive()).expect("an answer");
        assert_eq!(
            (answer.metadata.id, code(&answer)),
            (0x1234, ResponseCode::FormErr),
            "{behind:?}"
        );
    }
    // A name of the right form that is no name of a host.
    client.send(&[&header[..], b"\x03a b\x04test\x00\x00\x01\x00\x01"].concat());
    let answer = Message::from_vec(&client.receive()).expect("an answer");
    assert_eq!(code(&answer), ResponseCode::NXDomain);
    assert_eq!(
        proxy.logs(0).last().expect("an entry")["reason"],
        "malformed"
    );
    client.ask(&question("a.test", RecordType::A));

    let mut client = Tcp::to(proxy.dns());
    client.send_raw(b"\x00\x00");
    assert_eq!(client.receive(), None);
    Tcp::to(proxy.dns()).ask(&question("a.test", RecordType::A));
    assert_eq!(resolver.questions(), []);
}

#[test]
fn a_name_of_this_machine_or_its_network_is_not_asked_about() {
    let resolver = Resolver::otherwise(Says::addresses([Ipv4Addr::new(93, 184, 216, 34)]));
    let proxy = proxy(&resolver);
    for name in [
        "localhost",
        "printer.local",
        "wpad",
        "host.vibepit",
        "1.0.0.127.in-addr.arpa",
    ] {
        for kind in [RecordType::A, RecordType::PTR] {
            let answer = ask(proxy.dns(), &question(name, kind));
            assert_eq!(code(&answer), ResponseCode::NXDomain, "{name}");
        }
    }
    assert_eq!(resolver.questions(), []);
}

#[test]
fn the_host_has_a_name_where_some_of_its_ports_are_open() {
    let resolver = Resolver::new(&[]);
    let proxy = Proxy::start(format!("allow_host_ports = [5432]\n{}", resolver.config()));
    let answer = ask(proxy.dns(), &question("host.vibepit", RecordType::A));
    assert_eq!(
        (code(&answer), answer.answers.len()),
        (ResponseCode::NoError, 1)
    );
    // There is nobody upstream to ask about it.
    let answer = ask(proxy.dns(), &question("host.vibepit", RecordType::TXT));
    assert_eq!(answer.answers, []);
    assert_eq!(resolver.questions(), []);
}

#[test]
fn dig_shows_a_person_why_a_name_does_not_resolve() {
    if !require("dig") {
        return;
    }
    let resolver = Resolver::new(&[]);
    let proxy = proxy(&resolver);
    let dig = |name: &str, more: &[&str]| {
        let (server, port) = (
            format!("@{}", proxy.dns().ip()),
            proxy.dns().port().to_string(),
        );
        let mut command = proxy.home.command("dig");
        Ran::of(command.args([&server, "-p", &port, name]).args(more)).ok()
    };
    let address = proxy.http().ip().to_string();
    assert_eq!(dig("a.test", &["+short"]).trim(), address);
    assert_eq!(dig("a.test", &["+short", "+tcp"]).trim(), address);
    let refused = dig("c.test", &[]);
    assert!(refused.contains("NXDOMAIN"), "{refused}");
    assert!(
        refused.contains("EDE: 15 (Blocked)") && refused.contains("no rule allows it"),
        "{refused}"
    );
}
