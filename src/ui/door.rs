//! Who may come in. A loopback port is open to every user of the machine and to every page of the
//! person's browser, so each request has to show that it is neither.
//!
//! Two secrets are asked for. The cookie is what no page can read; but cookies know no ports, and
//! another user's server on another port of 127.0.0.1 would be sent it. The key is kept by the
//! page, which browsers do keep apart by port; it comes in a header that no other origin can send.

use std::hint::black_box;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::header::{CONTENT_TYPE, COOKIE, HOST, HeaderMap, HeaderName, ORIGIN};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use sha2::{Digest, Sha256};

use crate::api::Fault;
use crate::session::random_bytes;

/// Where the page says its key.
const KEY: HeaderName = HeaderName::from_static("vibepit-key");

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// How long a code opens the door.
const CODE_LIFE: Duration = Duration::from_secs(120);
/// Wrong codes that are taken for slips. Of 256 bits none is guessed; it is to be noticed.
const WRONG_MAX: u8 = 10;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// The page itself, which is the same for everybody and tells nothing.
    Page,
    /// To be let in.
    Entry,
    /// What the sessions say, and decisions.
    Inside,
}

/// The door of one gateway, for as long as it runs.
pub(super) struct Door {
    hosts: Vec<String>,
    cookie_name: String,
    cookie: Secret,
    key: Secret,
}

impl Door {
    pub(super) fn new(port: u16) -> io::Result<Self> {
        let mut hosts = vec![format!("127.0.0.1:{port}")];
        if port == 80 {
            // A browser does not say it.
            hosts.push("127.0.0.1".to_owned());
        }
        Ok(Self {
            hosts,
            cookie_name: format!("vibepit-{port}"),
            cookie: Secret::random()?,
            key: Secret::random()?,
        })
    }

    /// Whether a request may come in.
    pub(super) fn check(&self, asked: Asked, request: &Parts) -> Result<(), Fault> {
        let headers = &request.headers;
        // A name that somebody made lead to this machine, or 0.0.0.0, is another host.
        if request.uri.authority().is_some() || !self.is_ours(only(headers, &HOST)?) {
            return Err(Fault::forbidden(format!(
                "this is http://{} and answers to no other name",
                self.hosts[0]
            )));
        }
        self.check_origin(asked, request)?;
        if request.method == Method::POST && !is_json(only(headers, &CONTENT_TYPE)?) {
            return Err(fault(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported media type",
                "what is posted here is application/json",
            ));
        }
        let key = only(headers, &KEY)?.is_some_and(|said| self.key.is(said));
        match asked == Asked::Inside && !(self.has_cookie(headers) && key) {
            true => Err(self.closed()),
            false => Ok(()),
        }
    }

    /// Whether the cookie is one that was set here.
    pub(super) fn has_cookie(&self, headers: &HeaderMap) -> bool {
        let cookies = headers.get_all(COOKIE).iter();
        let mut pairs = cookies
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='));
        pairs.any(|(name, said)| name == self.cookie_name && self.cookie.is(said))
    }

    /// What lets a browser in: the line that sets the cookie, and the key.
    pub(super) fn admission(&self) -> (String, &str) {
        let (name, value) = (&self.cookie_name, &self.cookie.text);
        let cookie = format!("{name}={value}; HttpOnly; SameSite=Strict; Path=/");
        (cookie, &self.key.text)
    }

    /// 401.
    pub(super) fn closed(&self) -> Fault {
        fault(
            StatusCode::UNAUTHORIZED,
            "not let in",
            "press Enter where vibepit ui runs, and open the address that it prints",
        )
    }

    fn check_origin(&self, asked: Asked, request: &Parts) -> Result<(), Fault> {
        let headers = &request.headers;
        let ours = match only(headers, &ORIGIN)? {
            Some(origin) => {
                let host = origin.strip_prefix("http://");
                host.is_some_and(|host| self.is_ours(Some(host)))
            }
            None => request.method != Method::POST,
        };
        let near = match only(headers, &FETCH_SITE)? {
            None | Some("same-origin" | "none") => true,
            // The address was followed from elsewhere, such as the file that opened the browser:
            // what is shown is the page as everybody gets it, in a window and never in a frame.
            Some(_) => {
                asked == Asked::Page
                    && only(headers, &FETCH_MODE)? == Some("navigate")
                    && only(headers, &FETCH_DEST)? == Some("document")
            }
        };
        match ours && near {
            true => Ok(()),
            false => Err(Fault::forbidden(
                "this comes from another page, and only vibepit's own is served",
            )),
        }
    }

