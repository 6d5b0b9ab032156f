//! A tenant's limits, severities and own rules: data with defaults in code. Pure; `settings_store` keeps what a tenant set.
//!
//! What is stored is what differs from the defaults, so that a better default reaches every tenant that did not choose another value.

use std::collections::BTreeMap;

use ingest::Decimal;
use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::calendar::Calendar;
use super::custom::{CustomRule, RULES_MAX};
use super::finding::days;
use super::kind::{Kind, Severity};

/// Everything a tenant can set. Every field has a default; unknown fields are refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// IANA name of the zone whose days are counted: `Europe/Amsterdam`.
    pub timezone: String,
    /// Weekdays on which nobody works, English and lower case.
    pub weekend: Vec<String>,
    pub limits: Limits,
    /// By kind; a kind that is not named is enabled at its default severity.
    pub kinds: BTreeMap<String, KindSetting>,
    pub service_level_hours: ServiceLevels,
    /// Open exceptions of one kind and cause from which they are shown as a group. 2 to 1,000.
    pub group_from: u32,
    /// Own rules over single records.
    pub rules: Vec<CustomRule>,
}

/// One kind of exception, as a tenant wants it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KindSetting {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub disabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
}

/// Hours until an exception that nobody settled is escalated, by severity. 1 to 8,760.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ServiceLevels {
    pub low: u32,
    pub medium: u32,
    pub high: u32,
    pub critical: u32,
}

impl Default for ServiceLevels {
    fn default() -> Self {
        Self { low: 168, medium: 72, high: 24, critical: 4 }
    }
}

impl ServiceLevels {
    pub fn hours(&self, severity: Severity) -> u32 {
        match severity {
            Severity::Low => self.low,
            Severity::Medium => self.medium,
            Severity::High => self.high,
            Severity::Critical => self.critical,
        }
    }
}

