//! What a session is called when nobody gave it a name.

/// `wanted`, or, when a session has that name already, `wanted-2`, `wanted-3`, and so on.
pub fn unique_name<'a>(wanted: &str, taken: impl IntoIterator<Item = &'a str>) -> String {
    let taken: std::collections::HashSet<&str> = taken.into_iter().collect();
    if !taken.contains(wanted) {
        return wanted.to_owned();
    }
    (2_u32..)
        .map(|number| format!("{wanted}-{number}"))
        .find(|name| !taken.contains(name.as_str()))
        .expect("there are fewer sessions than numbers")
}

#[cfg(test)]
mod tests {
    use super::unique_name;

    #[test]
    fn a_name_that_is_free_is_kept() {
        assert_eq!(unique_name("web", []), "web");
        assert_eq!(unique_name("web", ["api", "web-2"]), "web");
    }

    #[test]
    fn a_name_that_is_taken_gets_the_next_free_number() {
        assert_eq!(unique_name("web", ["web"]), "web-2");
        assert_eq!(unique_name("web", ["web-3", "web", "web-2"]), "web-4");
        assert_eq!(unique_name("web", ["web", "web-3"]), "web-2");
    }
}
