//! One OpenAI-compatible provider: the guarded connection that chat and embeddings share.
//!
//! `async-openai` writes requests and reads events; every request passes [`Guard`], which names the outcome. Around it:
//! attempts with jittered back-off, and the circuit breaker. What a reply must contain is decided by the callers.

use std::{future::Future, sync::Arc, time::Duration};

use async_openai::{Client, config::OpenAIConfig};
use tokio::time::Instant;

pub(crate) use super::guard::outcome;
use super::{
    LlmError,
    breaker::{Breaker, BreakerConfig},
    guard::{Guard, authorization},
};
use crate::{
    net::{Endpoint, Lookup, NetPolicy, SystemLookup},
    secret::Secret,
};

/// How to reach a provider, and how patient to be.
#[derive(Debug, Clone)]
pub struct ProviderConfig {
    /// From configuration only, with the version path: `https://api.openai.com/v1`, `http://localhost:11434/v1`.
    pub base_url: String,
    /// Sent as a bearer token to `base_url`'s origin and nowhere else; `None` sends none.
    pub key: Option<Secret>,
    /// Take `http` and addresses of this machine or network.
    pub allow_private_network: bool,
    pub connect_timeout: Duration,
    /// Longest wait for the first delta of a stream.
    pub first_token_timeout: Duration,
    /// Longest silence inside a stream.
    pub stall_timeout: Duration,
    /// Longest time for a whole answer, attempts and pauses included.
    pub total_timeout: Duration,
    /// Most bytes of one reply.
    pub max_response_bytes: usize,
    /// Attempts after the first one, made only when nothing was received.
    pub retries: u32,
    pub breaker: BreakerConfig,
}

impl ProviderConfig {
    /// A provider at `base_url` with the default patience.
    pub fn new(base_url: impl Into<String>) -> Self {
        Self {
            base_url: base_url.into(),
            key: None,
            allow_private_network: false,
            connect_timeout: Duration::from_secs(5),
            first_token_timeout: Duration::from_secs(30),
            stall_timeout: Duration::from_secs(20),
            total_timeout: Duration::from_secs(120),
            max_response_bytes: 4 << 20,
            retries: 2,
            breaker: BreakerConfig::default(),
        }
    }
}

/// First pause between attempts; doubles each time.
const BACKOFF: Duration = Duration::from_millis(250);
/// Longest pause between attempts, also when the provider asks for more: the next rung is better than a long wait.
const MAX_PAUSE: Duration = Duration::from_secs(8);

/// A provider that can be called.
pub(crate) struct Provider {
    pub client: Client<OpenAIConfig>,
    pub config: ProviderConfig,
    breaker: Breaker,
}

impl Provider {
    /// Checks the address and the key; connects to nothing yet.
    pub fn new(config: ProviderConfig) -> Result<Self, LlmError> {
        Self::with_lookup(config, Arc::new(SystemLookup))
    }

    /// As [`Provider::new`] with a resolver of the caller's.
    pub fn with_lookup(config: ProviderConfig, lookup: Arc<dyn Lookup>) -> Result<Self, LlmError> {
        let policy = NetPolicy { allow_private_network: config.allow_private_network };
        let endpoint = Endpoint::parse(&config.base_url, policy)?;
        let guard = Guard {
            client: endpoint.client(config.connect_timeout, lookup)?,
            authorization: config.key.as_ref().map(authorization).transpose()?,
            max_response_bytes: config.max_response_bytes,
            endpoint: Arc::new(endpoint),
        };
        // Every field is set, because the library's defaults read the environment.
        let library = OpenAIConfig::default()
            .with_api_base(guard.endpoint.base())
            .with_api_key("")
            .with_org_id("")
            .with_project_id("");
        let breaker = Breaker::new(config.breaker);
        Ok(Self { client: Client::build(guard.client.clone(), library).with_http_service(guard), config, breaker })
    }

