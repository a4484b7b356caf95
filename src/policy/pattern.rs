//! Host patterns: what a rule says about hosts, without ports and verdicts.

use std::cmp::Reverse;
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use super::host::Host;
use super::name::Name;

/// Which hosts a rule is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// This name and no other.
    Name(Name),
    /// Names under a fixed suffix; never an address.
    Wildcard(Wildcard),
    /// This address, in whichever spelling.
    Ip(IpAddr),
    /// The addresses of a network.
    Net(IpNet),
}

impl Pattern {
    /// Whether a host is one of those meant.
    pub fn covers(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Name(name), Host::Name(asked)) => name == asked,
            (Self::Wildcard(wildcard), Host::Name(asked)) => wildcard.covers(asked.as_str()),
            // `::ffff:192.0.2.7` reaches 192.0.2.7: a rule about the one is about the other.
            (Self::Ip(ip), Host::Ip(asked)) => ip.to_canonical() == asked.to_canonical(),
            (Self::Net(net), Host::Ip(asked)) => {
                net.contains(asked) || net.contains(&asked.to_canonical())
            }
            (Self::Name(_) | Self::Wildcard(_), Host::Ip(_))
            | (Self::Ip(_) | Self::Net(_), Host::Name(_)) => false,
        }
    }

    /// Whether every host of another pattern is one of those meant. Of two different wildcards
    /// only the plain case is seen: `**` over a suffix that the other one ends in.
    pub(super) fn includes(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::Name(name)) => self.covers(&Host::Name(name.clone())),
            // It covers both spellings; what covers the plain one does too.
            (_, Self::Ip(ip)) => self.covers(&Host::Ip(ip.to_canonical())),
            (Self::Net(net), Self::Net(other)) => net.contains(other),
            (Self::Wildcard(wide), Self::Wildcard(other)) => {
                let under = other.suffix().strip_suffix(wide.suffix());
                let below = under.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
                wide == other || (wide.head() == "**" && below)
            }
            (_, Self::Net(_) | Self::Wildcard(_)) => false,
        }
    }
}

impl From<&Host> for Pattern {
    fn from(host: &Host) -> Self {
        match host {
            Host::Name(name) => Self::Name(name.clone()),
            Host::Ip(ip) => Self::Ip(*ip),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Wildcard(wildcard) => f.write_str(wildcard.as_str()),
            Self::Ip(ip) => ip.fmt(f),
            Self::Net(net) => net.fmt(f),
        }
    }
}

/// A name pattern with stars: `*` is exactly one label, `**` one or more.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Wildcard(Box<str>);

impl Wildcard {
    /// Takes lower-case labels of which at least one is a star, the last is none, and at most one
    /// is a double star. The parser in `entry` makes sure of all that.
    pub(super) fn from_checked(text: &str) -> Self {
        debug_assert!(text.contains('*') && !text.ends_with('*'));
        Self(text.into())
    }

    /// The pattern's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The fixed part after the last star: `amazonaws.com` of `bedrock.*.amazonaws.com`.
    pub fn suffix(&self) -> &str {
        &self.0[self.split() + 1..]
    }

    /// The labels up to and with the last star: `bedrock.*` of `bedrock.*.amazonaws.com`.
    pub fn head(&self) -> &str {
        &self.0[..self.split()]
    }

    /// Where the dot after the last star stands.
    fn split(&self) -> usize {
        self.0.rfind('*').map_or(0, |star| star + 1)
    }

    /// Whether a name, lower-case and without a trailing dot, is under the suffix and has the
    /// labels that are asked for before it.
    pub(super) fn covers(&self, name: &str) -> bool {
        name.strip_suffix(self.suffix())
            .and_then(|rest| rest.strip_suffix('.'))
            .is_some_and(|head| self.head_covers(head))
    }

    /// Whether these labels, the ones before the suffix, are those asked for.
    pub(super) fn head_covers(&self, labels: &str) -> bool {
        let Some((before, after)) = self.head().split_once("**") else {
            return zip_labels(self.head(), labels) == Some(0);
        };
        let before = before.strip_suffix('.').unwrap_or(before);
        let after = after.strip_prefix('.').unwrap_or(after);
        // The double star takes what the labels on its sides leave over: at least one.
        let fixed = count_labels(before) + count_labels(after);
        count_labels(labels) > fixed
            && starts_with_labels(labels.split('.'), before.split('.'), before)
            && starts_with_labels(labels.rsplit('.'), after.rsplit('.'), after)
    }

