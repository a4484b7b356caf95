//! How what a session says is told to the page: with what a person should notice of a name, and
//! with nothing in it that could steer who reads it.

use serde::Serialize;
use serde_json::Value;

use crate::api::{LogEntry, MissedView, PendingView, RuleView, Settled, known};
use crate::overview::{Link, Sight};
use crate::policy::{Host, Known, as_text, printable, registrable};
use crate::session::Record;

/// Rules of one session that are shown; `vibepit rules` has all.
const RULES_MAX: usize = 2000;
/// Decisions of one session that are told at first.
const LOG_MAX: usize = 500;
/// A part in front of the registered one that is longer is shown without its middle,
const LEAD_LONG: usize = 40;
/// with so much at either end.
const LEAD_END: usize = 16;
/// Rules beyond which nothing is looked for that a name resembles.
const ALLOWED_MAX: usize = 10_000;

/// A request, and what to notice of its name.
#[derive(Serialize)]
pub(super) struct Shown<'s, T> {
    #[serde(flatten)]
    request: &'s T,
    /// What stands in front of the registered part, shortened.
    lead: String,
    /// What somebody registered.
    owned: String,
    /// In the letters that it stands for, where it is written in A-labels.
    unicode: Option<String>,
    /// The allowed name that it looks like, without being it.
    like: Option<String>,
}

/// Something that has a name.
pub(super) trait Named: Serialize {
    fn domain(&self) -> &str;
}

impl Named for PendingView {
    fn domain(&self) -> &str {
        &self.domain
    }
}

impl Named for MissedView {
    fn domain(&self) -> &str {
        &self.domain
    }
}

pub(super) fn shown<'s, T: Named>(request: &'s T, allowed: &Known) -> Shown<'s, T> {
    let domain = request.domain();
    let host = Host::from_text(domain).ok();
    let owned = host.as_ref().map_or_else(|| domain.to_owned(), registrable);
    let lead = domain.strip_suffix(&owned).unwrap_or_default();
    Shown {
        request,
        lead: shortened(lead),
        unicode: as_text(domain),
        like: host
            .as_ref()
            .and_then(|host| allowed.resembled(host))
            .map(str::to_owned),
        owned,
    }
}

/// What comes here is a name of ASCII letters.
fn shortened(lead: &str) -> String {
    match (lead.get(..LEAD_END), lead.len().checked_sub(LEAD_END)) {
        (Some(start), Some(end)) if lead.len() > LEAD_LONG => {
            format!("{start}…{}", lead.get(end..).unwrap_or_default())
        }
        _ => lead.to_owned(),
    }
}

/// What these rules allow, to find what a name resembles.
pub(super) fn allowed(rules: &[RuleView]) -> Known {
    match rules.len() {
        0..=ALLOWED_MAX => known(rules),
        _ => Known::default(),
    }
}

/// All that is shown of a session.
#[derive(Serialize)]
pub(super) struct Whole<'s> {
    record: &'s Record,
    link: LinkView<'s>,
    session: Option<&'s crate::api::Session>,
    pending: Vec<Shown<'s, PendingView>>,
    missed: Vec<Shown<'s, MissedView>>,
    rules: &'s [RuleView],
    /// How many there are beyond those.
    more_rules: usize,
    log: Vec<&'s LogEntry>,
}

/// How a session is reached.
#[derive(Serialize)]
pub(super) struct LinkView<'s> {
    state: &'static str,
    why: Option<&'s str>,
}

impl<'s> LinkView<'s> {
    pub(super) fn of(link: &'s Link) -> Self {
        let (state, why) = match link {
            Link::Opening => ("opening", None),
            Link::Open => ("open", None),
            Link::Lost(why) => ("lost", Some(why.as_str())),
            Link::Ending(why) => ("ending", Some(why.as_str())),
        };
        Self { state, why }
    }
}

