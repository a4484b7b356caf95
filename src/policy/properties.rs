//! Properties of the policy, held against a matcher that is as plain as the words of the design.

use std::cmp::Reverse;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::{Entry, Expiry, Host, Origin, Ports, Rule, RuleSet, Scope, Target, Verdict};

/// What the host part of an entry means, read off its text alone.
fn plain_host_covers(pattern: &str, host: &str) -> bool {
    if let Ok(host) = host.parse::<IpAddr>() {
        let bits = |ip: IpAddr| match ip {
            IpAddr::V4(ip) => (32, u128::from(ip.to_bits())),
            IpAddr::V6(ip) => (128, ip.to_bits()),
        };
        let (address, length) = pattern.split_once('/').unwrap_or((pattern, ""));
        let Ok(address) = address.trim_matches(['[', ']']).parse::<IpAddr>() else {
            return false;
        };
        let address = if length.is_empty() {
            address.to_canonical()
        } else {
            address
        };
        return [host, host.to_canonical()].into_iter().any(|host| {
            let ((width, a), (other, b)) = (bits(address), bits(host));
            let length: u32 = length.parse().unwrap_or(width);
            width == other && a >> (width - length) == b >> (width - length)
        });
    }
    let pattern: Vec<_> = pattern.split('.').collect();
    let host: Vec<_> = host.split('.').collect();
    plain_labels_cover(&pattern, &host)
}

fn plain_labels_cover(pattern: &[&str], host: &[&str]) -> bool {
    match (pattern, host) {
        ([], []) => true,
        (["**", pattern @ ..], [_, host @ ..]) => {
            plain_labels_cover(pattern, host)
                || plain_labels_cover(&[&["**"], pattern].concat(), host)
        }
        ([first, pattern @ ..], [label, host @ ..]) => {
            (*first == "*" || first == label) && plain_labels_cover(pattern, host)
        }
        _ => false,
    }
}

/// Host pattern and ports as text; the ports are "", "*" or a number.
type Text = (String, &'static str);

fn plain_covers((pattern, ports): &Text, host: &str, port: u16) -> bool {
    let port_is_meant = match *ports {
        "" => [80, 443].contains(&port),
        "*" => true,
        one => one.parse() == Ok(port),
    };
    port_is_meant && plain_host_covers(pattern, host)
}

/// The more specific the smaller.
fn plain_rank((pattern, ports): &Text) -> impl Ord + use<> {
    let ports_rank = match *ports {
        "" => 1,
        "*" => 2,
        _ => 0,
    };
    (plain_host_rank(pattern), pattern.clone(), ports_rank)
}

fn plain_host_rank(pattern: &str) -> impl Ord + use<> {
    if let Some((address, length)) = pattern.split_once('/') {
        let length: usize = length.parse().unwrap();
        return (
            if address.contains(':') { 2 } else { 1 },
            128 - length,
            false,
            0,
            0,
        );
    }
    if !pattern.contains('*') {
        return (0, 0, false, 0, 0);
    }
    let labels: Vec<_> = pattern.split('.').collect();
    let suffix = labels
        .iter()
        .rev()
        .take_while(|label| !label.contains('*'))
        .count();
    let literal = labels.iter().filter(|label| !label.contains('*')).count();
    (
        1,
        128 - suffix,
        labels.contains(&"**"),
        128 - literal,
        128 - labels.len(),
    )
}

fn entry_text((pattern, ports): &Text) -> String {
    match *ports {
        "" => pattern.clone(),
        ports if pattern.contains(':') && !pattern.starts_with('[') => {
            format!("[{pattern}]:{ports}")
        }
        ports => format!("{pattern}:{ports}"),
    }
}

fn parse(text: &Text) -> Entry {
    Entry::parse_forced(&entry_text(text)).unwrap_or_else(|error| panic!("{error}"))
}

/// The numbers of the entries whose pattern covers a host.
fn covering_host(texts: &[(Text, bool, u64)], asked: &str) -> impl Iterator<Item = usize> {
    (0..texts.len()).filter(move |&at| plain_host_covers(&texts[at].0.0, asked))
}

fn host(text: &str) -> Host {
    text.parse()
        .map_or_else(|_| Host::from_wire(text.as_bytes()).unwrap(), Host::Ip)
}

fn name() -> impl Strategy<Value = String> {
    vec(select(vec!["a", "b", "c"]), 1..6).prop_map(|labels| labels.join("."))
}

fn address() -> impl Strategy<Value = IpAddr> {
    let v4 = (0..2_u8, 0..4_u8).prop_map(|(c, d)| IpAddr::from([192, 0, c * 64, d]));
    let v6 =
        (0..2_u16, 0..4_u16).prop_map(|(c, d)| IpAddr::from([0x2001, 0xdb8, 0, c, 0, 0, 0, d]));
    let mapped = v4.clone().prop_map(|ip| match ip {
        IpAddr::V4(ip) => IpAddr::V6(ip.to_ipv6_mapped()),
        IpAddr::V6(_) => ip,
    });
    prop_oneof![v4, v6, mapped]
}

fn wildcard() -> impl Strategy<Value = String> {
    let head = vec(select(vec!["a", "b", "*", "*", "**"]), 1..4);
    (head, vec(select(vec!["a", "b", "c"]), 1..4))
        .prop_filter("one star at least, one double star at most", |(head, _)| {
            head.iter().any(|label| label.contains('*'))
                && head.iter().filter(|label| **label == "**").count() < 2
        })
        .prop_map(|(head, suffix)| format!("{}.{}", head.join("."), suffix.join(".")))
}

fn network() -> impl Strategy<Value = String> {
    (
        address(),
        select(vec![1_u8, 8, 24, 26, 31, 32, 64, 96, 97, 120, 128]),
    )
        .prop_filter_map("fits", |(ip, length)| {
            let net = ipnet::IpNet::new(ip, length).ok()?.trunc();
            Some(format!("{net}"))
        })
}

fn text() -> impl Strategy<Value = Text> {
    let literal_ip = address().prop_map(|ip| match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    });
    let pattern = prop_oneof![2 => name(), 4 => wildcard(), 1 => literal_ip, 1 => network()];
    (pattern, select(vec!["", "*", "80", "443", "22"]))
}

