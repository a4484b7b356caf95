//! What the control plane says when it does not do what was asked: RFC 9457 problem details.

use serde::{Deserialize, Serialize};

use crate::policy::{Entry, Scope};

/// A refusal of the control plane, for a program and for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{title}: {detail}")]
pub struct Fault {
    /// The HTTP status.
    pub status: u16,
    /// What kind of fault it is; the same words for the same kind.
    pub title: String,
    /// What is wrong here, and what to do.
    pub detail: String,
    /// The entry that is at fault, as it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<String>,
    /// The methods that this path does take; only with 405.
    #[serde(skip)]
    pub allow: Option<&'static str>,
}

impl Fault {
    fn new(status: u16, title: &str, detail: impl Into<String>) -> Self {
        Self {
            status,
            title: title.to_owned(),
            detail: detail.into(),
            entry: None,
            allow: None,
        }
    }

    /// 400: the request as a whole cannot be understood.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(400, "bad request", detail)
    }

    /// 400: one entry cannot be used, and so nothing of the request is.
    pub fn bad_entry(entry: &str, detail: impl Into<String>) -> Self {
        Self {
            entry: Some(entry.to_owned()),
            ..Self::new(400, "bad entry", detail)
        }
    }

    /// 403: this caller has no business here.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(403, "forbidden", detail)
    }

    /// 404: there is no such path.
    pub fn not_found(path: &str) -> Self {
        Self::new(
            404,
            "not found",
            format!(
                "there is no {}; GET /openapi.json lists what there is",
                path.escape_debug()
            ),
        )
    }

    /// 405: the path exists, and takes another method.
    pub fn method_not_allowed(path: &str, allow: &'static str) -> Self {
        Self {
            allow: Some(allow),
            ..Self::new(405, "method not allowed", format!("{path} takes {allow}"))
        }
    }

    /// 408: the request did not arrive in time.
    pub fn request_timeout() -> Self {
        Self::new(
            408,
            "request timeout",
            "the whole request must arrive within 10 seconds",
        )
    }

    /// 404: no request with this id waits, or did lately.
    pub fn no_such_request(id: &str) -> Self {
        Self::new(
            404,
            "no such request",
            format!(
                "no request {} waits; GET /pending-domains lists those that do",
                id.escape_debug()
            ),
        )
    }

    /// 409: somebody else was first.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(409, "conflict", detail)
    }

    /// 409: a wildcard that is to be saved has to be meant.
    pub fn unconfirmed(entry: &Entry, scope: Scope, seen: &[String]) -> Self {
        let seen = match seen {
            [] => "no host that was asked for so far".to_owned(),
            seen => seen.join(", "),
        };
        Self {
            entry: Some(entry.to_string()),
            ..Self::new(
                409,
                "confirmation needed",
                format!(
                    "{entry} covers many hosts, and scope {scope} outlives this session; of what \
                     was asked for it covers {seen}. Say \"confirm_wildcard\": true if that is \
                     meant"
                ),
            )
        }
    }

    /// 413: the body is too large.
    pub fn too_large() -> Self {
        Self::new(
            413,
            "content too large",
            "a request body may have 1 MiB; send it in parts",
        )
    }

    /// 431: the head is too large.
    pub fn head_too_large() -> Self {
        Self::new(
            431,
            "request header fields too large",
            "a request may have 64 KiB of headers",
        )
    }

    /// 500: what was asked could not be done.
    pub fn failed(detail: impl Into<String>) -> Self {
        Self::new(500, "failed", detail)
    }

    /// 503: not now.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(503, "not available", detail)
    }
}
