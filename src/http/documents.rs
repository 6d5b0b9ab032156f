//! `/v1/documents`: pushing, listing, reading and deleting what can be cited.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use futures::FutureExt;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::App;
use super::extract::{ApiJson, Caller};
use super::ingest_push::{ITEMS_MAX, ItemRejection, Push, PushAnswer, push};
use super::once::{Once, Reply, once};
use super::problem::{Problem, ProblemBody};
use super::records::PUSHERS;
use super::routes::{Access, EVERYONE, Route};
use crate::access::{Principal, Role};
use crate::audit::{self, Action, Event};
use crate::document::{self, DocumentRow, DocumentText};
use crate::ids::DocumentId;
use crate::source::batch::IncomingDocument;
use crate::source::{Batch, PushedDocument};
use crate::store::TenantTx;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route { access: PUSHERS, methods: routes!(push_documents) },
        Route { access: EVERYONE, methods: routes!(list_documents) },
        Route { access: EVERYONE, methods: routes!(get_document) },
        Route { access: EVERYONE, methods: routes!(document_text) },
        Route { access: Access::Roles(&[Role::Admin]), methods: routes!(delete_document) },
    ]
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PushDocuments {
    /// Created if there is none of that name.
    pub source: String,
    #[serde(default)]
    pub run_id: Option<String>,
    /// 1 to 1,000.
    pub documents: Vec<PushedDocument>,
}

/// Takes documents in, idempotent by source and external id. Unchanged ones cost nothing.
#[utoipa::path(post, path = "/v1/documents", tag = "Ingest", security(("key" = [])), request_body = PushDocuments,
    params(("Idempotency-Key" = String, Header)),
    responses((status = 200, body = PushAnswer), (status = 400, body = ProblemBody), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody)))]
async fn push_documents(
    State(app): State<App>,
    Caller(caller): Caller,
    headers: HeaderMap,
    ApiJson(body): ApiJson<PushDocuments>,
) -> Result<Response, Problem> {
    if body.documents.is_empty() || body.documents.len() > ITEMS_MAX {
        return Err(Problem::unprocessable("too-many", "a push has 1 to 1,000 documents"));
    }
    let fingerprint = format!("documents\n{}", serde_json::to_string(&body).unwrap_or_default());
    let PushDocuments { source, run_id, documents } = body;
    let target = Push { caller: &caller, source: &source, run_id: run_id.as_deref(), fingerprint };
    push(&app, &headers, target, move || prepare(documents)).await
}

fn prepare(documents: Vec<PushedDocument>) -> (Batch, Vec<ItemRejection>) {
    let (mut batch, mut rejected) = (Batch::default(), Vec::new());
    for (item, pushed) in documents.into_iter().enumerate() {
        match pushed.into_document(&ingest::Limits::default()) {
            Ok((document, audience)) => batch.documents.push(IncomingDocument::prepare(document, audience)),
            Err(error) => rejected.push(ItemRejection { item, field: error.field, reason: error.reason }),
        }
    }
    (batch, rejected)
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct DocumentQuery {
    /// `policy`, `runbook`, `page`, `note`, or a record kind; absent: everything but cards of records.
    pub kind: Option<String>,
    pub after: Option<String>,
    /// 1 to 200; default 50.
    pub limit: Option<u16>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct DocumentPage {
    pub documents: Vec<DocumentRow>,
    pub next: Option<String>,
}

/// Documents the caller may see.
#[utoipa::path(get, path = "/v1/documents", tag = "Documents", security(("key" = [])), params(DocumentQuery), responses((status = 200, body = DocumentPage)))]
async fn list_documents(
    State(app): State<App>,
    Caller(caller): Caller,
    Query(query): Query<DocumentQuery>,
) -> Result<Json<DocumentPage>, Problem> {
    let limit = i64::from(query.limit.unwrap_or(50).clamp(1, 200));
    let mut tx = app.store.begin_read(caller.tenant).await?;
    let after = query.after.as_deref().unwrap_or("");
    let documents = document::list(&mut tx, after, query.kind.as_deref(), &caller.audiences(), limit).await?;
    let full = i64::try_from(documents.len()).is_ok_and(|n| n == limit);
    let next = documents.last().filter(|_| full).map(|last| last.document_id.clone());
    Ok(Json(DocumentPage { documents, next }))
}

/// One document.
#[utoipa::path(get, path = "/v1/documents/{document_id}", tag = "Documents", security(("key" = [])), params(("document_id" = String, Path)),
    responses((status = 200, body = DocumentRow), (status = 404, body = ProblemBody)))]
async fn get_document(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(id): Path<String>,
) -> Result<Json<DocumentRow>, Problem> {
    let id: DocumentId = id.parse().map_err(|_| Problem::not_found())?;
    let mut tx = app.store.begin_read(caller.tenant).await?;
    document::get(&mut tx, id, &caller.audiences()).await?.map(Json).ok_or_else(Problem::not_found)
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct VersionQuery {
    /// As in a citation; absent: the current one.
    pub version: Option<i64>,
}

/// The exact text of a version, which citations point into.
#[utoipa::path(get, path = "/v1/documents/{document_id}/text", tag = "Documents", security(("key" = [])),
    params(("document_id" = String, Path), VersionQuery),
    responses((status = 200, body = DocumentText), (status = 404, body = ProblemBody)))]
async fn document_text(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(id): Path<String>,
    Query(query): Query<VersionQuery>,
) -> Result<Json<DocumentText>, Problem> {
    let id: DocumentId = id.parse().map_err(|_| Problem::not_found())?;
    let version = query.version.filter(|version| *version > 0);
    let mut tx = app.store.begin_read(caller.tenant).await?;
    document::text(&mut tx, id, version, &caller.audiences()).await?.map(Json).ok_or_else(Problem::not_found)
}

/// Deletes a document: from the answer on, nothing of it is retrieved or cited.
#[utoipa::path(delete, path = "/v1/documents/{document_id}", tag = "Documents", security(("key" = [])),
    params(("document_id" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 204), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
async fn delete_document(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(id): Path<String>,
    request: Once,
) -> Result<Response, Problem> {
    let id: DocumentId = id.parse().map_err(|_| Problem::not_found())?;
    let (by, now) = (caller.clone(), app.clock.now());
    let deleted = once(&app, &caller, request, |tx| async move { delete(tx, &by, id, now).await }.boxed()).await?;
    app.index.wake(caller.tenant);
    Ok(deleted)
}

async fn delete(tx: &mut TenantTx, caller: &Principal, id: DocumentId, now: Timestamp) -> Result<Reply, Problem> {
    let found = document::get(tx, id, &caller.audiences()).await?.ok_or_else(Problem::not_found)?;
    if found.external_id.starts_with("record:") {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "card",
            "this is the card of a record: delete the record at its source",
        ));
    }
    document::delete(tx, &[id.to_string()], now).await?;
    let event = Event {
        actor: &caller.actor(),
        action: Action::DocumentDeleted,
        resource: format!("document:{id}"),
        state_sha256: None,
        details: json!({ "version": found.version }),
    };
    audit::append(tx, event, now).await?;
    Ok(Reply::empty())
}
