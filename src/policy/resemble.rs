//! Names that a person may take for others: one that is asked for, beside those that are allowed.
//!
//! A hint for whoever decides, and nothing is decided by it: it knows the confusable characters of
//! UTS 39 and a slip of one character, and no more.

use strsim::osa_distance;
use unicode_security::confusable_detection::skeleton;

use super::entry::Entry;
use super::host::Host;
use super::pattern::Pattern;

/// Names this short differ by one character all the time.
const SHORT: usize = 5;

/// How names that are known look. Made once, to be asked about many.
#[derive(Default)]
pub struct Known(Vec<Look>);

impl Known {
    /// The registered parts of the names in these entries.
    pub fn of<'e>(entries: impl IntoIterator<Item = &'e Entry>) -> Self {
        let looks = entries
            .into_iter()
            .filter_map(|entry| match entry.pattern() {
                Pattern::Name(name) => Look::of(name.as_str()),
                Pattern::Wildcard(wildcard) => Look::of(wildcard.suffix()),
                Pattern::Ip(_) | Pattern::Net(_) => None,
            });
        Self(looks.collect())
    }

    /// The registered part of a known name that the registered part of this host looks like without
    /// being it: `example.com` for `exarnple.com`.
    pub fn resembled(&self, asked: &Host) -> Option<&str> {
        let Host::Name(name) = asked else { return None };
        let asked = Look::of(name.as_str())?;
        let like = self.0.iter().find(|known| asked.is_taken_for(known))?;
        Some(&like.domain)
    }
}

/// How the registered part of a name looks.
struct Look {
    domain: String,
    /// Equal for what looks equal (UTS 39, section 4).
    skeleton: String,
}

impl Look {
    fn of(name: &str) -> Option<Self> {
        let domain = psl::domain_str(name)?;
        let (shown, _) = idna::domain_to_unicode(domain);
        Some(Self {
            domain: domain.to_owned(),
            skeleton: skeleton(&shown).collect::<String>().to_lowercase(),
        })
    }

    fn is_taken_for(&self, other: &Self) -> bool {
        if self.domain == other.domain {
            return false;
        }
        let is_long = |domain: &str| domain.find('.').is_some_and(|length| length >= SHORT);
        let slip = is_long(&self.domain)
            && is_long(&other.domain)
            && osa_distance(&self.domain, &other.domain) == 1;
        self.skeleton == other.skeleton || slip && !self.is_numbered_as(other)
    }

    /// `cdn1.example` and `cdn2.example` are not taken for each other.
    fn is_numbered_as(&self, other: &Self) -> bool {
        let letters = |domain: &str| domain.replace(|c: char| c.is_ascii_digit(), "");
        letters(&self.domain) == letters(&other.domain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks_like(asked: &str) -> Option<String> {
        let allowed = [
            "amazon.com",
            "*.google.com:443",
            "api.example.org",
            "cdn1-net.com",
            "192.0.2.7",
            "ab.test",
        ];
        let allowed: Vec<Entry> = allowed.iter().map(|text| text.parse().unwrap()).collect();
        let known = Known::of(&allowed);
        let like = known.resembled(&Host::from_text(asked).unwrap());
        like.map(str::to_owned)
    }

    #[test]
    fn a_name_that_is_taken_for_an_allowed_one_is_told_with_it() {
        for (asked, like) in [
            ("arnazon.com", "amazon.com"),
            ("g00gle.com", "google.com"),
            ("www.g00gle.com", "google.com"),
            ("gogle.com", "google.com"),
            ("googel.com", "google.com"),
            ("exampel.org", "example.org"),
            ("ex\u{430}mple.org", "example.org"),
            ("amazon.co", "amazon.com"),
        ] {
            assert_eq!(looks_like(asked).as_deref(), Some(like), "{asked}");
        }
    }

    #[test]
    fn the_allowed_name_itself_its_neighbours_and_quite_other_names_are_not() {
        for asked in [
            "amazon.com",
            "other.google.com",
            "elsewhere.net",
            "cdn2-net.com",
            "ac.test",
            "192.0.2.8",
            "com",
        ] {
            assert_eq!(looks_like(asked), None, "{asked}");
        }
    }
}
