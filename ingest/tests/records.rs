//! Money, dates and records: exact in, exact out; and mappings that say what is wrong.

use ingest::money::{from_millionths, parse_decimal, to_millionths};
use ingest::{
    Currency, Decimal, FieldType, Ingested, Limits, Mapping, Money, MoneyError, Record, RecordKind, Rejection,
    SourceFile, Value, cards, chunk_id, display_value, document_id, record_id, schema,
};
use proptest::prelude::*;
use uuid::Uuid;

fn money(amount: &str, currency: &str) -> Result<Money, MoneyError> {
    Money::new(parse_decimal(amount)?, currency.parse()?)
}

#[test]
fn a_tenth_and_two_tenths_are_three_tenths() {
    let sum = money("0.1", "EUR").unwrap().checked_add(&money("0.2", "EUR").unwrap()).unwrap();
    assert_eq!(sum, money("0.3", "EUR").unwrap());
    assert_eq!(sum.to_string(), "0.30 EUR");
    assert_eq!(sum.millionths(), 300_000);
}

#[test]
fn each_currency_shows_its_own_decimals() {
    assert_eq!(money("84", "EUR").unwrap().to_string(), "84.00 EUR");
    assert_eq!(money("1250", "jpy").unwrap().to_string(), "1250 JPY");
    assert_eq!(money("1.5", "KWD").unwrap().to_string(), "1.500 KWD");
    assert_eq!(money("0.0425", "USD").unwrap().to_string(), "0.0425 USD");
    assert_eq!(money("12.345", "USD").unwrap().payable(), Err(MoneyError::FinerThanCurrency));
    assert_eq!(money("1.5", "JPY").unwrap().payable(), Err(MoneyError::FinerThanCurrency));
    assert_eq!(money("1.125", "KWD").unwrap().payable().unwrap().millionths(), 1_125_000);
    assert_eq!("EURO".parse::<Currency>(), Err(MoneyError::Currency));
}

#[test]
fn negative_zero_is_zero_and_two_currencies_do_not_add() {
    let zero = money("-0.00", "EUR").unwrap();
    assert_eq!(zero.to_string(), "0.00 EUR");
    assert_eq!(zero, money("0", "EUR").unwrap());
    assert_eq!(zero.checked_add(&money("1", "USD").unwrap()), Err(MoneyError::MixedCurrencies));
}

#[test]
fn what_millionths_cannot_hold_is_refused_and_the_edges_are_exact() {
    assert_eq!(money("9223372036854.775807", "EUR").unwrap().millionths(), i64::MAX);
    assert_eq!(money("-9223372036854.775808", "EUR").unwrap().millionths(), i64::MIN);
    assert_eq!(money("9223372036854.775808", "EUR"), Err(MoneyError::TooLarge));
    assert_eq!(money("0.0000001", "EUR"), Err(MoneyError::TooPrecise));
    assert_eq!(Money::from_millionths(i64::MIN, "JPY".parse().unwrap()).to_string(), "-9223372036854.775808 JPY");
}

#[test]
fn number_texts_are_read_by_their_digits() {
    let read = |text: &str| parse_decimal(text).map(|decimal| decimal.normalize().to_string());
    assert_eq!(read("1e3").unwrap(), "1000");
    assert_eq!(read("12.5e-2").unwrap(), "0.125");
    assert_eq!(read("1.50000000000000000000000000000000000").unwrap(), "1.5");
    assert_eq!(read(".5").unwrap(), "0.5");
    assert_eq!(read("+7").unwrap(), "7");
    for text in
        ["", ".", "-", "1,5", "0x10", "NaN", "inf", "1 000", "1e", "e5", "--1", "1.2.3", "１２", "1e99999999999"]
    {
        assert_eq!(parse_decimal(text), Err(MoneyError::NotANumber), "{text}");
    }
    assert_eq!(parse_decimal("1e400"), Err(MoneyError::TooLarge));
    assert_eq!(parse_decimal("1e-400"), Err(MoneyError::TooPrecise));
    assert!(parse_decimal(&"9".repeat(1_000_000)).is_err());
}