impl<'s> Whole<'s> {
    pub(super) fn of(sight: &'s Sight, allowed: &Known) -> Self {
        let rules = &sight.rules[..sight.rules.len().min(RULES_MAX)];
        let older = sight.log.len().saturating_sub(LOG_MAX);
        Self {
            record: &sight.record,
            link: LinkView::of(&sight.link),
            session: sight.session.as_ref(),
            pending: sight
                .pending
                .iter()
                .map(|one| shown(one, allowed))
                .collect(),
            missed: sight.missed.iter().map(|one| shown(one, allowed)).collect(),
            rules,
            more_rules: sight.rules.len() - rules.len(),
            log: sight.log.iter().skip(older).collect(),
        }
    }
}

/// What the page is told.
#[derive(Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub(super) enum Message<'s> {
    /// Everything, in the place of what was told before.
    Whole { sessions: Vec<Whole<'s>> },
    /// A session is over.
    Gone { session: &'s str },
    /// A session is reached otherwise than before.
    Link {
        session: &'s str,
        link: LinkView<'s>,
    },
    /// A request waits, or waits otherwise than before.
    Request {
        session: &'s str,
        request: Shown<'s, PendingView>,
    },
    /// A request waits no longer.
    Settled {
        session: &'s str,
        settled: &'s Settled,
        missed: Option<Shown<'s, MissedView>>,
    },
    /// A rule came, or went.
    Rule {
        session: &'s str,
        rule: &'s RuleView,
        gone: bool,
    },
    /// A decision.
    Log {
        session: &'s str,
        entry: &'s LogEntry,
    },
}

impl Message<'_> {
    /// As it goes to the page.
    pub(super) fn text(&self) -> String {
        serde_json::to_value(self)
            .map_or_else(|_| "null".to_owned(), |value| harmless(value).to_string())
    }
}

/// The same with every text in it escaped: a page shows bidirectional controls as a terminal does.
pub(super) fn harmless(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(printable(&text).into_owned()),
        Value::Array(values) => values.into_iter().map(harmless).collect(),
        Value::Object(fields) => {
            let fields = fields.into_iter();
            fields.map(|(key, value)| (key, harmless(value))).collect()
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn request(domain: &str) -> MissedView {
        serde_json::from_value(json!({
            "id": "0123456789ab", "domain": domain, "port": 443, "reason": "timed_out",
            "attempts": 1, "last": "2030-01-01T00:00:00Z", "suggested_pattern": null
        }))
        .unwrap()
    }

    /// DISP-007.
    #[test]
    fn a_long_name_keeps_the_part_that_somebody_registered_in_sight() {
        let domain = format!("{}login.example.com", "example.org.".repeat(18));
        let request = request(&domain);
        let shown = shown(&request, &Known::default());
        assert_eq!(shown.owned, "example.com");
        assert_eq!(shown.lead, "example.org.exam…ample.org.login.");
    }

    /// DISP-006.
    #[test]
    fn a_name_is_told_with_what_it_looks_like_and_in_its_own_letters() {
        let allowed = ["amazon.com", "example.org"].map(|entry| entry.parse().unwrap());
        let allowed = Known::of(&allowed);
        let like = |domain: &str| shown(&request(domain), &allowed).like;
        assert_eq!(like("arnazon.com").as_deref(), Some("amazon.com"));
        assert_eq!(like("elsewhere.net"), None);
        // A Cyrillic а.
        let request = request("xn--exmple-4nf.org");
        let shown = shown(&request, &allowed);
        assert_eq!(shown.unicode.as_deref(), Some("ex\u{430}mple.org"));
        assert_eq!(shown.like.as_deref(), Some("example.org"));
    }

    /// DISP-003.
    #[test]
    fn nothing_that_is_told_can_steer_a_reader() {
        let told = harmless(json!({"name": "a\u{202e}b", "list": ["c\u{200b}", 1, null]}));
        assert_eq!(
            told,
            json!({"name": "a\\u{202e}b", "list": ["c\\u{200b}", 1, null]})
        );
    }
}
