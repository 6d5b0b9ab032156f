//! Configuration: one documented file + environment + flags, checked once at start. Base module.
//!
//! Precedence: flags, environment (`COUNTERSIGN_<SECTION>__<KEY>`), `./countersign.toml` (or `--config`), the user's file, the system's
//! file, defaults. Secrets come from files or environment only, never from flags; they are held in [`Secret`] and print as `***`.

mod layers;
mod networks;

pub use layers::{ConfigError, Layers, Origin, Setting};
pub use networks::Networks;

use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::secret::Secret;

/// The whole configuration. Unknown keys are refused.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub server: ServerConfig,
    pub storage: StorageConfig,
    pub embedding: EmbeddingConfig,
    pub llm: LlmConfig,
    pub llm_fallback: FallbackConfig,
    pub quota: QuotaConfig,
    pub ingest: IngestConfig,
    pub retrieve: RetrieveConfig,
    pub history: HistoryConfig,
    pub telemetry: TelemetryConfig,
    pub webhooks: WebhooksConfig,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// Address to listen on. A public one needs `behind_tls_proxy = true`: the service itself speaks plain HTTP.
    pub listen: SocketAddr,
    /// Set when a proxy in front terminates TLS.
    pub behind_tls_proxy: bool,
    /// Largest request body, bytes.
    pub body_max_bytes: NonZeroUsize,
    /// A request that has not been answered by then gets 503; a write it began still finishes.
    pub request_timeout_ms: NonZeroU32,
    /// How long a shutdown waits for requests in progress.
    pub shutdown_timeout_ms: NonZeroU32,
    /// Open connections; the next ones wait to be accepted.
    pub max_connections: NonZeroU32,
    /// Longest wait for a request's headers, on a new connection or between two requests.
    pub header_timeout_ms: NonZeroU32,
    /// Longest time in which a request's body must have arrived.
    pub body_timeout_ms: NonZeroU32,
    /// Longest time in which a client takes nothing of its answer.
    pub write_timeout_ms: NonZeroU32,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Networks,
    /// Serve `/docs` and `/openapi.json` without a key.
    pub public_docs: bool,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            behind_tls_proxy: false,
            body_max_bytes: nonzero_usize(8 * 1024 * 1024),
            request_timeout_ms: nonzero_u32(60_000),
            shutdown_timeout_ms: nonzero_u32(20_000),
            max_connections: nonzero_u32(1_024),
            header_timeout_ms: nonzero_u32(20_000),
            body_timeout_ms: nonzero_u32(30_000),
            write_timeout_ms: nonzero_u32(30_000),
            trusted_proxies: Networks::default(),
            public_docs: true,
        }
    }
}

impl ServerConfig {
    pub fn body_timeout(&self) -> Duration {
        Duration::from_millis(self.body_timeout_ms.get().into())
    }
}

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct StorageConfig {
    /// Data directory: database, vectors, keys. Default: `countersign` under the user's data directory.
    pub dir: Option<PathBuf>,
    /// `postgres://…` as a role that does not own the tables; absent: SQLite in the data directory.
    #[serde(skip_serializing)]
    pub database_url: Option<Secret>,
    pub database_url_file: Option<PathBuf>,
    /// The owner of the tables, for migrations.
    #[serde(skip_serializing)]
    pub migrate_url: Option<Secret>,
    pub migrate_url_file: Option<PathBuf>,
    /// Connections in the pool; default 8.
    pub max_connections: Option<NonZeroU32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EmbeddingProvider {
    /// all-MiniLM-L6-v2 on this machine.
    #[default]
    Local,
    /// Any OpenAI-compatible `/embeddings`.
    Openai,
    /// A deterministic hash of words: for tests, no meaning.
    Hashed,
    /// Keyword search only.
    None,
}

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct EmbeddingConfig {
    pub provider: EmbeddingProvider,
    /// A directory with `model.safetensors` and `tokenizer.json` (local provider).
    pub model_dir: Option<PathBuf>,
    /// Where a fetched model is kept; default: `countersign` under the user's cache directory.
    pub cache_dir: Option<PathBuf>,
    /// Never fetch a model.
    pub offline: bool,
    pub base_url: Option<String>,
    pub model: Option<String>,
    /// Dimension of the provider's vectors.
    pub dim: Option<NonZeroU16>,
    #[serde(skip_serializing)]
    pub api_key: Option<Secret>,
    pub api_key_file: Option<PathBuf>,
    /// Allow a provider on this machine or network (Ollama, vLLM, llama.cpp).
    pub allow_private_network: bool,
    /// Whether e-mail addresses, phone, card and account numbers are taken out of what is sent.
    pub redact: Redaction,
}

/// Whether personal data is taken out before a text is sent to a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Redaction {
    /// Unless the provider is on this machine.
    #[default]
    Auto,
    Always,
    Never,
}

