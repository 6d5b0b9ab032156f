//! What is unusual about a record and what should happen next, by rules over its fields and those of the records it is linked with. Pure.

use ingest::{Decimal, Money, Record, RecordKind, Value};
use jiff::civil::Date;

/// Days without movement after which a shipment counts as stuck.
const STUCK_DAYS: i64 = 5;
/// Words of a status after which nothing is expected any more.
const CLOSED: [&str; 14] = [
    "delivered",
    "cancelled",
    "canceled",
    "closed",
    "complete",
    "completed",
    "paid",
    "returned",
    "refunded",
    "received",
    "resolved",
    "rejected",
    "done",
    "written off",
];

/// A sentence, the fields it rests on, and the words under which rules and procedures about it are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    pub text: String,
    /// Position among the records (0: the record itself, then those linked) and the field's path on its card.
    pub fields: Vec<(usize, String)>,
    pub topic: String,
}

impl Observation {
    fn new(text: String, fields: &[(usize, &str)], topic: impl Into<String>) -> Self {
        let fields = fields.iter().map(|(at, name)| (*at, (*name).to_owned())).collect();
        Self { text, fields, topic: topic.into() }
    }
}

/// The record with what surrounds it.
pub struct Scene<'a> {
    /// The record itself, then the records it is linked with in either direction.
    pub records: &'a [Record],
    /// Paths of the record's fields that name another record which is not there (or not for the caller), with the label of its kind.
    pub dangling: &'a [(String, &'static str)],
    pub today: Date,
}

impl Scene<'_> {
    fn main(&self) -> &Record {
        &self.records[0]
    }

    fn date(&self, name: &str) -> Option<Date> {
        self.main().fields.get(name)?.as_date()
    }

    fn money(&self, name: &str) -> Option<Money> {
        self.main().fields.get(name)?.as_money()
    }

    fn first<'n>(&self, names: &[&'n str]) -> Option<(&'n str, Date)> {
        names.iter().find_map(|name| Some((*name, self.date(name)?)))
    }

    fn closed(&self) -> bool {
        self.main().text("status").is_some_and(|status| {
            let status = status.to_lowercase().replace('_', " ");
            CLOSED.iter().any(|closed| status == *closed)
        })
    }

    fn of_kind(&self, kind: RecordKind) -> impl Iterator<Item = (usize, &Record)> {
        self.records.iter().enumerate().skip(1).filter(move |(_, record)| record.kind == kind)
    }
}

fn days(from: Date, to: Date) -> i64 {
    from.until(to).map_or(0, |span| i64::from(span.get_days()))
}

fn counted(days: i64) -> String {
    if days == 1 { "1 day".to_owned() } else { format!("{days} days") }
}

fn shown(money: Money) -> String {
    ingest::card::display_value(&Value::Money(money))
}

/// What is unusual, most pressing first.
pub fn unusual(scene: &Scene<'_>) -> Vec<Observation> {
    let mut found = Vec::new();
    found.extend(held(scene));
    found.extend(late(scene));
    found.extend(overdue(scene));
    found.extend(stuck(scene));
    found.extend(flags(scene));
    found.extend(unequal(scene));
    found.extend(lines(scene));
    for (path, label) in scene.dangling {
        let value = scene.main().field(path).map(|value| ingest::card::display_value(&value)).unwrap_or_default();
        let text = format!("It refers to {} {value}, which is not on record.", label.to_lowercase());
        found.push(Observation::new(text, &[(0, path)], ""));
    }
    found
}

fn held(scene: &Scene<'_>) -> Option<Observation> {
    let kind = scene.main().text("hold_kind").filter(|kind| !kind.is_empty() && *kind != "none")?;
    if scene.closed() || scene.date("released_at").is_some() {
        return None;
    }
    let topic = format!("{kind} hold");
    Some(match scene.date("hold_since") {
        Some(since) => Observation::new(
            format!("On hold ({kind}) since {since}: {}.", counted(days(since, scene.today))),
            &[(0, "hold_kind"), (0, "hold_since")],
            topic,
        ),
        None => Observation::new(format!("On hold ({kind})."), &[(0, "hold_kind")], topic),
    })
}

