//! Which kind of record the columns make, and which field each of them is.

use std::collections::{BTreeMap, BTreeSet};

use super::shape::Shape;
use super::write::{Proposal, Taken, toml};
use super::{Column, Sample, Suggestion};
use crate::record::RecordKind;
use crate::schema::{FieldSpec, FieldType, KindSchema, schema};

/// Below this a resemblance is chance.
const LEAST: f64 = 0.45;
/// What the file's name and its first column say, against one field that only this kind has.
const NAMED: f64 = 2.5;

/// The proposal of the kind that fits best; `None` when fewer than two columns of any kind were recognised.
pub(super) fn suggest(sample: &Sample) -> Option<Suggestion> {
    let mut scored: Vec<(f64, Proposal<'_>)> = RecordKind::ALL.into_iter().map(|kind| propose(sample, kind)).collect();
    // Ties go to the kind that stands first in the list of kinds.
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    let second = scored.get(1).map_or(0.0, |(score, _)| *score);
    let (score, best) = scored.into_iter().next()?;
    if best.fields.len() < 2 {
        return None;
    }
    let confidence = score / (score + second).max(f64::MIN_POSITIVE);
    let unknown = sample.columns.iter().filter(|column| !best.uses(&column.name)).map(|c| c.name.clone()).collect();
    let named = |prefix: &str, taken: &[Taken<'_>]| -> Vec<(String, String)> {
        taken.iter().map(|one| (format!("{prefix}{}", one.spec.name), one.column.name.clone())).collect()
    };
    let mut fields = named("", &best.fields);
    fields.extend(named("lines.", &best.lines));
    Some(Suggestion { toml: toml(sample, &best, confidence), kind: best.kind, confidence, fields, unknown })
}

fn propose(sample: &Sample, kind: RecordKind) -> (f64, Proposal<'_>) {
    let schema = schema(kind);
    let own = own_words(schema);
    let all: Vec<&Column> = sample.columns.iter().collect();
    let mut fields = assign(&all, schema.fields, &own);
    let mut proposal = Proposal { kind, id: Vec::new(), fields: Vec::new(), lines: Vec::new(), same_rows: false };
    proposal.id = id_columns(sample, &fields, &own);
    if !schema.lines.is_empty()
        && let [id] = proposal.id.as_slice()
        && let Some(varying) = lines_of(sample, id)
    {
        let (of_lines, of_head): (Vec<&Column>, Vec<&Column>) =
            all.into_iter().partition(|column| varying.contains(column.name.as_str()));
        fields = assign(&of_head, schema.fields, &own);
        let mut line_words = own.clone();
        line_words.extend(["line", "item", "lineitem"].map(str::to_owned));
        proposal.lines = assign(&of_lines, schema.lines, &line_words);
        proposal.same_rows = !proposal.lines.is_empty();
    }
    proposal.fields = fields;
    let recognised: f64 = proposal.fields.iter().chain(&proposal.lines).map(|one| one.score * rarity(one.spec)).sum();
    (recognised + NAMED * named_after(sample, schema, &own), proposal)
}

/// How much a field says about the kind: one that every kind has says nothing much.
fn rarity(spec: &FieldSpec) -> f64 {
    let has = |kind: RecordKind| {
        let schema = schema(kind);
        schema.fields.iter().chain(schema.lines).any(|other| other.name == spec.name)
    };
    let kinds = RecordKind::ALL.into_iter().filter(|kind| has(*kind)).count().max(1);
    0.2 + (RecordKind::ALL.len() as f64 / kinds as f64).ln() / 3.0
}

/// Words that only say of which kind something is: "order", "purchase", "vendor".
fn own_words(schema: &KindSchema) -> BTreeSet<String> {
    let named = [schema.label, schema.kind.as_str()].into_iter().chain(schema.synonyms.iter().copied());
    // A company's name is the name.
    named.flat_map(words).chain(["company".to_owned()]).collect()
}

/// 0 to 1: whether the file's name, and its first column, are those of the kind.
fn named_after(sample: &Sample, schema: &KindSchema, own: &BTreeSet<String>) -> f64 {
    let stem = sample.file.rsplit_once('.').map_or(sample.file.as_str(), |(stem, _)| stem);
    let title = sample.sheet.as_deref().unwrap_or(stem);
    let of_file =
        [stem, title].into_iter().map(words).map(|words| resemblance_of_kind(&words, schema)).fold(0.0, f64::max);
    let first = sample.columns.first().map(|column| words(&column.name)).unwrap_or_default();
    let rest: Vec<&String> = first.iter().filter(|word| !own.contains(*word)).collect();
    let key = first.len() > rest.len()
        && matches!(rest.as_slice(), [only] if ["id", "number", "code"].contains(&only.as_str()));
    // `PurchaseOrderID` is a purchase order's as well as, by one of its words, an order's: the longer match counts.
    let of_key = if key { (first.len() - rest.len()) as f64 / first.len() as f64 } else { 0.0 };
    0.6 * of_file + 0.4 * of_key
}

/// The share of a name's words that one of the kind's names is, if the whole of that name is in it.
fn resemblance_of_kind(name: &[String], schema: &KindSchema) -> f64 {
    let names = [schema.label, schema.kind.as_str()].into_iter().chain(schema.synonyms.iter().copied());
    names
        .map(words)
        .filter(|one| !one.is_empty() && one.iter().all(|word| name.contains(word)))
        .map(|one| one.len() as f64 / name.len().max(1) as f64)
        .fold(0.0, f64::max)
}

/// Each column to at most one field and each field to at most one column, best resemblance first.
fn assign<'s>(columns: &[&'s Column], specs: &'static [FieldSpec], own: &BTreeSet<String>) -> Vec<Taken<'s>> {
    let mut pairs: Vec<(f64, usize, usize)> = Vec::new();
    for (c, column) in columns.iter().enumerate() {
        let readings = readings(&column.name);
        for (s, spec) in specs.iter().enumerate() {
            let alike = readings.iter().map(|(weight, name)| weight * resemblance(name, spec, own)).fold(0.0, f64::max);
            let score = alike * column.shape.fits(spec.kind);
            if score >= LEAST {
                pairs.push((score, c, s));
            }
        }
    }
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    let (mut columns_taken, mut specs_taken) = (BTreeSet::new(), BTreeSet::new());
    let mut taken = BTreeMap::new();
    for (score, c, s) in pairs {
        if !columns_taken.contains(&c) && !specs_taken.contains(&s) {
            columns_taken.insert(c);
            specs_taken.insert(s);
            taken.insert(c, Taken { spec: &specs[s], column: columns[c], score });
        }
    }
    taken.into_values().collect()
}

