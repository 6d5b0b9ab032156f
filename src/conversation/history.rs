//! Answers as they were given, kept for whoever asked: to be shown again, gone on from, and told whether they helped.
//!
//! `pending` exists only for streams: the row is there before the answer is, so that a client that lost its connection finds it again. The
//! audit event of an answer holds its hash.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::Row;
use sqlx::any::AnyRow;
use utoipa::ToSchema;

use super::{ConversationError, queries};
use crate::access::Principal;
use crate::answer::Answer;
use crate::audit::{self, Action, Event};
use crate::canonical;
use crate::ids::{AnswerId, ConversationId};
use crate::store::TenantTx;

/// How far an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StoredState {
    Pending,
    Done,
    Failed,
}

/// An answer with its question, as stored.
#[derive(Debug, Clone)]
pub struct StoredAnswer {
    pub answer_id: String,
    pub conversation_id: Option<String>,
    pub turn: Option<i64>,
    pub question: String,
    /// As it stood alone, when that differs.
    pub understood: Option<String>,
    pub state: StoredState,
    /// The process that took it on.
    pub instance: String,
    /// The answer object as it was sent; null unless done.
    pub body: Value,
    /// The problem document it failed with; null unless failed.
    pub problem: Value,
    pub created_at_us: i64,
}

/// A question on its way to an answer.
#[derive(Debug, Clone)]
pub struct Asked {
    pub answer: AnswerId,
    pub conversation: Option<ConversationId>,
    pub question: String,
    /// The process that answers.
    pub instance: uuid::Uuid,
}

const SELECT: &str = "SELECT answer_id, conversation_id, turn, question, understood, state, instance, body, problem, created_at_us \
    FROM answer WHERE tenant_id = $1 AND owner_id = $2";

fn stored(row: &AnyRow) -> sqlx::Result<StoredAnswer> {
    let json = |column: usize| -> sqlx::Result<Value> {
        let text: Option<String> = row.try_get(column)?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or(Value::Null))
    };
    let state: String = row.try_get(5)?;
    Ok(StoredAnswer {
        answer_id: row.try_get(0)?,
        conversation_id: row.try_get(1)?,
        turn: row.try_get(2)?,
        question: row.try_get(3)?,
        understood: row.try_get(4)?,
        state: match state.as_str() {
            "done" => StoredState::Done,
            "failed" => StoredState::Failed,
            _ => StoredState::Pending,
        },
        instance: row.try_get(6)?,
        body: json(7)?,
        problem: json(8)?,
        created_at_us: row.try_get(9)?,
    })
}