struct Read(Vec<Record>, Vec<Rejection>);

fn read(mapping: &str, files: &[(&str, &str)]) -> Read {
    let mapping = Mapping::parse(mapping).unwrap();
    let files: Vec<SourceFile<'_>> =
        files.iter().map(|(path, text)| SourceFile { path, bytes: text.as_bytes() }).collect();
    let mut read = Read(Vec::new(), Vec::new());
    mapping.read(&files, &Limits::default(), &mut |outcome| match outcome {
        Ingested::Record { record, .. } => read.0.push(*record),
        Ingested::Rejected(rejection) => read.1.push(rejection),
        other => panic!("{other:?}"),
    });
    read
}

/// One order per line with `ordered_at` (a moment) and `promised_date` (a day).
fn dates(settings: &str, cells: &str) -> Result<Value, String> {
    let mapping = format!(
        "name = \"t\"\n{settings}\n[[records]]\nkind = \"order\"\nfiles = \"o.csv\"\nid = \"id\"\n\
         [records.fields]\nordered_at = \"at\"\n"
    );
    let Read(mut records, rejected) = read(&mapping, &[("o.csv", &format!("id|at\n1|{cells}\n"))]);
    match rejected.first() {
        Some(rejection) => Err(rejection.reason.clone()),
        None => Ok(records.remove(0).fields.remove("ordered_at").unwrap()),
    }
}

#[test]
fn leap_days_exist_only_in_leap_years() {
    assert_eq!(dates("", "2028-02-29").unwrap(), Value::Date("2028-02-29".parse().unwrap()));
    assert!(dates("", "2027-02-29").is_err());
    assert!(dates("", "2100-02-29 10:00").is_err());
    assert_eq!(
        dates("date_formats = [\"%d.%m.%Y\"]", "29.02.2028").unwrap(),
        Value::Date("2028-02-29".parse().unwrap())
    );
    assert!(dates("date_formats = [\"%d.%m.%Y\"]", "30.02.2028").is_err());
}

#[test]
fn a_local_time_in_a_clock_change_is_refused_unless_the_mapping_decides() {
    let berlin = "timezone = \"Europe/Berlin\"";
    let instant = |text: &str| Value::Time(text.parse().unwrap());
    assert_eq!(dates(berlin, "2026-07-01 12:00").unwrap(), instant("2026-07-01T10:00:00Z"));
    // 29 March 2026: 02:30 does not exist; 25 October 2026: 02:30 exists twice.
    assert!(dates(berlin, "2026-03-29 02:30").unwrap_err().contains("clock change"));
    assert!(dates(berlin, "2026-10-25 02:30").unwrap_err().contains("clock change"));
    let earlier = "timezone = \"Europe/Berlin\"\nlocal_time = \"earlier\"";
    assert_eq!(dates(earlier, "2026-10-25 02:30").unwrap(), instant("2026-10-25T00:30:00Z"));
    let later = "timezone = \"Europe/Berlin\"\nlocal_time = \"later\"";
    assert_eq!(dates(later, "2026-10-25 02:30").unwrap(), instant("2026-10-25T01:30:00Z"));
    // With an offset there is nothing to decide.
    assert_eq!(dates(berlin, "2026-10-25T02:30:00+01:00").unwrap(), instant("2026-10-25T01:30:00Z"));
}

#[test]
fn years_0_and_9999_are_refused_and_kept() {
    assert_eq!(dates("", "0000-01-01").unwrap_err(), "is a date before the year 1 (field ordered_at)");
    assert!(dates("", "0000-00-00").is_err());
    assert!(dates("", "-0044-03-15").is_err());
    assert_eq!(dates("", "0001-01-01").unwrap(), Value::Date("0001-01-01".parse().unwrap()));
    assert_eq!(dates("", "9999-12-31").unwrap(), Value::Date("9999-12-31".parse().unwrap()));
    assert_eq!(dates("", "9999-12-31 00:00:00.000").unwrap(), Value::Date("9999-12-31".parse().unwrap()));
    assert!(dates("", "9999-12-31 23:59:59").is_err(), "an instant must leave room for every time zone");
    assert!(dates("", "10000-01-01").is_err());
    let Value::Time(time) = dates("", "2026-01-01T00:00:00.1234567Z").unwrap() else { panic!() };
    assert_eq!(time.to_string(), "2026-01-01T00:00:00.123456Z");
}