/// The ways to read a column's name: as it is; the end of a path (`address.city`); and where goods are shipped is where
/// they are delivered.
fn readings(name: &str) -> Vec<(f64, Vec<String>)> {
    let whole = words(name);
    let mut readings = Vec::new();
    if let Some((_, last)) = name.rsplit_once('.') {
        readings.push((0.9, words(last)));
    }
    if let [first, rest @ ..] = whole.as_slice()
        && !rest.is_empty()
        && ["ship", "freight"].contains(&first.as_str())
    {
        readings.push((0.95, std::iter::once("delivery".to_owned()).chain(rest.iter().cloned()).collect()));
    }
    readings.push((1.0, whole));
    readings
}

/// How much a column's name reads like a field: 1 for its name or label, less for a synonym or a part.
fn resemblance(column: &[String], spec: &FieldSpec, own: &BTreeSet<String>) -> f64 {
    let bare =
        |words: &[String]| -> Vec<String> { words.iter().filter(|word| !own.contains(*word)).cloned().collect() };
    let own_names = [spec.name, spec.label].into_iter().map(|name| (1.0, words(name)));
    let synonyms = spec.synonyms.iter().map(|name| (0.88, words(name)));
    // "Total amount": every word of it is a name of the field by itself.
    let single: Vec<String> = own_names
        .clone()
        .chain(synonyms.clone())
        .filter(|(_, name)| name.len() == 1)
        .flat_map(|(_, name)| name)
        .collect();
    let short = bare(column);
    let mut best: f64 = if short.len() > 1 && short.iter().all(|word| single.contains(word)) { 0.8 } else { 0.0 };
    for (weight, phrase) in own_names.chain(synonyms) {
        if phrase.is_empty() {
            continue;
        }
        let shorter = bare(&phrase);
        let score = if *column == phrase {
            1.0
        } else if !short.is_empty() && short == shorter {
            0.95
        } else if !short.is_empty() && same_words(&short, &shorter) {
            0.85
        } else {
            0.7 * overlap(&short, &shorter)
        };
        best = best.max(weight * score);
    }
    best
}

