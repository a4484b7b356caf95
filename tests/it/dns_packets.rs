//! The name server of the sandbox, packet by packet: what an answer repeats, what it explains,
//! what leaves the machine, and how many questions there may be.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use hickory_proto::op::{Message, OpCode, ResponseCode};
use hickory_proto::rr::{DNSClass, RData, RecordType};
use serde_json::Value;

use crate::asking::held;
use crate::support::dns::{Tcp, Udp, ask, extended_error, question, with_edns};
use crate::support::{Proxy, Resolver, Says};

const POLICY: &str = "allow = [\"a.test:443\"]\ndeny = [\"no.test\"]\n";

/// A proxy that asks a person about what is not allowed, and a text for every name.
fn bench() -> (Resolver, Proxy) {
    let resolver = Resolver::otherwise(Says::Text("hello".into()));
    let config = format!(
        "unlisted_domain_behavior = \"request_approval\"\n{POLICY}{}",
        resolver.config()
    );
    let proxy = Proxy::start(config);
    (resolver, proxy)
}

fn code(answer: &Message) -> ResponseCode {
    answer.metadata.response_code
}

/// Whether a type is one that never goes upstream: addresses, what leads to them, and what no
/// record is of.
fn is_answered_here(kind: u16) -> bool {
    const A: u16 = 1;
    const AAAA: u16 = 28;
    const OPT: u16 = 41;
    const SVCB: u16 = 64;
    const HTTPS: u16 = 65;
    matches!(kind, 0 | A | AAAA | OPT | SVCB | HTTPS | 128..=255)
}

#[test]
fn every_type_goes_upstream_for_allowed_names_alone_and_no_address_is_ever_asked_for() {
    let (resolver, proxy) = bench();
    // Every type there is, and some of those for private use.
    let kinds = || (0..=264).chain([32_768, 65_280, 65_534]);
    let mut client = Tcp::to(proxy.dns());
    for name in ["a.test", "held.test", "no.test"] {
        for kind in kinds() {
            client.ask(&question(name, RecordType::from(kind)));
        }
    }
    // One that waits for a person is not asked for either.
    let (_waits, _) = held(&proxy, "held.test:443");
    client.ask(&question("held.test", RecordType::A));
    let questions = resolver.questions();
    let names: BTreeSet<_> = questions.iter().map(|question| &question.name).collect();
    assert_eq!(names, BTreeSet::from([&"a.test".to_owned()]));
    let asked: BTreeSet<_> = questions
        .iter()
        .map(|asked| u16::from(asked.kind))
        .collect();
    let expected: BTreeSet<_> = kinds().filter(|kind| !is_answered_here(*kind)).collect();
    assert_eq!(asked, expected);
}

#[test]
fn a_question_is_repeated_letter_by_letter() {
    let (_, proxy) = bench();
    let header = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00";
    for name in [
        &b"\x01A\x04tEsT\0"[..],
        b"\x02nO\x04TeSt\0",
        b"\x03aNy\x04tEST\0",
    ] {
        for kind in [1u16, 28, 16] {
            let asked = [name, &kind.to_be_bytes(), &[0, 1]].concat();
            let client = Udp::to(proxy.dns());
            client.send(&[&header[..], &asked].concat());
            let answer = client.receive();
            assert_eq!(&answer[..2], b"\x12\x34");
            assert_eq!(&answer[12..12 + asked.len()], asked, "{kind}");
        }
    }
}

#[test]
fn the_header_and_edns_say_what_is_copied_and_nothing_else() {
    let (resolver, proxy) = bench();
    // Client subnet, a cookie, padding, keep-alive.
    let options: [(u16, &[u8]); 4] = [
        (8, b"\0\x01\x18\0\xc0\0\x02"),
        (10, b"12345678"),
        (12, &[0; 64]),
        (11, b""),
    ];
    for (name, kind) in [
        ("a.test", RecordType::A),
        ("a.test", RecordType::TXT),
        ("no.test", RecordType::A),
    ] {
        for set in [false, true] {
            let mut asked = with_edns(question(name, kind), 4096, &options);
            asked.metadata.checking_disabled = set;
            asked.metadata.authentic_data = set;
            asked.metadata.recursion_desired = set;
            asked.edns.as_mut().expect("EDNS").set_dnssec_ok(set);
            let answer = ask(proxy.dns(), &asked);
            let header = answer.metadata;
            assert_eq!(
                (header.checking_disabled, header.recursion_desired),
                (set, set)
            );
            // Nothing was checked here, and this is nobody's authority.
            assert!(!header.authentic_data && !header.authoritative);
            assert!(header.recursion_available && !header.truncation);
            let edns = answer.edns.expect("EDNS");
            assert_eq!(
                (edns.version(), edns.max_payload(), edns.flags().dnssec_ok),
                (0, 1232, set)
            );
            let told = edns.options().as_ref().iter();
            assert!(told.clone().all(|(code, _)| u16::from(*code) == 15));
        }
    }
    for question in resolver.questions() {
        assert_eq!(
            (question.name.as_str(), question.options),
            ("a.test", vec![])
        );
    }
}

