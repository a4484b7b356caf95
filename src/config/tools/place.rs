//! From the URL of a mirror to the entry that opens it.

use crate::policy::Entry;

/// Host and port of a URL that is fetched over HTTP, without the credentials in it. `None` for what
/// is no such URL, and for what would be more than one host.
pub(super) fn of_url(url: &str) -> Option<Entry> {
    let (scheme, rest) = url.trim().split_once("://")?;
    let default = match scheme.to_ascii_lowercase().as_str() {
        "https" | "sparse+https" | "registry+https" | "git+https" => 443,
        "http" | "sparse+http" | "registry+http" => 80,
        _ => return None,
    };
    let authority = rest.split(['/', '?', '#', '\\']).next()?;
    let place = authority.rsplit('@').next()?;
    if place.contains('*') {
        return None;
    }
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse::<u16>().ok()?),
        _ => (place, default),
    };
    format!("{host}:{port}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_opens_its_host_and_port_and_nothing_else() {
        for (url, entry) in [
            ("https://mirror.test/simple/", "mirror.test:443"),
            ("http://mirror.test", "mirror.test:80"),
            ("https://Mirror.test:8443/x", "mirror.test:8443"),
            ("https://me:se@cret@mirror.test/x@y", "mirror.test:443"),
            ("sparse+https://mirror.test/index/", "mirror.test:443"),
            ("https://192.0.2.7/x", "192.0.2.7:443"),
            ("https://[2001:db8::7]/x", "[2001:db8::7]:443"),
            ("https://[2001:db8::7]:8443", "[2001:db8::7]:8443"),
            (" HTTPS://mirror.test?x ", "mirror.test:443"),
            ("https://mirror.test\\@evil.test/", "mirror.test:443"),
        ] {
            let read = of_url(url).map(|entry| entry.to_string());
            assert_eq!(read.as_deref(), Some(entry), "{url}");
        }
        for url in [
            "",
            "mirror.test",
            "file:///srv/mirror",
            "cdrom://mirror.test",
            "ssh://mirror.test",
            "https://",
            "https://*.mirror.test/",
            "https://**.test:443/",
            "https://mirror.test:0/",
            "https://mirror.test:https/",
            "https://mir\u{1b}ror.test/",
            "https://10.0.0.0/8",
        ] {
            let read = of_url(url).map(|entry| entry.to_string());
            let host_alone = url == "https://10.0.0.0/8" && read.as_deref() == Some("10.0.0.0:443");
            assert!(read.is_none() || host_alone, "{url}: {read:?}");
        }
    }
}
