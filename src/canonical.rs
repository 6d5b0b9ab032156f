//! Canonical JSON text: what is hashed is what is stored. Base module.
//!
//! Object keys sorted by code point, no white space, strings escaped as `serde_json` does. Numbers are integers or text in
//! everything we store (money and quantities are exact decimals as text), so no float formatting is involved.

use serde_json::Value;
use sha2::{Digest, Sha256};

/// The canonical text of a JSON value. Depth is bounded by whoever parsed or built the value (serde_json: 128).
pub fn to_text(value: &Value) -> String {
    let mut out = String::new();
    write(value, &mut out);
    out
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by(|a, b| a.0.cmp(b.0));
            out.push('{');
            for (position, (key, value)) in entries.into_iter().enumerate() {
                if position > 0 {
                    out.push(',');
                }
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                write(value, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => out.push_str(&value.to_string()),
    }
}

/// SHA-256 as 64 lower-case hexadecimal digits.
pub fn sha256_hex(bytes: impl AsRef<[u8]>) -> String {
    hex::encode(Sha256::digest(bytes.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_order_does_not_change_the_text() {
        let a: Value = serde_json::from_str(r#"{"b":1,"a":{"d":[1,"x"],"c":null}}"#).unwrap();
        let b: Value = serde_json::from_str(r#"{ "a": {"c":null,"d":[1,"x"]}, "b":1 }"#).unwrap();
        assert_eq!(to_text(&a), to_text(&b));
        assert_eq!(to_text(&a), r#"{"a":{"c":null,"d":[1,"x"]},"b":1}"#);
    }
}
