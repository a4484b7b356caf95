//! Holds answers against the description of the API: as much of JSON Schema as the description
//! uses, and strictly: a field that it does not name is a fault, though a client would pass over
//! it.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::support::Message;

/// The description that `GET /openapi.json` answers.
pub(crate) struct Described(Value);

impl Described {
    pub(crate) fn api() -> Self {
        Self(serde_json::from_str(vibepit::api::OPENAPI).expect("openapi.json is JSON"))
    }

    /// Method and path of every operation.
    pub(crate) fn operations(&self) -> BTreeSet<(String, String)> {
        let operations = |(path, item): (&String, &Value)| {
            let methods = item.as_object().expect("a path's operations").keys();
            let each = methods.map(|method| (method.to_uppercase(), path.clone()));
            each.collect::<Vec<_>>()
        };
        self.paths().iter().flat_map(operations).collect()
    }

    /// The media type of a success, for a path and a method.
    pub(crate) fn media_type(&self, method: &str, path: &str) -> &str {
        let operation = &self.paths()[path][method.to_lowercase()];
        let content = operation["responses"]["200"]["content"].as_object();
        content.expect("content").keys().next().expect("one")
    }

    /// Every schema that has a name.
    pub(crate) fn schemas(&self) -> &Map<String, Value> {
        let schemas = &self.0["components"]["schemas"];
        schemas.as_object().expect("schemas")
    }

    /// Every text that a `$ref` points to.
    pub(crate) fn references(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        references(&self.0, &mut found);
        found
    }

    /// What a reference points to.
    pub(crate) fn referred(&self, reference: &str) -> Option<&Value> {
        self.0.pointer(reference.strip_prefix('#')?)
    }

    /// The answer to a request is one that the description has. Of a path that is none, it has the
    /// refusal.
    #[track_caller]
    pub(crate) fn holds(&self, method: &str, path: &str, answer: &Message) {
        let path = path.split('?').next().unwrap_or_default();
        let status = answer.status().to_string();
        let responses =
            &self.paths().get(path).unwrap_or(&Value::Null)[method.to_lowercase()]["responses"];
        let range = format!("{}XX", &status[..1]);
        let response = responses.get(&status).or_else(|| responses.get(&range));
        let refused = &self.0["components"]["responses"]["Refused"];
        let response = match response {
            Some(response) => self.resolved(response),
            // No such path, or another method.
            None if responses.is_null() && range == "4XX" => refused,
            None => panic!(
                "{method} {path}: {status} is not described: {}",
                answer.text()
            ),
        };
        let media_type = answer.field("content-type").unwrap_or_default();
        let content = response["content"].get(media_type);
        let content =
            content.unwrap_or_else(|| panic!("{method} {path}: {media_type:?} is not described"));
        if media_type.ends_with("json") {
            let value = answer.json();
            self.fits(
                &format!("{method} {path} {status}"),
                &content["schema"],
                &value,
            );
            if answer.status() != 200 {
                assert_eq!(value["status"], answer.status(), "{value}");
            }
        }
    }

    /// The data of an event is as the description has it.
    #[track_caller]
    pub(crate) fn holds_event(&self, name: &str, data: &Value) {
        let content = &self.paths()["/events"]["get"]["responses"]["200"]["content"];
        let events = &content["text/event-stream"]["x-events"];
        let schema = events.get(name);
        let schema = schema.unwrap_or_else(|| panic!("the event {name} is not described"));
        self.fits(name, schema, data);
    }

    /// The names of the events.
    pub(crate) fn events(&self) -> BTreeSet<&str> {
        let content = &self.paths()["/events"]["get"]["responses"]["200"]["content"];
        let events = content["text/event-stream"]["x-events"].as_object();
        events.expect("events").keys().map(String::as_str).collect()
    }

    /// The body of a request is one that the description has.
    pub(crate) fn takes(&self, method: &str, path: &str, body: &Value) -> bool {
        let operation = &self.paths()[path][method.to_lowercase()];
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        self.faults(schema, body).is_empty()
    }

    /// The names of all that a request can say beside its path: in the query, in fields, in the body.
    pub(crate) fn words(&self, method: &str, path: &str) -> Vec<String> {
        let operation = &self.paths()[path][method.to_lowercase()];
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let named = parameters
            .filter(|parameter| parameter["in"] != "path")
            .filter_map(|parameter| parameter["name"].as_str());
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        let fields = self.resolved(schema)["properties"].as_object();
        let fields = fields.into_iter().flat_map(Map::keys).map(String::as_str);
        named.chain(fields).map(str::to_owned).collect()
    }

