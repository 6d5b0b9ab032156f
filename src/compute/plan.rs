//! Rules that read a question as a typed query. What is not understood is returned, never left out: a different question is not answered.

use ingest::RecordKind as K;
use ingest::{FieldType, RecordKind, schema};
use jiff::ToSpan;
use jiff::civil::Date;

use super::concepts::{self, Known, filter};
use super::dates::{self, Days};
use super::lexicon::{self, Profile, profile};
use super::query::{Aggregate, Each, Filter, Group, Measure, Op, Order, Query};
use super::vocabulary::Value;
use crate::record::layout::{Slot, layout};

/// Rows that a list states one by one.
const LISTED: u32 = 20;

/// Groups of "by category", when nothing says how many.
const GROUPS: u32 = 50;

/// A record that the question names, as a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entity {
    pub kind: RecordKind,
    /// Several when a name or number belongs to several records.
    pub ids: Vec<String>,
    /// As the answer says it.
    pub shown: String,
}

/// A question read as a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub query: Query,
    /// The records themselves were asked for, not only a number over them.
    pub list: bool,
    /// Rows or groups that were asked for, when the question said how many.
    pub top: Option<u32>,
}

/// What the rules made of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    Plan(Plan),
    /// It asks for something to be computed, in part in words that mean nothing here.
    NotUnderstood {
        words: Vec<String>,
        kind: RecordKind,
        strong: bool,
    },
    /// It asks for nothing that is computed.
    Other,
}

/// Lower case, `_` and `-` as spaces: how values are compared.
pub fn plain(value: &str) -> String {
    ingest::text::for_matching(&value.replace(['_', '-'], " "))
}

/// Whether a question may be one for the rules, and the kind of records it is about. Needs no data.
pub fn outline(words: &[String], entities: &[Vec<RecordKind>]) -> Option<RecordKind> {
    let at = |phrases: &[&str]| {
        phrases.iter().any(|phrase| find(words, phrase).is_some_and(|at| !names_an_identifier(words, at, phrase)))
    };
    if at(lexicon::RULES) {
        return None;
    }
    let asks = [
        lexicon::COUNT,
        lexicon::SUM,
        lexicon::AVERAGE,
        lexicon::LIST,
        lexicon::MOST,
        lexicon::LEAST,
        lexicon::OLDEST,
        lexicon::NEWEST,
    ];
    let owes = at(&["owe", "owes", "owed"]);
    let grouped = words.iter().any(|word| matches!(word.as_str(), "by" | "per"));
    if !owes && !grouped && !asks.iter().any(|phrases| at(phrases)) {
        return None;
    }
    main_kind(words, entities)
}

/// "The phone number of": a field, not a count.
fn names_an_identifier(words: &[String], at: usize, phrase: &str) -> bool {
    const BEFORE: [&str; 14] = [
        "phone",
        "telephone",
        "tracking",
        "order",
        "invoice",
        "vat",
        "tax",
        "account",
        "po",
        "reference",
        "serial",
        "customer",
        "supplier",
        "bank",
    ];
    phrase == "number of" && at > 0 && BEFORE.contains(&words[at - 1].as_str())
}

/// Position of a phrase.
fn find(words: &[String], phrase: &str) -> Option<usize> {
    let parts: Vec<&str> = phrase.split(' ').collect();
    (0..words.len()).find(|at| starts(words, *at, &parts))
}

fn starts(words: &[String], at: usize, parts: &[&str]) -> bool {
    words.len() >= at + parts.len() && parts.iter().zip(&words[at..]).all(|(part, word)| part == word)
}

struct Noun {
    at: usize,
    len: usize,
    kind: RecordKind,
}

fn nouns(words: &[String]) -> Vec<Noun> {
    let mut found: Vec<Noun> = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let best = lexicon::PROFILES
            .iter()
            .flat_map(|profile| {
                profile.nouns.iter().map(move |noun| (profile.kind, noun.split(' ').collect::<Vec<_>>()))
            })
            .filter(|(_, parts)| starts(words, at, parts))
            .max_by_key(|(_, parts)| parts.len());
        if let Some((kind, parts)) = best {
            found.push(Noun { at, len: parts.len(), kind });
            at += parts.len();
        } else {
            at += 1;
        }
    }
    found
}

fn is_partner(kind: RecordKind) -> bool {
    matches!(kind, K::Customer | K::Supplier | K::Product)
}

