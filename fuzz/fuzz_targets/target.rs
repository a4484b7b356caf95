//! Targets: whatever bytes come over the wire, what is accepted is one canonical spelling, and
//! nothing that could mean something else to another reader gets through.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vibepit::policy::{Host, Screen, Target};

fuzz_target!(|bytes: &[u8]| {
    let with_default = Target::from_authority_or(bytes, 80);
    let target = match Target::from_authority(bytes) {
        Ok(target) => target,
        Err(error) => {
            assert!(
                !error.to_string().chars().any(char::is_control),
                "{error:?}"
            );
            let Ok(target) = with_default else { return };
            assert_eq!(target.port, 80, "only a missing port is assumed");
            target
        }
    };
    let printed = target.to_string();
    assert_eq!(
        Target::from_authority(printed.as_bytes()).expect("what was printed parses"),
        target
    );
    assert_eq!(
        printed.parse::<Target>().expect("people may write it too"),
        target
    );
    assert!(
        bytes.len() <= printed.len() + 40,
        "nothing long is dropped: {printed}"
    );
    match &target.host {
        Host::Name(name) => {
            let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b);
            assert!(name.as_bytes().iter().all(|&b| plain(b)), "{name}");
            assert!(
                name.as_str().len() <= 253 && !name.as_str().ends_with('.'),
                "{name}"
            );
            assert!(name.as_str().parse::<std::net::IpAddr>().is_err(), "{name}");
            let folded = bytes.to_ascii_lowercase();
            assert!(
                folded.starts_with(name.as_bytes()),
                "only case and a last dot may change"
            );
            let _ = name.is_special();
        }
        Host::Ip(ip) => {
            let _ = Screen::default().check(*ip);
        }
    }
});