    #[track_caller]
    fn fits(&self, what: &str, schema: &Value, value: &Value) {
        let faults = self.faults(schema, value);
        assert!(faults.is_empty(), "{what}: {faults:#?} in {value:#}");
    }

    /// Where a value is not what a schema wants, and why.
    pub(crate) fn faults(&self, schema: &Value, value: &Value) -> Vec<String> {
        let mut check = Check {
            described: self,
            faults: Vec::new(),
        };
        check.value(schema, value, "$");
        check.faults
    }

    fn paths(&self) -> &Map<String, Value> {
        self.0["paths"].as_object().expect("paths")
    }

    fn resolved<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value.get("$ref").and_then(Value::as_str) {
            Some(reference) => self.referred(reference).expect(reference),
            None => value,
        }
    }
}

fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_str() {
                    Some(reference) if name == "$ref" => {
                        found.insert(reference.to_owned());
                    }
                    _ => references(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

struct Check<'a> {
    described: &'a Described,
    faults: Vec<String>,
}

impl Check<'_> {
    fn value(&mut self, schema: &Value, value: &Value, at: &str) {
        for (keyword, wanted) in schema.as_object().expect("a schema is an object") {
            self.keyword(keyword, wanted, schema, value, at);
        }
    }

    fn keyword(&mut self, keyword: &str, wanted: &Value, schema: &Value, value: &Value, at: &str) {
        let number = |value: &Value| value.as_i64().expect("an integer");
        let length = |value: &Value| value.as_str().map(|text| text.chars().count() as i64);
        let right = match keyword {
            "description" | "default" => true,
            // Taken with `properties` and `type`.
            "required" | "additionalProperties" => true,
            "$ref" => {
                let reference = wanted.as_str().expect("a reference");
                let schema = self.described.referred(reference).expect(reference);
                return self.value(schema, value, at);
            }
            "type" => match wanted {
                Value::String(one) => is_of(one, value),
                several => {
                    let mut types = several.as_array().expect("types").iter();
                    types.any(|one| is_of(one.as_str().expect("a type"), value))
                }
            },
            "properties" => return self.fields(schema, value, at),
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    self.value(wanted, item, &format!("{at}[{index}]"));
                }
                return;
            }
            "anyOf" => {
                let mut ways = wanted.as_array().expect("ways").iter();
                ways.any(|way| self.described.faults(way, value).is_empty())
            }
            "enum" => wanted.as_array().expect("values").contains(value),
            "const" => wanted == value,
            "minimum" => value.as_i64().is_none_or(|found| found >= number(wanted)),
            "maximum" => value.as_i64().is_none_or(|found| found <= number(wanted)),
            "minLength" => length(value).is_none_or(|found| found >= number(wanted)),
            "maxLength" => length(value).is_none_or(|found| found <= number(wanted)),
            "minItems" => {
                let items = value.as_array();
                items.is_none_or(|items| items.len() as i64 >= number(wanted))
            }
            "format" => {
                assert_eq!(wanted, "date-time", "a format that is not known here");
                value.as_str().is_none_or(is_utc)
            }
            other => panic!("{other}: the description uses what is not known here"),
        };
        if !right {
            self.faults
                .push(format!("{at} is {value}, not {keyword} {wanted}"));
        }
    }

    fn fields(&mut self, schema: &Value, value: &Value, at: &str) {
        let Some(fields) = value.as_object() else {
            return;
        };
        let described = schema["properties"].as_object().expect("properties");
        for name in schema["required"].as_array().into_iter().flatten() {
            let name = name.as_str().expect("a name");
            if !fields.contains_key(name) {
                self.faults.push(format!("{at}.{name} is missing"));
            }
        }
        for (name, value) in fields {
            match described.get(name) {
                Some(schema) => self.value(schema, value, &format!("{at}.{name}")),
                None => self.faults.push(format!("{at}.{name} is not described")),
            }
        }
    }
}

fn is_of(one: &str, value: &Value) -> bool {
    match one {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{other}: a type that is not known here"),
    }
}

fn is_utc(text: &str) -> bool {
    text.ends_with('Z') && OffsetDateTime::parse(text, &Rfc3339).is_ok()
}