#[test]
fn what_is_no_question_of_the_internet_is_told_what_is_wrong_with_it() {
    let (resolver, proxy) = bench();
    let server = proxy.dns();
    let plain = || with_edns(question("a.test", RecordType::A), 1232, &[]);

    let mut newer = plain();
    newer.edns.as_mut().expect("EDNS").set_version(1);
    let answer = ask(server, &newer);
    // 16 is BADSIG as well, and that is how it is read.
    assert_eq!(u16::from(code(&answer)), 16);
    assert_eq!(answer.edns.expect("EDNS").version(), 0);

    for class in [DNSClass::CH, DNSClass::HS, DNSClass::ANY, DNSClass::NONE] {
        let mut other = plain();
        other.queries[0].query_class = class;
        let answer = ask(server, &other);
        assert_eq!(code(&answer), ResponseCode::Refused, "{class}");
        assert_eq!(extended_error(&answer).expect("why").0, 21);
    }
    for op_code in [OpCode::Status, OpCode::Notify, OpCode::from_u8(6)] {
        let mut other = plain();
        other.metadata.op_code = op_code;
        let answer = ask(server, &other);
        assert_eq!(code(&answer), ResponseCode::NotImp, "{op_code}");
        assert_eq!(answer.metadata.op_code, op_code);
        assert_eq!(extended_error(&answer).expect("why").0, 21);
    }
    let mut transfer = plain();
    transfer.queries[0].query_type = RecordType::AXFR;
    let answer = ask(server, &transfer);
    assert_eq!(code(&answer), ResponseCode::NotImp);
    assert_eq!(extended_error(&answer).expect("why").0, 21);

    let mut none = plain();
    none.queries.clear();
    assert_eq!(code(&ask(server, &none)), ResponseCode::FormErr);
    let mut two = plain();
    two.queries
        .extend(question("a.test", RecordType::A).queries);
    assert_eq!(code(&ask(server, &two)), ResponseCode::FormErr);

    // Two OPT records (RFC 6891, section 6.1.1).
    let mut bytes = plain().to_vec().expect("a question");
    let opt = b"\0\0\x29\x04\xd0\0\0\0\0\0\0";
    assert!(bytes.ends_with(opt), "{bytes:?}");
    bytes.extend(opt);
    bytes[11] = 2;
    let client = Udp::to(server);
    client.send(&bytes);
    let answer = Message::from_vec(&client.receive()).expect("an answer");
    assert_eq!(code(&answer), ResponseCode::FormErr);
    assert_eq!(resolver.questions(), []);
}

#[test]
fn an_answer_says_why_it_is_not_what_was_asked_for() {
    let (resolver, proxy) = bench();
    let explained = |name: &str, kind| {
        let answer = ask(proxy.dns(), &with_edns(question(name, kind), 1232, &[]));
        let (why, text) = extended_error(&answer).expect("why");
        assert!(text.starts_with("vibepit: "), "{text}");
        (code(&answer), why)
    };
    const BLOCKED: (ResponseCode, u16) = (ResponseCode::NXDomain, 15);
    assert_eq!(explained("no.test", RecordType::A), BLOCKED);
    assert_eq!(explained("held.test", RecordType::TXT), BLOCKED);
    assert_eq!(explained("localhost", RecordType::A), BLOCKED);
    assert_eq!(explained("127.0.0.1", RecordType::A), BLOCKED);
    // The address is not the name's, and that is no secret.
    let forged = (ResponseCode::NoError, 4);
    assert_eq!(explained("a.test", RecordType::A), forged);
    assert_eq!(explained("held.test", RecordType::A), forged);
    resolver.set("a.test", Says::Fails(ResponseCode::ServFail));
    let failed = (ResponseCode::ServFail, 23);
    assert_eq!(explained("a.test", RecordType::MX), failed);
}

#[test]
fn that_there_is_nothing_may_be_remembered_for_a_moment() {
    let (resolver, proxy) = bench();
    resolver.set("a.test", Says::Fails(ResponseCode::NXDomain));
    for (name, kind) in [
        ("no.test", RecordType::A),
        ("localhost", RecordType::AAAA),
        ("a.test", RecordType::AAAA),
        ("a.test", RecordType::HTTPS),
        ("held.test", RecordType::AAAA),
        ("a.test", RecordType::MX),
    ] {
        let answer = ask(proxy.dns(), &question(name, kind));
        assert_eq!(answer.answers, [], "{name} {kind}");
        let [record] = answer.authorities.as_slice() else {
            panic!("{name} {kind}: {answer:?}");
        };
        let RData::SOA(soa) = &record.data else {
            panic!("{record:?}");
        };
        assert!(record.name.zone_of(&answer.queries[0].name));
        // Rules change while a session runs.
        assert!((1..=5).contains(&record.ttl) && soa.minimum == record.ttl);
    }
    let answer = ask(proxy.dns(), &question("a.test", RecordType::A));
    assert_eq!((answer.answers.len(), answer.authorities.len()), (1, 0));
}

