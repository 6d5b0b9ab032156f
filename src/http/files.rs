//! `/v1/files`: one file as it is, through the same reading as a folder's.

use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use ingest::mapping::{self, Ingested, Mapping};
use ingest::{DocumentKind, Extract, Input, Limits};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::routes;

use super::App;
use super::extract::Caller;
use super::ingest_push::{ITEMS_MAX, ItemRejection, Push, PushAnswer, push_with};
use super::problem::{Problem, ProblemBody};
use super::records::PUSHERS;
use super::routes::Route;
use crate::canonical::sha256_hex;
use crate::record::IncomingRecord;
use crate::source::batch::IncomingDocument;
use crate::source::extract::Prepared;
use crate::source::folder::FileBytes;
use crate::source::{Batch, PushedDocument, PushedRecord, WireError};

pub(super) fn routes() -> Vec<Route> {
    vec![Route { access: PUSHERS, methods: routes!(push_file) }]
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct FileQuery {
    /// Created if there is none of that name.
    pub source: String,
    /// Its id in the source, such as its path; the extension says what it is meant to be.
    pub external_id: String,
    pub run_id: Option<String>,
    /// Of a document: `policy`, `runbook`, `page`, `note`.
    pub kind: Option<String>,
    pub title: Option<String>,
    /// Roles that may see it, separated by commas; absent: everyone of the tenant.
    pub audience: Option<String>,
    /// Name of a built-in mapping: how to read tables, workbooks and JSON as records.
    pub mapping: Option<String>,
}

/// Takes one file in: PDF, DOCX, EML, Markdown, HTML or text as a document; CSV, XLSX, ODS or JSON as records by a built-in mapping.
///
/// What a file is, its first bytes say; a name or content type that says otherwise refuses it. Files that are no text are read in a process
/// of their own. Idempotent by source and external id.
#[utoipa::path(post, path = "/v1/files", tag = "Ingest", security(("key" = [])), params(FileQuery, ("Idempotency-Key" = String, Header)),
    request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "The file, uncompressed"),
    responses((status = 200, body = PushAnswer), (status = 400, body = ProblemBody), (status = 409, body = ProblemBody),
        (status = 413, body = ProblemBody), (status = 422, body = ProblemBody)))]
async fn push_file(
    State(app): State<App>,
    Caller(caller): Caller,
    Query(query): Query<FileQuery>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let path = named(&query.external_id, &headers);
    let mapping = mapping_of(&query)?;
    let fingerprint = format!("files\n{query:?}\n{path}\n{}", sha256_hex(&body));
    let target = Push { caller: &caller, source: &query.source, run_id: query.run_id.as_deref(), fingerprint };
    let read = async {
        let limits = Limits::default();
        let file = FileBytes { path, bytes: body.to_vec() };
        let prepared = app.extractor.prepare(file, &limits).await.map_err(|error| {
            tracing::error!(%error, "no reading process");
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "files cannot be read at the moment")
        })?;
        let taken = tokio::task::spawn_blocking({
            let query = Wanted::of(&query);
            move || take(&prepared, &mapping, &query, &limits)
        });
        taken.await.map_err(|error| Problem::internal(&error))?
    };
    push_with(&app, &headers, target, read).await
}

/// What the file is called for reading: an id without an extension takes the one of its content type.
fn named(external_id: &str, headers: &HeaderMap) -> String {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let extension = match kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "application/pdf" => "pdf",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document" => "docx",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" => "xlsx",
        "application/vnd.oasis.opendocument.spreadsheet" => "ods",
        "application/vnd.ms-excel" => "xls",
        "message/rfc822" => "eml",
        "text/markdown" => "md",
        "text/html" => "html",
        "text/csv" => "csv",
        "text/plain" => "txt",
        _ => "",
    };
    let last = external_id.rsplit('/').next().unwrap_or_default();
    if last.contains('.') || extension.is_empty() {
        external_id.to_owned()
    } else {
        format!("{external_id}.{extension}")
    }
}

fn mapping_of(query: &FileQuery) -> Result<Mapping, Problem> {
    let Some(name) = &query.mapping else { return Ok(Mapping::prose_only(&query.source)) };
    let text = mapping::builtin(name).ok_or_else(|| {
        let (names, _) = mapping::builtin_names(name);
        Problem::unprocessable(
            "mapping",
            format!("there is no built-in mapping of that name; there are: {}", names.join(", ")),
        )
    })?;
    Mapping::parse(text).map_err(|error| Problem::internal(&error))
}

