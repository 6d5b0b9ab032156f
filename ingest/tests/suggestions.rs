//! Proposed mappings: the kind, the fields, and that what is proposed reads what it was proposed from.

use ingest::suggest::{Suggestion, suggest};
use ingest::{Given, Ingested, Limits, Mapping, Record, SourceFile};

fn propose(file: &str, text: &str) -> Suggestion {
    suggest(file, &Given::Text(text.as_bytes()), &Limits::default()).unwrap()
}

fn read(toml: &str, file: &str, text: &str) -> (Vec<Record>, Vec<String>) {
    let mapping = Mapping::parse(toml).unwrap_or_else(|error| panic!("{error}\n{toml}"));
    let (mut records, mut rejected) = (Vec::new(), Vec::new());
    mapping.read(&[SourceFile { path: file, bytes: text.as_bytes() }], &Limits::default(), &mut |one| match one {
        Ingested::Record { record, .. } => records.push(*record),
        Ingested::Rejected(rejection) => rejected.push(rejection.to_string()),
        _ => {}
    });
    (records, rejected)
}

/// The columns of Shopify's order export, with orders of our own.
const SHOPIFY: &str = "\
Name,Email,Financial Status,Paid at,Fulfillment Status,Fulfilled at,Accepts Marketing,Currency,Subtotal,Shipping,Taxes,Total,Discount Code,Discount Amount,Shipping Method,Created at,Lineitem quantity,Lineitem name,Lineitem price,Lineitem compare at price,Lineitem sku,Lineitem requires shipping,Lineitem taxable,Lineitem fulfillment status,Billing Name,Shipping Name,Shipping Street,Shipping City,Shipping Zip,Shipping Province,Shipping Country,Notes,Cancelled at,Payment Method,Refunded Amount,Vendor,Outstanding Balance,Id,Source,Lineitem discount
#1001,ann@example.com,paid,2026-03-02 10:00:00 +0100,fulfilled,2026-03-03 09:00:00 +0100,no,EUR,64.00,4.90,11.00,68.90,,0.00,Standard,2026-03-02 09:58:11 +0100,2,Brass lamp,22.00,,BL-1,true,true,fulfilled,Ann Bakker,Ann Bakker,Kade 1,Utrecht,3511,,NL,,,card,0.00,Lumen,0.00,900001,web,0.00
#1001,ann@example.com,,,,,,,,,,,,,,2026-03-02 09:58:11 +0100,1,Shade,20.00,,SH-2,true,true,fulfilled,,,,,,,,,,,,Tessel,,,,0.00
#1002,bo@example.com,pending,,,,no,EUR,15.50,0.00,2.69,15.50,,0.00,Pickup,2026-03-02 11:30:00 +0100,1,Bulb,15.50,,BU-9,true,true,pending,Bo Lind,Bo Lind,Ringvej 2,Aarhus,8000,,DK,leave at door,,invoice,0.00,Lumen,15.50,900002,pos,0.00
";

#[test]
fn an_order_over_several_rows_is_one_record_with_lines() {
    let toml = ingest::mapping::builtin("shopify_orders").unwrap();
    let (orders, rejected) = read(toml, "orders_export_1.csv", SHOPIFY);
    assert_eq!(rejected, Vec::<String>::new());
    assert_eq!(orders.len(), 2);
    let first = &orders[0];
    assert_eq!(
        (first.external_id.as_str(), first.text("payment_status"), first.lines.len()),
        ("#1001", Some("paid"), 2)
    );
    assert_eq!(first.fields["total"].as_money().unwrap().to_string(), "68.90 EUR");
    assert_eq!(first.fields["ordered_at"], ingest::Value::Time("2026-03-02T08:58:11Z".parse().unwrap()));
    assert_eq!(first.lines[1]["name"].as_text(), Some("Shade"));
    assert_eq!(
        first.lines[1]["unit_price"].as_money().unwrap().to_string(),
        "20.00 EUR",
        "in the currency of the first row"
    );
    // What differs from line to line stays with the lines, what is the order's with the order.
    assert_eq!(first.extra["Id"], "900001");
    assert_eq!(first.extra["lines"][1]["Vendor"], "Tessel");
    assert!(!first.extra.contains_key("Vendor"));
    assert_eq!(orders[1].text("note"), Some("leave at door"));
}

