//! Identifiers of records and mentions in questions meet, whatever the spelling; quantities are no identifiers.

use ingest::identifier::{normal, of_record};
use ingest::{Identifier, IdentifierScheme as S, identifiers_in};
use proptest::prelude::*;

/// Whether a question mentions exactly one identifier and its candidates find a record stored under `stored`.
fn finds(question: &str, scheme: S, stored: &str) -> bool {
    let mut of = Vec::new();
    of_record(scheme, stored, &mut of);
    let found = identifiers_in(question);
    let meets =
        |candidate: &Identifier| of.iter().any(|own| own.scheme == candidate.scheme && own.normal == candidate.normal);
    found.len() == 1 && found[0].1.iter().any(meets)
}

#[test]
fn usual_spellings_find_their_record() {
    let cases = [
        ("What is the status of order #W2378156?", S::Order, "#W2378156"),
        ("where is W2378156", S::Order, "#W2378156"),
        ("where is order w-2378156?", S::Order, "#W2378156"),
        ("order 2378156 please", S::Order, "#W2378156"),
        ("so 1042?", S::Order, "SO-001042"),
        ("is SO-001042 shipped", S::Order, "SO-001042"),
        ("SO001042", S::Order, "SO-001042"),
        ("so1042", S::Order, "SO-001042"),
        ("has order 1042 shipped yet", S::Order, "SO-001042"),
        ("order no. 1042", S::Order, "SO-001042"),
        ("order number is 1042", S::Order, "SO-001042"),
        ("Order # 001042", S::Order, "1042"),
        ("sales order 1042", S::Order, "SO-001042"),
        ("#1042 late?", S::Order, "SO-001042"),
        ("total of INV-001042", S::Invoice, "INV-001042"),
        ("invoice 1042 paid?", S::Invoice, "INV-001042"),
        ("inv/001042", S::Invoice, "INV-001042"),
        ("cancel purchase 00123842", S::Order, "123842"),
        ("po 4012", S::PurchaseOrder, "4012"),
        ("PO#4012", S::PurchaseOrder, "4012"),
        ("PO 7 total", S::PurchaseOrder, "7"),
        ("P.O. 4012", S::PurchaseOrder, "4012"),
        ("P.O. #4012", S::PurchaseOrder, "PO-4012"),
        ("What is the total of purchase order 1?", S::PurchaseOrder, "1"),
        ("purchase order no 4012", S::PurchaseOrder, "PO-004012"),
        ("stock of NG-48291-BLK", S::Sku, "NG-48291-BLK"),
        ("stock of ng48291blk", S::Sku, "NG-48291-BLK"),
        ("sku 48291", S::Sku, "48291"),
        ("how much is product AR-5381", S::Sku, "AR-5381"),
        ("where is 1Z999AA10123456784", S::Tracking, "1Z999AA10123456784"),
        ("track 1Z 999 AA1 01 2345 6784", S::Tracking, "1Z999AA10123456784"),
        ("tracking number 357962501027", S::Tracking, "357962501027"),
        ("where is parcel RR123456785DE", S::Tracking, "RR123456785DE"),
        ("orders of james_li_5688", S::Customer, "james_li_5688"),
        ("who is noah.brown7922@example.com?", S::Email, "Noah.Brown7922@example.com"),
        ("RMA 12", S::Return, "RMA-00012"),
        ("rma-12 received?", S::Return, "RMA-00012"),
        ("ticket T-881", S::Ticket, "T-881"),
        ("credit memo 55", S::CreditNote, "CN-55"),
        ("GRN 77 rejected?", S::Receipt, "GRN-0077"),
        // full-width digits, a zero-width space, Cyrillic letters
        ("order W２３７８１５６", S::Order, "#W2378156"),
        ("order W237\u{200b}8156", S::Order, "#W2378156"),
        ("where is ЅО-001042", S::Order, "SO-001042"),
    ];
    for (question, scheme, stored) in cases {
        assert!(finds(question, scheme, stored), "{question}: {:?}", identifiers_in(question));
    }
}

