//! What happens to a request, told without one.

use serde_json::{Value, json};

use crate::support::Proxy;

#[test]
fn an_explanation_names_the_rule_what_it_outranks_and_what_comes_nearest() {
    let config = "allow = [\"a.test\", \"*.b.test:443\", \"**.b.test\", \"127.0.0.1:80\"]\n\
                  deny = [\"x.b.test\"]\nallow_host_ports = [5432]\n";
    let proxy = Proxy::start(config);
    let explain = |target: &str| proxy.read(&format!("/explain?target={target}"));
    let rule_of = |explained: &Value| explained["rule"]["entry"].clone();
    let outranked = |explained: &Value| {
        let outranked = explained["outranked"].as_array().expect("outranked").iter();
        outranked
            .map(|rule| rule["entry"].clone())
            .collect::<Vec<_>>()
    };

    let plain = explain("A.test.:443");
    assert_eq!(
        (&plain["target"], &plain["admission"]),
        (&json!("a.test:443"), &json!("allow"))
    );
    assert_eq!(
        (&plain["reason"], rule_of(&plain)),
        (&json!("allowed"), json!("a.test"))
    );
    assert_eq!(
        (outranked(&plain), &plain["nearest"]),
        (vec![], &Value::Null)
    );

    // The more specific of two allows decides.
    let two = explain("y.b.test:443");
    assert_eq!(
        (rule_of(&two), outranked(&two)),
        (json!("*.b.test:443"), vec![json!("**.b.test")])
    );

    // A deny outranks every allow.
    let denied = explain("x.b.test:443");
    assert_eq!(
        (&denied["admission"], &denied["reason"]),
        (&json!("deny"), &json!("denied_by_rule"))
    );
    assert_eq!(rule_of(&denied), "x.b.test");
    assert_eq!(
        outranked(&denied),
        [json!("*.b.test:443"), json!("**.b.test")]
    );

    let port = explain("a.test:8080");
    assert_eq!(
        (&port["reason"], &port["rule"]),
        (&json!("unlisted"), &Value::Null)
    );
    assert_eq!(port["nearest"]["entry"], "a.test");
    assert_eq!(port["remedy"], "vibepit allow a.test:8080");
    assert_eq!(explain("b.test:443")["nearest"]["entry"], "*.b.test:443");
    assert_eq!(explain("nothing.example:443")["nearest"], Value::Null);

    // No rule opens a screened address, and no one is asked about it.
    for target in [
        "127.0.0.1:80",
        "169.254.169.254:80",
        "[::1]:80",
        "[::ffff:10.0.0.1]:443",
    ] {
        let screened = explain(target);
        assert_eq!(screened["reason"], "screened_address", "{screened}");
        assert_eq!(screened["admission"], "deny", "{screened}");
        assert_eq!(screened["nearest"], Value::Null, "{screened}");
    }
    assert_eq!(explain("localhost:80")["reason"], "screened_address");
    assert_eq!(explain("host.vibepit:5432")["admission"], "allow");
    assert_eq!(explain("host.vibepit:5433")["reason"], "screened_address");

    // To ask is not to use.
    let rules = proxy.read("/rules");
    let hits = rules["rules"]
        .as_array()
        .expect("rules")
        .iter()
        .map(|rule| &rule["hits"]);
    assert!(hits.clone().all(|hits| *hits == 0), "{rules}");
    assert_eq!(proxy.logs(0), Vec::<Value>::new());
}