/// The kind that is counted: the first transaction named, unless it only says what a record refers to; else what a verb says of a partner;
/// else the partner.
fn main_kind(words: &[String], entities: &[Vec<RecordKind>]) -> Option<RecordKind> {
    let found = nouns(words);
    let entity_after = |noun: &Noun| {
        words
            .get(noun.at + noun.len)
            .and_then(|word| word.strip_prefix('§')?.parse::<usize>().ok())
            .and_then(|n| entities.get(n))
    };
    let negated = |noun: &Noun| {
        let before = noun.at.checked_sub(1).map(|at| words[at].as_str()).unwrap_or("");
        let two = noun.at.checked_sub(2).map(|at| words[at].as_str()).unwrap_or("");
        matches!(before, "without" | "no" | "missing" | "or")
            || (matches!(before, "a" | "an" | "any") && matches!(two, "without" | "or"))
    };
    let candidates: Vec<&Noun> = found.iter().filter(|noun| !is_partner(noun.kind) && !negated(noun)).collect();
    let role = |noun: &Noun| entity_after(noun).is_some_and(|kinds| kinds.contains(&noun.kind));
    if let Some(noun) = candidates.iter().find(|noun| !role(noun)) {
        // "invoices of suppliers", "orders with supplier S-506", "orders to suppliers" are about purchases.
        let suppliers = found.iter().any(|noun| noun.kind == K::Supplier)
            || entities.iter().any(|kinds| !kinds.is_empty() && kinds.iter().all(|kind| *kind == K::Supplier));
        return Some(match noun.kind {
            K::CustomerInvoice if suppliers => K::SupplierInvoice,
            K::Order if suppliers => K::PurchaseOrder,
            kind => kind,
        });
    }
    let has = |word: &str| words.iter().any(|one| one == word);
    let supplier =
        found.iter().any(|noun| noun.kind == K::Supplier) || entities.iter().flatten().any(|kind| *kind == K::Supplier);
    let partner = found.iter().find(|noun| is_partner(noun.kind));
    if has("owe") || has("owes") || has("owed") {
        let we = find(words, "we owe").is_some() || find(words, "owed to").is_some();
        return Some(if we || supplier { K::SupplierInvoice } else { K::CustomerInvoice });
    }
    if supplier && (has("late") || find(words, "on time").is_some()) {
        return Some(K::Receipt);
    }
    match partner.map(|noun| noun.kind) {
        Some(K::Customer) if has("ordered") || has("bought") || has("order") => Some(K::Order),
        Some(K::Product | K::Customer) if has("returned") || has("sent back") => Some(K::Return),
        other => other,
    }
}

#[derive(Debug, Clone)]
enum Meaning {
    Filters(Vec<Filter>, Option<&'static str>, Option<&'static str>),
    /// Field, stored value; the verb's day when the word is also one.
    Value(String, String, Option<&'static str>),
    Verb(&'static str),
    Days(Days),
    Age {
        days: i64,
        op: Op,
    },
    Amount {
        op: Op,
        number: String,
        currency: Option<String>,
    },
    Group(Group),
    Partner(RecordKind),
    Main,
    Count,
    Sum,
    Average,
    List,
    Most,
    Least,
    Oldest,
    Newest,
    Top(u32),
    Field(String),
    ByAge,
    Filler,
}

struct Found {
    at: usize,
    len: usize,
    meaning: Meaning,
}

/// Reads a question. `words`: corrected, entities as `§n`; `values`: of the kind and of what it refers to.
pub fn read(words: &[String], entities: &[Entity], kind: RecordKind, values: &[Value], today: Date) -> Reading {
    let scanner = Scanner { words, entities, kind, profile: profile(kind), known: Known { values }, today };
    let (found, unknown) = scanner.scan();
    let strong = scanner.is_strong(&found);
    if !unknown.is_empty() {
        return Reading::NotUnderstood { words: unknown, kind, strong };
    }
    match assemble(&scanner, &found) {
        Some(plan) => Reading::Plan(plan),
        None => Reading::Other,
    }
}

struct Scanner<'a> {
    words: &'a [String],
    entities: &'a [Entity],
    kind: RecordKind,
    profile: &'static Profile,
    known: Known<'a>,
    today: Date,
}

impl Scanner<'_> {
    /// Every word with its meaning, and the words without one.
    fn scan(&self) -> (Vec<Found>, Vec<String>) {
        let (mut found, mut unknown) = (Vec::new(), Vec::new());
        let mut at = 0;
        while at < self.words.len() {
            match self.meaning(at) {
                Some((len, meaning)) => {
                    found.push(Found { at, len, meaning });
                    at += len;
                }
                None => {
                    unknown.push(self.words[at].clone());
                    at += 1;
                }
            }
        }
        (found, unknown)
    }

    /// The longest meaning that begins here; of equally long ones the first in this order.
    fn meaning(&self, at: usize) -> Option<(usize, Meaning)> {
        let readings = [
            self.entity(at),
            self.age(at),
            self.amount(at),
            self.concept(at),
            self.group(at),
            self.day(at),
            self.value(at),
            self.noun(at),
            self.label(at),
            self.verb(at),
            self.top(at),
            self.aggregate(at),
            self.field(at),
            self.phrase(at, lexicon::FILLERS).map(|len| (len, Meaning::Filler)),
        ];
        let mut best: Option<(usize, Meaning)> = None;
        for (len, meaning) in readings.into_iter().flatten() {
            if best.as_ref().is_none_or(|(longest, _)| len > *longest) {
                best = Some((len, meaning));
            }
        }
        best
    }

    fn word(&self, at: usize) -> &str {
        self.words.get(at).map_or("", String::as_str)
    }

