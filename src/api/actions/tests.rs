//! Routes and queries as they come in.

use super::*;

#[test]
fn a_known_path_with_another_method_names_the_method_it_takes() {
    let fault = Route::find("GET", "/allow").expect_err("GET");
    assert_eq!((fault.status, fault.allow), (405, Some("POST")));
    assert_eq!(
        Route::find("GET", "/nothing").expect_err("path").status,
        404
    );
}

#[test]
fn a_time_limit_is_a_number_and_a_unit_within_a_year() {
    assert_eq!(duration("90s").expect("s"), Duration::from_secs(90));
    assert_eq!(duration("2h").expect("h"), Duration::from_secs(7200));
    for wrong in [
        "",
        "m",
        "10",
        "-1m",
        "+1m",
        "1w",
        "0s",
        "366d",
        "99999999999999999999s",
        "1é",
    ] {
        assert!(duration(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_query_key_that_nobody_knows_or_that_comes_twice_is_refused() {
    let route = Route::find("GET", "/logs").expect("route");
    assert!(
        route
            .action(route.path, Some("after=3&limit=2"), None, b"")
            .is_ok()
    );
    assert!(
        route
            .action(route.path, Some("after=3&after=4"), None, b"")
            .is_err()
    );
    assert!(
        route
            .action(route.path, Some("affter=3"), None, b"")
            .is_err()
    );
    assert!(
        route
            .action(route.path, Some("after=x"), None, b"")
            .is_err()
    );
}

#[test]
fn last_event_id_outranks_after_and_has_to_be_a_number() {
    let route = Route::find("GET", "/events").expect("route");
    let after = |last_event| match route.action(route.path, Some("after=3"), last_event, b"") {
        Ok(Action::Events { after, .. }) => after,
        other => panic!("{other:?}"),
    };
    assert_eq!((after(None), after(Some(b"7"))), (Some(3), Some(7)));
    assert!(route.action(route.path, None, Some(b"x\xff"), b"").is_err());
}