/// Asks over UDP for as long as nobody says stop, many at a time. How many were told to come back.
fn flood(server: std::net::SocketAddr, goes_on: impl Fn(u64) -> bool) -> u64 {
    let client = Udp::to(server);
    let mut turned_away = 0;
    let mut number = 0;
    while goes_on(turned_away) {
        // As many as fit into a socket's buffer.
        for _ in 0..50 {
            number += 1;
            let name = format!("x{number}.flood.test");
            let asked = question(&name, RecordType::A);
            client.send(&asked.to_vec().expect("a question"));
        }
        for _ in 0..50 {
            let answer = Message::from_vec(&client.receive()).expect("an answer");
            if answer.metadata.truncation {
                assert_eq!(
                    (code(&answer), answer.answers),
                    (ResponseCode::NoError, vec![])
                );
                turned_away += 1;
            }
        }
    }
    turned_away
}

/// The entries of the log that tell of too many questions.
fn told(proxy: &Proxy) -> Vec<Value> {
    let mut told = Vec::new();
    let mut after = 0;
    loop {
        let entries = proxy.logs(after);
        let Some(last) = entries.last() else {
            return told;
        };
        after = last["id"].as_u64().expect("a number");
        let over = entries.into_iter().filter(|e| e["reason"] == "over_budget");
        told.extend(over);
    }
}

#[test]
fn a_flood_over_udp_is_sent_to_tcp_where_others_have_their_turn() {
    const MANY: u64 = 2000;
    let proxy = Proxy::start(POLICY);
    let mut events = proxy.events(None);
    let server = proxy.dns();
    let enough = AtomicBool::new(false);
    thread::scope(|scope| {
        let flood = scope.spawn(|| {
            flood(server, |turned_away| {
                turned_away < MANY || !enough.load(Relaxed)
            })
        });
        while events.until("log")["reason"] != "over_budget" {}
        let answer = Tcp::to(server).ask(&question("a.test", RecordType::A));
        assert_eq!(
            (code(&answer), answer.answers.len()),
            (ResponseCode::NoError, 1)
        );
        proxy.does("/allow", &serde_json::json!({"entries": ["b.test:443"]}));
        enough.store(true, Relaxed);
        let turned_away = flood.join().expect("its end");
        let stats = proxy.read("/stats");
        assert_eq!(stats["dns"]["turned_away"], turned_away);
        let metrics = proxy.get("/metrics").text();
        let line =
            format!("vibepit_dns_questions_over_limit_total{{transport=\"udp\"}} {turned_away}\n");
        assert!(metrics.contains(&line), "{metrics}");
        let told = told(&proxy);
        assert!(told.len() as u64 * 100 < turned_away, "{told:?}");
        assert_eq!(told[0]["door"], "dns");
        let why = told[0]["detail"].as_str().expect("why");
        assert!(
            why.contains("beyond the limit") && why.contains("TCP"),
            "{why}"
        );
    });
}

#[test]
fn a_flood_over_tcp_waits_for_its_turns_and_another_client_has_its_own() {
    // More than are answered at once.
    const MANY: usize = 2500;
    let proxy = Proxy::start(POLICY);
    let mut busy = Tcp::to(proxy.dns());
    let asked = question("a.test", RecordType::A);
    for _ in 0..MANY {
        busy.send(&asked.to_vec().expect("a question"));
    }
    // That one is behind none of them but the one whose turn is next.
    let answer = Tcp::to(proxy.dns()).ask(&asked);
    assert_eq!(answer.answers.len(), 1);
    for _ in 0..MANY {
        let answer = Message::from_vec(&busy.receive().expect("an answer")).expect("an answer");
        assert_eq!(
            (answer.answers.len(), answer.metadata.truncation),
            (1, false)
        );
    }
    let delayed = proxy.read("/stats")["dns"]["delayed"].as_u64();
    assert!(delayed.is_some_and(|delayed| delayed > 0), "{delayed:?}");
    // Nothing was turned away, and so there is nothing to tell.
    assert_eq!(told(&proxy), [] as [Value; 0]);
}

#[test]
fn connections_that_ask_nothing_make_room_for_one_that_does() {
    let proxy = Proxy::start(POLICY);
    // More than there are places, and half of a length each.
    let _silent: Vec<Tcp> = (0..500)
        .map(|_| {
            let mut client = Tcp::to(proxy.dns());
            client.send_raw(b"\0");
            client
        })
        .collect();
    let answer = Tcp::to(proxy.dns()).ask(&question("a.test", RecordType::A));
    assert_eq!(answer.answers.len(), 1);
}