    fn phrase(&self, at: usize, phrases: &[&str]) -> Option<usize> {
        phrases
            .iter()
            .map(|phrase| phrase.split(' ').collect::<Vec<_>>())
            .filter(|parts| starts(self.words, at, parts))
            .map(|parts| parts.len())
            .max()
    }

    fn entity(&self, at: usize) -> Option<(usize, Meaning)> {
        let entity = self.entities.get(self.word(at).strip_prefix('§')?.parse::<usize>().ok()?)?;
        let ids: Vec<&str> = entity.ids.iter().map(String::as_str).collect();
        self.refers(entity.kind).map(|field| {
            let own = if let Some(field) = field {
                filter(&field, Op::Eq, &ids)
            } else {
                filter(entity.kind.as_str(), Op::RefersTo, &ids)
            };
            (1, Meaning::Filters(vec![own], None, None))
        })
    }

    /// How records of the kind refer to records of another: by a field, through one more record, or by their lines (`None` inside).
    fn refers(&self, target: RecordKind) -> Option<Option<String>> {
        let columns = &layout(self.kind).columns;
        if let Some(column) = columns.iter().find(|column| column.spec.link == Some(target)) {
            return Some(Some(column.name()));
        }
        if schema(self.kind).lines.iter().any(|spec| spec.link == Some(target)) {
            return Some(None);
        }
        for column in columns {
            let Some(next) = column.spec.link else { continue };
            if let Some(far) = layout(next).columns.iter().find(|far| far.spec.link == Some(target)) {
                return Some(Some(format!("{}.{}", column.name(), far.name())));
            }
        }
        None
    }

    fn concept(&self, at: usize) -> Option<(usize, Meaning)> {
        (1..=concepts::PHRASE_WORDS.min(self.words.len() - at)).rev().find_map(|len| {
            let phrase = self.words[at..at + len].join(" ");
            let concept = concepts::concept(self.kind, &phrase, &self.known)?;
            Some((len, Meaning::Filters(concept.filters, concept.since, concept.value)))
        })
    }

    /// A value that occurs in the data: of the kind itself, its status first; else of a record it refers to.
    fn value(&self, at: usize) -> Option<(usize, Meaning)> {
        let mut best: Option<(usize, usize, String, String)> = None;
        for value in self.known.values.iter().filter(|value| value.value.len() > 2) {
            let text = plain(&value.value);
            let parts: Vec<&str> = text.split(' ').collect();
            let american = text == "cancelled" && self.word(at) == "canceled";
            let german =
                matches!((text.as_str(), self.word(at)), ("cancelled", "storniert" | "stornierte" | "stornierten"));
            if !starts(self.words, at, &parts) && !american && !german {
                continue;
            }
            let (rank, field) = if value.kind == self.kind.as_str() {
                (if value.field == "status" { 0 } else { 1 }, value.field.clone())
            } else {
                let link =
                    layout(self.kind).columns.iter().find(|c| c.spec.link.is_some_and(|k| k.as_str() == value.kind));
                let Some(link) = link else { continue };
                (2, format!("{}.{}", link.name(), value.field))
            };
            // Currencies stand under the field of the amount: they are no condition by themselves.
            if layout(self.kind).column(&value.field).is_some_and(|c| matches!(c.slot, Slot::Amount(_))) && rank < 2 {
                continue;
            }
            if best.as_ref().is_none_or(|(len, other, ..)| parts.len() > *len || (parts.len() == *len && rank < *other))
            {
                best = Some((parts.len(), rank, field, value.value.clone()));
            }
        }
        if let Some((len, _, field, value)) = best {
            let verb = self.profile.verbs.iter().find(|(verb, _)| *verb == self.words[at..at + len].join(" "));
            return Some((len, Meaning::Value(field, value, verb.map(|(_, day)| *day))));
        }
        self.country(at)
    }

    /// The name of a field before one of its values: "with priority urgent".
    fn label(&self, at: usize) -> Option<(usize, Meaning)> {
        layout(self.kind).columns.iter().filter(|column| column.is_categorical()).find_map(|column| {
            let names = [column.spec.label.to_lowercase(), column.spec.name.replace('_', " ")];
            let len = names
                .iter()
                .map(|name| name.split(' ').collect::<Vec<_>>())
                .find(|parts| starts(self.words, at, parts))?
                .len();
            let next = at + len + usize::from(matches!(self.word(at + len), "is" | "of"));
            // "In the trade group": behind its value.
            let behind = (1..=3.min(at)).any(|back| {
                matches!(self.value(at - back), Some((n, Meaning::Value(field, ..)))
                if n == back && field.rsplit('.').next() == Some(column.spec.name))
            });
            if behind {
                return Some((len, Meaning::Filler));
            }
            matches!(self.value(next), Some((_, Meaning::Value(field, ..))) if field == column.name())
                .then_some((len, Meaning::Filler))
        })
    }

