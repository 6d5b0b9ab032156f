//! Pushing what a folder holds through the API: one run, batches with an idempotency key each, then the end of the run. What the service has
//! already in the same words is offered by digest and not sent, so that an import that broke off goes on where it stopped.
//!
//! After `source::folder` and `ingest` have read the files; shared by `ingest` and `demo`.

use std::collections::BTreeMap;
use std::time::Duration;

use std::collections::HashSet;

use ingest::mapping::{Ingested, Input, Mapping};
use ingest::{Limits, Rejection};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::client::{Call, Client};
use super::failure::{Exit, Failure};
use super::progress::Progress;
use crate::secret::Secret;
use crate::source::extract::Prepared;
use crate::source::offer::{Offer, document_digest, record_digest};
use crate::source::{PushedDocument, PushedRecord};

/// Most items of one request.
const BATCH_ITEMS: usize = 500;
/// Most bytes of one request's items; the service takes 8 MiB by default.
pub const BATCH_BYTES: usize = 4 << 20;
/// Most items of one request that only offers.
const OFFERS: usize = 5_000;
/// Attempts of one request while the service is down or busy, with 0.5 s, 1 s, 2 s ... between.
const ATTEMPTS: u32 = 5;
/// Rejections that travel to the service; it keeps 1,000 of a run, and counts all.
const REJECTIONS_SENT: usize = 1_000;

/// Everything a folder holds, read and not yet pushed.
#[derive(Debug, Default)]
pub struct Reading {
    pub items: Vec<Item>,
    pub rejections: Vec<Rejection>,
    pub notices: Vec<String>,
    /// How many items of each kind.
    pub kinds: BTreeMap<String, u64>,
}

/// One record or document, as JSON, and where it was read.
#[derive(Debug)]
pub struct Item {
    route: Route,
    json: Value,
    bytes: usize,
    file: String,
    row: Option<u64>,
    offer: Offer,
}

impl Item {
    /// What it is, whatever it says: two items of one key are versions of one thing.
    pub fn key(&self) -> (Option<&str>, &str) {
        (self.offer.kind.as_deref(), &self.offer.external_id)
    }

    pub fn sha256(&self) -> &str {
        &self.offer.sha256
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    Records,
    Documents,
}

impl Route {
    fn path(self) -> &'static str {
        match self {
            Self::Records => "/v1/records:batch",
            Self::Documents => "/v1/documents",
        }
    }

    fn field(self) -> &'static str {
        match self {
            Self::Records => "records",
            Self::Documents => "documents",
        }
    }
}

impl Reading {
    /// Reads every file with the mapping. CPU-bound: 100,000 rows take some seconds.
    pub fn of_files(mapping: &Mapping, files: &[Prepared], limits: &Limits) -> Self {
        let mut reading = Self::default();
        let inputs: Vec<Input<'_>> = files.iter().map(Prepared::input).collect();
        mapping.read_inputs(&inputs, limits, &mut |ingested| reading.take(ingested));
        reading
    }

    fn take(&mut self, ingested: Ingested) {
        match ingested {
            Ingested::Record { record, file, row, audience } => {
                let kind = record.kind.as_str().to_owned();
                let offer = Offer {
                    kind: Some(kind.clone()),
                    external_id: record.external_id.clone(),
                    sha256: record_digest(&record, &audience),
                };
                let pushed = PushedRecord::from_record(*record, audience);
                self.add(Route::Records, kind, json!(pushed), (file, Some(row)), offer);
            }
            Ingested::Document { document, file, audience } => {
                let kind = document.kind.as_str().to_owned();
                let offer = Offer {
                    kind: None,
                    external_id: document.external_id.clone(),
                    sha256: document_digest((*document).clone(), audience.clone()),
                };
                let pushed = PushedDocument::from_document(*document, audience);
                self.add(Route::Documents, kind, json!(pushed), (file, None), offer);
            }
            Ingested::Rejected(rejection) => self.rejections.push(rejection),
            Ingested::Notice { file, text } => self.notices.push(format!("{file}: {text}")),
            Ingested::Unused { file } => self.notices.push(format!("{file}: not used by the mapping")),
        }
    }

    fn add(&mut self, route: Route, kind: String, json: Value, place: (String, Option<u64>), offer: Offer) {
        *self.kinds.entry(kind).or_default() += 1;
        let bytes = json.to_string().len();
        let (file, row) = place;
        self.items.push(Item { route, json, bytes, file, row, offer });
    }
}

