//! The description of the API says what the API does, and nothing else. (That every answer is as
//! described is checked wherever a test asks with `control_curl`.)

use std::collections::BTreeSet;

use serde_json::{Value, json};
use vibepit::api::{AddBody, ROUTES, RevokeBody};

use crate::openapi_schema::Described;
use crate::support::Proxy;

#[test]
fn the_description_has_the_routes_and_the_routes_have_the_description() {
    let described = Described::api();
    let routes: BTreeSet<_> = ROUTES
        .iter()
        .map(|route| (route.method.to_owned(), route.path.to_owned()))
        .collect();
    assert_eq!(described.operations(), routes);
    for route in ROUTES {
        let media_type = described.media_type(route.method, route.path);
        assert_eq!(media_type, route.media_type, "{}", route.path);
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_schema_is_used() {
    let described = Described::api();
    let references = described.references();
    for reference in &references {
        assert!(described.referred(reference).is_some(), "{reference}");
    }
    for name in described.schemas().keys() {
        let reference = format!("#/components/schemas/{name}");
        assert!(references.contains(&reference), "nothing uses {name}");
    }
}

#[test]
fn the_proxy_answers_the_description_that_is_built_in() {
    let proxy = Proxy::start("");
    let answered = proxy.read("/openapi.json");
    let built_in: Value = serde_json::from_str(vibepit::api::OPENAPI).expect("JSON");
    assert_eq!(answered, built_in);
}

#[test]
fn the_words_of_the_description_are_those_of_the_types() {
    let described = Described::api();
    let words = |schema: &str| described.schemas()[schema]["enum"].clone();
    // Each word of a list is one of the type, and what the type does not know is an error.
    fn read<T: serde::de::DeserializeOwned>(words: &Value) -> usize {
        let words = words.as_array().expect("words");
        for word in words {
            serde_json::from_value::<T>(word.clone()).unwrap_or_else(|e| panic!("{word}: {e}"));
        }
        words.len()
    }
    use vibepit::policy::{Door, Origin, Reason, Scope, Verdict};
    assert_eq!(read::<Verdict>(&words("Verdict")), 2);
    assert_eq!(read::<Origin>(&words("Origin")), 6);
    assert_eq!(read::<Scope>(&words("Scope")), 4);
    assert_eq!(read::<Door>(&words("Door")), 7);
    assert_eq!(read::<Reason>(&words("Reason")), 13);
}

#[test]
fn what_the_client_sends_is_what_the_description_takes() {
    let described = Described::api();
    let full = AddBody {
        entries: vec!["a.test".into()],
        scope: Some(vibepit::policy::Scope::Session),
        ttl: Some("10m".into()),
        max_upload: None,
        force: true,
    };
    let limited = AddBody {
        entries: vec!["a.test".into()],
        max_upload: Some("10MB".into()),
        ..AddBody::default()
    };
    let plain = AddBody {
        entries: vec!["a.test".into()],
        ..AddBody::default()
    };
    for path in ["/allow", "/deny"] {
        for body in [&full, &plain] {
            let body = serde_json::to_value(body).expect("JSON");
            assert!(described.takes("POST", path, &body), "{body}");
        }
        for body in [
            json!({}),
            json!({"entries": []}),
            json!({"entries": ["a"], "tll": "1m"}),
        ] {
            assert!(!described.takes("POST", path, &body), "{body}");
        }
    }
    let limited = serde_json::to_value(&limited).expect("JSON");
    assert!(described.takes("POST", "/allow", &limited));
    assert!(!described.takes("POST", "/deny", &limited));
    let body = RevokeBody {
        entries: vec!["a.test".into()],
    };
    let body = serde_json::to_value(body).expect("JSON");
    assert!(described.takes("POST", "/revoke", &body));
}

#[test]
fn what_differs_from_the_description_is_found() {
    let described = Described::api();
    let rule = json!({
        "entry": "a.test", "verdict": "allow", "origin": "flag", "scope": "session",
        "expires_at": null, "hits": 0,
    });
    let schema = &described.schemas()["Rule"];
    assert_eq!(described.faults(schema, &rule), Vec::<String>::new());
    let differ = |field: &str, value: Value| {
        let mut rule = rule.clone();
        rule[field] = value;
        described.faults(schema, &rule).len()
    };
    assert_eq!(differ("expires_at", json!("2026-01-02T03:04:05.678Z")), 0);
    for (field, value) in [
        ("expires_at", json!("2026-01-02 03:04")),
        ("expires_at", json!(0)),
        ("hits", json!(-1)),
        ("hits", json!(1.5)),
        ("hits", json!("1")),
        ("verdict", json!("ask")),
        ("entry", json!(null)),
        ("more", json!(1)),
    ] {
        assert_eq!(differ(field, value.clone()), 1, "{field}: {value}");
    }
    let mut less = rule.clone();
    less.as_object_mut().expect("an object").remove("hits");
    assert_eq!(described.faults(schema, &less).len(), 1);
}
