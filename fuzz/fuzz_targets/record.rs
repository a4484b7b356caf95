//! session.json: what is taken is taken whole, whatever stands beside it; what is refused is
//! refused in words that can be shown.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use vibepit::session::{Record, RecordError, SessionId};

fuzz_target!(|content: &[u8]| {
    let record = match Record::parse(content) {
        Ok(record) => record,
        Err(error) => {
            let said = error.to_string();
            assert!(!said.chars().any(char::is_control), "{said:?}");
            assert!(said.len() < content.len() * 6 + 200, "{said:?}");
            let too_large = matches!(error, RecordError::TooLarge);
            assert_eq!(too_large, content.len() > Record::MAX_BYTES);
            return;
        }
    };
    assert!(content.len() <= Record::MAX_BYTES);

    // A value of this type names a directory.
    let id = record.id.to_string();
    assert_eq!(id, record.id.as_str());
    assert_eq!(id.len(), 16);
    assert!(
        id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')),
        "{id:?}"
    );
    assert_eq!(id.parse::<SessionId>(), Ok(record.id));

    let written = serde_json::to_vec(&record).expect("a record can be written");
    assert!(!written.iter().any(|&b| b < b' '), "on one line");
    if written.len() <= Record::MAX_BYTES {
        assert_eq!(
            Record::parse(&written).expect("what was written parses"),
            record
        );
    }

    // What is passed over is not looked into (a number too large for a Value, say), and an array
    // does for an object: the rest is for files that others can read as well.
    let Ok(mut file @ Value::Object(_)) = serde_json::from_slice(content) else {
        return;
    };
    assert_eq!(file["id"], id);
    assert_eq!(file["name"], record.name);
    assert_eq!(file["runtime"], record.runtime);
    assert_eq!(file["created"], record.created);
    assert_eq!(file["version"], record.version);
    assert_eq!(file["pid"], record.pid);
    assert_eq!(file["sandbox"].as_str(), record.sandbox.as_deref());

    // A later version may add what it likes, anywhere.
    for part in ["", "/control", "/proxy"] {
        if let Some(Value::Object(fields)) = file.pointer_mut(part) {
            fields.insert("\u{1b}later".to_owned(), Value::Array(vec![Value::Null; 2]));
        }
    }
    let later = serde_json::to_vec(&file).expect("JSON can be written");
    if later.len() <= Record::MAX_BYTES {
        assert_eq!(
            Record::parse(&later).expect("more fields do no harm"),
            record
        );
    }
});