#[test]
fn rows_of_one_order_that_contradict_each_other_are_refused() {
    let toml = ingest::mapping::builtin("shopify_orders").unwrap();
    let wrong = SHOPIFY.replace("#1001,ann@example.com,,,", "#1001,ann@example.com,refunded,,");
    let (orders, rejected) = read(toml, "orders.csv", &wrong);
    assert_eq!(orders.len(), 1);
    assert_eq!(
        rejected,
        [
            "orders.csv, row 3, column \"Financial Status\": differs from the other rows of its record, which begins at row 2"
        ]
    );
    // An order that comes again later is the second of two, not more lines.
    let (_, rejected) = read(toml, "orders.csv", &format!("{SHOPIFY}{}", SHOPIFY.lines().nth(2).unwrap()));
    assert_eq!(rejected.len(), 1, "{rejected:?}");
}

#[test]
fn an_export_with_a_row_per_line_is_seen_as_such() {
    let suggestion = propose("orders_export.csv", SHOPIFY);
    assert_eq!(suggestion.kind.as_str(), "order", "{}", suggestion.toml);
    assert!(suggestion.toml.contains("same_rows = true"), "{}", suggestion.toml);
    let has = |field: &str, column: &str| {
        assert!(
            suggestion.fields.contains(&(field.to_owned(), column.to_owned())),
            "{field} is not {column}:\n{}",
            suggestion.toml
        );
    };
    has("total", "Total");
    has("lines.quantity", "Lineitem quantity");
    has("lines.name", "Lineitem name");
    has("lines.sku", "Lineitem sku");
    let (orders, rejected) = read(&suggestion.toml, "orders_export.csv", SHOPIFY);
    assert_eq!(rejected, Vec::<String>::new(), "{}", suggestion.toml);
    assert_eq!(orders.iter().map(|order| order.lines.len()).collect::<Vec<_>>(), [2, 1]);
}

#[test]
fn a_guess_that_could_be_wrong_says_so() {
    let text = "Invoice No,Customer No,Invoice Date,Due Date,Total\nI-1,C-1,03/04/2026,05/04/2026,10.00\nI-2,C-2,04/04/2026,06/04/2026,20.00\n";
    let suggestion = propose("invoices.csv", text);
    assert_eq!(suggestion.kind.as_str(), "customer_invoice", "{}", suggestion.toml);
    assert!(suggestion.toml.contains("CHECK: day and month could be the other way round"), "{}", suggestion.toml);
    assert!(suggestion.toml.contains("# currency = \"EUR\""), "no column names a currency: {}", suggestion.toml);
}

#[test]
fn keys_of_json_objects_are_columns_too() {
    let text = r#"{"customers": [{"id": "C-1", "name": "Ann", "email": "a@b.example", "address": {"city": "Utrecht", "zip": "3511"}},
                  {"id": "C-2", "name": "Bo", "email": "b@b.example", "address": {"city": "Aarhus", "zip": "8000"}}]}"#;
    let suggestion = propose("customers.json", text);
    assert_eq!(suggestion.kind.as_str(), "customer", "{}", suggestion.toml);
    let (customers, rejected) = read(&suggestion.toml, "customers.json", text);
    assert_eq!((customers.len(), rejected), (2, Vec::new()), "{}", suggestion.toml);
    assert_eq!(customers[1].text("city"), Some("Aarhus"));
}

#[test]
fn what_no_mapping_can_be_made_of_is_refused() {
    let refused =
        |file: &str, text: &str| suggest(file, &Given::Text(text.as_bytes()), &Limits::default()).unwrap_err().reason;
    assert_eq!(refused("x.csv", "qwx,zzy\n1,2\n"), "has columns that fit no kind of record");
    assert_eq!(refused("x.csv", "Order No,Total\n"), "has no rows to look at");
}

#[test]
fn the_same_file_gives_the_same_proposal() {
    assert_eq!(propose("orders.csv", SHOPIFY), propose("orders.csv", SHOPIFY));
}