    fn country(&self, at: usize) -> Option<(usize, Meaning)> {
        for (code, names) in lexicon::COUNTRIES {
            let Some(len) = self.phrase(at, names) else { continue };
            let own = ["delivery_country", "country"]
                .into_iter()
                .find(|field| self.known.has_field(self.kind, field) && layout(self.kind).column(field).is_some());
            let field = own.map(str::to_owned).or_else(|| {
                [K::Customer, K::Supplier].into_iter().find_map(|partner| {
                    let link = layout(self.kind).columns.iter().find(|column| column.spec.link == Some(partner))?;
                    Some(format!("{}.country", link.name()))
                })
            })?;
            return Some((len, Meaning::Value(field, (*code).to_owned(), None)));
        }
        None
    }

    fn noun(&self, at: usize) -> Option<(usize, Meaning)> {
        let found = nouns(&self.words[at..]).into_iter().find(|noun| noun.at == 0)?;
        if found.kind == self.kind
            || (found.kind == K::Order && self.kind == K::PurchaseOrder)
            || (found.kind == K::CustomerInvoice && self.kind == K::SupplierInvoice)
        {
            return Some((found.len, Meaning::Main));
        }
        // The role of an entity that follows: "of customer C-1".
        if self.word(at + found.len).starts_with('§') {
            return Some((found.len, Meaning::Filler));
        }
        if is_partner(found.kind) && self.refers(found.kind).is_some() {
            return Some((found.len, Meaning::Partner(found.kind)));
        }
        None
    }

    fn verb(&self, at: usize) -> Option<(usize, Meaning)> {
        let (verb, field) = self
            .profile
            .verbs
            .iter()
            .filter(|(verb, _)| starts(self.words, at, &verb.split(' ').collect::<Vec<_>>()))
            .max_by_key(|(verb, _)| verb.len())?;
        Some((verb.split(' ').count(), Meaning::Verb(field)))
    }

    fn day(&self, at: usize) -> Option<(usize, Meaning)> {
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        // "may" alone is a verb.
        if self.word(at) == "may" {
            return None;
        }
        dates::read(&words, at, self.today).map(|(len, days)| (len, Meaning::Days(days)))
    }

    /// "for more than 2 days", "older than 30 days", "by over a week", "30+ days": how many words, the comparison of the age.
    fn age(&self, at: usize) -> Option<(usize, Meaning)> {
        let mut next = at + usize::from(matches!(self.word(at), "for" | "since" | "by" | "seit"));
        let (len, op) = self.comparison(next).unwrap_or((0, Op::Ge));
        if len == 0 && next == at {
            return None;
        }
        next += len;
        let number = dates::number(self.word(next))?;
        let unit = if matches!(self.word(next + 1), "calendar" | "full") { next + 2 } else { next + 1 };
        let days = number * dates::unit_days(self.word(unit)).or_else(|| (self.word(unit) == "d").then_some(1))?;
        let mut end = unit + 1;
        if matches!(self.word(end), "ago" | "old" | "now" | "long" | "already" | "or") {
            // "30 days or more" is at least 30.
            if self.word(end) == "or" {
                return matches!(self.word(end + 1), "more" | "longer" | "older")
                    .then_some((end + 2 - at, Meaning::Age { days, op: Op::Ge }));
            }
            end += 1;
        }
        Some((end - at, Meaning::Age { days, op }))
    }

    fn comparison(&self, at: usize) -> Option<(usize, Op)> {
        const WORDS: &[(&str, Op)] = &[
            ("more than", Op::Gt),
            ("greater than", Op::Gt),
            ("higher than", Op::Gt),
            ("larger than", Op::Gt),
            ("bigger than", Op::Gt),
            ("longer than", Op::Gt),
            ("older than", Op::Gt),
            ("above", Op::Gt),
            ("over", Op::Gt),
            ("exceeding", Op::Gt),
            ("exceeds", Op::Gt),
            (">", Op::Gt),
            ("mehr als", Op::Gt),
            ("über", Op::Gt),
            ("älter als", Op::Gt),
            ("at least", Op::Ge),
            (">=", Op::Ge),
            ("≥", Op::Ge),
            ("minimum", Op::Ge),
            ("mindestens", Op::Ge),
            ("less than", Op::Lt),
            ("lower than", Op::Lt),
            ("smaller than", Op::Lt),
            ("fewer than", Op::Lt),
            ("shorter than", Op::Lt),
            ("newer than", Op::Lt),
            ("younger than", Op::Lt),
            ("below", Op::Lt),
            ("under", Op::Lt),
            ("<", Op::Lt),
            ("weniger als", Op::Lt),
            ("unter", Op::Lt),
            ("at most", Op::Le),
            ("up to", Op::Le),
            ("no more than", Op::Le),
            ("<=", Op::Le),
            ("≤", Op::Le),
            ("höchstens", Op::Le),
        ];
        WORDS
            .iter()
            .map(|(phrase, op)| (phrase.split(' ').collect::<Vec<_>>(), *op))
            .filter(|(parts, _)| starts(self.words, at, parts))
            .max_by_key(|(parts, _)| parts.len())
            .map(|(parts, op)| (parts.len(), op))
    }

