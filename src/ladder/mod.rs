//! The chat models in their order, as one tenant may use them. After `llm`, before the stages that ask.
//!
//! [`TenantModel`] stands where a stage expects a [`ChatModel`]: tokens are reserved before each call and settled after it, personal data
//! is taken out of what is sent and put back into what comes, and when the first provider fails the second is asked. When both fail, or
//! the tenant's tokens are used up, the caller gets the error and its extractive rung answers. A stage that has no other way to a model
//! cannot forget any of this. What is asked, and whether the answer is any good, is for the stages to say.

use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde::Serialize;
use utoipa::ToSchema;

use crate::clock::Clock;
use crate::config::Prices;
use crate::ids::TenantId;
use crate::llm::{ChatModel, ChatRequest, ChatStream, Completion, Delta, LlmError, Message, OptionalChatModel, Usage};
use crate::quota::Limits;
use crate::quota::tokens::{self, Account, Reservation, Reserved, Spent};
use crate::redact::Redactor;
use crate::store::Store;

/// Where in the ladder a model stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    First,
    /// Asked when the first one fails.
    Second,
}

/// One provider with its model.
#[derive(Clone)]
pub struct Step {
    pub place: Place,
    /// Its host.
    pub provider: String,
    pub model: Arc<dyn ChatModel>,
    pub prices: Option<Prices>,
    /// Whether personal data is taken out.
    pub redact: bool,
}

/// The configured models, best first; none: every answer is extractive.
#[derive(Clone, Default)]
pub struct Ladder(Arc<[Step]>);

impl Ladder {
    pub fn new(steps: Vec<Step>) -> Self {
        Self(steps.into())
    }

    /// Whether there is no model at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As `tenant` may use it within `limits`; `None` without models.
    pub fn for_tenant(&self, store: &Store, tenant: TenantId, limits: Limits, clock: &Clock) -> OptionalTenantModel {
        if self.0.is_empty() {
            return None;
        }
        let (steps, store, clock) = (self.0.clone(), store.clone(), clock.clone());
        Some(Arc::new(TenantModel { steps, store, tenant, limits, clock, calls: Mutex::default() }))
    }
}

impl From<OptionalChatModel> for Ladder {
    /// One model on this machine, without prices.
    fn from(model: OptionalChatModel) -> Self {
        let step =
            |model| Step { place: Place::First, provider: "localhost".into(), model, prices: None, redact: false };
        Self::new(model.map(step).into_iter().collect())
    }
}

/// The ladder for one request of one tenant; `None` without models.
pub type OptionalTenantModel = Option<Arc<TenantModel>>;

/// What something cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Cost {
    /// Decimal.
    pub amount: String,
    /// ISO 4217.
    pub currency: String,
}

/// One call, as the answer shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ModelCall {
    pub place: Place,
    pub provider: String,
    pub model: String,
    /// As the provider counted them, else as counted here.
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
    /// Absent without configured prices.
    pub cost: Option<Cost>,
    /// Values that were taken out of what was sent.
    pub redacted: usize,
    /// Why it gave no answer.
    pub failed: Option<String>,
}

/// See the module.
pub struct TenantModel {
    steps: Arc<[Step]>,
    store: Store,
    tenant: TenantId,
    limits: Limits,
    clock: Clock,
    calls: Mutex<Vec<ModelCall>>,
}

impl TenantModel {
    /// The calls so far, in order.
    pub fn calls(&self) -> Vec<ModelCall> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The call that answered last.
    pub fn answered(&self) -> Option<ModelCall> {
        self.calls().into_iter().rev().find(|call| call.failed.is_none())
    }

