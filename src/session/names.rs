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