fn same_words(left: &[String], right: &[String]) -> bool {
    left.iter().collect::<BTreeSet<_>>() == right.iter().collect()
}

/// Shared words over all words.
fn overlap(left: &[String], right: &[String]) -> f64 {
    let (left, right): (BTreeSet<_>, BTreeSet<_>) = (left.iter().collect(), right.iter().collect());
    let all = left.union(&right).count();
    if all == 0 { 0.0 } else { left.intersection(&right).count() as f64 / all as f64 }
}

/// The columns that make the id: one that is filled and never the same twice (but for rows that follow each other), else two.
fn id_columns<'s>(sample: &'s Sample, fields: &[Taken<'s>], own: &BTreeSet<String>) -> Vec<&'s Column> {
    let is_id = |column: &&Column| {
        let words = words(&column.name);
        words.last().is_some_and(|last| ["id", "number", "code", "sku", "key", "name"].contains(&last.as_str()))
    };
    let own_id = |column: &&Column| {
        let rest: Vec<String> = words(&column.name).into_iter().filter(|word| !own.contains(word)).collect();
        rest.len() == 1 && ["id", "number", "code"].contains(&rest[0].as_str())
    };
    let names_it = |spec: &FieldSpec| spec.scheme.is_some() && ["number", "sku"].contains(&spec.name);
    let scheme = |column: &&Column| fields.iter().any(|one| names_it(one.spec) && one.column.name == column.name);
    let plain = |column: &&Column| {
        let filled = column.shape.filled == sample.row_count;
        filled && column.shape.date.is_none() && column.shape.longest <= 80 && !is_of_a_line(column)
    };
    let columns: Vec<&Column> = sample.columns.iter().filter(plain).collect();
    let ranked = columns
        .iter()
        .filter(|column| own_id(column))
        .chain(columns.iter().filter(|column| scheme(column)))
        .chain(columns.iter().filter(|column| is_id(column)))
        .chain(columns.iter().take(1));
    let candidates: Vec<&Column> = ranked.copied().collect();
    if let Some(unique) = candidates.iter().find(|column| column.shape.distinct.len() == sample.row_count) {
        return vec![unique];
    }
    if let Some(grouped) = candidates.iter().find(|column| runs(column) == column.shape.distinct.len()) {
        return vec![grouped];
    }
    let ids: Vec<&Column> = columns.iter().filter(|column| is_id(column)).copied().collect();
    for (position, first) in ids.iter().enumerate() {
        for second in &ids[position + 1..] {
            let pairs: BTreeSet<(&str, &str)> =
                first.cells.iter().zip(&second.cells).map(|(a, b)| (a.as_str(), b.as_str())).collect();
            if pairs.len() == sample.row_count {
                return vec![first, second];
            }
        }
    }
    candidates.into_iter().take(1).collect()
}

/// Runs of equal cells: as many as there are values when equal ones always follow each other.
fn runs(column: &Column) -> usize {
    let changes = column.cells.windows(2).filter(|pair| pair[0] != pair[1]).count();
    changes + usize::from(!column.cells.is_empty())
}

/// The columns that differ between rows of one id, when rows of one id follow each other; `None` when each id has one row.
fn lines_of<'s>(sample: &'s Sample, id: &Column) -> Option<BTreeSet<&'s str>> {
    if id.shape.distinct.len() == sample.row_count || runs(id) != id.shape.distinct.len() || sample.json {
        return None;
    }
    let mut varying = BTreeSet::new();
    for column in &sample.columns {
        // The value of the run so far: what is empty differs from nothing.
        let mut current: Option<(&str, &str)> = None;
        for (key, cell) in id.cells.iter().zip(&column.cells) {
            let before = current.filter(|(run, _)| run == key).map_or("", |(_, value)| value);
            if !before.is_empty() && !cell.is_empty() && before != cell {
                varying.insert(column.name.as_str());
            }
            current = Some((key, if cell.is_empty() { before } else { cell }));
        }
        if is_of_a_line(column) {
            varying.insert(column.name.as_str());
        }
    }
    Some(varying)
}