    fn is_ours(&self, host: Option<&str>) -> bool {
        host.is_some_and(|host| self.hosts.iter().any(|ours| ours == host))
    }
}

/// A field that may be there once.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, Fault> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().map(|value| value.to_str()).transpose();
    match (value, values.next()) {
        (Ok(value), None) => Ok(value),
        _ => Err(Fault::bad_request(format!("{name} cannot be read"))),
    }
}

fn is_json(media_type: Option<&str>) -> bool {
    let plain = media_type.and_then(|said| said.split(';').next());
    plain.is_some_and(|plain| plain.trim().eq_ignore_ascii_case("application/json"))
}

/// A fault that the control plane does not have.
pub(super) fn fault(status: StatusCode, title: &str, detail: impl Into<String>) -> Fault {
    Fault {
        status: status.as_u16(),
        title: title.to_owned(),
        detail: detail.into(),
        entry: None,
        allow: None,
    }
}

/// The one code that opens the door now.
#[derive(Default)]
pub(super) struct Codes(Mutex<Option<Code>>);

struct Code {
    secret: Secret,
    made: Instant,
    wrong: u8,
}

impl Codes {
    /// A new code, in the place of the one before.
    pub(super) fn fresh(&self, now: Instant) -> io::Result<String> {
        let secret = Secret::random()?;
        let text = secret.text.clone();
        let code = Code {
            secret,
            made: now,
            wrong: 0,
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(code);
        Ok(text)
    }

    /// Whether this is the code; then it is used up.
    pub(super) fn take(&self, said: &str, now: Instant) -> bool {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(code) = held.as_mut() else {
            return false;
        };
        let right = code.secret.is(said) && now.duration_since(code.made) < CODE_LIFE;
        code.wrong += u8::from(!right);
        if right || code.wrong == WRONG_MAX {
            *held = None;
        }
        right
    }
}

/// 256 random bits, as text.
struct Secret {
    text: String,
    digest: [u8; 32],
}

impl Secret {
    fn random() -> io::Result<Self> {
        let bytes = random_bytes::<32>()?;
        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let digest = Sha256::digest(&text).into();
        Ok(Self { text, digest })
    }