    /// "above EUR 1,000", "> 500 €", "at least 2.5k".
    fn amount(&self, at: usize) -> Option<(usize, Meaning)> {
        let lead = self
            .phrase(
                at,
                &[
                    "worth",
                    "of",
                    "with a total",
                    "with a value",
                    "with an amount",
                    "with total",
                    "totalling",
                    "with a total of",
                ],
            )
            .unwrap_or(0);
        let (len, op) = self.comparison(at + lead)?;
        let mut next = at + lead + len;
        let before = currency(self.word(next));
        next += usize::from(before.is_some());
        let mut number = amount_text(self.word(next))?;
        next += 1;
        if self.word(next) == "k" {
            let thousand = ingest::money::parse_decimal(&number).ok()?.checked_mul(1000.into())?;
            number = thousand.normalize().to_string();
            next += 1;
        }
        let after = currency(self.word(next));
        next += usize::from(after.is_some());
        if dates::unit_days(self.word(next)).is_some() {
            return None;
        }
        let currency = before.or(after).map(str::to_owned);
        Some((next - at, Meaning::Amount { op, number, currency }))
    }

    /// "by customer", "per month", "for each carrier".
    fn group(&self, at: usize) -> Option<(usize, Meaning)> {
        let lead = self.phrase(at, lexicon::BY)?;
        let next = at + lead + usize::from(matches!(self.word(at + lead), "the" | "each"));
        let each = match self.word(next) {
            "day" | "tag" => Some(Each::Day),
            "week" | "woche" => Some(Each::Week),
            "month" | "monat" => Some(Each::Month),
            "quarter" => Some(Each::Quarter),
            "year" => Some(Each::Year),
            _ => None,
        };
        if let (Some(each), false) = (each, self.profile.day.is_empty()) {
            let group = Group { field: Some(self.profile.day.to_owned()), each: Some(each), linked: None };
            return Some((next + 1 - at, Meaning::Group(group)));
        }
        match self.word(next) {
            "age" | "days" | "alter" => return Some((next + 1 - at, Meaning::ByAge)),
            "value" | "amount" | "total" | "size" | "worth" | "turnover" => return Some((next + 1 - at, Meaning::Sum)),
            "number" | "count" => return Some((next + 1 - at, Meaning::Count)),
            _ => {}
        }
        let columns = layout(self.kind).columns.iter().filter(|column| column.is_categorical());
        let named = columns
            .flat_map(|column| {
                let own = [column.spec.label.to_lowercase(), column.spec.name.replace('_', " ")];
                own.into_iter().map(move |phrase| (phrase, column))
            })
            .chain(self.extra_groups())
            .filter(|(phrase, _)| starts(self.words, next, &phrase.split(' ').collect::<Vec<_>>()))
            .max_by_key(|(phrase, _)| phrase.len());
        if let Some((phrase, column)) = named {
            let group = Group { field: Some(column.name()), each: None, linked: None };
            return Some((next + phrase.split(' ').count() - at, Meaning::Group(group)));
        }
        let noun = nouns(&self.words[next.min(self.words.len())..]).into_iter().find(|noun| noun.at == 0)?;
        if self.word(next + noun.len).starts_with('§') || noun.kind == self.kind {
            return None;
        }
        let words = next + noun.len - at;
        if self.word(next + noun.len) == "group" && noun.kind == K::Customer {
            let link = layout(self.kind).columns.iter().find(|column| column.spec.link == Some(K::Customer))?;
            let group = Group { field: Some(format!("{}.group", link.name())), each: None, linked: None };
            return Some((words + 1, Meaning::Group(group)));
        }
        self.partner_group(noun.kind).map(|group| (words, Meaning::Group(group)))
    }

    /// Short names of fields people group by.
    fn extra_groups(&self) -> Vec<(String, &'static crate::record::layout::Column)> {
        const NAMES: &[(&str, &[&str])] = &[
            ("country", &["delivery_country", "country"]),
            ("warehouse", &["warehouse", "location"]),
            ("hold", &["hold_kind"]),
            ("hold kind", &["hold_kind"]),
            ("kind of hold", &["hold_kind"]),
            ("type", &["hold_kind", "return_type"]),
            ("method", &["payment_method", "method"]),
            ("state", &["status"]),
            ("brand", &["brand"]),
        ];
        NAMES
            .iter()
            .filter_map(|(phrase, fields)| {
                let column = fields.iter().find_map(|field| layout(self.kind).column(field))?;
                Some(((*phrase).to_owned(), column))
            })
            .collect()
    }

    fn partner_group(&self, partner: RecordKind) -> Option<Group> {
        match self.refers(partner)? {
            Some(field) => Some(Group { field: Some(field), each: None, linked: None }),
            None => Some(Group { field: None, each: None, linked: Some(partner) }),
        }
    }

