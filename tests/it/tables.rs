//! The tables of rules and addresses against the running proxy. That the policy agrees with them
//! is for its own tests; here it is asked the way people and sandboxes ask it.

use serde_json::{Value, json};

use crate::support::{Home, Proxy, csv};

fn explain(proxy: &Proxy, host: &str, port: &str) -> Value {
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    proxy.read(&format!("/explain?target={host}:{port}"))
}

#[test]
fn an_entry_is_valid_or_not_on_every_way_in() {
    let proxy = Proxy::start("");
    let home = Home::new();
    for row in csv::rows("rules-valid.csv") {
        let [entry, expected] = row.as_slice() else {
            panic!("{row:?}");
        };
        let (shown, entry, valid) = (entry, csv::text(entry), expected == "valid");
        let answer = proxy.post("/allow", &json!({"entries": [entry]}));
        assert_eq!(
            answer.status(),
            if valid { 200 } else { 400 },
            "{shown}: {}",
            answer.text()
        );
        // JSON's texts are TOML's.
        let file = home.write_config(&format!("allow = [{}]\n", json!(entry)));
        let ran = home.cli(&["config".as_ref(), "check".as_ref(), file.as_os_str()]);
        assert_eq!(
            ran.code,
            Some(if valid { 0 } else { 1 }),
            "{shown}: {ran:?}"
        );
        // No argument of a command holds a NUL.
        if !entry.contains('\0') {
            let ran = proxy.cli(&["allow", "--", &entry]);
            assert_eq!(
                ran.code,
                Some(if valid { 0 } else { 2 }),
                "{shown}: {ran:?}"
            );
        }
        if valid {
            let revoked = proxy.does("/revoke", &json!({"entries": [entry]}));
            assert_eq!(revoked["missing"], json!([]), "{shown}");
        } else {
            let fault = answer.json();
            assert_eq!(fault["entry"], json!(entry), "{shown}");
            assert!(
                fault["detail"].as_str().is_some_and(|why| why.len() > 20),
                "{fault}"
            );
        }
        assert_eq!(proxy.read("/rules")["rules"], json!([]), "{shown}");
    }
}

#[test]
fn one_rule_lets_through_what_the_table_says() {
    let proxy = Proxy::start("");
    for row in csv::rows("rules-match.csv") {
        let [rule, host, port, expected] = row.as_slice() else {
            panic!("{row:?}");
        };
        let body = json!({"entries": [rule], "force": true});
        proxy.does("/allow", &body);
        let explained = explain(&proxy, host, port);
        // A rule for an address that is screened covers it, and opens nothing.
        let covers = explained["admission"] == "allow" || explained["outranked"] != json!([]);
        assert_eq!(covers, expected == "match", "{row:?}: {explained}");
        if expected == "no" {
            assert_ne!(explained["admission"], "allow", "{row:?}: {explained}");
        }
        proxy.does("/revoke", &json!({"entries": [rule]}));
    }
}

#[test]
fn an_address_is_screened_or_not_as_the_table_says() {
    // Every address there is.
    let proxy =
        Proxy::start("allow = [\"0.0.0.0/1:*\", \"128.0.0.0/1:*\", \"::/1:*\", \"8000::/1:*\"]\n");
    for row in csv::rows("addresses.csv") {
        let [address, expected] = row.as_slice() else {
            panic!("{row:?}");
        };
        let explained = explain(&proxy, address, "443");
        let screened = explained["reason"] == "screened_address";
        assert_eq!(screened, expected == "screened", "{address}: {explained}");
        if screened {
            // No rule makes it one that is dialled.
            let host = if address.contains(':') {
                format!("[{address}]")
            } else {
                address.clone()
            };
            let mut client = proxy.client();
            client.send(format!("CONNECT {host}:443 HTTP/1.1\r\nHost: x\r\n\r\n"));
            assert_eq!(client.answer().status(), 403, "{address}");
        } else {
            assert_eq!(explained["admission"], "allow", "{address}: {explained}");
        }
    }
}
