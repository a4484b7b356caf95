//! The page as it stands in this executable: one document, one style, one module. The same for
//! everybody: nothing of a session is in it.

/// A file of the page.
pub(super) struct File {
    pub(super) media_type: &'static str,
    pub(super) content: &'static str,
}

/// The file at this path.
pub(super) fn file(path: &str) -> Option<File> {
    let (media_type, content) = match path {
        "/" => ("text/html; charset=utf-8", include_str!("index.html")),
        "/style.css" => ("text/css; charset=utf-8", include_str!("style.css")),
        "/page.js" => ("text/javascript; charset=utf-8", include_str!("page.js")),
        _ => return None,
    };
    Some(File {
        media_type,
        content,
    })
}

/// What a browser is to keep to: nothing but the files of this page and calls to this gateway, no
/// text that becomes markup, no frame around it.
pub(super) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_it_is_less_than_40_kib() {
        let files = ["/", "/style.css", "/page.js"].map(|path| file(path).unwrap());
        let total: usize = files.iter().map(|file| file.content.len()).sum();
        assert!(total < 40 * 1024, "{total} bytes");
    }
}