impl Redaction {
    /// Whether it is done for a provider at `base_url`.
    pub fn applies_to(self, base_url: &str) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => !reqwest::Url::parse(base_url).is_ok_and(|url| match url.host_str() {
                Some("localhost") => true,
                Some(host) => {
                    let address: Result<std::net::IpAddr, _> = host.trim_matches(['[', ']']).parse();
                    address.is_ok_and(|address| address.to_canonical().is_loopback())
                }
                None => false,
            }),
        }
    }
}

/// What a provider asks for a million tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prices {
    pub prompt: Decimal,
    pub answer: Decimal,
    /// ISO 4217.
    pub currency: String,
}

impl Prices {
    fn new(prompt: Option<Decimal>, answer: Option<Decimal>, currency: Option<&str>) -> Option<Self> {
        Some(Self { prompt: prompt?, answer: answer?, currency: currency?.to_owned() })
    }
}

/// The provider that is asked when the first one fails; absent: there is none.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct FallbackConfig {
    pub base_url: Option<String>,
    pub model: Option<String>,
    #[serde(skip_serializing)]
    pub api_key: Option<Secret>,
    pub api_key_file: Option<PathBuf>,
    pub allow_private_network: bool,
    pub redact: Redaction,
    pub price_prompt: Option<Decimal>,
    pub price_answer: Option<Decimal>,
    pub price_currency: Option<String>,
}

impl FallbackConfig {
    pub fn prices(&self) -> Option<Prices> {
        Prices::new(self.price_prompt, self.price_answer, self.price_currency.as_deref())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenPeriod {
    Day,
    #[default]
    Month,
}

impl TokenPeriod {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
        }
    }
}

/// What a tenant may use, unless an operator set something else for it.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct QuotaConfig {
    /// Requests a minute of one API key; 0: no limit.
    pub key_per_minute: u32,
    /// Requests a minute of all keys of a tenant; 0: no limit.
    pub tenant_per_minute: u32,
    /// Tokens of chat models in a period; absent: no limit.
    pub token_limit: Option<u64>,
    /// Calendar day or month, UTC.
    pub token_period: TokenPeriod,
}

impl Default for QuotaConfig {
    fn default() -> Self {
        Self { key_per_minute: 12_000, tenant_per_minute: 60_000, token_limit: None, token_period: TokenPeriod::Month }
    }
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct LlmConfig {
    /// Base URL of an OpenAI-compatible provider, as `https://host/v1`; absent: extractive answers.
    pub base_url: Option<String>,
    pub model: Option<String>,
    #[serde(skip_serializing)]
    pub api_key: Option<Secret>,
    pub api_key_file: Option<PathBuf>,
    pub allow_private_network: bool,
    /// Whether e-mail addresses, phone, card and account numbers are taken out of what is sent.
    pub redact: Redaction,
    /// What a million tokens of prompt and of answer cost, in `price_currency`.
    pub price_prompt: Option<Decimal>,
    pub price_answer: Option<Decimal>,
    pub price_currency: Option<String>,
    /// Longest wait for the first token.
    pub first_token_timeout_ms: NonZeroU32,
    /// Longest silence between tokens.
    pub stall_timeout_ms: NonZeroU32,
    /// Tokens of evidence put into a prompt.
    pub context_tokens: NonZeroU32,
    /// Tokens the model may write.
    pub answer_tokens: NonZeroU32,
}

impl Default for LlmConfig {
    fn default() -> Self {
        Self {
            base_url: None,
            model: None,
            api_key: None,
            api_key_file: None,
            allow_private_network: false,
            redact: Redaction::Auto,
            price_prompt: None,
            price_answer: None,
            price_currency: None,
            first_token_timeout_ms: nonzero_u32(30_000),
            stall_timeout_ms: nonzero_u32(10_000),
            context_tokens: nonzero_u32(3_000),
            answer_tokens: nonzero_u32(800),
        }
    }
}

impl LlmConfig {
    pub fn prices(&self) -> Option<Prices> {
        Prices::new(self.price_prompt, self.price_answer, self.price_currency.as_deref())
    }
}

/// PDF, office files and mails are read in processes of their own; these are the limits of each.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct IngestConfig {
    /// Memory of a reading process, bytes.
    pub extract_memory_bytes: NonZeroUsize,
    /// Processor time of a reading process, seconds.
    pub extract_cpu_s: NonZeroU32,
    /// Longest wait for a reading process.
    pub extract_timeout_ms: NonZeroU32,
    /// Reading processes at a time.
    pub extract_processes: NonZeroU16,
    /// The program that reads; this one, unless a test says otherwise.
    #[serde(skip)]
    pub program: Option<PathBuf>,
}

