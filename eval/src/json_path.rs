//! Values of a JSON document by a short path, and templates of them: `actions.*.kwargs.order_id`, `Order {order_id}`.

use serde_json::Value;

/// Every value at `path`: parts by `.`, `*` for every item or member, digits for an item of a list. What is not there is left out.
pub fn values<'a>(root: &'a Value, path: &str) -> Vec<&'a Value> {
    let mut at = vec![root];
    for part in path.split('.').filter(|part| !part.is_empty()) {
        at = at
            .into_iter()
            .flat_map(|value| -> Vec<&Value> {
                match (value, part) {
                    (Value::Array(items), "*") => items.iter().collect(),
                    (Value::Object(members), "*") => members.values().collect(),
                    (Value::Array(items), _) => {
                        part.parse::<usize>().ok().and_then(|index| items.get(index)).into_iter().collect()
                    }
                    (_, _) => value.get(part).into_iter().collect(),
                }
            })
            .collect();
    }
    at
}

/// A value as text: strings without quotes, numbers as they were written.
pub fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// `template` with each `{path}` replaced by the first value there; a path without a value stays empty.
pub fn filled(template: &str, row: &Value) -> String {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((path, tail)) = after.split_once('}') else { break };
        filled.push_str(before);
        filled.push_str(&values(row, path).first().map(|value| text(value)).unwrap_or_default());
        rest = tail;
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_reach_into_lists_and_objects() {
        let row = json!({ "id": "W1", "items": [{ "price": 1.5 }, { "price": 2 }], "by": { "a": [1], "b": [2] } });
        let found = |path| values(&row, path).into_iter().map(text).collect::<Vec<_>>();
        assert_eq!(found("items.*.price"), ["1.5", "2"]);
        assert_eq!(found("items.1.price"), ["2"]);
        assert_eq!(found("by.*.0"), ["1", "2"]);
        assert!(found("items.7.price").is_empty());
        assert_eq!(filled("{id}: {items.0.price} of {nothing}{", &row), "W1: 1.5 of {");
    }
}