/// Notes a question before it is answered, as the next turn of its conversation.
pub async fn begin(
    tx: &mut TenantTx,
    caller: &Principal,
    asked: &Asked,
    now: Timestamp,
) -> Result<(), ConversationError> {
    let owner = super::owner(caller);
    let turn = match asked.conversation {
        Some(conversation) => Some(queries::next_turn(tx, &owner, conversation, now).await?),
        None => None,
    };
    sqlx::query(
        "INSERT INTO answer (tenant_id, answer_id, owner_id, conversation_id, turn, question, state, instance, created_at_us) \
         VALUES ($1, $2, $3, $4, $5, $6, 'pending', $7, $8)",
    )
    .bind(tx.tenant_text())
    .bind(asked.answer.to_string())
    .bind(owner)
    .bind(asked.conversation.map(|id| id.to_string()))
    .bind(turn)
    .bind(asked.question.clone())
    .bind(asked.instance.to_string())
    .bind(now.as_microsecond())
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Stores the answer object and its audit event. An answer that is not pending any more (its conversation was deleted meanwhile) is dropped.
pub async fn finish(
    tx: &mut TenantTx,
    caller: &Principal,
    answer: &Answer,
    now: Timestamp,
) -> Result<(), ConversationError> {
    let body = canonical::to_text(&serde_json::to_value(answer).unwrap_or(Value::Null));
    let sha256 = canonical::sha256_hex(&body);
    let stored = sqlx::query(
        "UPDATE answer SET state = 'done', body = $3, body_sha256 = $4, understood = $5 \
         WHERE tenant_id = $1 AND answer_id = $2 AND state = 'pending'",
    )
    .bind(tx.tenant_text())
    .bind(answer.answer_id.clone())
    .bind(body)
    .bind(sha256.clone())
    .bind(answer.understood.question.clone())
    .execute(tx.conn())
    .await?;
    if stored.rows_affected() == 0 {
        return Ok(());
    }
    let event = Event {
        actor: &caller.actor(),
        action: Action::AnswerGiven,
        resource: format!("answer:{}", answer.answer_id),
        state_sha256: Some(sha256),
        details: json!({ "rung": answer.rung, "abstained": answer.abstained, "citations": answer.citations.len() }),
    };
    audit::append(tx, event, now).await?;
    Ok(())
}

/// Notes that there will be no answer, and the problem document that says why.
pub async fn fail(tx: &mut TenantTx, answer: AnswerId, problem: &Value) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE answer SET state = 'failed', problem = $3 WHERE tenant_id = $1 AND answer_id = $2 AND state = 'pending'",
    )
    .bind(tx.tenant_text())
    .bind(answer.to_string())
    .bind(canonical::to_text(problem))
    .execute(tx.conn())
    .await
    .map(drop)
}

/// One answer of the owner's that is still kept.
pub async fn get(
    tx: &mut TenantTx,
    owner: &str,
    id: AnswerId,
    kept_since_us: i64,
) -> Result<StoredAnswer, ConversationError> {
    let statement = format!("{SELECT} AND answer_id = $3 AND created_at_us >= $4");
    let row = sqlx::query(sqlx::AssertSqlSafe(statement))
        .bind(tx.tenant_text())
        .bind(owner.to_owned())
        .bind(id.to_string())
        .bind(kept_since_us)
        .fetch_optional(tx.conn())
        .await?;
    row.as_ref().map(stored).transpose()?.ok_or(ConversationError::NotFound)
}

/// Up to `limit` answers of the owner's, newest first, of one conversation (`""`: of all); `before`: the id the page before ended with.
pub async fn list(
    tx: &mut TenantTx,
    owner: &str,
    conversation: &str,
    before: &str,
    limit: i64,
    kept_since_us: i64,
) -> sqlx::Result<Vec<StoredAnswer>> {
    let statement = format!(
        "{SELECT} AND ($3 = '' OR conversation_id = $3) AND ($4 = '' OR answer_id < $4) AND created_at_us >= $6 \
         ORDER BY answer_id DESC LIMIT $5"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(statement))
        .bind(tx.tenant_text())
        .bind(owner.to_owned())
        .bind(conversation.to_owned())
        .bind(before.to_owned())
        .bind(limit)
        .bind(kept_since_us)
        .fetch_all(tx.conn())
        .await?;
    rows.iter().map(stored).collect()
}

/// The last `turns` answered turns of a conversation, oldest first.
pub(super) async fn recent(
    tx: &mut TenantTx,
    owner: &str,
    conversation: ConversationId,
    turns: usize,
) -> sqlx::Result<Vec<StoredAnswer>> {
    let statement = format!("{SELECT} AND conversation_id = $3 AND state = 'done' ORDER BY turn DESC LIMIT $4");
    let rows = sqlx::query(sqlx::AssertSqlSafe(statement))
        .bind(tx.tenant_text())
        .bind(owner.to_owned())
        .bind(conversation.to_string())
        .bind(i64::try_from(turns).unwrap_or(i64::MAX))
        .fetch_all(tx.conn())
        .await?;
    let mut found = rows.iter().map(stored).collect::<sqlx::Result<Vec<_>>>()?;
    found.reverse();
    Ok(found)
}
