//! The query of a request's URL, taken apart strictly: what is there twice, or what nobody knows, is
//! a mistake and not guessed about.

use std::cell::RefCell;

use super::Fault;

/// The query of a URL, each key once.
pub(super) struct Query(RefCell<Vec<(String, String)>>);

impl Query {
    pub(super) fn parse(query: &str) -> Result<Self, Fault> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (key, value) = (percent_decoded(key)?, percent_decoded(value)?);
            if pairs.iter().any(|(seen, _)| *seen == key) {
                return Err(Fault::bad_request(format!("{key:?} is there twice")));
            }
            pairs.push((key, value));
        }
        Ok(Self(pairs.into()))
    }

    pub(super) fn get(&self, key: &str) -> Option<String> {
        let mut pairs = self.0.borrow_mut();
        let at = pairs.iter().position(|(seen, _)| seen == key)?;
        Some(pairs.swap_remove(at).1)
    }

    /// 0 or 1; a key alone is 1.
    pub(super) fn flag(&self, key: &str) -> Result<bool, Fault> {
        match self.get(key).as_deref() {
            None | Some("0") => Ok(false),
            Some("1" | "") => Ok(true),
            Some(other) => Err(Fault::bad_request(format!(
                "{key} is 0 or 1, not {other:?}"
            ))),
        }
    }

    pub(super) fn number(&self, key: &str) -> Result<Option<u64>, Fault> {
        self.get(key).map(|value| number(key, &value)).transpose()
    }

    /// Whatever nobody took is a mistake, and is said.
    pub(super) fn used(&self, path: &str) -> Result<(), Fault> {
        match self.0.borrow().first() {
            None => Ok(()),
            Some((key, _)) => Err(Fault::bad_request(format!("{path} takes no {key:?}"))),
        }
    }
}

pub(super) fn number(key: &str, value: &str) -> Result<u64, Fault> {
    match value.parse() {
        Ok(number) if value.bytes().all(|b| b.is_ascii_digit()) => Ok(number),
        _ => Err(Fault::bad_request(format!(
            "{key} is {value:?}, which is not a number"
        ))),
    }
}

fn percent_decoded(text: &str) -> Result<String, Fault> {
    let wrong = || Fault::bad_request(format!("{text:?} is not percent-encoded as a query is"));
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let mut digit = || bytes.next().and_then(|b| char::from(b).to_digit(16));
                let (high, low) = (digit().ok_or_else(wrong)?, digit().ok_or_else(wrong)?);
                u8::try_from(high * 16 + low).map_err(|_| wrong())?
            }
            b'+' => b' ',
            other => other,
        });
    }
    String::from_utf8(decoded).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_encoding_is_decoded_once_and_strictly() {
        assert_eq!(percent_decoded("a%3A4+b").expect("decoded"), "a:4 b");
        for wrong in ["%", "%2", "%zz", "%ff"] {
            assert!(percent_decoded(wrong).is_err(), "{wrong}");
        }
    }
}
