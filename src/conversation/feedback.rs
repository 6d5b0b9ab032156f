//! Whether an answer helped, by the person who asked; and what they said as cases to measure with.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::Row;
use utoipa::ToSchema;

use super::{ConversationError, history, redisplay};
use crate::access::Principal;
use crate::audit::{self, Action, Event};
use crate::ids::AnswerId;
use crate::store::TenantTx;

/// Longest comment, bytes.
const COMMENT_MAX: usize = 2_000;

/// What was wrong, or right, with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    Correct,
    /// A statement is false.
    Wrong,
    /// Something that was asked is missing.
    Incomplete,
    /// True once, not now.
    Outdated,
    /// It rests on the wrong record or document.
    WrongSource,
    /// The question was understood as another one.
    Misunderstood,
    /// It abstained, and the answer is on record.
    ShouldHaveAnswered,
    /// It answered, and nothing on record says so.
    ShouldHaveAbstained,
    Other,
}

impl Reason {
    fn as_text(self) -> String {
        serde_json::to_value(self).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
    }
}

/// An opinion on an answer.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Feedback {
    pub helpful: bool,
    pub reason: Option<Reason>,
    /// At most 2,000 bytes.
    #[serde(default)]
    pub comment: String,
}

/// Stores the caller's opinion on one of their answers; a second one replaces the first.
pub async fn give(
    tx: &mut TenantTx,
    caller: &Principal,
    answer: AnswerId,
    feedback: &Feedback,
    kept_since_us: i64,
    now: Timestamp,
) -> Result<(), ConversationError> {
    if feedback.comment.len() > COMMENT_MAX || feedback.comment.contains('\0') {
        return Err(ConversationError::Invalid("a comment has at most 2,000 bytes and no NUL character"));
    }
    let owner = super::owner(caller);
    history::get(tx, &owner, answer, kept_since_us).await?;
    sqlx::query(
        "INSERT INTO answer_feedback (tenant_id, answer_id, owner_id, helpful, reason, comment, created_at_us) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (tenant_id, answer_id, owner_id) \
         DO UPDATE SET helpful = excluded.helpful, reason = excluded.reason, comment = excluded.comment, created_at_us = excluded.created_at_us",
    )
    .bind(tx.tenant_text())
    .bind(answer.to_string())
    .bind(owner)
    .bind(i64::from(feedback.helpful))
    .bind(feedback.reason.map(Reason::as_text))
    .bind(feedback.comment.clone())
    .bind(now.as_microsecond())
    .execute(tx.conn())
    .await?;
    let event = Event {
        actor: &caller.actor(),
        action: Action::FeedbackGiven,
        resource: format!("answer:{answer}"),
        state_sha256: None,
        details: json!({ "helpful": feedback.helpful, "reason": feedback.reason }),
    };
    audit::append(tx, event, now).await?;
    Ok(())
}

/// An answer that somebody had an opinion on, as a case to measure with: a person fills in what is expected.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct FeedbackCase {
    /// The answer's id.
    pub id: String,
    /// As it stands alone.
    pub question: String,
    pub helpful: bool,
    pub reason: Option<String>,
    pub comment: String,
    pub rung: Value,
    pub abstained: bool,
    /// Records that the answer cited, as `order/SO-1042`.
    pub records: Vec<String>,
    /// Documents it cited: policy ids, else external ids.
    pub documents: Vec<String>,
    /// Policies as of this day.
    pub policies_on: Option<String>,
    pub given_at_us: i64,
}

/// Feedback of the whole tenant, by answer, after the id `after`; cited things only as far as `caller` may read them.
pub async fn export(
    tx: &mut TenantTx,
    caller: &Principal,
    after: &str,
    limit: i64,
    kept_since_us: i64,
) -> sqlx::Result<Vec<FeedbackCase>> {
    let rows = sqlx::query(
        "SELECT a.answer_id, a.question, a.understood, a.body, f.helpful, f.reason, f.comment, f.created_at_us \
         FROM answer_feedback f JOIN answer a ON a.tenant_id = f.tenant_id AND a.answer_id = f.answer_id \
         WHERE f.tenant_id = $1 AND a.answer_id > $2 AND a.created_at_us >= $4 ORDER BY a.answer_id LIMIT $3",
    )
    .bind(tx.tenant_text())
    .bind(after.to_owned())
    .bind(limit)
    .bind(kept_since_us)
    .fetch_all(tx.conn())
    .await?;
    let mut cases = Vec::with_capacity(rows.len());
    for row in &rows {
        let body: Option<String> = row.try_get(3)?;
        let body = body.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or(Value::Null);
        let answer = redisplay::redisplay(tx, caller, body).await?;
        let understood: Option<String> = row.try_get(2)?;
        cases.push(FeedbackCase {
            id: row.try_get(0)?,
            question: understood.map_or_else(|| row.try_get(1), Ok)?,
            helpful: row.try_get::<i64, _>(4)? != 0,
            reason: row.try_get(5)?,
            comment: row.try_get(6)?,
            rung: answer["rung"].clone(),
            abstained: answer["abstained"] == true,
            records: cited(&answer, |citation| {
                let record = &citation["record"];
                Some(format!("{}/{}", record["kind"].as_str()?, record["external_id"].as_str()?))
            }),
            documents: cited(&answer, |citation| {
                let own = citation["record"].is_null();
                let id = citation["policy_id"].as_str().or(citation["external_id"].as_str());
                id.filter(|_| own).map(str::to_owned)
            }),
            policies_on: answer["understood"]["policies_on"].as_str().map(str::to_owned),
            given_at_us: row.try_get(7)?,
        });
    }
    Ok(cases)
}

/// What citations name, each once, in their order.
fn cited(answer: &Value, name: impl Fn(&Value) -> Option<String>) -> Vec<String> {
    let mut names = Vec::new();
    for one in answer["citations"].as_array().into_iter().flatten().filter_map(name) {
        if !names.contains(&one) {
            names.push(one);
        }
    }
    names
}