/// What an import did.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    pub source: String,
    pub run_id: String,
    /// `complete` or `partial`.
    pub state: String,
    pub created: u64,
    pub changed: u64,
    pub unchanged: u64,
    /// How many items travelled; what the service had already was only offered.
    pub sent: u64,
    /// Older than what is there, by the source's own time.
    pub stale: u64,
    pub removed: u64,
    pub rejected: u64,
    pub interrupted: bool,
    /// The first ones.
    pub rejections: Vec<Rejection>,
}

/// Rejections shown in a report.
const REJECTIONS_SHOWN: usize = 20;

/// Where to push, and how.
pub struct Target<'a> {
    pub client: &'a Client,
    pub key: &'a Secret,
    pub source: &'a str,
    /// The folder is not everything the source has: remove nothing.
    pub partial: bool,
    pub batch_bytes: usize,
    /// Cancelled by the first Ctrl-C: the batch in hand is finished, the run ends partial.
    pub stop: &'a CancellationToken,
}

/// Pushes everything and ends the run.
pub async fn push(target: &Target<'_>, reading: Reading, progress: &mut Progress) -> Result<Report, Failure> {
    let started = target.client.post(&format!("/v1/sources/{}/runs", target.source), target.key, &json!({})).await?;
    let run_id = started["run_id"].as_str().unwrap_or_default().to_owned();
    let mut report = Report { source: target.source.to_owned(), run_id, ..Report::default() };
    let mut rejections = reading.rejections;
    let mut number = 0;
    // A source that holds nothing has nothing to compare with.
    let compares = holds_something(target).await?;
    'portions: for portion in reading.items.chunks(OFFERS) {
        let items: Vec<&Item> = if compares {
            let wanted = wanted(target, &report.run_id, portion).await?;
            let known = (portion.len() - wanted.len()) as u64;
            report.unchanged += known;
            progress.advance(known, rejections.len() as u64);
            portion.iter().enumerate().filter(|(position, _)| wanted.contains(position)).map(|(_, item)| item).collect()
        } else {
            portion.iter().collect()
        };
        for batch in batches(&items, target.batch_bytes) {
            if target.stop.is_cancelled() {
                report.interrupted = true;
                break 'portions;
            }
            let answer = push_batch(target, &report.run_id, number, batch).await?;
            number += 1;
            report.sent += batch.len() as u64;
            report.add(&answer);
            rejections.extend(answer.rejected.into_iter().map(|refused| refused.place(batch)));
            progress.advance(batch.len() as u64, rejections.len() as u64);
        }
    }
    report.rejected = rejections.len() as u64;
    rejections.truncate(REJECTIONS_SENT);
    let body = json!({
        // What was refused may be what is stored: a renamed column must not empty a source. Nothing is removed until all is read.
        "complete": !target.partial && !report.interrupted && report.rejected == 0, "rejected": report.rejected, "rejections": rejections,
    });
    let ended = target.client.post(&format!("/v1/runs/{}/finish", report.run_id), target.key, &body).await?;
    report.state = ended["state"].as_str().unwrap_or_default().to_owned();
    let removed = |name: &str| ended[name].as_u64().unwrap_or(0);
    report.removed = removed("removed_records") + removed("removed_documents");
    rejections.truncate(REJECTIONS_SHOWN);
    report.rejections = rejections;
    Ok(report)
}

