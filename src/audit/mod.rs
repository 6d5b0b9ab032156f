//! The audit trail: a hash chain per tenant, appended in the transaction of the change it records. Base module: every stage writes to
//! it, it reads none of them.
//!
//! An event's hash is SHA-256 over its exact stored `body`, which contains the previous hash, the tenant and the sequence number.
//! Appends are serialised by locking the tenant's `audit_head` row. A chain alone cannot show that its tail was cut or that all of it
//! was rewritten; for that a signed head ([`anchor`]) is kept outside the database. Bodies hold ids, hashes and counts, never document
//! text or personal data, so that erasure does not break the chain.

pub mod anchor;
mod read;
mod verify;

pub use read::{EventRow, list};
pub use verify::{Finding, Report, StateOf, verify};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::Row;

use crate::canonical;
use crate::ids::TenantId;
use crate::store::{Dialect, TenantTx};

/// What happened. The list only grows; names are `<domain>.<verb>` and part of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Action {
    TenantCreated,
    TenantChanged,
    UserCreated,
    UserChanged,
    KeyCreated,
    KeyRevoked,
    SourceCreated,
    SourceDeleted,
    RunStarted,
    RunFinished,
    BatchIngested,
    DocumentDeleted,
    RecordDeleted,
    IndexRebuildRequested,
    HeadExported,
    QuotaChanged,
    AnswerGiven,
    FeedbackGiven,
    ConversationOpened,
    ConversationDeleted,
    AnswersExpired,
    DetectionChanged,
    ExceptionOpened,
    ExceptionReopened,
    ExceptionResolved,
    ExceptionEscalated,
    ExceptionWoken,
    ExceptionAssigned,
    ExceptionSnoozed,
    ExceptionDismissed,
    ExceptionLinked,
    WebhookCreated,
    WebhookRemoved,
    WebhookDisabled,
}

impl Action {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TenantCreated => "tenant.created",
            Self::TenantChanged => "tenant.changed",
            Self::UserCreated => "user.created",
            Self::UserChanged => "user.changed",
            Self::KeyCreated => "key.created",
            Self::KeyRevoked => "key.revoked",
            Self::SourceCreated => "source.created",
            Self::SourceDeleted => "source.deleted",
            Self::RunStarted => "run.started",
            Self::RunFinished => "run.finished",
            Self::BatchIngested => "batch.ingested",
            Self::DocumentDeleted => "document.deleted",
            Self::RecordDeleted => "record.deleted",
            Self::IndexRebuildRequested => "index.rebuild_requested",
            Self::HeadExported => "audit.head_exported",
            Self::QuotaChanged => "tenant.quota_changed",
            Self::AnswerGiven => "answer.given",
            Self::FeedbackGiven => "answer.feedback",
            Self::ConversationOpened => "conversation.opened",
            Self::ConversationDeleted => "conversation.deleted",
            Self::AnswersExpired => "answers.expired",
            Self::DetectionChanged => "detection.changed",
            Self::ExceptionOpened => "exception.opened",
            Self::ExceptionReopened => "exception.reopened",
            Self::ExceptionResolved => "exception.resolved",
            Self::ExceptionEscalated => "exception.escalated",
            Self::ExceptionWoken => "exception.woken",
            Self::ExceptionAssigned => "exception.assigned",
            Self::ExceptionSnoozed => "exception.snoozed",
            Self::ExceptionDismissed => "exception.dismissed",
            Self::ExceptionLinked => "exception.linked",
            Self::WebhookCreated => "webhook.created",
            Self::WebhookRemoved => "webhook.removed",
            Self::WebhookDisabled => "webhook.disabled",
        }
    }
}

/// Who did it: a person, a service key, or the platform itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Actor {
    pub kind: ActorKind,
    /// An opaque id; never a name or an address.
    pub id: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ActorKind {
    Person,
    Service,
    Operator,
    Worker,
}

impl Actor {
    pub fn operator() -> Self {
        Self { kind: ActorKind::Operator, id: "operator".into() }
    }
}

tokio::task_local! {
    /// The request in progress, set by the face that took it; goes into every event it causes.
    pub static REQUEST_ID: String;
}

/// One event to append.
#[derive(Debug, Clone)]
pub struct Event<'a> {
    pub actor: &'a Actor,
    pub action: Action,
    /// What it was done to, as `<type>:<id>`.
    pub resource: String,
    /// SHA-256 (hex) of the resource's state after the change, where verification can recompute it.
    pub state_sha256: Option<String>,
    /// Ids, hashes and counts.
    pub details: Value,
}

/// The `prev_hash` of a tenant's first event.
pub fn genesis(tenant: TenantId) -> String {
    canonical::sha256_hex(format!("countersign audit v1 {tenant}"))
}

/// Makes the head row that appends lock; called once, in the transaction that creates the tenant.
pub async fn start_chain(tx: &mut TenantTx) -> sqlx::Result<()> {
    let tenant = tx.tenant_text();
    let genesis = genesis(tx.tenant());
    sqlx::query("INSERT INTO audit_head (tenant_id, seq, hash) VALUES ($1, 0, $2)")
        .bind(tenant)
        .bind(genesis)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Appends an event in the caller's transaction. Returns its sequence number, from 1.
pub async fn append(tx: &mut TenantTx, event: Event<'_>, now: Timestamp) -> sqlx::Result<i64> {
    let (seq, prev_hash) = lock_head(tx).await?;
    let seq = seq + 1;
    let at_us = now.as_microsecond();
    let body = canonical::to_text(&json!({
        "v": 1,
        "tenant": tx.tenant_text(),
        "seq": seq,
        "prev": prev_hash,
        "at_us": at_us,
        "actor": event.actor,
        "action": event.action.as_str(),
        "resource": event.resource,
        "request_id": REQUEST_ID.try_with(Clone::clone).ok(),
        "state_sha256": event.state_sha256,
        "details": event.details,
    }));
    let hash = canonical::sha256_hex(&body);
    sqlx::query(
        "INSERT INTO audit_event (tenant_id, seq, prev_hash, hash, at_us, actor_id, action, resource, body) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(tx.tenant_text())
    .bind(seq)
    .bind(prev_hash)
    .bind(hash.clone())
    .bind(at_us)
    .bind(event.actor.id.clone())
    .bind(event.action.as_str())
    .bind(event.resource)
    .bind(body)
    .execute(tx.conn())
    .await?;
    sqlx::query("UPDATE audit_head SET seq = $2, hash = $3 WHERE tenant_id = $1")
        .bind(tx.tenant_text())
        .bind(seq)
        .bind(hash)
        .execute(tx.conn())
        .await?;
    Ok(seq)
}

async fn lock_head(tx: &mut TenantTx) -> sqlx::Result<(i64, String)> {
    let statement = match tx.dialect() {
        Dialect::Sqlite => "SELECT seq, hash FROM audit_head WHERE tenant_id = $1",
        Dialect::Postgres => "SELECT seq, hash FROM audit_head WHERE tenant_id = $1 FOR UPDATE",
    };
    let row = sqlx::query(statement).bind(tx.tenant_text()).fetch_one(tx.conn()).await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

/// The head as stored: sequence number and hash of the newest event (0 and the genesis hash when there is none).
pub async fn head(tx: &mut TenantTx) -> sqlx::Result<(i64, String)> {
    let row = sqlx::query("SELECT seq, hash FROM audit_head WHERE tenant_id = $1")
        .bind(tx.tenant_text())
        .fetch_one(tx.conn())
        .await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}