    fn top(&self, at: usize) -> Option<(usize, Meaning)> {
        let count =
            |word: &str| dates::number(word).and_then(|n| u32::try_from(n).ok()).filter(|n| (1..=100).contains(n));
        match self.word(at) {
            "top" | "first" | "biggest" | "largest" => count(self.word(at + 1)).map(|n| (2, Meaning::Top(n))),
            word => {
                let n = count(word).filter(|_| word != "a" && word != "an")?;
                // "5 largest orders", "three oldest invoices".
                let superlative = [lexicon::MOST, lexicon::OLDEST, lexicon::NEWEST, lexicon::LEAST];
                superlative.iter().any(|phrases| self.phrase(at + 1, phrases).is_some()).then_some((1, Meaning::Top(n)))
            }
        }
    }

    fn aggregate(&self, at: usize) -> Option<(usize, Meaning)> {
        let all: [(&[&str], Meaning); 8] = [
            (lexicon::COUNT, Meaning::Count),
            (lexicon::SUM, Meaning::Sum),
            (lexicon::AVERAGE, Meaning::Average),
            (lexicon::LIST, Meaning::List),
            (lexicon::MOST, Meaning::Most),
            (lexicon::LEAST, Meaning::Least),
            (lexicon::OLDEST, Meaning::Oldest),
            (lexicon::NEWEST, Meaning::Newest),
        ];
        all.into_iter()
            .filter_map(|(phrases, meaning)| Some((self.phrase(at, phrases)?, meaning)))
            .max_by_key(|(len, _)| *len)
            .or_else(|| {
                self.phrase(at, &["owe", "owes", "owed", "schuldet"]).map(|len| {
                    (
                        len,
                        Meaning::Filters(
                            concepts::concept(self.kind, "unpaid", &self.known)
                                .map(|one| one.filters)
                                .unwrap_or_default(),
                            None,
                            None,
                        ),
                    )
                })
            })
    }

    /// A number of the kind, by label or synonym: "tax", "open amount", "on hand".
    fn field(&self, at: usize) -> Option<(usize, Meaning)> {
        let mut best: Option<(usize, String)> = None;
        for column in &layout(self.kind).columns {
            let number = matches!(column.spec.kind, FieldType::Money | FieldType::Quantity | FieldType::Integer);
            if !number || !self.known.has_field(self.kind, &column.name()) {
                continue;
            }
            let label = column.spec.label.to_lowercase();
            let name = column.spec.name.replace('_', " ");
            let synonyms = column.spec.synonyms.iter().map(|synonym| (*synonym).to_owned());
            for phrase in [label, name].into_iter().chain(synonyms) {
                let parts: Vec<&str> = phrase.split(' ').collect();
                let longer = best.as_ref().is_none_or(|(len, _)| parts.len() > *len);
                let asks = phrase.starts_with("how ") || lexicon::SUM.contains(&phrase.as_str());
                if longer && !asks && starts(self.words, at, &parts) {
                    best = Some((parts.len(), column.name()));
                }
            }
        }
        best.map(|(len, field)| (len, Meaning::Field(field)))
    }

    /// The question can only mean a number over records: "how many <…> orders", a list that is ordered, a top n.
    fn is_strong(&self, found: &[Found]) -> bool {
        let main = found.iter().find(|one| matches!(one.meaning, Meaning::Main)).map(|one| one.at);
        let near = |at: usize| main.is_some_and(|main| main > at && main - at <= 6);
        found.iter().any(|one| match one.meaning {
            Meaning::Count => near(one.at + one.len - 1),
            Meaning::Top(_) => true,
            Meaning::List => matches!(self.word(one.at), "list" | "show" | "give") && near(one.at + one.len - 1),
            _ => false,
        })
    }
}

fn currency(word: &str) -> Option<&'static str> {
    match word {
        "eur" | "euro" | "euros" | "€" => Some("EUR"),
        "usd" | "dollar" | "dollars" | "$" => Some("USD"),
        "gbp" | "pounds" | "£" => Some("GBP"),
        "chf" => Some("CHF"),
        _ => None,
    }
}

/// `1,000`, `1.000,50`, `2500`: as a plain decimal.
fn amount_text(word: &str) -> Option<String> {
    if !word.starts_with(|c: char| c.is_ascii_digit())
        || !word.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | ','))
    {
        return None;
    }
    let last = word.rfind([',', '.']);
    let Some(last) = last else { return Some(word.to_owned()) };
    let decimals = word.len() - last - 1;
    let both = word.contains(',') && word.contains('.');
    if decimals == 3 && !both {
        return Some(word.replace([',', '.'], ""));
    }
    let whole: String = word[..last].chars().filter(char::is_ascii_digit).collect();
    Some(format!("{whole}.{}", &word[last + 1..]))
}