    async fn climb(&self, request: ChatRequest) -> Result<Completion, LlmError> {
        let mut failed = LlmError::CircuitOpen;
        for step in self.steps.iter() {
            match self.call(step, &request).await {
                Ok(completion) => return Ok(completion),
                // The second provider would use the same tokens.
                Err(error @ (LlmError::TokensUsedUp { .. } | LlmError::Unmetered)) => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, provider = step.provider, model = step.model.model_id(), "a model failed");
                    failed = error;
                }
            }
        }
        Err(failed)
    }

    /// One call to one model, paid for.
    async fn call(&self, step: &Step, request: &ChatRequest) -> Result<Completion, LlmError> {
        let (request, redactor) = if step.redact { redacted(request) } else { (request.clone(), Redactor::default()) };
        let most = Spent {
            prompt_tokens: prompt_tokens(&request),
            completion_tokens: request.max_tokens.into(),
            cost_micros: 0,
        };
        let reservation = self.reserve(step, most).await?;
        let outcome = step.model.complete(request).await;
        let used = used(&outcome, most);
        let spent = Spent { cost_micros: step.prices.as_ref().map_or(0, |prices| cost_micros(prices, used)), ..used };
        if let Err(error) = tokens::settle(&self.store, self.tenant, reservation, spent).await {
            // What was reserved stays taken: too much is counted, never too little.
            tracing::warn!(%error, "the tokens of a call could not be settled");
        }
        self.record(step, spent, redactor.count(), outcome.as_ref().err());
        outcome.map(|completion| Completion { text: redactor.restore(&completion.text), ..completion })
    }

    async fn reserve(&self, step: &Step, most: Spent) -> Result<Reservation, LlmError> {
        let account = Account {
            provider: step.provider.clone(),
            model: step.model.model_id().to_owned(),
            currency: step.prices.as_ref().map(|prices| prices.currency.clone()).unwrap_or_default(),
        };
        let most = most.prompt_tokens.saturating_add(most.completion_tokens);
        let now = self.clock.now();
        match tokens::reserve(&self.store, self.tenant, &self.limits, &account, most, now).await {
            Ok(Reserved::Yes(reservation)) => Ok(reservation),
            Ok(Reserved::No { resets, .. }) => {
                metrics::counter!("countersign_llm_calls_total", "outcome" => "no_tokens_left").increment(1);
                Err(LlmError::TokensUsedUp { resets: resets.to_string() })
            }
            Err(error) => {
                tracing::warn!(%error, "the tokens of a call could not be reserved");
                Err(LlmError::Unmetered)
            }
        }
    }

    fn record(&self, step: &Step, spent: Spent, redacted: usize, failed: Option<&LlmError>) {
        let outcome = if failed.is_none() { "answered" } else { "failed" };
        metrics::counter!("countersign_llm_calls_total", "outcome" => outcome).increment(1);
        let call = ModelCall {
            place: step.place,
            provider: step.provider.clone(),
            model: step.model.model_id().to_owned(),
            prompt_tokens: spent.prompt_tokens,
            completion_tokens: spent.completion_tokens,
            cost: step
                .prices
                .as_ref()
                .map(|prices| Cost { amount: tokens::amount(spent.cost_micros), currency: prices.currency.clone() }),
            redacted,
            failed: failed.map(ToString::to_string),
        };
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).push(call);
    }
}

/// The sum of what calls cost; `None` when one of them has no price, or they differ in currency: a part of the sum would mislead.
pub fn total_cost(calls: &[ModelCall]) -> Option<Cost> {
    let currency = calls.first()?.cost.as_ref()?.currency.clone();
    let mut sum = Decimal::ZERO;
    for call in calls {
        let cost = call.cost.as_ref().filter(|cost| cost.currency == currency)?;
        sum += cost.amount.parse::<Decimal>().ok()?;
    }
    Some(Cost { amount: sum.normalize().to_string(), currency })
}

fn redacted(request: &ChatRequest) -> (ChatRequest, Redactor) {
    let mut redactor = Redactor::for_texts(request.messages.iter().map(|message| message.content.as_str()));
    let messages = request
        .messages
        .iter()
        .map(|message| Message { role: message.role, content: redactor.redact(&message.content) })
        .collect();
    (ChatRequest { messages, ..request.clone() }, redactor)
}

/// Tokens that the provider's own counting adds to each message and to the whole.
const PER_MESSAGE: usize = 8;

/// The prompt as counted here, with a tenth more: other models cut words otherwise.
fn prompt_tokens(request: &ChatRequest) -> u64 {
    let messages: usize =
        request.messages.iter().map(|message| ingest::count_tokens(&message.content) + PER_MESSAGE).sum();
    let schema = request.json_schema.as_ref().map_or(0, |(_, schema)| ingest::count_tokens(&schema.to_string()));
    let counted = (messages + schema) as u64;
    counted + counted.div_ceil(10)
}

