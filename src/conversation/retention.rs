//! How long answers are kept. What is past it is not shown from that moment on, and deleted soon after, tenant by tenant.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::audit::{self, Action, Actor, ActorKind, Event};
use crate::ids::TenantId;
use crate::store::{Store, TenantTx};

/// Answers deleted in one transaction.
const PORTION: i64 = 500;
/// Portions of one pass over a tenant; the next pass goes on.
const PORTIONS_MAX: usize = 1_000;

/// The time before which answers are not kept any more, microseconds UTC. With 0 days nothing is kept at all: then nothing is written.
pub fn kept_since_us(days: u16, now: Timestamp) -> i64 {
    now.saturating_sub(SignedDuration::from_hours(24 * i64::from(days))).map_or(i64::MIN, Timestamp::as_microsecond)
}

/// Deletes a tenant's answers and conversations that are past their time. Returns how many answers.
pub async fn sweep(store: &Store, tenant: TenantId, days: u16, now: Timestamp) -> sqlx::Result<u64> {
    let before = kept_since_us(days, now);
    let mut deleted = 0;
    for _ in 0..PORTIONS_MAX {
        let mut tx = store.begin_write(tenant).await?;
        let portion = sweep_portion(&mut tx, before).await?;
        if portion > 0 {
            let event = Event {
                actor: &Actor { kind: ActorKind::Worker, id: "retention".into() },
                action: Action::AnswersExpired,
                resource: format!("tenant:{tenant}"),
                state_sha256: None,
                details: json!({ "answers": portion, "before_us": before }),
            };
            audit::append(&mut tx, event, now).await?;
        }
        tx.commit().await?;
        deleted += portion;
        if portion < PORTION.unsigned_abs() {
            break;
        }
    }
    Ok(deleted)
}

async fn sweep_portion(tx: &mut TenantTx, before: i64) -> sqlx::Result<u64> {
    let mut answers = 0;
    for statement in [
        "DELETE FROM answer_feedback WHERE tenant_id = $1 AND answer_id IN (SELECT answer_id FROM answer \
         WHERE tenant_id = $1 AND created_at_us < $2 ORDER BY created_at_us, answer_id LIMIT $3)",
        "DELETE FROM answer WHERE tenant_id = $1 AND answer_id IN (SELECT answer_id FROM answer \
         WHERE tenant_id = $1 AND created_at_us < $2 ORDER BY created_at_us, answer_id LIMIT $3)",
    ] {
        let done = sqlx::query(statement).bind(tx.tenant_text()).bind(before).bind(PORTION).execute(tx.conn()).await?;
        answers = done.rows_affected();
    }
    sqlx::query(
        "DELETE FROM conversation WHERE tenant_id = $1 AND updated_at_us < $2 AND NOT EXISTS \
         (SELECT 1 FROM answer a WHERE a.tenant_id = conversation.tenant_id AND a.conversation_id = conversation.conversation_id)",
    )
    .bind(tx.tenant_text())
    .bind(before)
    .execute(tx.conn())
    .await?;
    Ok(answers)
}