/// Consecutive items of one route, within both limits; an item that is too large alone travels alone.
fn batches<'i>(items: &'i [&'i Item], batch_bytes: usize) -> Vec<&'i [&'i Item]> {
    let mut batches = Vec::new();
    let mut start = 0;
    let mut bytes = 0;
    for (position, item) in items.iter().enumerate() {
        let full = position - start == BATCH_ITEMS || bytes + item.bytes > batch_bytes;
        if position > start && (full || item.route != items[start].route) {
            batches.push(&items[start..position]);
            (start, bytes) = (position, 0);
        }
        bytes += item.bytes;
    }
    if start < items.len() {
        batches.push(&items[start..]);
    }
    batches
}

async fn holds_something(target: &Target<'_>) -> Result<bool, Failure> {
    let sources = target.client.get("/v1/sources", target.key).await?;
    let mut sources = sources.as_array().into_iter().flatten();
    let own = sources.find(|source| source["name"] == target.source);
    let holds = |name: &str| own.is_some_and(|source| source[name].as_i64().unwrap_or(0) > 0);
    Ok(holds("records") || holds("documents"))
}

/// Positions of the items that the service does not have in these words; the others count as seen in the run.
async fn wanted(target: &Target<'_>, run_id: &str, items: &[Item]) -> Result<HashSet<usize>, Failure> {
    let offers: Vec<&Offer> = items.iter().map(|item| &item.offer).collect();
    let path = format!("/v1/sources/{}/offers", target.source);
    let answer = again(target, "POST", &path, &json!({ "run_id": run_id, "offers": offers }), None).await?;
    let wanted = answer["wanted"].as_array().into_iter().flatten().filter_map(Value::as_u64);
    Ok(wanted.filter_map(|position| usize::try_from(position).ok()).collect())
}

/// The API's answer to a push.
#[derive(Debug, Deserialize)]
struct Answer {
    records: Counts,
    documents: Counts,
    rejected: Vec<Refused>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Counts {
    created: u64,
    changed: u64,
    unchanged: u64,
    stale: u64,
}

#[derive(Debug, Deserialize)]
struct Refused {
    item: usize,
    field: Option<String>,
    reason: String,
}

impl Refused {
    /// In the words of the file it came from.
    fn place(self, batch: &[&Item]) -> Rejection {
        let (file, row) = batch.get(self.item).map_or((String::new(), None), |item| (item.file.clone(), item.row));
        Rejection { file, row, column: self.field, reason: self.reason }
    }
}

impl Report {
    fn add(&mut self, answer: &Answer) {
        for counts in [&answer.records, &answer.documents] {
            self.created += counts.created;
            self.changed += counts.changed;
            self.unchanged += counts.unchanged;
            self.stale += counts.stale;
        }
    }
}

async fn push_batch(target: &Target<'_>, run_id: &str, number: usize, batch: &[&Item]) -> Result<Answer, Failure> {
    let route = batch[0].route;
    let items: Vec<&Value> = batch.iter().map(|item| &item.json).collect();
    let body = json!({ "source": target.source, "run_id": run_id, route.field(): items });
    // The same key for every attempt: a batch whose answer was lost is not applied twice.
    let idempotency_key = format!("{run_id}-{number}");
    let answer = again(target, "POST", route.path(), &body, Some(&idempotency_key)).await?;
    serde_json::from_value(answer)
        .map_err(|error| Failure::failed(format!("the service's answer to a push is not understood: {error}")))
}

/// One request, tried again while the service is down or busy.
async fn again(
    target: &Target<'_>,
    method: &'static str,
    path: &str,
    body: &Value,
    idempotency_key: Option<&str>,
) -> Result<Value, Failure> {
    let mut attempt = 1;
    loop {
        let call = Call { method, path, key: Some(target.key), body: Some(body), idempotency_key };
        match target.client.call(call).await {
            Ok(answer) => return Ok(answer),
            Err(failure) if failure.exit == Exit::Unavailable && attempt < ATTEMPTS => {
                tokio::time::sleep(Duration::from_millis(250 << attempt)).await;
                attempt += 1;
            }
            Err(mut failure) => {
                let again = "run the same command again: what went in already is left as it is";
                failure.next.get_or_insert_with(|| again.to_owned());
                return Err(failure);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(route: Route, bytes: usize) -> Item {
        let offer = Offer { kind: None, external_id: "f".into(), sha256: String::new() };
        Item { route, json: Value::Null, bytes, file: "f".into(), row: None, offer }
    }

    #[test]
    fn batches_keep_order_and_both_limits_and_never_mix_routes() {
        let mut items: Vec<Item> = (0..1_100).map(|_| item(Route::Records, 10)).collect();
        items.push(item(Route::Documents, 900));
        items.push(item(Route::Documents, 200));
        items.push(item(Route::Documents, 5_000));
        let items: Vec<&Item> = items.iter().collect();
        let lengths: Vec<usize> = batches(&items, 1_000_000).iter().map(|batch| batch.len()).collect();
        assert_eq!(lengths, [500, 500, 100, 3]);
        let lengths: Vec<usize> = batches(&items[1_100..], 1_000).iter().map(|batch| batch.len()).collect();
        assert_eq!(lengths, [1, 1, 1]);
        assert!(batches(&[], 10).is_empty());
    }
}
