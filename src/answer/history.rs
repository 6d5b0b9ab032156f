//! "What changed on PO-1 since Monday", "why did the status of this order change": answered from the versions of the record, each change
//! cited in the version before and the version after.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::evidence::{Cite, Claimed, Evidence};
use super::facts;
use crate::access::Principal;
use crate::compute::{dates, tokens};
use crate::document::{self, passage::CardText};
use crate::record::{self, FieldChange, Found, RecordVersionView};
use crate::store::TenantTx;

/// Changes that one answer states.
const CHANGES_MAX: usize = 12;

/// Whether a question asks what happened to a record rather than how it is.
pub fn asks_for_changes(words: &str) -> bool {
    const PHRASES: [&str; 14] = [
        "what changed",
        "what has changed",
        "what's changed",
        "what was changed",
        "changed",
        "change history",
        "history of",
        "version history",
        "what did change",
        "change since",
        "changes",
        "previously",
        "status change",
        "get changed",
    ];
    PHRASES.iter().any(|phrase| ingest::schema::contains_phrase(words, phrase))
        || (ingest::schema::contains_phrase(words, "change")
            && ["why", "when", "did"].iter().any(|word| ingest::schema::contains_phrase(words, word)))
}

/// What a record's history says to a question.
#[derive(Debug, Default)]
pub struct History {
    pub claims: Vec<Claimed>,
    /// Said when nothing changed.
    pub nothing: Option<String>,
}

/// States the changes of a record that the question asks about: of the fields it names (with everything that changed together with them), in
/// the days it names.
pub async fn state(
    tx: &mut TenantTx,
    caller: &Principal,
    found: &Found,
    words: &str,
    today: Date,
    evidence: &mut Vec<Evidence>,
) -> sqlx::Result<History> {
    let costs = caller.roles.iter().any(|role| role.sees_costs());
    let versions = record::history(tx, found.id, costs).await?;
    let cut = tokens::words(words);
    let cut: Vec<&str> = cut.iter().map(String::as_str).collect();
    let days =
        (0..cut.len()).filter_map(|at| dates::read(&cut, at, today)).max_by_key(|(len, _)| *len).map(|(_, days)| days);
    let within = |version: &RecordVersionView| {
        let day = Timestamp::from_microsecond(version.source_time_us.unwrap_or(version.seen_at_us))
            .map_or(today, |time| time.to_zoned(TimeZone::UTC).date());
        days.is_none_or(|days| days.from.is_none_or(|from| day >= from) && days.to.is_none_or(|to| day <= to))
    };
    let fields: Vec<&str> = facts::asked(found, words).fields.iter().map(|spec| spec.name).collect();
    let concerns = |version: &RecordVersionView| {
        fields.is_empty()
            || version.changes.iter().any(|change| fields.iter().any(|field| change.field.ends_with(field)))
    };
    let title = ingest::card::title(&found.record);
    let mut history = History::default();
    for version in versions.iter().filter(|version| !version.changes.is_empty() && within(version) && concerns(version))
    {
        let (before, after) = (
            document::cards_at(tx, found.id, version.version - 1, &caller.audiences()).await?,
            document::cards_at(tx, found.id, version.version, &caller.audiences()).await?,
        );
        let (before, after) = (add(found, before, evidence), add(found, after, evidence));
        for change in ordered(&version.changes, &fields) {
            if history.claims.len() >= CHANGES_MAX {
                break;
            }
            history.claims.extend(claim(&title, version, change, evidence, &before, &after));
        }
    }
    if history.claims.is_empty() {
        let span = days.map_or_else(String::new, |_| " in that time".to_owned());
        let what = if fields.is_empty() {
            "change".to_owned()
        } else {
            format!("change of {}", fields.join(", ").replace('_', " "))
        };
        history.nothing = Some(format!("No {what} of {title} is on record{span} ({} versions)", versions.len()));
    }
    Ok(history)
}

/// The fields asked about first; bookkeeping times last.
fn ordered<'a>(changes: &'a [FieldChange], fields: &[&str]) -> Vec<&'a FieldChange> {
    let mut all: Vec<&FieldChange> = changes.iter().filter(|change| change.field != "updated_at").collect();
    all.sort_by_key(|change| !fields.iter().any(|field| change.field.ends_with(field)));
    if all.is_empty() { changes.iter().collect() } else { all }
}

fn add(found: &Found, cards: Vec<CardText>, evidence: &mut Vec<Evidence>) -> Vec<usize> {
    let mut places = Vec::new();
    for card in cards {
        let known = evidence.iter().position(|one| one.document_id == card.document_id && one.version == card.version);
        places.push(known.unwrap_or_else(|| {
            evidence.push(Evidence::of_card(found, card));
            evidence.len() - 1
        }));
    }
    places
}

fn claim(
    title: &str,
    version: &RecordVersionView,
    change: &FieldChange,
    evidence: &[Evidence],
    before: &[usize],
    after: &[usize],
) -> Option<Claimed> {
    let cite = |cards: &[usize], value: &Option<String>| -> Option<Cite> {
        cards.iter().find_map(|card| {
            let span = evidence[*card].spans.iter().find(|span| span.path == change.field)?;
            // The check of the claim: the value stands at that field of that version.
            let stands = value.as_deref() == evidence[*card].text.get(span.value_start..span.value_end);
            stands.then(|| Cite { evidence: *card, span: span.start..span.end, field: Some(span.path.clone()) })
        })
    };
    let cites: Vec<Cite> = [(before, &change.from), (after, &change.to)]
        .into_iter()
        .filter(|(_, value)| value.is_some())
        .map(|(cards, value)| cite(cards, value))
        .collect::<Option<Vec<Cite>>>()?;
    let nothing = "nothing".to_owned();
    let line = change.field.strip_prefix("lines.").and_then(|rest| rest.split('.').next()?.parse::<usize>().ok());
    let place = line.map_or_else(String::new, |line| format!("line {}, ", line + 1));
    let stamp = |us: i64| {
        Timestamp::from_microsecond(us)
            .map_or_else(|_| String::new(), |time| time.strftime("%Y-%m-%d %H:%M UTC").to_string())
    };
    let own = version.source_time_us.map_or_else(String::new, |us| format!(", dated {} by the source", stamp(us)));
    let text = format!(
        "{title}: {place}{} changed from {} to {} in version {} (seen {} from {}{own}).",
        change.label,
        change.from.as_ref().unwrap_or(&nothing),
        change.to.as_ref().unwrap_or(&nothing),
        version.version,
        stamp(version.seen_at_us),
        version.source,
    );
    Some(Claimed { text: ingest::text::visible_marks(&text).into_owned(), cites })
}