fn late(scene: &Scene<'_>) -> Option<Observation> {
    let (due, done, verb, topic): (&[&str], &[&str], _, _) = match scene.main().kind {
        RecordKind::Order => (&["promised_date"], &["delivered_at"], "delivered", "late delivery of an order"),
        RecordKind::Shipment => {
            (&["promised_date", "estimated_delivery"], &["delivered_at"], "delivered", "late parcel delivery")
        }
        RecordKind::PurchaseOrder => {
            (&["promised_date", "due_date"], &["received_date"], "received", "late supplier delivery")
        }
        _ => return None,
    };
    let (due_field, due) = scene.first(due)?;
    match scene.first(done) {
        Some((done_field, done)) if done > due => Some(Observation::new(
            format!("It was {verb} on {done}, {} after the promised {due}.", counted(days(due, done))),
            &[(0, due_field), (0, done_field)],
            topic,
        )),
        Some(_) => None,
        None if due < scene.today && !scene.closed() => Some(Observation::new(
            format!("It was promised for {due}, {} ago, and is not {verb}.", counted(days(due, scene.today))),
            &[(0, due_field), (0, "status")],
            topic,
        )),
        None => None,
    }
}

fn overdue(scene: &Scene<'_>) -> Option<Observation> {
    let topic = match scene.main().kind {
        RecordKind::CustomerInvoice => "overdue invoice reminder dunning",
        RecordKind::SupplierInvoice => "overdue supplier invoice payment",
        _ => return None,
    };
    let due = scene.date("due_date").filter(|due| *due < scene.today)?;
    let open = scene.money("balance_due").filter(|open| open.millionths() > 0)?;
    let text = format!("{} is open since {due}: overdue by {}.", shown(open), counted(days(due, scene.today)));
    Some(Observation::new(text, &[(0, "balance_due"), (0, "due_date")], topic))
}

fn stuck(scene: &Scene<'_>) -> Option<Observation> {
    if scene.main().kind != RecordKind::Shipment || scene.closed() || scene.date("delivered_at").is_some() {
        return None;
    }
    let last = scene.date("last_event_at")?;
    let age = days(last, scene.today);
    (age >= STUCK_DAYS).then(|| {
        let text = format!("No movement since {last}: {}.", counted(age));
        Observation::new(text, &[(0, "last_event_at")], "tracking is stuck parcel has not moved")
    })
}

fn flags(scene: &Scene<'_>) -> Vec<Observation> {
    let mut found = Vec::new();
    let flag = |name: &str| scene.main().fields.get(name).and_then(Value::as_flag);
    if flag("address_valid") == Some(false) {
        let text = "The delivery address is marked as not valid.".to_owned();
        found.push(Observation::new(text, &[(0, "address_valid")], "incomplete or undeliverable address"));
    }
    if flag("disputed") == Some(true) {
        found.push(Observation::new("It is disputed.".to_owned(), &[(0, "disputed")], "disputed invoice"));
    }
    if let Some(exception) = scene.main().text("exception").filter(|text| !text.is_empty()) {
        let text = format!("The carrier reports: {exception}.");
        found.push(Observation::new(text, &[(0, "exception")], format!("carrier {exception} parcel")));
    }
    found
}

/// Amounts of linked records that should agree and do not.
fn unequal(scene: &Scene<'_>) -> Vec<Observation> {
    let mut found = Vec::new();
    let main = scene.main();
    if let (Some(paid), Some(total)) = (scene.money("paid"), scene.money("total"))
        && paid.currency() == total.currency()
        && paid.millionths() > total.millionths()
    {
        let text = format!("{} was paid for a total of {}.", shown(paid), shown(total));
        found.push(Observation::new(text, &[(0, "paid"), (0, "total")], "payment above the amount unapplied cash"));
    }
    let (billed_by, topic) = match main.kind {
        RecordKind::Order => (RecordKind::CustomerInvoice, "invoice differs from the order credit note"),
        RecordKind::PurchaseOrder => {
            (RecordKind::SupplierInvoice, "three-way match invoice differs from purchase order")
        }
        RecordKind::CustomerInvoice => (RecordKind::Order, "invoice differs from the order credit note"),
        RecordKind::SupplierInvoice => {
            (RecordKind::PurchaseOrder, "three-way match invoice differs from purchase order")
        }
        _ => return found,
    };
    let Some(own) = scene.money("total") else { return found };
    let others: Vec<(usize, Money)> = scene
        .of_kind(billed_by)
        .filter(|(_, other)| other.text("status").is_none_or(|status| !status.to_lowercase().starts_with("cancel")))
        .filter_map(|(at, other)| Some((at, other.fields.get("total")?.as_money()?)))
        .filter(|(_, total)| total.currency() == own.currency())
        .collect();
    let Some(sum) = others
        .iter()
        .skip(1)
        .try_fold(others.first().map(|one| one.1), |sum, one| Some(sum.and_then(|sum| sum.checked_add(&one.1).ok())))
    else {
        return found;
    };
    let Some(sum) = sum else { return found };
    // Several invoices may bill an order in parts: less than its total is then nothing unusual before it is done.
    let orders = matches!(main.kind, RecordKind::Order | RecordKind::PurchaseOrder);
    let (ordered, billed) = if orders { (own, sum) } else { (sum, own) };
    let differs = if scene.closed() && orders { ordered != billed } else { billed.millionths() > ordered.millionths() };
    if differs {
        let label = ingest::schema(billed_by).label.to_lowercase();
        let text = format!("Its total is {}; the {label} says {}.", shown(own), shown(sum));
        let mut fields = vec![(0, "total")];
        fields.extend(others.iter().map(|(at, _)| (*at, "total")));
        found.push(Observation::new(text, &fields, topic));
    }
    found
}

