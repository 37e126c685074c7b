//! `json` and `jsonb`: as text, the second in its canonical form.

use serde_json::Value as Json;

/// Whether a text is JSON.
pub(super) fn check(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// The form that `jsonb` prints: keys by length and then by bytes, blanks behind colons and commas.
pub(super) fn canonical(text: &str) -> Option<String> {
    let value: Json = serde_json::from_str(text).ok()?;
    let mut out = String::with_capacity(text.len() + 8);
    print(&value, &mut out);
    Some(out)
}

/// `->` and `->>`: a field or an element; of the second a string without its quotes.
pub(super) fn member(text: &str, key: &Key, as_text: bool) -> Option<String> {
    let value: Json = serde_json::from_str(text).ok()?;
    let found = match key {
        Key::Field(name) => value.as_object()?.get(name.as_str())?,
        Key::Element(at) => {
            let list = value.as_array()?;
            let at = if *at < 0 { *at + i64::try_from(list.len()).ok()? } else { *at };
            list.get(usize::try_from(at).ok()?)?
        }
    };
    match found {
        Json::Null if as_text => None,
        Json::String(text) if as_text => Some(text.clone()),
        other => {
            let mut out = String::new();
            print(other, &mut out);
            Some(out)
        }
    }
}

/// What `->` takes on its right.
pub(super) enum Key {
    Field(String),
    Element(i64),
}

fn print(value: &Json, out: &mut String) {
    match value {
        Json::Array(values) => {
            out.push('[');
            for (number, value) in values.iter().enumerate() {
                if number > 0 {
                    out.push_str(", ");
                }
                print(value, out);
            }
            out.push(']');
        }
        Json::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by(|(one, _), (two, _)| one.len().cmp(&two.len()).then_with(|| one.cmp(two)));
            out.push('{');
            for (number, (name, value)) in fields.into_iter().enumerate() {
                if number > 0 {
                    out.push_str(", ");
                }
                out.push_str(&Json::String(name.clone()).to_string());
                out.push_str(": ");
                print(value, out);
            }
            out.push('}');
        }
        plain => out.push_str(&plain.to_string()),
    }
}
