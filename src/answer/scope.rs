//! Which policies apply to whom: the scope a policy names (`customer_type: [consumer]`) against the records a question is about, and against
//! its words.

use std::collections::{BTreeMap, BTreeSet};

use ingest::Value;

use super::words::stem_set;
use crate::record::Found;

/// A policy's scope: key to the values it applies to.
pub type Scope = BTreeMap<String, Vec<String>>;

/// A trait of a record that decided.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Trait {
    /// As policies name it in their scope: `customer_type`.
    pub key: String,
    pub value: String,
    /// Of which record.
    pub record_id: String,
}

/// What the records say about the keys that any of the scopes names.
pub fn traits(scopes: &[&Scope], involved: &[Found]) -> Vec<Trait> {
    let keys: BTreeSet<&String> = scopes.iter().flat_map(|scope| scope.keys()).collect();
    let mut traits = Vec::new();
    for key in keys {
        for found in involved {
            let own = found.record.fields.get(key.as_str()).and_then(Value::as_text).map(str::to_owned);
            let extra = || found.record.extra.get(key.as_str()).and_then(|value| value.as_str()).map(str::to_owned);
            if let Some(value) = own.or_else(extra) {
                traits.push(Trait { key: key.clone(), value, record_id: found.id.to_string() });
                break;
            }
        }
    }
    traits
}

/// Whether a policy of this scope applies. Records decide; without them the question's own words do, when they name some of the values that
/// scopes here know and none of this one's.
pub fn applies(scope: &Scope, all: &[&Scope], traits: &[Trait], question: &str) -> bool {
    let words = stem_set(question);
    scope.iter().all(|(key, values)| {
        if let Some(own) = traits.iter().find(|one| one.key == *key) {
            return values.iter().any(|value| value.eq_ignore_ascii_case(&own.value));
        }
        let said = |value: &String| stem_set(value).iter().all(|stem| words.contains(stem));
        let others = all.iter().filter_map(|scope| scope.get(key)).flatten().any(said);
        !others || values.iter().any(said)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(value: &str) -> Scope {
        Scope::from([("customer_type".to_owned(), vec![value.to_owned()])])
    }

    #[test]
    fn records_decide_before_words_and_words_before_nothing() {
        let (consumer, trade, none) = (scope("consumer"), scope("trade"), Scope::new());
        let all = [&consumer, &trade, &none];
        let of_trade = [Trait { key: "customer_type".into(), value: "Trade".into(), record_id: "1".into() }];
        assert!(
            applies(&trade, &all, &of_trade, "may a consumer return it") && !applies(&consumer, &all, &of_trade, "")
        );
        assert!(
            applies(&consumer, &all, &[], "may consumers return it")
                && !applies(&trade, &all, &[], "may consumers return it")
        );
        assert!(
            applies(&consumer, &all, &[], "may it be returned") && applies(&trade, &all, &[], "may it be returned")
        );
        assert!(applies(&none, &all, &of_trade, "consumers"));
    }
}
