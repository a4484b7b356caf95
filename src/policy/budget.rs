//! How much may be sent under a rule: a size as a person writes it, and what is left of it.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Units of a size. What divides a size with the smallest number is how it is shown.
const UNITS: [(&str, u64); 9] = [
    ("B", 1),
    ("kB", 1000),
    ("KiB", 1 << 10),
    ("MB", 1000 * 1000),
    ("MiB", 1 << 20),
    ("GB", 1000 * 1000 * 1000),
    ("GiB", 1 << 30),
    ("TB", 1000 * 1000 * 1000 * 1000),
    ("TiB", 1 << 40),
];

/// What every reader of JSON can still tell from the number beside it (RFC 8259, section 6).
const MOST: u64 = 1 << 53;

/// A number of bytes, at least one: `10MB` is ten million, `10MiB` is ten times 2^20.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(u64);

/// What is written is no size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a size; write a whole number above 0 and B, kB, MB, GB, TB, KiB, MiB, GiB or \
     TiB, such as 10MB"
)]
pub struct SizeError(String);

impl Size {
    /// In bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for Size {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        let wrong = || SizeError(text.to_owned());
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let (_, factor) = UNITS
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(unit))
            .ok_or_else(wrong)?;
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let bytes = number.checked_mul(*factor).ok_or_else(wrong)?;
        match bytes {
            1..=MOST => Ok(Self(bytes)),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = UNITS
            .iter()
            .filter(|(_, factor)| self.0.is_multiple_of(*factor));
        let (name, factor) = whole.max_by_key(|(_, factor)| *factor).unwrap_or(&UNITS[0]);
        write!(f, "{}{name}", self.0 / factor)
    }
}

/// About so many bytes, for a person: never more than there are.
pub fn about(bytes: u64) -> String {
    let mut decimal = UNITS.iter().filter(|(name, _)| !name.contains('i'));
    match decimal.rfind(|(_, factor)| *factor <= bytes) {
        Some((name, factor @ 2..)) => {
            let tenths = bytes / (factor / 10);
            format!("{}.{}{name}", tenths / 10, tenths % 10)
        }
        _ => format!("{bytes}B"),
    }
}

/// What may be sent under a rule, by all its connections together.
#[derive(Debug)]
pub struct Budget {
    of: AtomicU64,
    left: AtomicU64,
}

impl Budget {
    /// All of it is left.
    pub fn new(of: Size) -> Self {
        Self {
            of: AtomicU64::new(of.0),
            left: AtomicU64::new(of.0),
        }
    }

    /// How much it was at first.
    pub fn of(&self) -> Size {
        Size(self.of.load(Relaxed))
    }

    /// How many bytes are left.
    pub fn left(&self) -> u64 {
        // What is given back may be of the time before it was renewed.
        self.left.load(Relaxed).min(self.of.load(Relaxed))
    }

    /// Takes so many bytes, or as many as are left, and says how many those are.
    pub fn take(&self, wanted: u64) -> u64 {
        let before = self
            .left
            .fetch_update(Relaxed, Relaxed, |left| Some(left.saturating_sub(wanted)));
        let (Ok(before) | Err(before)) = before;
        before.min(wanted)
    }

    /// Puts back what was taken and not sent.
    pub fn give_back(&self, bytes: u64) {
        self.left.fetch_add(bytes, Relaxed);
    }

    /// Counts anew, for the connections that are open too.
    pub fn renew(&self, of: Size) {
        self.of.store(of.0, Relaxed);
        self.left.store(of.0, Relaxed);
    }

    /// Lets the connections that are open send what they like.
    pub fn lift(&self) {
        self.renew(Size(u64::MAX / 2));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_a_whole_number_and_a_unit_and_is_shown_as_it_is_written() {
        for (text, bytes) in [
            ("1B", 1),
            ("10MB", 10_000_000),
            ("10MiB", 10 << 20),
            ("1000KiB", 1_024_000),
            ("3GB", 3_000_000_000),
            ("8192TiB", MOST),
        ] {
            let size: Size = text.parse().unwrap();
            assert_eq!((size.bytes(), size.to_string()), (bytes, text.to_owned()));
        }
        assert_eq!("10mb".parse::<Size>(), "10000kB".parse());
    }

    #[test]
    fn what_is_no_size_is_told_what_one_looks_like() {
        for text in [
            "",
            "MB",
            "10",
            "0MB",
            "-1MB",
            "+1MB",
            "1.5MB",
            "10 MB",
            "10MBit",
            "10é",
            "8193TiB",
            "18446744073709551615MB",
            "99999999999999999999B",
        ] {
            let error = text.parse::<Size>().unwrap_err().to_string();
            assert!(error.contains("such as 10MB"), "{error}");
        }
    }

    #[test]
    fn what_is_left_is_never_shown_as_more() {
        for (bytes, shown) in [
            (0, "0B"),
            (999, "999B"),
            (9_999, "9.9kB"),
            (10_000_000, "10.0MB"),
        ] {
            assert_eq!(about(bytes), shown);
        }
    }

    #[test]
    fn all_that_take_from_a_budget_together_get_no_more_than_it_has() {
        let budget = Budget::new("1000kB".parse().unwrap());
        let taken: u64 = std::thread::scope(|scope| {
            let take = || {
                let one = |_| match budget.take(7) {
                    7 => {
                        budget.give_back(3);
                        4
                    }
                    less => less,
                };
                (0..100_000).map(one).sum::<u64>()
            };
            let threads = [(); 4].map(|()| scope.spawn(take));
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        assert_eq!(taken, 1_000_000);
        assert_eq!((budget.left(), budget.take(1)), (0, 0));
        budget.renew("5B".parse().unwrap());
        assert_eq!((budget.take(9), budget.take(1)), (5, 0));
    }
}
