use super::*;

fn named(question: &str, shown: &str, kind: RecordKind) -> Named {
    let start = question.find(shown).expect("it stands there");
    Named { range: start..start + shown.len(), shown: shown.into(), kinds: vec![kind] }
}

fn turn(question: &str, named_here: &[(&str, RecordKind)]) -> Turn {
    Turn {
        question: question.into(),
        named: named_here.iter().map(|(shown, kind)| named(question, shown, *kind)).collect(),
        told: Vec::new(),
    }
}

fn told(mut turn: Turn, records: &[(&str, RecordKind)]) -> Turn {
    turn.told =
        records.iter().map(|(shown, kind)| Named { range: 0..0, shown: (*shown).into(), kinds: vec![*kind] }).collect();
    turn
}

fn understood(turns: &[Turn], text: &str) -> String {
    resolve(turns, text, &[]).text
}

const ORDER: RecordKind = RecordKind::Order;

#[test]
fn pronouns_and_fields_carry_the_record_of_the_turn_before() {
    let turns = [turn("What is the status of SO-1042?", &[("SO-1042", ORDER)])];
    for (asked, expected) in [
        ("and when does it ship?", "when does it ship (SO-1042)?"),
        ("And the total?", "the total (SO-1042)?"),
        ("payment status", "payment status (SO-1042)"),
        ("who is its customer?", "who is its customer (SO-1042)?"),
        ("May the order still be cancelled?", "May the order still be cancelled (SO-1042)?"),
        ("ok thanks, and is that paid?", "is that paid (SO-1042)?"),
    ] {
        assert_eq!(understood(&turns, asked), expected);
    }
}

#[test]
fn a_bare_number_is_carried_with_its_kind() {
    let turns = [turn("Where is order 1042?", &[("1042", ORDER)])];
    assert_eq!(understood(&turns, "when was it shipped?"), "when was it shipped (order 1042)?");
    let own = [Named { range: 10..14, shown: "1043".into(), kinds: vec![ORDER] }];
    assert_eq!(resolve(&turns, "and order 1043?", &own).text, "Where is order 1043?");
}

#[test]
fn a_new_identifier_replaces_the_old_one() {
    let turns = [turn("When was SO-1042 shipped?", &[("SO-1042", ORDER)])];
    for asked in ["and SO-1043?", "what about SO-1043", "same for SO-1043?", "SO-1043?"] {
        let own = [named(asked, "SO-1043", ORDER)];
        let standalone = resolve(&turns, asked, &own);
        assert_eq!(
            (standalone.text.as_str(), standalone.rule),
            ("When was SO-1043 shipped?", Rule::SameQuestion),
            "{asked}"
        );
    }
    let asked = "what is the total of SO-1043?";
    assert_eq!(resolve(&turns, asked, &[named(asked, "SO-1043", ORDER)]).text, asked);
}

#[test]
fn a_question_about_a_policy_is_asked_of_a_record_that_is_named_afterwards() {
    let turns = [turn("Within how many days may goods be sent back?", &[])];
    let own = [named("and for SO-1042?", "SO-1042", ORDER)];
    let expected = "Within how many days may goods be sent back (SO-1042)?";
    assert_eq!(resolve(&turns, "and for SO-1042?", &own).text, expected);
}

#[test]
fn the_other_one_is_the_one_that_is_not_in_focus() {
    let turns = [
        turn("What is the status of SO-1042?", &[("SO-1042", ORDER)]),
        turn("What is the status of SO-1043?", &[("SO-1043", ORDER)]),
    ];
    assert_eq!(understood(&turns, "what about the other one?"), "What is the status of SO-1042?");
    assert_eq!(understood(&turns, "when does the other one ship?"), "when does the other one ship (SO-1042)?");
    let both = [turn("Compare SO-1 and SO-2", &[("SO-1", ORDER), ("SO-2", ORDER)])];
    assert_eq!(understood(&both, "when does the second one ship?"), "when does the second one ship (SO-2)?");
    let listed = [told(turn("Which orders are on hold?", &[]), &[("SO-7", ORDER), ("SO-8", ORDER), ("SO-9", ORDER)])];
    assert_eq!(understood(&listed, "why is the last one held?"), "why is the last one held (SO-9)?");
}