fn is_of_a_line(column: &Column) -> bool {
    words(&column.name).first().is_some_and(|first| ["line", "lineitem", "item"].contains(&first.as_str()))
}

/// Lower-case words of a name: `PurchaseOrderID`, `order_no`, "Order No." and "Lineitem price"; common abbreviations in full.
pub(super) fn words(name: &str) -> Vec<String> {
    let mut split = String::with_capacity(name.len() + 8);
    let chars: Vec<char> = name.chars().collect();
    for (index, c) in chars.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|index| chars.get(index));
        let after = chars.get(index + 1);
        let humps = before.is_some_and(|before| before.is_lowercase() || before.is_ascii_digit()) && c.is_uppercase();
        let acronym_ends = before.is_some_and(|before| before.is_uppercase())
            && c.is_uppercase()
            && after.is_some_and(|after| after.is_lowercase());
        if humps || acronym_ends {
            split.push(' ');
        }
        split.push(if c.is_alphanumeric() || *c == '#' || *c == '%' { *c } else { ' ' });
    }
    split.to_lowercase().split(' ').filter(|word| !word.is_empty()).map(full).collect()
}

fn full(word: &str) -> String {
    match word {
        "no" | "nr" | "num" | "#" => "number",
        "qty" | "quantities" => "quantity",
        "amt" => "amount",
        "addr" => "address",
        "cust" => "customer",
        "desc" => "description",
        "ref" => "reference",
        "tel" | "telephone" => "phone",
        "mail" => "email",
        "created" => "ordered",
        "postcode" | "zip" => "postal",
        "curr" => "currency",
        "pct" | "percentage" | "%" => "percent",
        "ean" | "upc" | "gtin" => "barcode",
        "taxes" | "vat" => "tax",
        "shipping" => "freight",
        "vendor" | "vendors" | "suppliers" => "supplier",
        word if word.len() > 3 && word.ends_with('s') && !word.ends_with("ss") && !word.ends_with("us") => {
            return word[..word.len() - 1].to_owned();
        }
        word => word,
    }
    .to_owned()
}

/// Whether a column holds the currency of amounts.
pub(super) fn is_currency(column: &Column) -> bool {
    column.shape.filled > 0 && column.shape.currency && words(&column.name).iter().any(|word| word == "currency")
}

/// What the type of a field asks of the mapping: a format for dates that are not written in ISO form.
pub(super) fn format_of(spec: &FieldSpec, shape: &Shape) -> Option<String> {
    let dated = matches!(spec.kind, FieldType::Date | FieldType::Moment);
    if dated { shape.date.clone().flatten() } else { None }
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn names_fall_into_words_however_they_are_written() {
        assert_eq!(words("PurchaseOrderID"), ["purchase", "order", "id"]);
        assert_eq!(words("order_no."), ["order", "number"]);
        assert_eq!(words("POLine"), ["po", "line"]);
        assert_eq!(words("Lineitem price"), ["lineitem", "price"]);
        assert_eq!(words("Qty Ordered (units)"), ["quantity", "ordered", "unit"]);
    }
}
