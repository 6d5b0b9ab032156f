//! Conversations in SQL. Every statement names the tenant and the owner: another user's conversation is one that does not exist.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use sqlx::Row;
use sqlx::any::AnyRow;
use utoipa::ToSchema;

use super::ConversationError;
use crate::audit::{self, Action, Actor, Event};
use crate::ids::ConversationId;
use crate::store::TenantTx;

/// Longest title, bytes.
const TITLE_MAX: usize = 200;

/// A conversation as listed.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ConversationRow {
    pub conversation_id: String,
    /// As given; empty when it was not.
    pub title: String,
    /// Questions asked in it.
    pub turns: i64,
    pub created_at_us: i64,
    pub updated_at_us: i64,
}

fn row(row: &AnyRow) -> sqlx::Result<ConversationRow> {
    Ok(ConversationRow {
        conversation_id: row.try_get(0)?,
        title: row.try_get(1)?,
        turns: row.try_get(2)?,
        created_at_us: row.try_get(3)?,
        updated_at_us: row.try_get(4)?,
    })
}

/// Opens a conversation.
pub async fn create(
    tx: &mut TenantTx,
    actor: &Actor,
    title: &str,
    now: Timestamp,
) -> Result<ConversationRow, ConversationError> {
    if title.len() > TITLE_MAX || title.chars().any(char::is_control) {
        return Err(ConversationError::Invalid("a title has at most 200 bytes and no control characters"));
    }
    let id = ConversationId::mint();
    let at = now.as_microsecond();
    sqlx::query(
        "INSERT INTO conversation (tenant_id, conversation_id, owner_id, title, turns, created_at_us, updated_at_us) \
         VALUES ($1, $2, $3, $4, 0, $5, $5)",
    )
    .bind(tx.tenant_text())
    .bind(id.to_string())
    .bind(actor.id.clone())
    .bind(title.to_owned())
    .bind(at)
    .execute(tx.conn())
    .await?;
    let event = Event {
        actor,
        action: Action::ConversationOpened,
        resource: format!("conversation:{id}"),
        state_sha256: None,
        details: json!({}),
    };
    audit::append(tx, event, now).await?;
    Ok(ConversationRow {
        conversation_id: id.to_string(),
        title: title.to_owned(),
        turns: 0,
        created_at_us: at,
        updated_at_us: at,
    })
}

pub async fn get(
    tx: &mut TenantTx,
    owner: &str,
    id: ConversationId,
    kept_since_us: i64,
) -> Result<ConversationRow, ConversationError> {
    let found = sqlx::query(
        "SELECT conversation_id, title, turns, created_at_us, updated_at_us FROM conversation \
         WHERE tenant_id = $1 AND owner_id = $2 AND conversation_id = $3 AND updated_at_us >= $4",
    )
    .bind(tx.tenant_text())
    .bind(owner.to_owned())
    .bind(id.to_string())
    .bind(kept_since_us)
    .fetch_optional(tx.conn())
    .await?;
    found.as_ref().map(row).transpose()?.ok_or(ConversationError::NotFound)
}

/// Up to `limit` of the owner's conversations, newest first; `before`: the id that the page before ended with, or empty.
pub async fn list(
    tx: &mut TenantTx,
    owner: &str,
    before: &str,
    limit: i64,
    kept_since_us: i64,
) -> sqlx::Result<Vec<ConversationRow>> {
    let rows = sqlx::query(
        "SELECT conversation_id, title, turns, created_at_us, updated_at_us FROM conversation \
         WHERE tenant_id = $1 AND owner_id = $2 AND ($3 = '' OR conversation_id < $3) AND updated_at_us >= $5 \
         ORDER BY conversation_id DESC LIMIT $4",
    )
    .bind(tx.tenant_text())
    .bind(owner.to_owned())
    .bind(before.to_owned())
    .bind(limit)
    .bind(kept_since_us)
    .fetch_all(tx.conn())
    .await?;
    rows.iter().map(row).collect()
}

/// Deletes a conversation with its answers and what was said about them.
pub async fn delete(
    tx: &mut TenantTx,
    actor: &Actor,
    owner: &str,
    id: ConversationId,
    now: Timestamp,
) -> Result<(), ConversationError> {
    let conversation = get(tx, owner, id, i64::MIN).await?;
    for statement in [
        "DELETE FROM answer_feedback WHERE tenant_id = $1 AND answer_id IN \
         (SELECT answer_id FROM answer WHERE tenant_id = $1 AND conversation_id = $2)",
        "DELETE FROM answer WHERE tenant_id = $1 AND conversation_id = $2",
        "DELETE FROM conversation WHERE tenant_id = $1 AND conversation_id = $2",
    ] {
        sqlx::query(statement).bind(tx.tenant_text()).bind(id.to_string()).execute(tx.conn()).await?;
    }
    let event = Event {
        actor,
        action: Action::ConversationDeleted,
        resource: format!("conversation:{id}"),
        state_sha256: None,
        details: json!({ "turns": conversation.turns }),
    };
    audit::append(tx, event, now).await?;
    Ok(())
}

/// Takes the next turn of a conversation. Returns its number, from 1.
pub(super) async fn next_turn(
    tx: &mut TenantTx,
    owner: &str,
    id: ConversationId,
    now: Timestamp,
) -> Result<i64, ConversationError> {
    let turn = sqlx::query(
        "UPDATE conversation SET turns = turns + 1, updated_at_us = $4 \
         WHERE tenant_id = $1 AND owner_id = $2 AND conversation_id = $3 AND turns < $5 RETURNING turns",
    )
    .bind(tx.tenant_text())
    .bind(owner.to_owned())
    .bind(id.to_string())
    .bind(now.as_microsecond())
    .bind(super::TURNS_MAX)
    .fetch_optional(tx.conn())
    .await?;
    match turn {
        Some(row) => Ok(row.try_get(0)?),
        None => get(tx, owner, id, i64::MIN).await.and(Err(ConversationError::Full)),
    }
}