#[test]
fn quantities_amounts_and_dates_are_no_identifiers() {
    let questions = [
        "how many units did we sell in 2024?",
        "orders older than 30 days",
        "return within 30 days",
        "refund of 84.00 EUR",
        "refund 250 to the customer",
        "order 3 chairs",
        "can I order 12 boxes",
        "so 100 customers complained",
        "a payment of 1,250.00 USD",
        "orders placed on 2026-02-28",
        "since 28.02.2026 or 02/28/2026",
        "at 14:05",
        "a 5kg parcel",
        "the 2nd invoice",
        "is 15% off allowed",
        "credit limit above 10000",
        "more than $5000",
        "what is due in 3 weeks",
        "call +49 30 12345678",
        "what changed on 20260228",
        "B2B customers",
        "is an invoice 30 days overdue a problem",
        "credit note 15 percent",
        "the 10-inch tablet with 128GB and a 5.8-inch screen in 1080p",
        "a 30-day window and a 12.5kg parcel",
        "purchase 3 chairs",
    ];
    for question in questions {
        assert_eq!(identifiers_in(question), Vec::new(), "{question}");
    }
}

#[test]
fn several_mentions_come_in_text_order_with_their_exact_ranges() {
    let question = "compare orders 1042, 1043 and SO-1044 with PO 7";
    let found = identifiers_in(question);
    let shown: Vec<&str> = found.iter().map(|(range, _)| &question[range.clone()]).collect();
    assert_eq!(shown, ["1042", "1043", "SO-1044", "7"]);
    assert_eq!(found[1].1[0].scheme, S::Order);
    assert_eq!(found[3].1[0].scheme, S::PurchaseOrder);
}

#[test]
fn ranges_of_folded_characters_are_ranges_of_the_original() {
    let question = "wo ist Ｗ２３７８１５６ bitte";
    let found = identifiers_in(question);
    assert_eq!(&question[found[0].0.clone()], "Ｗ２３７８１５６");
    assert_eq!(found[0].1[0].normal, "W2378156");
}

#[test]
fn another_prefix_does_not_borrow_the_number() {
    assert!(!finds("order #X2378156", S::Order, "#W2378156"));
    assert!(!finds("invoice 1042", S::Order, "SO-001042"));
}

#[test]
fn a_pasted_megabyte_is_searched_quickly() {
    for piece in ["order 1042, ", "a@b.co ", "1Z", "1-", "PO PO ", "no no no 7 ", "\u{301}", "1Z999AA10123456784 "] {
        let text = piece.repeat((1 << 20) / piece.len());
        let started = std::time::Instant::now();
        assert!(identifiers_in(&text).len() <= 64);
        assert!(started.elapsed().as_millis() < 2_000, "{piece}: {:?}", started.elapsed());
    }
}

/// One way of writing an id of letters and digits.
fn spelling(letters: &str, digits: &str, style: usize) -> String {
    match style {
        0 => format!("{letters}{digits}"),
        1 => format!("{letters}-{digits}"),
        2 => format!("{}-00{digits}", letters.to_lowercase()),
        3 => format!("#{letters}{digits}"),
        4 => format!("{letters}/{digits}"),
        5 => format!("{letters}_{digits}"),
        6 => format!("{letters}.{digits}"),
        7 => format!(
            "{letters}{}",
            digits.chars().map(|c| char::from_u32(c as u32 + 0xFEE0).unwrap()).collect::<String>()
        ),
        _ => format!("{letters}\u{200d}{digits}"),
    }
}

proptest! {
    #[test]
    fn an_id_in_any_spelling_has_one_normal_form_and_is_found(
        letters in "[WZQ][BDFGK]{0,2}", digits in "[1-9][0-9]{4,8}", stored in 0..9usize, asked in 0..9usize,
    ) {
        let (stored, asked) = (spelling(&letters, &digits, stored), spelling(&letters, &digits, asked));
        prop_assume!(!["ST", "GB"].contains(&letters.as_str()));
        prop_assert_eq!(normal(&stored), normal(&asked));
        let question = format!("please check {asked} today");
        prop_assert!(finds(&question, S::Order, &stored), "{} {:?}", question, identifiers_in(&question));
    }

    #[test]
    fn any_text_is_searched_without_panic_and_ranges_are_ordered(text in ".{0,200}") {
        let mut end = 0;
        for (range, candidates) in identifiers_in(&text) {
            prop_assert!(range.start >= end && range.end > range.start);
            prop_assert!(text.get(range.clone()).is_some());
            prop_assert!(!candidates.is_empty() && candidates.iter().all(|c| !c.normal.is_empty()));
            end = range.end;
        }
    }

    #[test]
    fn normal_forms_are_fixed_points(text in "[A-Za-z0-9#/_. -]{0,30}") {
        let once = normal(&text);
        prop_assert_eq!(normal(&once), once);
    }
}