macro_rules! limits {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $default:expr, $max:expr;)+) => {
        /// The limits. A case is reported when its value is *beyond* the limit.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
        #[serde(deny_unknown_fields, default)]
        pub struct Limits { $($(#[$doc])* pub $name: $type),+ }

        impl Default for Limits {
            fn default() -> Self {
                Self { $($name: $default),+ }
            }
        }

        impl Limits {
            /// The first limit outside 0 to its maximum.
            fn outside(&self) -> Option<&'static str> {
                $(if !(0..=$max).contains(&self.$name.floor_i64()) { return Some(stringify!($name)); })+
                None
            }
        }
    };
}

/// A limit's whole part, for its range.
trait Floor {
    fn floor_i64(&self) -> i64;
}

impl Floor for i64 {
    fn floor_i64(&self) -> i64 {
        *self
    }
}

impl Floor for Percent {
    fn floor_i64(&self) -> i64 {
        i64::try_from(self.0.floor().mantissa()).unwrap_or(-1)
    }
}

/// An exact number, written as text in JSON: `"2"`, `"0.50"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String)]
pub struct Percent(pub Decimal);

const fn exact(hundredths: i64) -> Percent {
    Percent(Decimal::from_parts(hundredths as u32, 0, 0, false, 2))
}

limits! {
    /// Days an order may stand on payment hold.
    payment_hold_days: i64 = 3, 3_650;
    fraud_hold_days: i64 = 2, 3_650;
    credit_hold_days: i64 = 4, 3_650;
    /// Working days until an order without a hold is released.
    release_working_days: i64 = 2, 3_650;
    /// Percent below the price list that needs no override.
    list_price_percent: Percent = exact(2_00), 100;
    /// Hours within which the same basket of one customer counts as a duplicate.
    duplicate_order_hours: i64 = 24, 8_760;
    /// Days of grace after the promised date.
    late_grace_days: i64 = 1, 3_650;
    /// Days without a scan.
    tracking_days: i64 = 5, 3_650;
    picked_days: i64 = 2, 3_650;
    partial_days: i64 = 7, 3_650;
    /// Shipments of one order: consumers, trade.
    shipments_consumer: i64 = 2, 1_000;
    shipments_trade: i64 = 3, 1_000;
    invoice_days: i64 = 2, 3_650;
    /// A count differs when it differs by at least this many units ...
    count_units: i64 = 3, 1_000_000;
    /// ... and by more than this share of what was expected.
    count_percent: Percent = exact(2_00), 100;
    quarantine_days: i64 = 14, 3_650;
    return_pending_days: i64 = 7, 3_650;
    acknowledge_days: i64 = 3, 3_650;
    supplier_grace_days: i64 = 2, 3_650;
    over_receipt_percent: Percent = exact(5_00), 1_000;
    /// Worst credit rating (1 best) that is taken.
    supplier_credit_rating: i64 = 3, 100;
    purchase_price_percent: Percent = exact(2_00), 1_000;
    match_price_percent: Percent = exact(1_00), 1_000;
    /// In the invoice's currency.
    match_tax_amount: Percent = exact(50), 1_000_000;
    /// Freight is reported above both.
    match_freight_percent: Percent = exact(10_00), 1_000;
    match_freight_amount: Percent = exact(10_00), 1_000_000;
    receivable_days: i64 = 7, 3_650;
    unapplied_days: i64 = 3, 3_650;
    short_payment_amount: Percent = exact(1_00), 1_000_000;
    refund_days: i64 = 5, 3_650;
    /// Days after delivery in which a return may be asked for, where the return names no last day: consumers, trade.
    return_window_consumer_days: i64 = 30, 3_650;
    return_window_trade_days: i64 = 14, 3_650;
    /// A surge is at least this many returns in 14 days ...
    surge_returns: i64 = 5, 1_000_000;
    /// ... and at least this many times the mean fortnight of the 84 days before.
    surge_times: i64 = 3, 1_000;
}

impl Limits {
    /// The limit of a built-in kind as its rule's sentence says it; `None`: the rule names none.
    pub fn words(&self, kind: Kind) -> Option<String> {
        let percent = |percent: Percent| format!("{} %", percent.0.normalize());
        Some(match kind {
            Kind::PaymentHold => days(self.payment_hold_days),
            Kind::FraudHold => days(self.fraud_hold_days),
            Kind::CreditHold => days(self.credit_hold_days),
            Kind::OrderUnreleased => format!("{} working days", self.release_working_days),
            Kind::PriceBelowList => percent(self.list_price_percent),
            Kind::DuplicateOrder => format!("{} hours", self.duplicate_order_hours),
            Kind::LateAgainstPromise => days(self.late_grace_days),
            Kind::TrackingStalled => days(self.tracking_days),
            Kind::PickedNotShipped => days(self.picked_days),
            Kind::PartialOverdue => days(self.partial_days),
            Kind::SplitBeyondPolicy => {
                format!("{} shipments for consumers, {} for trade", self.shipments_consumer, self.shipments_trade)
            }
            Kind::DeliveredNotInvoiced => days(self.invoice_days),
            Kind::CountVariance => format!("{} or less than {} units", percent(self.count_percent), self.count_units),
            Kind::QuarantineOverdue => days(self.quarantine_days),
            Kind::ReturnPendingOverdue => days(self.return_pending_days),
            Kind::PoUnacknowledged => days(self.acknowledge_days),
            Kind::PoLate => days(self.supplier_grace_days),
            Kind::PoOverReceived => percent(self.over_receipt_percent),
            Kind::PoLowCreditSupplier => self.supplier_credit_rating.to_string(),
            Kind::PoPriceVariance => percent(self.purchase_price_percent),
            Kind::MatchPrice => percent(self.match_price_percent),
            Kind::MatchTax => self.match_tax_amount.0.to_string(),
            Kind::MatchFreight => {
                format!("{} or {}, whichever is more", percent(self.match_freight_percent), self.match_freight_amount.0)
            }
            Kind::ReceivableOverdue => days(self.receivable_days),
            Kind::PaymentUnapplied => days(self.unapplied_days),
            Kind::PaymentShort => self.short_payment_amount.0.to_string(),
            Kind::RefundNotIssued => days(self.refund_days),
            Kind::ReturnPastWindow => format!(
                "{} of delivery, {} for trade",
                days(self.return_window_consumer_days),
                days(self.return_window_trade_days)
            ),
            Kind::ReturnSurge => {
                format!("{} in 14 days or {} times their own baseline", self.surge_returns, self.surge_times)
            }
            Kind::AddressIncomplete
            | Kind::AddressUndeliverable
            | Kind::LineBackordered
            | Kind::Oversell
            | Kind::PriceBelowFloor
            | Kind::NegativeStock
            | Kind::ChannelAboveAvailable
            | Kind::BelowSafetyStock
            | Kind::ReservationWithoutOrder
            | Kind::PoShortReceived
            | Kind::ReceiptRejected
            | Kind::PoStockMismatch
            | Kind::PoRejected
            | Kind::PoInactiveSupplier
            | Kind::PoBlockedSupplier
            | Kind::PoShippedAfterDue
            | Kind::BelowReorderPoint
            | Kind::MatchQuantity
            | Kind::DuplicateSupplierInvoice
            | Kind::RefundAbovePaid => return None,
        })
    }
}

/// Customer groups that count as consumers; every other group is trade.
pub const CONSUMER_GROUPS: [&str; 3] = ["retail", "consumer", "private"];

impl Default for Settings {
    fn default() -> Self {
        Self {
            timezone: "UTC".into(),
            weekend: vec!["saturday".into(), "sunday".into()],
            limits: Limits::default(),
            kinds: BTreeMap::new(),
            service_level_hours: ServiceLevels::default(),
            group_from: 3,
            rules: Vec::new(),
        }
    }
}

/// Why settings were refused; names the setting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {reason}")]
pub struct SettingsError {
    pub setting: String,
    pub reason: String,
}

fn refuse<T>(setting: impl Into<String>, reason: impl Into<String>) -> Result<T, SettingsError> {
    Err(SettingsError { setting: setting.into(), reason: reason.into() })
}

fn weekday(name: &str) -> Option<Weekday> {
    let all = [
        ("monday", Weekday::Monday),
        ("tuesday", Weekday::Tuesday),
        ("wednesday", Weekday::Wednesday),
        ("thursday", Weekday::Thursday),
        ("friday", Weekday::Friday),
        ("saturday", Weekday::Saturday),
        ("sunday", Weekday::Sunday),
    ];
    all.into_iter().find(|(word, _)| *word == name).map(|(_, day)| day)
}

impl Settings {
    /// Refuses what could not be worked with: the first such setting.
    pub fn check(&self) -> Result<(), SettingsError> {
        if TimeZone::get(&self.timezone).is_err() {
            return refuse("timezone", "is no time zone such as Europe/Amsterdam");
        }
        if self.weekend.len() > 6 || self.weekend.iter().any(|name| weekday(name).is_none()) {
            return refuse("weekend", "is at most six of monday to sunday");
        }
        if let Some(name) = self.limits.outside() {
            return refuse(format!("limits.{name}"), "is out of range");
        }
        for name in self.kinds.keys() {
            if Kind::parse(name).is_none() && !self.rules.iter().any(|rule| rule.kind() == *name) {
                return refuse("kinds", "names a kind that does not exist");
            }
        }
        for severity in Severity::ALL {
            if !(1..=8_760).contains(&self.service_level_hours.hours(severity)) {
                return refuse(format!("service_level_hours.{}", severity.as_str()), "is 1 to 8,760");
            }
        }
        if !(2..=1_000).contains(&self.group_from) {
            return refuse("group_from", "is 2 to 1,000");
        }
        if self.rules.len() > RULES_MAX {
            return refuse("rules", format!("are at most {RULES_MAX}"));
        }
        let mut seen = std::collections::BTreeSet::new();
        for (position, rule) in self.rules.iter().enumerate() {
            if !seen.insert(&rule.id) {
                return refuse(format!("rules.{position}.id"), "is there twice");
            }
            if let Err(error) = rule.check() {
                return refuse(format!("rules.{position}.{}", error.setting), error.reason);
            }
        }
        Ok(())
    }

    pub fn calendar(&self) -> Calendar {
        let zone = TimeZone::get(&self.timezone).unwrap_or(TimeZone::UTC);
        Calendar::new(zone, self.weekend.iter().filter_map(|name| weekday(name)).collect())
    }

    /// The severity at which a kind is reported; `None`: not at all.
    pub fn severity(&self, kind: &str, default: Severity) -> Option<Severity> {
        match self.kinds.get(kind) {
            Some(setting) if setting.disabled => None,
            Some(setting) => Some(setting.severity.unwrap_or(default)),
            None => Some(default),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_what_is_not_set_stays_default() {
        Settings::default().check().unwrap();
        let set: Settings =
            serde_json::from_str(r#"{"limits":{"credit_hold_days":9,"match_tax_amount":"0.10"}}"#).unwrap();
        assert_eq!((set.limits.credit_hold_days, set.limits.fraud_hold_days), (9, 2));
        assert_eq!(set.limits.match_tax_amount.0, Decimal::from_str_exact("0.10").unwrap());
        assert!(serde_json::from_str::<Settings>(r#"{"limits":{"credit_hold_dayz":9}}"#).is_err());
    }

    #[test]
    fn a_rule_names_a_limit_exactly_when_there_is_one() {
        let limits = Limits::default();
        for kind in Kind::ALL {
            assert_eq!(limits.words(kind).is_some(), kind.spec().rule.contains("{limit}"), "{kind}");
        }
    }

    #[test]
    fn what_cannot_be_worked_with_is_refused_by_name() {
        for (text, setting) in [
            (r#"{"timezone":"Mars/Olympus"}"#, "timezone"),
            (r#"{"weekend":["caturday"]}"#, "weekend"),
            (r#"{"limits":{"credit_hold_days":-1}}"#, "limits.credit_hold_days"),
            (r#"{"limits":{"list_price_percent":"-3"}}"#, "limits.list_price_percent"),
            (r#"{"kinds":{"order_haunted":{}}}"#, "kinds"),
            (r#"{"service_level_hours":{"high":0}}"#, "service_level_hours.high"),
            (r#"{"group_from":1}"#, "group_from"),
        ] {
            let settings: Settings = serde_json::from_str(text).unwrap();
            assert_eq!(settings.check().unwrap_err().setting, setting);
        }
    }
}
