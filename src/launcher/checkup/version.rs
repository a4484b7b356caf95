//! Versions as engines and distributions write them, put in order.

use std::cmp::Ordering;

/// The numbers of a version, and what of it is a distribution's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Version {
    numbers: [u32; 3],
    /// The number of a release candidate; none once it is released.
    candidate: Option<u32>,
    /// A distribution has packaged it, and may have put later fixes into it.
    pub(super) packaged: bool,
}

impl Version {
    /// Reads `1.1.12`, `1.0.0-rc95`, `v1.4.0-rc.3`, `20.10.24+dfsg1`, `1.1.5+ds1-1+deb12u1`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim().trim_start_matches('v');
        let end = text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len());
        let (numbers, rest) = text.split_at(end);
        let mut parts = numbers.split('.').map(|part| part.parse().unwrap_or(0));
        let numbers = [parts.next()?, parts.next()?, parts.next().unwrap_or(0)];
        let rest = rest.trim_start_matches(['-', '~']);
        let candidate = rest.strip_prefix("rc").map(|rc| {
            let digits = rc.trim_start_matches('.');
            let end = digits
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(digits.len());
            digits[..end].parse().unwrap_or(0)
        });
        let packaged = !rest.is_empty() && candidate.is_none() || rest.contains(['+', '~']);
        Some(Self {
            numbers,
            candidate,
            packaged,
        })
    }

    /// From this one on, and before that one.
    pub(super) fn is_within(&self, from: &Self, before: &Self) -> bool {
        self.order(from) != Ordering::Less && self.order(before) == Ordering::Less
    }

    /// A candidate comes before what it is a candidate for.
    fn order(&self, other: &Self) -> Ordering {
        let candidate = |version: &Self| version.candidate.unwrap_or(u32::MAX);
        self.numbers
            .cmp(&other.numbers)
            .then(candidate(self).cmp(&candidate(other)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    #[test]
    fn candidates_come_before_their_release_and_are_written_in_two_ways() {
        let order = [
            "1.0-rc6",
            "1.0.0-rc95",
            "1.0.0",
            "1.1.11",
            "1.1.12",
            "1.4.0-rc.3",
            "1.4.0",
        ];
        for pair in order.windows(2) {
            let (one, other) = (version(pair[0]), version(pair[1]));
            assert_eq!(one.order(&other), Ordering::Less, "{pair:?}");
        }
        assert_eq!(version("v1.4.0-rc.3"), version("1.4.0-rc3"));
    }

    #[test]
    fn what_a_distribution_packaged_is_known_by_what_it_adds() {
        for text in [
            "1.1.5+ds1-1+deb12u1",
            "20.10.24+dfsg1",
            "1.1.7-0ubuntu1~22.04.2",
            "1.6.20~ds1",
        ] {
            assert!(version(text).packaged, "{text}");
        }
        for text in ["1.1.12", "v1.4.0-rc.3", "1.0.0-rc95", "28.2.2"] {
            assert!(!version(text).packaged, "{text}");
        }
        assert_eq!(Version::parse("unknown"), None);
    }
}