const ORDERS: &str = r#"
name = "north"
currency = "EUR"
[[records]]
kind = "order"
files = "orders.*"
id = "nr"
[records.fields]
status = { from = "state", values = { O = "open", C = "closed" } }
total = { from = "total", currency = "curr" }
paid = { from = "paid", optional = true }
delivery_address = { from = ["street", "city"], join = ", " }
"#;

#[test]
fn schema_drift_is_quarantined_with_a_reason_and_never_defaulted() {
    let header = "nr,state,total,curr,street,city";
    // A renamed column: nothing of the file is guessed.
    let Read(records, rejected) = read(ORDERS, &[("orders.csv", "nr,state,amount,curr,street,city\n1,O,5,EUR,a,b\n")]);
    assert!(records.is_empty());
    assert_eq!(rejected[0].column.as_deref(), Some("total"));
    assert_eq!(rejected[0].reason, "is not there: the mapping needs it, or `optional = true`");
    let rows = [
        (",O,5,EUR,a,b", "nr", "is empty, and it is the id"),
        ("1,X,5,EUR,a,b", "state", "is not in the mapping's value table (field status)"),
        ("1,O,five,EUR,a,b", "total", "is not a decimal number (field total)"),
        ("1,O,\"1,000.00\",EUR,a,b", "total", "is not a decimal number (field total)"),
        ("1,O,5,EURO,a,b", "curr", "is not a currency code of three letters"),
        ("1,O,5 USD,EUR,a,b", "total", "is in another currency than its row (field total)"),
    ];
    for (row, column, reason) in rows {
        let Read(records, rejected) = read(ORDERS, &[("orders.csv", &format!("{header}\n{row}\n2,C,7,,a,\n"))]);
        assert_eq!(records.len(), 1, "{row}");
        assert_eq!(records[0].fields["total"], Value::Money("7.00 EUR".parse().unwrap()));
        assert_eq!((rejected[0].row, rejected[0].column.as_deref()), (Some(2), Some(column)));
        assert_eq!(rejected[0].reason, reason);
    }
    // JSON: a type that changed, a key that went.
    let lines = r#"{"nr": 1, "state": "O", "total": {"amount": [5]}, "curr": null, "street": "a", "city": null}
{"nr": 2, "state": "O", "total": true, "curr": null, "street": "a", "city": null}
{"nr": 3, "state": "O", "curr": null, "street": "a", "city": null}
{"nr": null, "state": "O", "total": 5, "curr": null, "street": "a", "city": null}
{"nr": 5, "state": null, "total": "5.10", "curr": "USD", "street": "a", "city": "b", "new": {"kept": [1.50]}}"#;
    let Read(records, rejected) = read(ORDERS, &[("orders.jsonl", lines)]);
    assert_eq!(rejected.iter().map(|r| r.row.unwrap()).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(records[0].external_id, "5");
    assert!(!records[0].fields.contains_key("status"));
    assert_eq!(records[0].text("delivery_address"), Some("a, b"));
    assert_eq!(records[0].extra["new"].to_string(), r#"{"kept":["1.50"]}"#);
}

#[test]
fn refuse_file_takes_all_rows_or_none() {
    let strict = ORDERS.replace("name = \"north\"", "name = \"north\"\non_bad_row = \"refuse_file\"");
    let text = "nr,state,total,curr,street,city\n1,O,5,,a,b\n2,X,5,,a,b\n";
    let Read(records, rejected) = read(&strict, &[("orders.csv", text)]);
    assert!(records.is_empty());
    assert_eq!(rejected.len(), 2);
    assert_eq!(rejected[1].reason, "nothing was taken in: 1 bad rows and the mapping says refuse_file");
}

const JOINED: &str = r#"
name = "north"
currency = "EUR"
decimal = ","
thousands = "."
null_values = ["-"]
[[records]]
kind = "purchase_order"
files = "po.csv"
id = "{plant}/{nr}"
[records.fields]
supplier_name = { from = "vendor", lookup = { files = "vendors.csv", key = "id", value = "name" } }
total = "total"
[records.lines]
files = "lines.csv"
parent = "key"
[records.lines.fields]
sku = "item"
quantity = "qty"
"#;

#[test]
fn lines_of_another_file_join_their_parent_and_orphans_are_reported() {
    let files = [
        ("po.csv", "plant;nr;vendor;total\nA;1;7;1.234,50\nA;2;8;-\nB;1;7;12.34,5\n"),
        ("lines.csv", "key;item;qty;colour\nA/1;X-1;1,5;red\nA/2;X-2;2;\nA/1;X-3;1.000;\nC/9;X-4;1;\nB/1;X-5;1;\n"),
        ("vendors.csv", "id;name\n7;Acme\n"),
    ];
    let Read(records, rejected) = read(JOINED, &files);
    assert_eq!(records.len(), 2);
    assert_eq!(records[0].fields["total"], Value::Money("1234.50 EUR".parse().unwrap()));
    assert_eq!(records[0].text("supplier_name"), Some("Acme"));
    assert_eq!(records[0].field("lines.0.quantity").unwrap().into_owned(), Value::quantity(Decimal::new(15, 1)));
    assert_eq!(records[0].field("lines.1.quantity").unwrap().into_owned(), Value::quantity(Decimal::from(1_000)));
    assert_eq!(records[0].extra["lines"].to_string(), r#"[{"colour":"red"},{}]"#);
    assert!(records[1].fields.is_empty(), "a dash and an unknown vendor are absent, not defaults");
    let reasons: Vec<String> = rejected.iter().map(ToString::to_string).collect();
    assert_eq!(
        reasons,
        [
            "po.csv, row 4, column \"total\": is not a decimal number (field total)",
            "lines.csv, row 5: is a line of a purchase_order that is not there"
        ]
    );
}

#[test]
fn a_bad_line_refuses_its_order_rather_than_shortening_it() {
    let files = [
        ("po.csv", "plant;nr;vendor;total\nA;1;7;1\nA;2;7;1\n"),
        ("lines.csv", "key;item;qty\nA/1;X-1;many\nA/2;X-2;2\n"),
        ("vendors.csv", "id;name\n"),
    ];
    let Read(records, rejected) = read(JOINED, &files);
    assert_eq!(records[0].external_id, "A/2");
    assert_eq!(rejected[0].to_string(), "lines.csv, row 2, column \"qty\": is not a decimal number (field quantity)");
}

#[test]
fn a_mapping_with_an_unknown_name_is_refused_at_its_line_with_the_nearest() {
    let complaint = |text: &str| Mapping::parse(text).unwrap_err().to_string();
    let wrong_field = ORDERS.replace("status =", "statsu =");
    assert_eq!(complaint(&wrong_field), "line 9: order has no field \"statsu\"; did you mean \"status\"?");
    let wrong_kind = complaint(&ORDERS.replace("\"order\"", "\"oder\""));
    assert!(wrong_kind.starts_with("line 5: kind is not a record kind; did you mean \"order\"?"), "{wrong_kind}");
    let wrong_key = complaint(&ORDERS.replace("files =", "file ="));
    assert!(
        wrong_key.contains("unknown field `file`") && wrong_key.ends_with("did you mean \"files\"?"),
        "{wrong_key}"
    );
    let wrong_inner = complaint(&ORDERS.replace("optional = true", "optionl = true"));
    assert!(wrong_inner.ends_with("did you mean \"optional\"?"), "{wrong_inner}");
    assert!(
        complaint("name = \"x\"\ntimezone = \"Europe/Berlim\"").starts_with("line 2: \"Europe/Berlim\" is not an IANA")
    );
    assert!(complaint("name = 3").starts_with("line 1: "));
    assert!(complaint("[[records]]\n").contains("missing field"));
}

#[test]
fn ids_are_derived_from_content_and_keep_tenants_sources_and_kinds_apart() {
    let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let base = record_id(a, b, RecordKind::Order, "1");
    assert_eq!(base, record_id(a, b, RecordKind::Order, "1"));
    let others = [
        record_id(b, b, RecordKind::Order, "1"),
        record_id(a, a, RecordKind::Order, "1"),
        record_id(a, b, RecordKind::Return, "1"),
        record_id(a, b, RecordKind::Order, "2"),
        document_id(a, b, "1"),
        chunk_id(a, base, &[0; 32], 0),
        chunk_id(a, base, &[0; 32], 1),
    ];
    for (index, other) in others.iter().enumerate() {
        assert_ne!(base, *other);
        assert!(!others[..index].contains(other));
    }
    // Stable for ever: stored ids depend on it.
    assert_eq!(record_id(Uuid::nil(), Uuid::nil(), RecordKind::Order, "1").get_version_num(), 5);
}

#[test]
fn every_kind_has_a_sound_schema() {
    for kind in RecordKind::ALL {
        let schema = schema(kind);
        assert_eq!(schema.kind, kind);
        assert_eq!(kind.as_str().parse(), Ok(kind));
        for fields in [schema.fields, schema.lines] {
            let mut names: Vec<&str> = fields.iter().map(|spec| spec.name).collect();
            let mut labels: Vec<&str> = fields.iter().map(|spec| spec.label).collect();
            names.sort_unstable();
            labels.sort_unstable();
            assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{kind}: {names:?}");
            assert!(labels.windows(2).all(|pair| pair[0] != pair[1]), "{kind}: {labels:?}");
            for spec in fields {
                assert!(spec.name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{}", spec.name);
                assert!(spec.synonyms.iter().all(|s| *s == s.to_lowercase() && *s == s.trim()), "{}", spec.name);
                assert!(spec.link.is_none() && spec.scheme.is_none() || spec.kind == FieldType::Text, "{}", spec.name);
            }
        }
        assert_eq!(schema.lines.is_empty(), schema.lines_label.is_empty(), "{kind}");
        assert!(schema.title_field.is_empty() || schema.field(schema.title_field).is_some(), "{kind}");
    }
}

#[test]
fn questions_name_fields_in_many_words() {
    let asked = |kind, words: &str| schema::fields_asked(kind, words).first().map(|spec| spec.name);
    assert_eq!(asked(RecordKind::Order, "when does it ship"), Some("ship_date"));
    assert_eq!(asked(RecordKind::Order, "what is the state of my order"), Some("status"));
    assert_eq!(asked(RecordKind::Order, "how much was it"), Some("total"));
    assert_eq!(asked(RecordKind::Order, "give me the tracking number"), Some("tracking_numbers"));
    assert_eq!(asked(RecordKind::Order, "eta please"), Some("promised_date"));
    assert_eq!(asked(RecordKind::PurchaseOrder, "what is the total of po 4012"), Some("total"));
    assert_eq!(asked(RecordKind::PurchaseOrder, "which vendor"), Some("supplier_id"));
    assert_eq!(asked(RecordKind::Order, "hello"), None);
}

fn value() -> impl Strategy<Value = Value> {
    let decimal = (any::<i64>()).prop_map(from_millionths);
    let currency = prop_oneof![Just("EUR"), Just("JPY"), Just("KWD"), Just("USD")];
    prop_oneof![
        "\\PC{0,20}".prop_map(Value::Text),
        any::<i64>().prop_map(Value::Integer),
        decimal.prop_map(Value::quantity),
        (any::<i64>(), currency).prop_map(|(m, c)| Value::Money(Money::from_millionths(m, c.parse().unwrap()))),
        (1i16..=9999, 1i8..=12, 1i8..=28).prop_map(|(y, m, d)| Value::Date(jiff::civil::date(y, m, d))),
        (-62_135_596_800_000_000i64..=253_402_207_199_999_999)
            .prop_map(|micros| Value::Time(jiff::Timestamp::from_microsecond(micros).unwrap())),
        any::<bool>().prop_map(Value::Flag),
    ]
}

fn record() -> impl Strategy<Value = Record> {
    let names = |kind: RecordKind, lines: bool| {
        let schema = schema(kind);
        let specs = if lines { schema.lines } else { schema.fields };
        specs.iter().map(|spec| spec.name.to_owned()).collect::<Vec<_>>()
    };
    let fields = |names: Vec<String>| proptest::collection::btree_map(proptest::sample::select(names), value(), 0..8);
    let kind = prop_oneof![Just(RecordKind::Order), Just(RecordKind::PurchaseOrder), Just(RecordKind::SupplierInvoice)];
    kind.prop_flat_map(move |kind| {
        let lines = proptest::collection::vec(fields(names(kind, true)), 0..4);
        let extra =
            proptest::collection::btree_map("[a-z_]{1,8}", "\\PC{0,20}".prop_map(serde_json::Value::from), 0..4);
        (
            fields(names(kind, false)),
            lines,
            extra,
            "[#A-Z0-9-]{1,12}",
            proptest::option::of(0i64..4_000_000_000_000_000),
        )
            .prop_map(move |(fields, lines, extra, external_id, time)| Record {
                kind,
                external_id,
                fields,
                lines,
                extra,
                source_time: time.map(|micros| jiff::Timestamp::from_microsecond(micros).unwrap()),
            })
    })
}

proptest! {
    #[test]
    fn a_record_survives_its_canonical_json_byte_for_byte(record in record()) {
        let json = record.canonical_json();
        let back = Record::from_canonical_json(&json).unwrap();
        prop_assert_eq!(&back, &record);
        prop_assert_eq!(back.canonical_json(), json);
        prop_assert_eq!(back.content_sha256(), record.content_sha256());
    }

    #[test]
    fn every_field_of_every_card_is_found_at_its_span(record in record()) {
        let mut shown = 0;
        for card in cards(&record) {
            let mut end = 0;
            for span in &card.spans {
                let value = record.field(&span.path).unwrap();
                prop_assert_eq!(&card.text[span.value_start..span.value_end], display_value(&value));
                prop_assert!(span.start >= end && span.value_start >= span.start);
                end = span.end;
                shown += 1;
            }
            prop_assert_eq!(card.text.lines().next().unwrap(), card.title.lines().next().unwrap());
        }
        let names = record.fields.len() + record.lines.iter().map(|line| line.len()).sum::<usize>();
        // The name of a line stands on the cost card too.
        prop_assert!(shown >= names);
    }

    #[test]
    fn millionths_and_texts_of_money_go_both_ways(millionths in any::<i64>(), code in "[A-Z]{3}") {
        let money = Money::from_millionths(millionths, code.parse().unwrap());
        prop_assert_eq!(money.millionths(), millionths);
        prop_assert_eq!(money.to_string().parse::<Money>().unwrap(), money);
        prop_assert_eq!(to_millionths(from_millionths(millionths)).unwrap(), millionths);
        let json = serde_json::to_string(&money).unwrap();
        prop_assert_eq!(serde_json::from_str::<Money>(&json).unwrap(), money);
    }

    #[test]
    fn any_number_text_is_read_exactly_or_refused(text in "[-+]?[0-9]{0,20}(\\.[0-9]{0,12})?([eE][-+]?[0-9]{1,3})?") {
        if let Ok(decimal) = parse_decimal(&text) {
            let near: f64 = text.parse().unwrap();
            let got: f64 = decimal.to_string().parse().unwrap();
            prop_assert!((near - got).abs() <= near.abs() * 1e-12, "{} {}", text, decimal);
            prop_assert!(!(decimal.is_zero() && decimal.is_sign_negative()));
        }
    }
}