/// Lines that wait for stock or of which more or less came than was ordered.
fn lines(scene: &Scene<'_>) -> Vec<Observation> {
    let mut found = Vec::new();
    for (at, line) in scene.main().lines.iter().enumerate().take(50) {
        let number = |name: &str| line.get(name).and_then(Value::as_decimal);
        let item = ["sku", "name"].iter().find_map(|name| line.get(*name).and_then(Value::as_text)).unwrap_or("line");
        let path = |name: &str| format!("lines.{at}.{name}");
        if let Some(waiting) = number("quantity_backordered").filter(|waiting| *waiting > Decimal::ZERO) {
            let text = format!("{} of {item} are back-ordered.", waiting.normalize());
            let path = path("quantity_backordered");
            found.push(Observation::new(text, &[(0, &path)], "back-order split shipment"));
        }
        if let Some(rejected) = number("quantity_rejected").filter(|rejected| *rejected > Decimal::ZERO) {
            let text = format!("{} of {item} were rejected.", rejected.normalize());
            let path = path("quantity_rejected");
            found.push(Observation::new(text, &[(0, &path)], "rejected goods supplier"));
        }
    }
    found.truncate(3);
    found
}

/// What the fields say comes next.
pub fn expected(scene: &Scene<'_>) -> Vec<Observation> {
    let mut found = Vec::new();
    if scene.closed() {
        return found;
    }
    let coming = |name: &str| scene.date(name).filter(|day| *day >= scene.today);
    let steps: &[(&str, &str)] = match scene.main().kind {
        RecordKind::Order => &[("ship_date", "It ships on"), ("promised_date", "It is promised for")],
        RecordKind::Shipment => &[
            ("ship_date", "It ships on"),
            ("estimated_delivery", "The carrier expects delivery on"),
            ("promised_date", "It is promised for"),
        ],
        RecordKind::PurchaseOrder => &[("promised_date", "The supplier promised it for"), ("due_date", "It is due on")],
        RecordKind::CustomerInvoice | RecordKind::SupplierInvoice => &[("due_date", "Payment is due on")],
        RecordKind::Return => &[("return_by", "The goods may come back until")],
        RecordKind::Ticket => &[("due_at", "It is to be answered by")],
        _ => &[],
    };
    let shipped = scene.date("shipped_at").is_some();
    for (name, words) in steps {
        if *name == "ship_date" && shipped {
            continue;
        }
        if let Some(day) = coming(name) {
            found.push(Observation::new(format!("{words} {day}."), &[(0, name)], ""));
            break;
        }
    }
    found
}

