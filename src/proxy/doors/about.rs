//! `http://vibepit.internal/`: what the sandbox may know of its own proxy, so that an agent can say
//! what it needs instead of trying again. It tells of this session alone and decides nothing.

use std::collections::HashSet;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;

use crate::policy::{Host, Target, Verdict};

use super::Road;

/// The name, which is no name of the internet's (ICANN reserved `internal` for private use).
const NAME: &str = "vibepit.internal";

/// As much of each list as is told.
const MOST: usize = 100;
/// Log entries that are looked through for what was refused.
const LOOKED_AT: usize = 1000;

const HOW: &str = "A request that no rule covers waits for the person outside to decide; nothing in \
                   the sandbox can. Ask them: vibepit allow HOST, or vibepit approve HOST while the \
                   request waits.";

/// What is told.
#[derive(Serialize)]
struct About {
    /// What a rule allows.
    allowed: Vec<String>,
    /// What was refused lately, the last first.
    refused: Vec<Refused>,
    /// What waits for the person.
    waiting: Vec<String>,
    how: &'static str,
}

#[derive(Serialize)]
struct Refused {
    target: String,
    reason: &'static str,
    detail: String,
}

/// Whether a target is this page.
pub(super) fn is_meant(target: &Target) -> bool {
    target.port == 80 && matches!(&target.host, Host::Name(name) if name.as_str() == NAME)
}

/// The page, as JSON where that is asked for and as text otherwise.
pub(super) async fn answer<B>(road: &Road, request: &Request<B>) -> Response<Full<Bytes>> {
    if request.uri().path() != "/" {
        return page(
            StatusCode::NOT_FOUND,
            TEXT,
            format!("there is http://{NAME}/ and no more\n"),
        );
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let text = "it is read with GET; nothing is decided here\n".to_owned();
        return page(StatusCode::METHOD_NOT_ALLOWED, TEXT, text);
    }
    let about = about(road).await;
    if wants_json(request.headers()) {
        let mut json = serde_json::to_string(&about).unwrap_or_default();
        json.push('\n');
        return page(
            StatusCode::OK,
            HeaderValue::from_static("application/json"),
            json,
        );
    }
    page(StatusCode::OK, TEXT, about.text())
}

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

fn page(status: StatusCode, kind: HeaderValue, text: String) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from(text)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    let fresh = HeaderValue::from_static("no-store");
    answer.headers_mut().insert(CACHE_CONTROL, fresh);
    answer
}

fn wants_json(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter();
    accepted
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.contains("application/json"))
}

async fn about(road: &Road) -> About {
    road.ledger.caught_up().await;
    let rules = road.gate.rules().into_iter();
    let allowed = rules
        .filter(|rule| rule.verdict == Verdict::Allow)
        .map(|rule| rule.entry)
        .take(MOST);
    let mut seen = HashSet::new();
    let log = road.ledger.logs(None, LOOKED_AT).entries;
    let refused = log
        .into_iter()
        .rev()
        .filter(|entry| entry.verdict == Verdict::Deny)
        .map(|entry| Refused {
            target: match entry.port {
                Some(port) => format!("{}:{port}", entry.domain),
                None => entry.domain,
            },
            reason: entry.reason.as_str(),
            detail: entry.detail.unwrap_or_default(),
        })
        .filter(|refused| seen.insert(refused.target.clone()))
        .take(MOST);
    let waiting = road.gate.queue.targets();
    About {
        allowed: allowed.collect(),
        refused: refused.collect(),
        waiting: waiting.iter().map(Target::to_string).take(MOST).collect(),
        how: HOW,
    }
}

impl About {
    fn text(&self) -> String {
        let refused = self
            .refused
            .iter()
            .map(|one| format!("{}: {}: {}", one.target, one.reason, one.detail));
        let mut text = String::from("vibepit: what this sandbox may reach\n");
        section(&mut text, "allowed", self.allowed.iter().cloned());
        section(&mut text, "refused lately", refused);
        section(
            &mut text,
            "waiting for the person outside",
            self.waiting.iter().cloned(),
        );
        text.push_str(&format!("\n{}\n", self.how));
        text
    }
}

fn section(text: &mut String, title: &str, lines: impl Iterator<Item = String>) {
    text.push_str(&format!("\n{title}:\n"));
    let empty = text.len();
    for line in lines {
        text.push_str(&format!("  {line}\n"));
    }
    if text.len() == empty {
        text.push_str("  nothing\n");
    }
}