fn asked() -> impl Strategy<Value = (String, u16)> {
    let host = prop_oneof![3 => name(), 1 => address().prop_map(|ip| ip.to_string())];
    (host, select(vec![22_u16, 80, 443, 8080]))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn an_entry_covers_what_its_text_says(text in text(), (asked, port) in asked()) {
        let covers = parse(&text).covers(&host(&asked), port);
        prop_assert_eq!(covers, plain_covers(&text, &asked, port), "{:?} {}", text, asked);
    }

    #[test]
    fn printing_and_parsing_an_entry_changes_nothing(text in text()) {
        let entry = parse(&text);
        let printed = entry.to_string();
        prop_assert_eq!(&Entry::parse_forced(&printed).unwrap(), &entry);
        let json = serde_json::to_string(&entry).unwrap();
        prop_assert_eq!(json, format!("\"{printed}\""));
    }

    #[test]
    fn printing_and_parsing_a_target_changes_nothing((asked, port) in asked()) {
        let target = Target { host: host(&asked), port };
        let printed = target.to_string();
        prop_assert_eq!(&Target::from_authority(printed.as_bytes()).unwrap(), &target);
        prop_assert_eq!(&printed.parse::<Target>().unwrap(), &target);
        prop_assert_eq!(Entry::for_target(&target).unwrap().to_string(), printed);
    }

    #[test]
    fn a_text_that_parses_has_one_printed_form(text in "[a-cA-C*.:/0-9\\[\\]-]{0,24}") {
        if let Ok(entry) = Entry::parse_forced(&text) {
            let printed = entry.to_string();
            let again = Entry::parse_forced(&printed).unwrap();
            prop_assert_eq!(again.to_string(), printed);
            prop_assert_eq!(again, entry);
        }
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in "\\PC{0,40}") {
        if let Err(error) = text.parse::<Entry>() {
            prop_assert!(!error.to_string().chars().any(char::is_control));
        }
        let _ = text.parse::<Target>();
        let _ = Target::from_authority(text.as_bytes());
    }

    #[test]
    fn a_wider_entry_covers_what_a_narrower_one_does(
        text in text(), (asked, port) in asked(), at in 0..6_usize, wider in 0..3_usize
    ) {
        let (pattern, ports) = &text;
        let mut labels: Vec<_> = pattern.split('.').collect();
        let is_name = !pattern.contains([':', '/']) && pattern.parse::<IpAddr>().is_err();
        let widened = match wider {
            0 => (pattern.clone(), "*"),
            1 if is_name && labels.len() > 1 && !pattern.contains("**") => {
                let at = at % (labels.len() - 1);
                labels[at] = "*";
                (labels.join("."), *ports)
            }
            2 if is_name && labels.len() > 1 && !pattern.contains("**") => {
                let at = at % (labels.len() - 1);
                labels[at] = "**";
                (labels.join("."), *ports)
            }
            _ => text.clone(),
        };
        let host = host(&asked);
        if parse(&text).covers(&host, port) {
            prop_assert!(parse(&widened).covers(&host, port), "{:?} {:?} {}", text, widened, asked);
        }
    }

    #[test]
    fn a_set_decides_as_reading_every_rule_would(
        texts in vec((text(), any::<bool>(), 0..3_u64), 0..40),
        asked in vec(asked(), 20),
    ) {
        let start = Instant::now();
        let now = start + Duration::from_secs(1);
        let rules: Vec<_> = texts.iter().map(|(text, deny, end)| {
            let verdict = if *deny { Verdict::Deny } else { Verdict::Allow };
            let rule = Rule::new(parse(text), verdict, Origin::Flag, Scope::Session);
            // 0: without an end; 1: ended just now; 2: will end.
            match *end {
                0 => rule,
                end => {
                    let at = start + Duration::from_secs(end);
                    rule.ending(Expiry { at, shown: String::new() })
                }
            }
        }).collect();
        let set = RuleSet::new(rules);
        for (asked, port) in asked {
            let covering = || (0..texts.len()).filter(|&at| plain_covers(&texts[at].0, &asked, port));
            let expected = covering().filter(|&at| texts[at].2 != 1).min_by_key(|&at| {
                let (text, deny, end) = &texts[at];
                (Reverse(*deny), plain_rank(text), *end > 0, at)
            });
            let host = host(&asked);
            let decided = set.decide(&host, port, now);
            prop_assert_eq!(decided, expected, "{}:{}", asked, port);

            let mut somewhere: Vec<_> = set.covering(&host, now).collect();
            let ranks: Vec<_> = somewhere.iter().map(|&at| plain_host_rank(&texts[at].0.0)).collect();
            prop_assert!(ranks.is_sorted(), "{:?}", somewhere);
            somewhere.sort_unstable();
            let live = covering_host(&texts, &asked).filter(|&at| texts[at].2 != 1);
            prop_assert_eq!(somewhere, live.collect::<Vec<_>>(), "{}", asked);

            let mut matching: Vec<_> = set.matching(&host, port).collect();
            let ranks: Vec<_> = matching.iter().map(|&at| plain_host_rank(&texts[at].0.0)).collect();
            prop_assert!(ranks.is_sorted(), "{:?}", matching);
            matching.sort_unstable();
            prop_assert_eq!(matching, covering().collect::<Vec<_>>(), "{}:{}", asked, port);
        }
    }

    #[test]
    fn a_set_finds_each_entry_it_has_and_no_other(texts in vec((text(), any::<bool>()), 1..40)) {
        let verdict = |deny| if deny { Verdict::Deny } else { Verdict::Allow };
        let (given, others) = texts.split_at(texts.len().div_ceil(2));
        let rules = given.iter().map(|(text, deny)| {
            Rule::new(parse(text), verdict(*deny), Origin::Flag, Scope::Session)
        });
        let set = RuleSet::new(rules.collect());
        for (text, deny) in given {
            let at = set.find(&parse(text), verdict(*deny)).unwrap();
            prop_assert_eq!(&set.rules()[at].entry, &parse(text));
            prop_assert_eq!(set.rules()[at].verdict, verdict(*deny));
        }
        for other in others.iter().filter(|other| !given.contains(other)) {
            prop_assert_eq!(set.find(&parse(&other.0), verdict(other.1)), None);
        }
    }

    #[test]
    fn a_deny_that_shadows_an_entry_covers_its_hosts(
        (wide, narrow) in (text(), text()), asked in vec(asked(), 20)
    ) {
        let (deny, allow) = (parse(&wide), parse(&narrow));
        prop_assert!(allow.shadows(&allow));
        if deny.shadows(&allow) {
            for (asked, _) in asked.iter().filter(|(asked, _)| allow.pattern().covers(&host(asked))) {
                prop_assert!(deny.pattern().covers(&host(asked)), "{} {} {}", deny, allow, asked);
            }
        }
    }

    #[test]
    fn ports_cover_what_they_say(port in 1..=u16::MAX) {
        prop_assert!(Ports::Any.covers(port));
        prop_assert_eq!(Ports::Web.covers(port), port == 80 || port == 443);
        prop_assert!(Ports::One(port.try_into().unwrap()).covers(port));
    }
}