/// From meanings to a query. `None`: nothing in it asks for a number or a list.
fn assemble(scanner: &Scanner<'_>, found: &[Found]) -> Option<Plan> {
    let mut query = Query::of(scanner.kind);
    let (mut since, mut value_field, mut field) = (None, None, None);
    let mut asked = Asked::default();
    for (position, one) in found.iter().enumerate() {
        match &one.meaning {
            Meaning::Filters(filters, from, value) => {
                query.filters.extend(filters.iter().cloned());
                since = since.or(*from);
                value_field = value_field.or(*value);
            }
            Meaning::Value(name, value, verb) => {
                let dated = verb.is_some() && follows_a_day(found, position);
                if !dated {
                    add_value(&mut query.filters, name, value);
                }
            }
            Meaning::Group(group) => query.group_by = Some(group.clone()),
            Meaning::Partner(kind) => asked.partner = asked.partner.or(Some((*kind, position))),
            Meaning::Field(name) => field = field.or(Some((name.clone(), position))),
            Meaning::Count => asked.count = true,
            Meaning::Sum => asked.sum |= !names_a_bound(found, position),
            Meaning::Average => asked.average = true,
            Meaning::List => asked.list = true,
            Meaning::Most => asked.most = true,
            Meaning::Least => asked.least = true,
            Meaning::Oldest => asked.oldest = true,
            Meaning::Newest => asked.newest = true,
            Meaning::Top(n) => asked.top = Some(*n),
            Meaning::ByAge => asked.by_age = true,
            Meaning::Verb(_)
            | Meaning::Days(_)
            | Meaning::Age { .. }
            | Meaning::Amount { .. }
            | Meaning::Main
            | Meaning::Filler => {}
        }
    }
    asked.sum |= scanner.words.iter().any(|word| matches!(word.as_str(), "owe" | "owes" | "owed" | "schuldet"));
    let value = field
        .as_ref()
        .map(|(name, _)| name.clone())
        .or(value_field.map(str::to_owned))
        .or_else(|| (!scanner.profile.value.is_empty()).then(|| scanner.profile.value.to_owned()));
    bounds(scanner, found, &mut query, since, value.as_deref())?;
    verbs_without_days(scanner, found, &mut query);
    asked.measure(scanner, query, since, value, found)
}

/// Whether a day or an age stands right behind a verb ("shipped last week"), so that the verb says which day is meant.
fn follows_a_day(found: &[Found], position: usize) -> bool {
    found[position + 1..]
        .iter()
        .take_while(|one| matches!(one.meaning, Meaning::Filler | Meaning::Days(_) | Meaning::Age { .. }))
        .any(|one| matches!(one.meaning, Meaning::Days(_) | Meaning::Age { .. }))
}

/// "with a total above 100": the amount's name, not a wish to add up.
fn names_a_bound(found: &[Found], position: usize) -> bool {
    found.get(position + 1).is_some_and(|one| matches!(one.meaning, Meaning::Amount { .. }))
}

/// Two values of one field are alternatives: a record has one of them.
fn add_value(filters: &mut Vec<Filter>, field: &str, value: &str) {
    match filters.iter_mut().find(|one| one.field == field && one.op == Op::Eq) {
        Some(own) => {
            if !own.values.iter().any(|known| known == value) {
                own.values.push(value.to_owned());
            }
        }
        None => filters.push(filter(field, Op::Eq, &[value])),
    }
}

/// Days, ages and amounts become filters on the field they are about.
fn bounds(
    scanner: &Scanner<'_>,
    found: &[Found],
    query: &mut Query,
    since: Option<&str>,
    value: Option<&str>,
) -> Option<()> {
    for (position, one) in found.iter().enumerate() {
        let verb = nearest_verb(found, position);
        match &one.meaning {
            Meaning::Days(days) => {
                let field = verb.unwrap_or(scanner.profile.day);
                if field.is_empty() {
                    return None;
                }
                if let Some(from) = days.from {
                    query.filters.push(filter(field, Op::Ge, &[&from.to_string()]));
                }
                if let Some(to) = days.to {
                    query.filters.push(filter(field, Op::Le, &[&to.to_string()]));
                }
            }
            Meaning::Age { days, op } => {
                let field = since.or(verb).unwrap_or(scanner.profile.day);
                if field.is_empty() {
                    return None;
                }
                let day = scanner.today.checked_sub(days.days()).ok()?.to_string();
                let op = match op {
                    Op::Gt => Op::Lt,
                    Op::Ge => Op::Le,
                    Op::Lt => Op::Gt,
                    _ => Op::Ge,
                };
                query.filters.push(filter(field, op, &[&day]));
            }
            Meaning::Amount { op, number, currency } => {
                let before = found[..position].iter().rev().take(2).find_map(|one| match &one.meaning {
                    Meaning::Field(name) => Some(name.as_str()),
                    _ => None,
                });
                let field = before.or(value)?;
                let is_amount =
                    layout(scanner.kind).column(field).is_some_and(|column| matches!(column.slot, Slot::Amount(_)));
                let text = match currency {
                    Some(code) if is_amount => format!("{number} {code}"),
                    Some(_) => return None,
                    None => number.clone(),
                };
                query.filters.push(filter(field, *op, &[&text]));
            }
            _ => {}
        }
    }
    Some(())
}

