//! What people do about an exception: take it, put it off, dismiss it, link it. One transaction with its audit event.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use sqlx::Row;

use super::DetectError;
use super::lifecycle::{Command, DismissReason};
use super::stored::{self, Stored};
use crate::access::Principal;
use crate::audit::{self, Action, Event};
use crate::document::visible_to;
use crate::ids::{ExceptionId, UserId};
use crate::store::TenantTx;

/// Longest snooze.
const SNOOZE_MAX: SignedDuration = SignedDuration::from_hours(24 * 90);

/// One thing a person does.
#[derive(Debug, Clone)]
pub enum Act {
    /// `None`: nobody's.
    Assign(Option<UserId>),
    Snooze {
        until: Timestamp,
    },
    Dismiss {
        reason: DismissReason,
        text: String,
    },
    Reopen,
    /// A helpdesk ticket's number; `None` takes the link away.
    Link(Option<String>),
}

/// Does it, if the caller may see the exception and its state allows it.
pub async fn act(
    tx: &mut TenantTx,
    caller: &Principal,
    id: ExceptionId,
    act: Act,
    now: Timestamp,
) -> Result<Stored, DetectError> {
    let mut one = stored::lock(tx, id).await?.ok_or(DetectError::NotFound)?;
    if !visible_to(&json!(one.audience).to_string(), &caller.audiences()) {
        return Err(DetectError::NotFound);
    }
    let now_us = now.as_microsecond();
    let (action, details) = match act {
        Act::Assign(owner) => {
            if let Some(user) = owner
                && !may_own(tx, user).await?
            {
                return Err(DetectError::Invalid("an owner is a user of this tenant who is not suspended"));
            }
            one.owner_id = owner.map(|user| user.to_string());
            (Action::ExceptionAssigned, json!({ "owner": one.owner_id }))
        }
        Act::Snooze { until } => {
            if until <= now || until.duration_since(now) > SNOOZE_MAX {
                return Err(DetectError::Invalid("a snooze ends in the future, within 90 days"));
            }
            let command = Command::Snooze { until_us: until.as_microsecond() };
            one.state = one.state.apply(&command, now_us)?;
            (Action::ExceptionSnoozed, json!({ "until_us": until.as_microsecond() }))
        }
        Act::Dismiss { reason, text } => {
            let text = text.trim().to_owned();
            if !(1..=2_000).contains(&text.len()) || text.contains('\0') {
                return Err(DetectError::Invalid("a dismissal says why in 1 to 2,000 bytes"));
            }
            let command = Command::Dismiss { reason, text, by: caller.actor().id, weight: one.weight() };
            one.state = one.state.apply(&command, now_us)?;
            (Action::ExceptionDismissed, json!({ "reason": reason }))
        }
        Act::Reopen => {
            let state = one.state.apply(&Command::Reopen, now_us)?;
            if !one.present {
                return Err(DetectError::State(super::StateError::NoCause));
            }
            (one.state, one.opened_at_us, one.reopened) = (state, now_us, one.reopened + 1);
            (Action::ExceptionReopened, json!({}))
        }
        Act::Link(ticket) => {
            let ticket = ticket.map(|ticket| ticket.trim().to_owned()).filter(|ticket| !ticket.is_empty());
            if ticket.as_ref().is_some_and(|ticket| ticket.len() > 200 || ticket.chars().any(char::is_control)) {
                return Err(DetectError::Invalid("a ticket's number is at most 200 bytes without control characters"));
            }
            one.ticket = ticket;
            (Action::ExceptionLinked, json!({ "linked": one.ticket.is_some() }))
        }
    };
    stored::save(tx, std::slice::from_ref(&one)).await?;
    let event = Event {
        actor: &caller.actor(),
        action,
        resource: format!("exception:{id}"),
        state_sha256: Some(one.digest()),
        details,
    };
    audit::append(tx, event, now).await?;
    Ok(one)
}

async fn may_own(tx: &mut TenantTx, user: UserId) -> sqlx::Result<bool> {
    let row = sqlx::query("SELECT count(*) FROM app_user WHERE tenant_id = $1 AND user_id = $2 AND suspended = 0")
        .bind(tx.tenant_text())
        .bind(user.to_string())
        .fetch_one(tx.conn())
        .await?;
    Ok(row.try_get::<i64, _>(0)? == 1)
}