/// The words under which rules about a record are found when nothing about it is unusual.
pub fn usual_topic(record: &Record) -> &'static str {
    let status = record.text("status").unwrap_or("").to_lowercase();
    match record.kind {
        RecordKind::Order if status.contains("deliver") => "return goods within days after delivery",
        RecordKind::Order => "cancel an order before it is picked",
        RecordKind::Shipment => "lost parcel carrier enquiry",
        RecordKind::Return => "refund due after returned goods arrive",
        RecordKind::Refund => "refund countersigned by amount",
        RecordKind::CustomerInvoice => "overdue invoice reminder",
        RecordKind::PurchaseOrder => "purchase approval limits",
        RecordKind::SupplierInvoice => "invoice three-way match tolerance",
        RecordKind::CreditNote => "credit note reasons",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODAY: &str = "2026-03-10";

    fn record(kind: RecordKind, fields: &[(&str, Value)]) -> Record {
        let mut record = Record::new(kind, "X-1");
        record.fields = fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        record
    }

    fn day(text: &str) -> Value {
        Value::Date(text.parse().unwrap())
    }

    fn eur(amount: i64) -> Value {
        Value::Money(Money::from_millionths(amount * 1_000_000, "EUR".parse().unwrap()))
    }

    fn texts(records: &[Record]) -> Vec<String> {
        let scene = Scene { records, dangling: &[], today: TODAY.parse().unwrap() };
        unusual(&scene).into_iter().map(|one| one.text).collect()
    }

    #[test]
    fn lateness_holds_and_silence_are_noticed_with_their_days() {
        let order = record(
            RecordKind::Order,
            &[
                ("status", Value::text("on_hold")),
                ("hold_kind", Value::text("payment")),
                ("hold_since", day("2026-03-05")),
                ("promised_date", day("2026-03-09")),
            ],
        );
        assert_eq!(
            texts(&[order]),
            [
                "On hold (payment) since 2026-03-05: 5 days.",
                "It was promised for 2026-03-09, 1 day ago, and is not delivered."
            ]
        );
        let shipment = record(
            RecordKind::Shipment,
            &[("status", Value::text("in_transit")), ("last_event_at", day("2026-03-01"))],
        );
        assert_eq!(texts(&[shipment]), ["No movement since 2026-03-01: 9 days."]);
    }

    #[test]
    fn what_is_done_on_time_is_not_unusual() {
        let order = record(
            RecordKind::Order,
            &[
                ("status", Value::text("delivered")),
                ("promised_date", day("2026-03-09")),
                ("delivered_at", day("2026-03-08")),
            ],
        );
        assert!(texts(&[order]).is_empty());
        let cancelled =
            record(RecordKind::Order, &[("status", Value::text("cancelled")), ("promised_date", day("2026-03-01"))]);
        assert!(texts(&[cancelled]).is_empty());
        let paid = record(RecordKind::CustomerInvoice, &[("due_date", day("2026-03-01")), ("balance_due", eur(0))]);
        assert!(texts(&[paid]).is_empty());
    }

    #[test]
    fn open_money_and_unequal_amounts_are_noticed() {
        let invoice = record(
            RecordKind::CustomerInvoice,
            &[("due_date", day("2026-03-01")), ("balance_due", eur(20)), ("total", eur(90))],
        );
        let order = record(RecordKind::Order, &[("total", eur(84))]);
        assert_eq!(
            texts(&[invoice, order]),
            [
                "20.00 EUR is open since 2026-03-01: overdue by 9 days.",
                "Its total is 90.00 EUR; the order says 84.00 EUR."
            ]
        );
        let purchase = record(RecordKind::PurchaseOrder, &[("total", eur(100))]);
        let part = record(RecordKind::SupplierInvoice, &[("total", eur(40))]);
        assert!(texts(&[purchase.clone(), part.clone()]).is_empty(), "a part invoice is nothing unusual");
        let rest = record(RecordKind::SupplierInvoice, &[("total", eur(70))]);
        assert_eq!(texts(&[purchase, part, rest]), ["Its total is 100.00 EUR; the supplier invoice says 110.00 EUR."]);
    }

    #[test]
    fn the_next_event_is_the_first_that_is_still_to_come() {
        let order = record(
            RecordKind::Order,
            &[("status", Value::text("open")), ("ship_date", day("2026-03-12")), ("promised_date", day("2026-03-14"))],
        );
        let next = |records: &[Record]| {
            let scene = Scene { records, dangling: &[], today: TODAY.parse().unwrap() };
            expected(&scene).into_iter().map(|one| one.text).collect::<Vec<_>>()
        };
        assert_eq!(next(std::slice::from_ref(&order)), ["It ships on 2026-03-12."]);
        let mut shipped = order;
        shipped.fields.insert("shipped_at".into(), day("2026-03-09"));
        assert_eq!(next(&[shipped]), ["It is promised for 2026-03-14."]);
    }
}
