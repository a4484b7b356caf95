//! Entries: what is accepted prints in one form that means the same; what is refused is refused
//! in words that can be shown; nothing panics.

#![no_main]

use std::time::Instant;

use libfuzzer_sys::fuzz_target;
use vibepit::policy::{Entry, Origin, Rule, RuleSet, Scope, Target, Verdict};

// Two lines: an entry, and a target to hold against it.
fuzz_target!(|text: &str| {
    let (entry, target) = text.split_once('\n').unwrap_or((text, "a.example:443"));
    let forced = match Entry::parse_forced(entry) {
        Ok(forced) => forced,
        Err(error) => {
            let said = error.to_string();
            assert!(!said.chars().any(char::is_control), "{said:?}");
            assert!(said.len() < 2000, "{said:?}");
            assert!(
                entry.parse::<Entry>().is_err(),
                "force accepts whatever passes without it"
            );
            return;
        }
    };
    let printed = forced.to_string();
    assert!(printed.bytes().all(|b| b.is_ascii_graphic()), "{printed:?}");
    assert_eq!(
        Entry::parse_forced(&printed).expect("what was printed parses"),
        forced
    );
    match entry.parse::<Entry>() {
        Ok(entry) => assert_eq!(entry, forced),
        Err(error) => assert!(error.can_be_forced(), "{error}"),
    }

    let Ok(target) = target.parse::<Target>() else {
        return;
    };
    let covers = forced.covers(&target.host, target.port);
    let rule = Rule::new(forced, Verdict::Deny, Origin::Flag, Scope::Session);
    let set = RuleSet::new(vec![rule]);
    let decided = set.decide(&target.host, target.port, Instant::now());
    assert_eq!(decided.is_some(), covers, "{printed} {target}");
    assert_eq!(
        set.matching(&target.host, target.port).count(),
        usize::from(covers)
    );
    let own = Entry::for_target(&target).expect("a parsed port is not zero");
    assert!(own.covers(&target.host, target.port));
});