impl Default for IngestConfig {
    fn default() -> Self {
        Self {
            extract_memory_bytes: nonzero_usize(256 * 1024 * 1024),
            extract_cpu_s: nonzero_u32(5),
            extract_timeout_ms: nonzero_u32(15_000),
            extract_processes: nonzero_u16(2),
            program: None,
        }
    }
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetrieveConfig {
    /// Chunks asked of each leg before fusion.
    pub candidates_per_leg: NonZeroU16,
    /// Passages an answer rests on; twice as many compete. At most `2 * candidates_per_leg`.
    pub passages_max: NonZeroU16,
}

impl Default for RetrieveConfig {
    fn default() -> Self {
        Self { candidates_per_leg: nonzero_u16(100), passages_max: nonzero_u16(12) }
    }
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct HistoryConfig {
    /// Days that answers and conversations are kept for whoever asked; 0: nothing is kept, and there are no conversations.
    pub retention_days: u16,
}

impl Default for HistoryConfig {
    fn default() -> Self {
        Self { retention_days: 90 }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetryConfig {
    pub log_format: LogFormat,
    /// As in `RUST_LOG`; default `info`.
    pub log_filter: Option<String>,
    /// OTLP/HTTP endpoint for traces; absent: none are exported.
    pub otlp_endpoint: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebhooksConfig {
    /// Send webhooks to this machine or network too (n8n beside the service), and over plain HTTP.
    pub allow_private_network: bool,
}

/// Highest price of a million tokens: costs stay within 64 bits.
const PRICE_MAX: Decimal = Decimal::from_parts(1_000_000, 0, 0, false, 0);

impl Config {
    /// What types cannot say. Returns every problem, one line each.
    pub fn check(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.retrieve.passages_max.get() > 2 * self.retrieve.candidates_per_leg.get() {
            problems.push("retrieve.passages_max is more than twice retrieve.candidates_per_leg".into());
        }
        if !self.server.listen.ip().is_loopback() && !self.server.behind_tls_proxy {
            problems.push(
                "server.listen is not a loopback address and the service speaks plain HTTP: put a TLS proxy in front and set \
                 server.behind_tls_proxy = true"
                    .into(),
            );
        }
        if self.llm.base_url.is_some() != self.llm.model.is_some() {
            problems.push("llm.base_url and llm.model go together".into());
        }
        let fallback = &self.llm_fallback;
        if fallback.base_url.is_some() != fallback.model.is_some() {
            problems.push("llm_fallback.base_url and llm_fallback.model go together".into());
        }
        if fallback.base_url.is_some() && self.llm.base_url.is_none() {
            problems.push("llm_fallback is asked when llm fails: set llm.base_url and llm.model too".into());
        }
        let prices = [
            ("llm", self.llm.price_prompt, self.llm.price_answer, &self.llm.price_currency),
            ("llm_fallback", fallback.price_prompt, fallback.price_answer, &fallback.price_currency),
        ];
        for (section, prompt, answer, currency) in prices {
            let set = [prompt.is_some(), answer.is_some(), currency.is_some()];
            let negative = prompt.into_iter().chain(answer).any(|price| price.is_sign_negative() || price > PRICE_MAX);
            let code =
                currency.as_ref().is_none_or(|code| code.len() == 3 && code.bytes().all(|b| b.is_ascii_uppercase()));
            if set.contains(&true) && (set.contains(&false) || negative || !code) {
                problems.push(format!(
                    "{section}.price_prompt and price_answer are amounts for a million tokens and go together with price_currency, as \"USD\""
                ));
            }
        }
        if self.quota.token_limit.is_some_and(|limit| limit > 1_000_000_000_000_000) {
            problems.push("quota.token_limit is at most 1,000,000,000,000,000".into());
        }
        if self.embedding.provider == EmbeddingProvider::Openai
            && (self.embedding.base_url.is_none() || self.embedding.model.is_none() || self.embedding.dim.is_none())
        {
            problems.push("embedding.provider = \"openai\" needs base_url, model and dim".into());
        }
        for (name, key) in [
            ("llm.api_key", &self.llm.api_key),
            ("llm_fallback.api_key", &self.llm_fallback.api_key),
            ("embedding.api_key", &self.embedding.api_key),
        ] {
            let placeholder = ["", "changeme", "change-me", "secret", "password", "your-api-key", "sk-xxx"];
            if key.as_ref().is_some_and(|key| placeholder.contains(&key.expose().to_lowercase().as_str())) {
                problems.push(format!("{name} is empty or a placeholder"));
            }
        }
        problems
    }

    pub fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.server.request_timeout_ms.get().into())
    }
}

fn nonzero_u16(n: u16) -> NonZeroU16 {
    NonZeroU16::new(n).unwrap_or(NonZeroU16::MIN)
}

fn nonzero_u32(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN)
}

fn nonzero_usize(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).unwrap_or(NonZeroUsize::MIN)
}