#[test]
fn a_topic_goes_on_and_takes_a_condition() {
    let turns = [turn("How long may a customer return goods?", &[])];
    assert_eq!(
        understood(&turns, "and for trade customers?"),
        "How long may a customer return goods, for trade customers?"
    );
    assert_eq!(understood(&turns, "what about sale items?"), "How long may a customer return goods, for sale items?");
    assert_eq!(understood(&turns, "and who decides that?"), "who decides that, for a customer return goods?");
    assert_eq!(understood(&turns, "and on 2025-06-01?"), "How long may a customer return goods on 2025-06-01?");
    let dated = [turn("What was the refund limit on 2025-06-01?", &[])];
    assert_eq!(understood(&dated, "and on 1 March 2026?"), "What was the refund limit on 1 March 2026?");
}

#[test]
fn what_was_listed_is_narrowed_and_counted() {
    let turns = [turn("Which orders are on hold?", &[])];
    assert_eq!(understood(&turns, "how many of those are late?"), "how many of the orders that are on hold are late?");
    let turns = [turn("List all overdue supplier invoices", &[])];
    assert_eq!(
        understood(&turns, "how many of them are disputed?"),
        "how many of the overdue supplier invoices are disputed?"
    );
}

#[test]
fn a_fragment_takes_the_place_of_what_has_its_form() {
    for (before, asked, expected) in [
        ("how many orders are on credit hold?", "and on fraud hold?", "how many orders are on fraud hold?"),
        ("Who signs a refund of EUR 600 today?", "and one of EUR 1,500?", "Who signs a refund of EUR 1,500 today?"),
        ("Which orders wait for more than 2 days?", "and 5 days?", "Which orders wait for more than 5 days?"),
        (
            "What is the return window for consumers?",
            "and for trade customers?",
            "What is the return window for trade customers?",
        ),
        (
            "how long can an item be returned when ordered on 2026-01-05?",
            "and if it was ordered on 2025-06-05?",
            "how long can an item be returned when ordered on 2025-06-05?",
        ),
        ("how many orders are on hold?", "what are they worth?", "what are the orders that are on hold worth?"),
    ] {
        assert_eq!(understood(&[turn(before, &[])], asked), expected);
    }
}

#[test]
fn the_noun_says_which_record_is_meant() {
    let turns = [
        turn("What is the status of SO-1042?", &[("SO-1042", ORDER)]),
        turn("Is INV-7 paid?", &[("INV-7", RecordKind::CustomerInvoice)]),
    ];
    assert_eq!(understood(&turns, "when was that order shipped?"), "when was that order shipped (SO-1042)?");
    assert_eq!(understood(&turns, "when is it due?"), "when is it due (INV-7)?");
}

#[test]
fn a_question_of_its_own_starts_afresh() {
    let turns = [turn("What is the status of SO-1042?", &[("SO-1042", ORDER)])];
    for asked in [
        "Who has to approve a refund above EUR 100?",
        "What are the steps when a parcel is lost by the carrier?",
        "How many orders are on hold for more than 2 days?",
        "Does a refund that exceeds EUR 500 need a team lead?",
    ] {
        let standalone = resolve(&turns, asked, &[]);
        assert_eq!((standalone.text.as_str(), standalone.rule), (asked, Rule::AsAsked));
    }
    assert_eq!(resolve(&[], "and when does it ship?", &[]).rule, Rule::AsAsked);
}

proptest::proptest! {
    #[test]
    fn nothing_is_invented(asked in "[a-z ,.?']{0,80}", before in "[A-Za-z0-9 ,.?-]{0,80}") {
        let turns = [Turn { question: before.clone(), ..Turn::default() }];
        let text = resolve(&turns, &asked, &[]).text;
        let digits = |text: &str| text.split(|c: char| !c.is_alphanumeric()).filter(|word| word.contains(|c: char| c.is_ascii_digit())).map(str::to_owned).collect::<Vec<_>>();
        let known = digits(&format!("{before} {asked}"));
        proptest::prop_assert!(digits(&text).iter().all(|word| known.contains(word)));
    }
}