/// The day that a span of days is about: the verb just before it, else one just behind it.
fn nearest_verb(found: &[Found], position: usize) -> Option<&'static str> {
    let verb = |one: &Found| match &one.meaning {
        Meaning::Verb(field) | Meaning::Value(_, _, Some(field)) => Some(*field),
        _ => None,
    };
    let before =
        found[..position].iter().rev().take_while(|one| !matches!(one.meaning, Meaning::Days(_))).find_map(verb);
    before.or_else(|| found[position + 1..].iter().take(2).find_map(verb))
}

/// "delivered orders" without a day: those that have the day at all. The day every record of the kind has says nothing.
fn verbs_without_days(scanner: &Scanner<'_>, found: &[Found], query: &mut Query) {
    let spans = found.iter().any(|one| matches!(one.meaning, Meaning::Days(_) | Meaning::Age { .. }));
    for one in found {
        let Meaning::Verb(field) = one.meaning else { continue };
        let said = query.filters.iter().any(|filter| filter.field == field || filter.than.as_deref() == Some(field));
        if !spans && !said && field != scanner.profile.day {
            query.filters.push(filter(field, Op::Present, &[]));
        }
    }
}

#[derive(Default)]
struct Asked {
    count: bool,
    sum: bool,
    average: bool,
    list: bool,
    most: bool,
    least: bool,
    oldest: bool,
    newest: bool,
    by_age: bool,
    top: Option<u32>,
    partner: Option<(RecordKind, usize)>,
}

impl Asked {
    fn measure(
        self,
        scanner: &Scanner<'_>,
        mut query: Query,
        since: Option<&str>,
        value: Option<String>,
        found: &[Found],
    ) -> Option<Plan> {
        let measure = |measure, field: Option<String>| Measure { measure, field, since: None };
        let units = scanner.kind == K::StockLevel
            && scanner
                .words
                .iter()
                .any(|word| matches!(word.as_str(), "units" | "pieces" | "stock" | "inventory" | "bestand"));
        let ranked = self.most || self.least || self.top.is_some();
        if let (Some((partner, at)), None) = (self.partner, &query.group_by) {
            let leads = found[..at]
                .iter()
                .any(|one| matches!(one.meaning, Meaning::List | Meaning::Top(_) | Meaning::Most | Meaning::Count))
                || scanner.words.first().is_some_and(|word| word == "who");
            if leads && (ranked || self.list) {
                query.group_by = scanner.partner_group(partner);
            }
        }
        if self.average {
            let age = scanner.words.iter().any(|word| matches!(word.as_str(), "age" | "old" | "long"));
            let day = since.unwrap_or(scanner.profile.day);
            let one = if age && !day.is_empty() {
                Measure { measure: Aggregate::Average, field: None, since: Some(day.to_owned()) }
            } else {
                measure(Aggregate::Average, Some(value.clone()?))
            };
            query.measures.push(one);
        }
        let amounts = ["receivables", "receivable", "payables"];
        let by_amount = ranked && !self.count && scanner.words.iter().any(|word| amounts.contains(&word.as_str()));
        let adds_up = self.sum || by_amount || (units && self.count) || (units && !self.average && !self.list);
        if query.group_by.is_some() && (ranked || self.sum) && adds_up {
            query.measures.extend(value.clone().map(|value| measure(Aggregate::Sum, Some(value))));
        }
        if (self.count && !units) || (query.measures.is_empty() && !adds_up) {
            query.measures.push(measure(Aggregate::Count, None));
        }
        if adds_up && !query.measures.iter().any(|one| one.measure == Aggregate::Sum) {
            query.measures.push(measure(Aggregate::Sum, Some(value.clone()?)));
        }
        let list = query.group_by.is_none()
            && (self.list || ranked || self.oldest || self.newest || self.by_age)
            && !(self.count && !ranked && !self.oldest && !self.newest);
        if list {
            let day = since.unwrap_or(scanner.profile.day);
            let by_day = (self.oldest || self.newest || self.by_age) && !day.is_empty();
            query.order_by = if by_day {
                Some(Order { field: day.to_owned(), descending: self.newest })
            } else if ranked {
                Some(Order { field: value?, descending: !self.least })
            } else {
                let day = Some(day).filter(|day| !day.is_empty());
                day.map(|day| Order { field: day.to_owned(), descending: false })
            };
        }
        let single = (ranked || self.oldest || self.newest) && self.top.is_none() && singular(scanner, found);
        let top = self.top.or(single.then_some(1));
        query.limit = match (top, &query.group_by) {
            (Some(top), _) => Some(top.min(LISTED)),
            (None, Some(_)) => Some(if ranked { 5 } else { GROUPS }),
            (None, None) => None,
        };
        let asks = self.count
            || self.sum
            || self.average
            || self.list
            || ranked
            || self.oldest
            || self.newest
            || self.by_age
            || query.group_by.is_some()
            || units;
        asks.then_some(Plan { query, list, top })
    }
}

/// "the largest order": one is asked for.
fn singular(scanner: &Scanner<'_>, found: &[Found]) -> bool {
    found
        .iter()
        .find(|one| matches!(one.meaning, Meaning::Main | Meaning::Partner(_)))
        .is_some_and(|one| !scanner.word(one.at + one.len - 1).ends_with('s'))
}