    /// Runs `attempt` until it works, fails in a way that trying again does not help, or the bounds are reached.
    ///
    /// - `patience`: longest time of one attempt; [`LlmError::Timeout`] after that, which is not tried again.
    /// - `attempt`: must fail with a retryable error only when it has received nothing of an answer.
    pub async fn run<T, F>(&self, patience: Duration, attempt: impl Fn() -> F) -> Result<T, LlmError>
    where
        F: Future<Output = Result<T, LlmError>>,
    {
        let deadline = Instant::now() + self.config.total_timeout;
        let mut attempts = 0;
        loop {
            if !self.breaker.allow(Instant::now().into_std()) {
                return Err(LlmError::CircuitOpen);
            }
            let until = deadline.min(Instant::now() + patience);
            let outcome = tokio::time::timeout_at(until, attempt()).await.unwrap_or(Err(LlmError::Timeout));
            self.report(outcome.as_ref().err());
            let error = match outcome {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let Some(pause) = pause_before_retry(&error, attempts, rand::random()) else { return Err(error) };
            if attempts >= self.config.retries || Instant::now() + pause >= deadline {
                return Err(error);
            }
            attempts += 1;
            tokio::time::sleep(pause).await;
        }
    }

    /// Tells the breaker how a call went, when that says something about the provider.
    pub fn report(&self, error: Option<&LlmError>) {
        match error {
            None | Some(LlmError::Empty | LlmError::Refused) => self.breaker.succeeded(),
            Some(
                LlmError::Rejected { .. }
                | LlmError::TooLarge(_)
                | LlmError::Address(_)
                | LlmError::CircuitOpen
                | LlmError::TokensUsedUp { .. }
                | LlmError::Unmetered,
            ) => {}
            Some(
                LlmError::Timeout
                | LlmError::Stalled
                | LlmError::RateLimited { .. }
                | LlmError::Server { .. }
                | LlmError::Malformed(_)
                | LlmError::Truncated
                | LlmError::Network(_),
            ) => self.breaker.failed(Instant::now().into_std()),
        }
    }
}

/// How long to wait before the attempt after number `attempts`; `None` when another attempt does not help.
///
/// - `unit`: the jitter, 0 to 1; the pause is 50 to 100 % of the exponential step.
fn pause_before_retry(error: &LlmError, attempts: u32, unit: f64) -> Option<Duration> {
    match error {
        LlmError::RateLimited { retry_after: Some(wanted) } => (*wanted <= MAX_PAUSE).then_some(*wanted),
        LlmError::RateLimited { retry_after: None } | LlmError::Server { .. } | LlmError::Network(_) => {
            let step = BACKOFF.saturating_mul(1 << attempts.min(16)).min(MAX_PAUSE);
            Some(step.mul_f64(0.5 + unit.clamp(0.0, 1.0) / 2.0))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_with_jitter_and_are_bounded() {
        let server = LlmError::Server { status: 503 };
        assert_eq!(pause_before_retry(&server, 0, 0.0), Some(BACKOFF / 2));
        assert_eq!(pause_before_retry(&server, 0, 1.0), Some(BACKOFF));
        assert_eq!(pause_before_retry(&server, 1, 1.0), Some(BACKOFF * 2));
        assert_eq!(pause_before_retry(&server, 60, 1.0), Some(MAX_PAUSE));
    }

    #[test]
    fn a_wait_the_provider_asks_for_is_kept_or_not_made_at_all() {
        let limited = |seconds| LlmError::RateLimited { retry_after: Some(Duration::from_secs(seconds)) };
        assert_eq!(pause_before_retry(&limited(3), 0, 0.0), Some(Duration::from_secs(3)));
        assert_eq!(pause_before_retry(&limited(60), 0, 0.0), None);
    }

    #[test]
    fn errors_that_another_attempt_does_not_help_are_final() {
        for error in [LlmError::Timeout, LlmError::Truncated, LlmError::Rejected { status: 401 }, LlmError::Stalled] {
            assert_eq!(pause_before_retry(&error, 0, 0.5), None, "{error}");
        }
    }

    #[test]
    fn the_key_is_nowhere_in_debug_output() {
        let config =
            ProviderConfig { key: Some(Secret::new("sk-live-1")), ..ProviderConfig::new("https://api.test/v1") };
        let shown = format!("{config:?} {:?}", authorization(config.key.as_ref().unwrap()));
        assert!(!shown.contains("sk-live"), "{shown}");
        assert!(authorization(&Secret::new("a\r\nX-Evil: 1")).is_err());
    }
}