    /// Orders patterns of one suffix, the more specific first: fixed depth before any depth, then
    /// more literal labels, then more labels.
    pub(super) fn specificity(&self) -> impl Ord + use<> {
        let head = self.head();
        let literal = head
            .split('.')
            .filter(|label| !label.starts_with('*'))
            .count();
        (
            head.contains("**"),
            Reverse(literal),
            Reverse(count_labels(head)),
        )
    }
}

fn count_labels(text: &str) -> usize {
    if text.is_empty() {
        0
    } else {
        text.split('.').count()
    }
}

fn label_covers(pattern: &str, label: &str) -> bool {
    pattern == "*" || pattern == label
}

/// Zero when both have as many labels and each pattern covers its label.
fn zip_labels(pattern: &str, labels: &str) -> Option<usize> {
    let (mut patterns, mut labels) = (pattern.split('.'), labels.split('.'));
    for pattern in patterns.by_ref() {
        if !label_covers(pattern, labels.next()?) {
            return None;
        }
    }
    Some(labels.count())
}

fn starts_with_labels<'a>(
    mut labels: impl Iterator<Item = &'a str>,
    mut patterns: impl Iterator<Item = &'a str>,
    text: &str,
) -> bool {
    text.is_empty()
        || patterns.all(|pattern| {
            labels
                .next()
                .is_some_and(|label| label_covers(pattern, label))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(pattern: &str, name: &str) -> bool {
        Wildcard::from_checked(pattern).covers(name)
    }

    #[test]
    fn a_star_is_exactly_one_label() {
        assert!(covers("*.a.test", "x.a.test"));
        assert!(covers("x.*.a.test", "x.y.a.test"));
        assert!(covers("*.*.a.test", "x.y.a.test"));
        for name in ["a.test", "x.y.a.test", "xa.test", "x.a.test.evil.test"] {
            assert!(!covers("*.a.test", name), "{name}");
        }
        assert!(!covers("*.*.a.test", "x.a.test"));
        assert!(!covers("x.*.a.test", "z.y.a.test"));
        assert!(!covers("x.*.a.test", "x.a.test"));
    }

    #[test]
    fn a_double_star_is_one_label_or_more() {
        for name in ["x.a.test", "x.y.a.test", "x.y.z.a.test"] {
            assert!(covers("**.a.test", name), "{name}");
        }
        assert!(!covers("**.a.test", "a.test"));
        assert!(!covers("**.a.test", "xa.test"));
    }

    #[test]
    fn labels_beside_a_double_star_keep_their_places() {
        for name in ["x.1.y.7.a.test", "x.1.2.y.7.a.test", "x.x.y.y.a.test"] {
            assert!(covers("x.**.y.*.a.test", name), "{name}");
        }
        for name in [
            "x.y.7.a.test",
            "x.1.y.a.test",
            "y.1.x.7.a.test",
            "1.x.1.y.7.a.test",
        ] {
            assert!(!covers("x.**.y.*.a.test", name), "{name}");
        }
        assert!(covers("*.**.a.test", "x.y.a.test") && !covers("*.**.a.test", "x.a.test"));
        assert!(covers("**.*.a.test", "x.y.a.test") && !covers("**.*.a.test", "x.a.test"));
    }

    #[test]
    fn an_address_is_covered_in_its_mapped_spelling_too() {
        let host = |text: &str| Host::Ip(text.parse().unwrap());
        let address = Pattern::Ip("192.0.2.7".parse().unwrap());
        let net = Pattern::Net("192.0.2.0/24".parse().unwrap());
        for pattern in [address, net] {
            assert!(pattern.covers(&host("192.0.2.7")), "{pattern}");
            assert!(pattern.covers(&host("::ffff:192.0.2.7")), "{pattern}");
            assert!(!pattern.covers(&host("::192.0.2.7")), "{pattern}");
        }
    }

    #[test]
    fn a_network_of_mapped_spellings_does_not_include_the_address_itself() {
        let mapped = Pattern::Ip("::ffff:192.0.2.7".parse().unwrap());
        let includes = |net: &str| Pattern::Net(net.parse().unwrap()).includes(&mapped);
        assert!(includes("192.0.2.0/24"));
        assert!(!includes("::/1"));
    }
}
