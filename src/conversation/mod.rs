//! Conversations: what was asked before gives a follow-up its meaning. After `answer`, which answers one question that stands alone.
//!
//! A question is first made to stand alone: by rules ([`resolve`]), and where a model is configured by a rewrite that code checks
//! (`rewrite`). Only then is it answered, with the caller's access of now: what earlier turns found is never evidence again. Answers are
//! stored for whoever asked (`history`), shown again only as far as their citations may still be read (`redisplay`), and go with their
//! conversation or when the retention ends (`retention`).

pub mod feedback;
pub mod history;
mod phrases;
mod queries;
pub mod redisplay;
pub mod resolve;
pub mod retention;
mod rewrite;
mod understand;

pub use history::{StoredAnswer, StoredState};
pub use queries::{ConversationRow, create, delete, get, list};
pub use understand::{Message, of_messages, of_stored};

use jiff::Timestamp;

use crate::access::Principal;
use crate::answer::{self, Answer, Context, Question};
use crate::retrieve::RetrieveError;

use self::resolve::Turn;

/// Turns a conversation holds at most.
pub const TURNS_MAX: i64 = 200;
/// Turns a follow-up is understood from.
pub const MEMORY: usize = 8;

/// Why a conversation operation was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConversationError {
    /// Absent, another tenant's, or another user's: all the same.
    #[error("there is no such conversation or answer")]
    NotFound,
    #[error("this conversation is full: begin another")]
    Full,
    #[error("{0}")]
    Invalid(&'static str),
    #[error(transparent)]
    Db(#[from] sqlx::Error),
}

impl From<RetrieveError> for ConversationError {
    fn from(error: RetrieveError) -> Self {
        match error {
            RetrieveError::Db(cause) => Self::Db(cause),
        }
    }
}

/// Whose conversations and answers these are: a person's, with any of their keys; or a service key's.
pub fn owner(caller: &Principal) -> String {
    caller.actor().id
}

/// Answers `question` as it is meant after `turns` (oldest first). The answer says how it was understood.
pub async fn ask(
    context: Context<'_>,
    caller: &Principal,
    turns: &[Turn],
    mut question: Question,
    now: Timestamp,
) -> Result<Answer, ConversationError> {
    let standalone = understand::standalone(context, caller, turns, &question.text).await?;
    let rewritten = standalone != question.text.trim();
    question.text = standalone;
    let mut answer = answer::answer(context, caller, &question, now).await?;
    answer.understood.question = rewritten.then_some(question.text);
    Ok(answer)
}