    /// Compares digests, and all of them, so that the time tells nothing.
    fn is(&self, said: &str) -> bool {
        let said: [u8; 32] = Sha256::digest(said).into();
        let pairs = self.digest.iter().zip(said);
        black_box(pairs.fold(0, |differ, (own, said)| differ | (own ^ said))) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Request;

    const OURS: (&str, &str) = ("host", "127.0.0.1:7373");

    fn door() -> Door {
        Door::new(7373).unwrap()
    }

    fn status(door: &Door, asked: Asked, method: &str, fields: &[(&str, &str)]) -> u16 {
        let mut request = Request::builder().method(method).uri("/x");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        door.check(asked, &parts)
            .map_or_else(|fault| fault.status, |()| 200)
    }

    #[test]
    fn only_the_address_itself_is_answered() {
        let door = door();
        assert_eq!(status(&door, Asked::Page, "GET", &[OURS]), 200);
        for host in [
            "0.0.0.0:7373",
            "localhost:7373",
            "evil.example:7373",
            "127.0.0.1",
            "127.0.0.1:80",
            "127.0.0.1:7373.evil.example",
            "[::1]:7373",
            "",
        ] {
            let status = status(&door, Asked::Page, "GET", &[("host", host)]);
            assert_eq!(status, 403, "{host}");
        }
        assert_eq!(status(&door, Asked::Page, "GET", &[]), 403);
        assert_eq!(status(&door, Asked::Page, "GET", &[OURS, OURS]), 400);
        let door = Door::new(80).unwrap();
        let plain = ("host", "127.0.0.1");
        assert_eq!(status(&door, Asked::Page, "GET", &[plain]), 200);
    }

    #[test]
    fn a_post_is_json_from_the_page_itself() {
        let door = door();
        let (ours, json) = (
            ("origin", "http://127.0.0.1:7373"),
            ("content-type", "application/json"),
        );
        let post = |fields: &[_]| status(&door, Asked::Entry, "POST", fields);
        assert_eq!(post(&[OURS, ours, json]), 200);
        assert_eq!(
            post(&[
                OURS,
                ours,
                ("content-type", "application/json; charset=utf-8")
            ]),
            200
        );
        assert_eq!(post(&[OURS, json]), 403, "without an origin");
        for origin in [
            "null",
            "http://127.0.0.1:7374",
            "https://127.0.0.1:7373",
            "http://evil.example",
            "http://127.0.0.1:7373.evil.example",
        ] {
            assert_eq!(post(&[OURS, ("origin", origin), json]), 403, "{origin}");
        }
        for kind in ["text/plain", "application/x-www-form-urlencoded", ""] {
            assert_eq!(post(&[OURS, ours, ("content-type", kind)]), 415, "{kind}");
        }
        assert_eq!(post(&[OURS, ours]), 415);
    }

    #[test]
    fn what_another_site_makes_a_browser_send_is_refused() {
        let door = door();
        for site in ["cross-site", "same-site"] {
            let from = ("sec-fetch-site", site);
            for asked in [Asked::Page, Asked::Entry, Asked::Inside] {
                assert_eq!(status(&door, asked, "GET", &[OURS, from]), 403);
            }
            // A link to the page shows it, and a frame does not.
            let (link, window, frame) = (
                ("sec-fetch-mode", "navigate"),
                ("sec-fetch-dest", "document"),
                ("sec-fetch-dest", "iframe"),
            );
            let get = |asked, dest| status(&door, asked, "GET", &[OURS, from, link, dest]);
            assert_eq!(get(Asked::Page, window), 200);
            assert_eq!(get(Asked::Page, frame), 403);
            assert_eq!(get(Asked::Inside, window), 403);
        }
    }

    #[test]
    fn both_secrets_are_asked_for_inside() {
        let door = door();
        let (cookie, key) = door.admission();
        let cookie = cookie.split(';').next().unwrap();
        let key = ("vibepit-key", key);
        let get = |fields: &[_]| status(&door, Asked::Inside, "GET", fields);
        assert_eq!(get(&[OURS]), 401);
        assert_eq!(get(&[OURS, key]), 401);
        assert_eq!(get(&[OURS, ("cookie", cookie)]), 401);
        assert_eq!(get(&[OURS, ("cookie", cookie), key]), 200);
        let among = format!("a=b; {cookie}; c=d");
        assert_eq!(get(&[OURS, ("cookie", &among), key]), 200);
        let other = Door::new(7373).unwrap();
        let (stale, _) = other.admission();
        assert_eq!(get(&[OURS, ("cookie", &stale), key]), 401);
    }

    #[test]
    fn a_code_opens_once_and_for_two_minutes() {
        let (codes, now) = (Codes::default(), Instant::now());
        assert!(!codes.take("", now));
        let code = codes.fresh(now).unwrap();
        assert!(!codes.take(&code[1..], now));
        assert!(codes.take(&code, now));
        assert!(!codes.take(&code, now), "twice");
        let code = codes.fresh(now).unwrap();
        assert!(!codes.take(&code, now + CODE_LIFE), "late");
        let (old, new) = (codes.fresh(now).unwrap(), codes.fresh(now).unwrap());
        assert!(!codes.take(&old, now) && codes.take(&new, now));
    }

    #[test]
    fn a_code_that_others_guess_at_is_closed() {
        let (codes, now) = (Codes::default(), Instant::now());
        let code = codes.fresh(now).unwrap();
        for _ in 0..WRONG_MAX {
            assert!(!codes.take("guess", now));
        }
        assert!(!codes.take(&code, now));
    }
}