/// What a call is charged: what the provider counted, else what was counted here; nothing when it did not begin to answer, and all of it
/// when it began and failed.
fn used(outcome: &Result<Completion, LlmError>, most: Spent) -> Spent {
    let completion = match outcome {
        Ok(completion) => completion,
        Err(
            LlmError::CircuitOpen
            | LlmError::Address(_)
            | LlmError::Network(_)
            | LlmError::RateLimited { .. }
            | LlmError::Rejected { .. }
            | LlmError::TokensUsedUp { .. }
            | LlmError::Unmetered
            | LlmError::TooLarge("the prompt"),
        ) => return Spent::default(),
        Err(LlmError::Server { status }) if *status != 200 => return Spent::default(),
        Err(
            LlmError::Server { .. }
            | LlmError::Timeout
            | LlmError::Stalled
            | LlmError::Malformed(_)
            | LlmError::Truncated
            | LlmError::Empty
            | LlmError::TooLarge(_)
            | LlmError::Refused,
        ) => return most,
    };
    let Usage { prompt_tokens, completion_tokens } = completion.usage;
    let or = |counted: u64, own: u64| if counted == 0 { own } else { counted };
    Spent {
        prompt_tokens: or(prompt_tokens, most.prompt_tokens),
        completion_tokens: or(completion_tokens, ingest::count_tokens(&completion.text) as u64),
        cost_micros: 0,
    }
}

/// A price for a million tokens in units is the price of one token in millionths. Half a millionth is rounded up.
fn cost_micros(prices: &Prices, used: Spent) -> i64 {
    let cost =
        prices.prompt * Decimal::from(used.prompt_tokens) + prices.answer * Decimal::from(used.completion_tokens);
    cost.round_dp_with_strategy(0, rust_decimal::RoundingStrategy::MidpointAwayFromZero).to_i64().unwrap_or(i64::MAX)
}

impl ChatModel for TenantModel {
    /// Of the first model.
    fn model_id(&self) -> &str {
        self.steps.first().map_or("", |step| step.model.model_id())
    }

    fn complete(&self, request: ChatRequest) -> BoxFuture<'_, Result<Completion, LlmError>> {
        self.climb(request).boxed()
    }

    /// The whole answer as one delta: nothing of it is shown before it was checked, so there is nothing to gain from pieces.
    fn stream(&self, request: ChatRequest) -> BoxFuture<'_, Result<ChatStream, LlmError>> {
        async move {
            let Completion { text, finish, usage } = self.climb(request).await?;
            Ok(stream::iter([Ok(Delta::Text(text)), Ok(Delta::End { finish, usage })]).boxed())
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::Finish;

    const MOST: Spent = Spent { prompt_tokens: 100, completion_tokens: 50, cost_micros: 0 };

    #[test]
    fn a_call_is_charged_by_what_came_of_it() {
        let answer = |usage| Ok(Completion { text: "two words".into(), finish: Finish::Stop, usage });
        let told = Usage { prompt_tokens: 7, completion_tokens: 3 };
        assert_eq!(used(&answer(told), MOST), Spent { prompt_tokens: 7, completion_tokens: 3, cost_micros: 0 });
        assert_eq!(used(&answer(Usage::default()), MOST).prompt_tokens, 100);
        assert_eq!(used(&answer(Usage::default()), MOST).completion_tokens, 2);
        assert_eq!(used(&Err(LlmError::Timeout), MOST), MOST);
        assert_eq!(used(&Err(LlmError::Server { status: 200 }), MOST), MOST);
        for free in [LlmError::CircuitOpen, LlmError::Server { status: 500 }, LlmError::Rejected { status: 401 }] {
            assert_eq!(used(&Err(free), MOST), Spent::default());
        }
    }

    #[test]
    fn costs_are_exact_and_only_summed_when_they_can_be() {
        let price = |text: &str| text.parse::<Decimal>().unwrap();
        let prices = Prices { prompt: price("0.15"), answer: price("0.60"), currency: "USD".into() };
        // 100 x 0.15 + 50 x 0.60 millionths.
        assert_eq!(cost_micros(&prices, MOST), 45);
        assert_eq!(cost_micros(&prices, Spent { prompt_tokens: 1, completion_tokens: 1, cost_micros: 0 }), 1);
        let call = |amount: &str, currency: &str| ModelCall {
            place: Place::First,
            provider: "x".into(),
            model: "m".into(),
            prompt_tokens: 1,
            completion_tokens: 1,
            cost: (!amount.is_empty()).then(|| Cost { amount: amount.into(), currency: currency.into() }),
            redacted: 0,
            failed: None,
        };
        let usd = Cost { amount: "0.3".into(), currency: "USD".into() };
        assert_eq!(total_cost(&[call("0.1", "USD"), call("0.2", "USD")]), Some(usd));
        assert_eq!(total_cost(&[call("0.1", "USD"), call("0.2", "EUR")]), None);
        assert_eq!(total_cost(&[call("0.1", "USD"), call("", "")]), None);
        assert_eq!(total_cost(&[]), None);
    }
}
