//! What a message is on the other side of the proxy: its target in origin form, its Host as it was
//! judged, and no field that was meant for one hop alone.

use std::sync::Arc;

use hyper::body::{Body, Incoming};
use hyper::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, MAX_FORWARDS,
    PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE, VIA,
};
use hyper::{Request, Response, Uri, Version};

use crate::policy::Target;
use crate::proxy::ledger::Passage;

use super::counted::{Counted, Way};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");

/// The request as the origin gets it (RFC 9112, section 3.2.1; RFC 9110, section 7.6).
pub(super) fn for_origin(
    request: Request<Incoming>,
    target: &Target,
    passage: &Arc<Passage>,
) -> (Request<Counted>, bool) {
    let (mut parts, body) = request.into_parts();
    let upgrade = wanted_upgrade(&parts.headers);
    let trailers = tokens(&parts.headers, &TE).any(|token| token.eq_ignore_ascii_case("trailers"));
    strip_hop_by_hop(&mut parts.headers);
    // hyper answers 100-continue itself, once the decision has been made and content is wanted.
    parts.headers.remove(EXPECT);
    parts.headers.remove(HTTP2_SETTINGS);
    // The name or address as it was judged: hosts are made of what a field may hold.
    if let Ok(host) = HeaderValue::from_str(&host_field(target)) {
        parts.headers.insert(HOST, host);
    }
    parts.headers.append(VIA, via(parts.version));
    let asked = upgrade.is_some();
    if let Some(protocol) = upgrade {
        parts.headers.insert(UPGRADE, protocol);
        parts
            .headers
            .insert(CONNECTION, HeaderValue::from_static("upgrade"));
    } else if trailers {
        parts
            .headers
            .insert(TE, HeaderValue::from_static("trailers"));
        parts
            .headers
            .insert(CONNECTION, HeaderValue::from_static("te"));
    }
    if let Some(left) = hops_left(&parts.headers) {
        parts
            .headers
            .insert(MAX_FORWARDS, HeaderValue::from(left.saturating_sub(1)));
    }
    parts.uri = match parts.uri.into_parts().path_and_query {
        Some(path) => path.into(),
        None => Uri::from_static("/"),
    };
    parts.version = Version::HTTP_11;
    parts.extensions.clear();
    (
        Request::from_parts(parts, Counted::new(body, Arc::clone(passage), Way::Up)),
        asked,
    )
}

/// The same request once more, where it may be sent twice: without content, and of a method that
/// does no more the second time (RFC 9110, section 9.2.2).
pub(super) fn repeatable(request: &Request<Counted>) -> Option<Request<Counted>> {
    let once = !request.method().is_idempotent() || !request.body().is_end_stream();
    (!once).then(|| {
        let none = Counted::none(Arc::clone(request.body().passage()));
        let mut copy = Request::new(none);
        copy.method_mut().clone_from(request.method());
        copy.uri_mut().clone_from(request.uri());
        copy.headers_mut().clone_from(request.headers());
        copy
    })
}

/// The answer as the client gets it.
pub(super) fn for_client(answer: Response<Incoming>, passage: Arc<Passage>) -> Response<Counted> {
    let (mut parts, body) = answer.into_parts();
    strip_hop_by_hop(&mut parts.headers);
    parts.headers.append(VIA, via(parts.version));
    parts.version = Version::HTTP_11;
    Response::from_parts(parts, Counted::new(body, passage, Way::Down))
}

fn via(received: Version) -> HeaderValue {
    HeaderValue::from_static(if received == Version::HTTP_10 {
        "1.0 vibepit"
    } else {
        "1.1 vibepit"
    })
}

fn host_field(target: &Target) -> String {
    let shown = target.to_string();
    match shown.strip_suffix(":80") {
        Some(host) => host.to_owned(),
        None => shown,
    }
}

/// Fields that are for this hop alone (RFC 9110, section 7.6.1), and those the message names.
pub(super) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = tokens(headers, &CONNECTION)
        .filter_map(|token| HeaderName::from_bytes(token.as_bytes()).ok())
        // What frames the message is this hop's business, and is not for a peer to remove.
        .filter(|name| *name != CONTENT_LENGTH && *name != HOST)
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in [
        CONNECTION,
        KEEP_ALIVE,
        PROXY_CONNECTION,
        PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION,
        TE,
        TRANSFER_ENCODING,
        UPGRADE,
    ] {
        headers.remove(name);
    }
}

fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|token| !token.is_empty())
}

/// The protocol that is asked for; never HTTP/2 in the clear, within which every request would
/// be one that nobody judged.
fn wanted_upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    tokens(headers, &CONNECTION).find(|token| token.eq_ignore_ascii_case("upgrade"))?;
    let protocol = headers.get(UPGRADE)?;
    let http2 = tokens(headers, &UPGRADE).any(|token| {
        let name = token.split('/').next().unwrap_or(token);
        name.eq_ignore_ascii_case("h2c") || name.eq_ignore_ascii_case("http")
    });
    (!http2).then(|| protocol.clone())
}

pub(super) fn hops_left(headers: &HeaderMap) -> Option<u32> {
    headers
        .get(MAX_FORWARDS)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()
}