/// What the query says about a document.
struct Wanted {
    external_id: String,
    kind: Option<String>,
    title: Option<String>,
    audience: Vec<String>,
}

impl Wanted {
    fn of(query: &FileQuery) -> Self {
        let audience = query.audience.as_deref().unwrap_or_default().split(',').map(str::trim);
        Self {
            external_id: query.external_id.clone(),
            kind: query.kind.clone(),
            title: query.title.clone(),
            audience: audience.filter(|name| !name.is_empty()).map(str::to_owned).collect(),
        }
    }
}

type Taken = (Batch, Vec<ItemRejection>);

const UNUSED: &str = "is no document by its name: a table or JSON needs the built-in mapping that reads it (or `countersign ingest`), \
                      a document an extension or a content type";

/// The name that the mapping goes by: an id without an extension takes one by what the file holds.
fn readable_name(file: &Prepared, mapping: &Mapping) -> String {
    let bare = !file.path.rsplit('/').next().unwrap_or_default().contains('.');
    let extension = match file.extracted() {
        _ if mapping.uses(&file.path) => return file.path.clone(),
        Some(Ok(Extract::Prose(_))) => "pdf",
        Some(Ok(Extract::Mail(_))) => "eml",
        None if bare => "txt",
        Some(_) | None => return file.path.clone(),
    };
    format!("{}.{extension}", file.path)
}

/// Items of the file. A file of which nothing can be taken is refused with the reason.
fn take(file: &Prepared, mapping: &Mapping, wanted: &Wanted, limits: &Limits) -> Result<Taken, Problem> {
    let refused = |reason: &str| Problem::unprocessable("file-refused", format!("the file {reason}"));
    if let Some(Err(reason)) = file.extracted() {
        return Err(refused(reason));
    }
    let (mut records, mut documents, mut rejected) = (Vec::new(), Vec::new(), Vec::new());
    let mut reason = None;
    let path = readable_name(file, mapping);
    let input = Input { path: &path, ..file.input() };
    mapping.read_inputs(&[input], limits, &mut |ingested| match ingested {
        Ingested::Record { record, audience, .. } => records.push(PushedRecord::from_record(*record, audience)),
        Ingested::Document { document, audience, .. } => {
            documents.push(PushedDocument::from_document(*document, audience));
        }
        Ingested::Rejected(refused) => {
            reason.get_or_insert_with(|| refused.reason.clone());
            let item = usize::try_from(refused.row.unwrap_or(0)).unwrap_or(0);
            rejected.push(ItemRejection { item, field: refused.column, reason: refused.reason });
        }
        Ingested::Notice { .. } => {}
        Ingested::Unused { .. } => reason = Some(UNUSED.to_owned()),
    });
    if records.is_empty() && documents.is_empty() {
        return Err(refused(reason.as_deref().unwrap_or("holds nothing")));
    }
    if records.len() + documents.len() > ITEMS_MAX {
        return Err(Problem::unprocessable(
            "too-many",
            "the file holds more than 1,000 records: use `countersign ingest`",
        ));
    }
    let refuse = |error: WireError| Problem::unprocessable("file-refused", error.to_string());
    let mut batch = Batch::default();
    for record in records {
        let (record, mut audience) = record.into_record().map_err(refuse)?;
        if !wanted.audience.is_empty() {
            audience.clone_from(&wanted.audience);
        }
        batch.records.push(IncomingRecord::prepare(record, audience));
    }
    for (position, mut document) in documents.into_iter().enumerate() {
        // The first is the file itself, what follows was attached to it.
        if position == 0 {
            document.external_id.clone_from(&wanted.external_id);
            document.kind = wanted.kind.clone().or(document.kind);
            document.title = wanted.title.clone().or(document.title);
        }
        if !wanted.audience.is_empty() {
            document.audience.clone_from(&wanted.audience);
            if let Some(meta) = &mut document.meta {
                meta.audience.clear();
            }
        }
        let (document, audience) = document.into_document(limits).map_err(refuse)?;
        batch.documents.push(IncomingDocument::prepare(document, audience));
    }
    if let Some(kind) = &wanted.kind
        && kind.parse::<DocumentKind>().is_err()
    {
        return Err(Problem::unprocessable("kind", "kind is not one of policy, runbook, page, note"));
    }
    Ok((batch, rejected))
}
