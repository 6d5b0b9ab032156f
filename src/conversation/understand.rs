//! From stored turns or chat messages to the turns that a follow-up is understood from, with the caller's access of now.

use ingest::identifier::normal;
use serde_json::Value;

use super::history;
use super::resolve::{self, Named, Rule, Turn};
use super::{ConversationError, MEMORY, rewrite};
use crate::access::Principal;
use crate::answer::{Context, QUESTION_MAX};
use crate::ids::ConversationId;
use crate::record;
use crate::retrieve::identify::identify;
use crate::store::Store;

/// Records of one answer that later questions can point at.
const TOLD_MAX: usize = 12;
/// Bytes of a chat message that are looked through for identifiers.
const MESSAGE_MAX: usize = 4_000;

/// A message of a chat whose history the client keeps.
#[derive(Debug, Clone)]
pub struct Message {
    /// The user's, or else the assistant's.
    pub asks: bool,
    pub text: String,
}

/// The last turns of a stored conversation, oldest first.
pub async fn of_stored(
    store: &Store,
    caller: &Principal,
    conversation: ConversationId,
) -> Result<Vec<Turn>, ConversationError> {
    let mut tx = store.begin_read(caller.tenant).await?;
    let stored = history::recent(&mut tx, &super::owner(caller), conversation, MEMORY).await?;
    drop(tx);
    let mut turns = Vec::new();
    for one in stored {
        let question = one.understood.unwrap_or(one.question);
        let named = named_in(store, caller, &question).await?;
        let told = told_by(store, caller, &one.body, &named).await?;
        turns.push(Turn { question, named, told });
    }
    Ok(turns)
}

/// The turns of a chat whose whole history came with the request: its last message is the question and not among them. Each user message
/// is understood from those before it; what an assistant's message names counts only as far as the caller may see it.
pub async fn of_messages(
    store: &Store,
    caller: &Principal,
    messages: &[Message],
) -> Result<Vec<Turn>, ConversationError> {
    let mut turns: Vec<Turn> = Vec::new();
    let asked = messages.iter().filter(|message| message.asks).count();
    let mut skip = asked.saturating_sub(MEMORY);
    for message in messages {
        if message.asks {
            if skip > 0 {
                skip -= 1;
                continue;
            }
            let text = beginning(&message.text, QUESTION_MAX);
            let own = named_in(store, caller, text).await?;
            let question = resolve::resolve(&turns, text, &own).text;
            let named = named_in(store, caller, &question).await?;
            turns.push(Turn { question, named, told: Vec::new() });
        } else if let Some(turn) = turns.last_mut() {
            let mut told = named_in(store, caller, beginning(&message.text, MESSAGE_MAX)).await?;
            told.retain(|one| !one.kinds.is_empty() && !turn.named.iter().any(|named| named.shown == one.shown));
            told.truncate(TOLD_MAX);
            told.iter_mut().for_each(|one| one.range = 0..0);
            turn.told.extend(told);
        }
    }
    Ok(turns)
}

fn beginning(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// `text` as it stands alone after `turns`.
pub(super) async fn standalone(
    context: Context<'_>,
    caller: &Principal,
    turns: &[Turn],
    text: &str,
) -> Result<String, ConversationError> {
    if turns.is_empty() {
        return Ok(text.trim().to_owned());
    }
    let own = named_in(context.store, caller, text).await?;
    let by_rules = resolve::resolve(turns, text, &own);
    // What names its own subject, or asks a whole question without leaning on anything, needs nobody to reword it.
    let leans = by_rules.rule != Rule::AsAsked;
    if let (Some(model), true) = (context.llm, leans) {
        match rewrite::rewrite(model.as_ref(), turns, text).await {
            Ok(Some(rewritten)) => return Ok(rewritten),
            Ok(None) => tracing::debug!("the model's rewrite did not pass the checks; the rules decide"),
            Err(error) => tracing::warn!(%error, "the model did not rewrite the question; the rules decide"),
        }
    }
    Ok(by_rules.text)
        .map(|text| if text.len() > QUESTION_MAX { beginning(&text, QUESTION_MAX).to_owned() } else { text })
}

async fn named_in(store: &Store, caller: &Principal, text: &str) -> Result<Vec<Named>, ConversationError> {
    let identified = identify(store, caller, text).await?;
    let named = |one: crate::retrieve::Identified| {
        let mut kinds: Vec<_> = one.records.iter().map(|found| found.record.kind).collect();
        kinds.dedup();
        Named { range: one.range, shown: one.shown, kinds }
    };
    Ok(identified.into_iter().map(named).collect())
}

/// Records a stored answer cites, as far as they may be seen now.
async fn told_by(
    store: &Store,
    caller: &Principal,
    answer: &Value,
    named: &[Named],
) -> Result<Vec<Named>, ConversationError> {
    let mut told: Vec<Named> = Vec::new();
    let mut tx = store.begin_read(caller.tenant).await?;
    for citation in answer["citations"].as_array().into_iter().flatten() {
        let (Some(kind), Some(id)) = (citation["record"]["kind"].as_str(), citation["record"]["external_id"].as_str())
        else {
            continue;
        };
        let Ok(kind) = kind.parse::<ingest::RecordKind>() else { continue };
        // The question may have written it shorter ("1042") or in another case.
        let known = |one: &Named| normal(id).ends_with(&normal(&one.shown)) && one.kinds.contains(&kind);
        if told.iter().chain(named).any(known) {
            continue;
        }
        if record::find(&mut tx, kind.as_str(), id, &caller.audiences()).await?.is_empty() {
            continue;
        }
        told.push(Named { range: 0..0, shown: id.to_owned(), kinds: vec![kind] });
        if told.len() >= TOLD_MAX {
            break;
        }
    }
    Ok(told)
}
