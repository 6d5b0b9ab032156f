//! Which exception first: a score whose parts can be shown. Pure; a part is a number of points and the reason for it.

use ingest::Money;
use serde::Serialize;
use utoipa::ToSchema;

use super::Severity;

/// One part of a score.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Part {
    /// `severity`, `money`, `service_level`, `reopened`.
    pub name: &'static str,
    pub points: i64,
    pub why: String,
}

/// What the score is made of.
#[derive(Debug, Clone, Copy)]
pub struct Weighed {
    pub severity: Severity,
    pub at_stake: Option<Money>,
    pub escalated: bool,
    pub reopened: i64,
}

/// The parts, in a fixed order; their points add up to the score, 0 to 100.
///
/// Severity gives 10, 25, 45 or 60 points; money 0 to 20, five for each power of ten from 10 on, in the exception's own currency (one
/// without decimals counts hundredths, as the yen does); a service level that has passed 15; having come back 5.
pub fn parts(weighed: &Weighed) -> Vec<Part> {
    let severity = match weighed.severity {
        Severity::Low => 10,
        Severity::Medium => 25,
        Severity::High => 45,
        Severity::Critical => 60,
    };
    let money = weighed.at_stake.map_or(0, money_points);
    let stake =
        weighed.at_stake.map_or("nothing is known to be at stake".to_owned(), |money| format!("{money} at stake"));
    vec![
        Part { name: "severity", points: severity, why: format!("severity {}", weighed.severity.as_str()) },
        Part { name: "money", points: money, why: stake },
        Part {
            name: "service_level",
            points: if weighed.escalated { 15 } else { 0 },
            why: if weighed.escalated { "its service level has passed" } else { "within its service level" }.into(),
        },
        Part {
            name: "reopened",
            points: if weighed.reopened > 0 { 5 } else { 0 },
            why: format!("opened again {} times", weighed.reopened),
        },
    ]
}

pub fn score(weighed: &Weighed) -> i64 {
    parts(weighed).iter().map(|part| part.points).sum()
}

/// Whole powers of ten from 10 to 100,000, five points each, at most 20.
fn money_points(money: Money) -> i64 {
    let units = money.millionths().unsigned_abs() / 1_000_000;
    let units = if money.currency().decimals() == 0 { units / 100 } else { units };
    let powers = [10, 100, 1_000, 10_000].into_iter().filter(|step| units >= *step).count();
    5 * i64::try_from(powers).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weighed(severity: Severity, amount: Option<&str>, escalated: bool) -> i64 {
        let at_stake = amount.map(|text| text.parse().unwrap());
        score(&Weighed { severity, at_stake, escalated, reopened: 0 })
    }

    #[test]
    fn worse_dearer_and_later_come_first() {
        assert_eq!(weighed(Severity::Low, None, false), 10);
        assert_eq!(weighed(Severity::High, Some("9.99 EUR"), false), 45);
        assert_eq!(weighed(Severity::High, Some("84.00 EUR"), false), 50);
        assert_eq!(weighed(Severity::High, Some("12500 EUR"), false), 65);
        assert_eq!(weighed(Severity::High, Some("12500 JPY"), false), 55);
        assert_eq!(weighed(Severity::Critical, Some("1000000 EUR"), true), 95);
    }

    #[test]
    fn the_parts_add_up_and_say_why() {
        let all =
            Weighed { severity: Severity::Critical, at_stake: "99999 EUR".parse().ok(), escalated: true, reopened: 2 };
        assert_eq!(score(&all), 100);
        assert!(parts(&all).iter().all(|part| !part.why.is_empty()));
    }
}
