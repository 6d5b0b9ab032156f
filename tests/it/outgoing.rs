//! Outgoing connections: closed addresses are refused when connecting, and a key goes to the configured host only.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use countersign::{
    llm::{
        ChatModel, ChatRequest, LlmError, Message,
        openai::{OpenAiChat, ProviderConfig},
    },
    net::{Endpoint, Lookup, NetError, NetPolicy},
    secret::Secret,
};

use crate::stub_llm::{Script, StubLlm};

/// A name server that gives its answers in turn; the last one stays.
struct ChangingLookup {
    answers: Vec<Vec<IpAddr>>,
    asked: AtomicUsize,
}

impl ChangingLookup {
    fn new(answers: &[&[&str]]) -> Arc<Self> {
        let answers = answers.iter().map(|answer| answer.iter().map(|ip| ip.parse().unwrap()).collect()).collect();
        Arc::new(Self { answers, asked: AtomicUsize::new(0) })
    }
}

impl Lookup for ChangingLookup {
    fn lookup(&self, _host: String) -> futures::future::BoxFuture<'static, std::io::Result<Vec<IpAddr>>> {
        let turn = self.asked.fetch_add(1, Ordering::Relaxed).min(self.answers.len() - 1);
        let answer = self.answers[turn].clone();
        Box::pin(async move { Ok(answer) })
    }
}

fn request() -> ChatRequest {
    ChatRequest::text(vec![Message::user("hello")], 5)
}

/// A base URL with a name instead of the stub's address.
fn named(server: &StubLlm) -> String {
    server.base_url.replace("127.0.0.1", "models.example.test")
}

#[tokio::test]
async fn a_name_that_changes_to_a_closed_address_is_refused_at_the_next_connection() {
    let server = StubLlm::start([Script::Text("hello"), Script::Text("never")]).await;
    // Loopback stands for an allowed address here; metadata is closed to everyone.
    let lookup = ChangingLookup::new(&[&["127.0.0.1"], &["169.254.169.254"]]);
    let config = ProviderConfig { allow_private_network: true, retries: 0, ..ProviderConfig::new(named(&server)) };
    let first = OpenAiChat::with_lookup(config.clone(), "m", lookup.clone()).unwrap();
    assert_eq!(first.complete(request()).await.unwrap().text, "hello");
    // A new connection asks again, and the answer is judged again.
    let second = OpenAiChat::with_lookup(config, "m", lookup.clone()).unwrap();
    let error = second.complete(request()).await.unwrap_err();
    assert_eq!(error, LlmError::Address(NetError::Forbidden("link-local and metadata")));
    assert_eq!(lookup.asked.load(Ordering::Relaxed), 2);
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_name_with_one_closed_address_among_open_ones_is_refused() {
    for closed in ["127.0.0.1", "10.1.2.3", "::1", "fd00::1", "::ffff:192.168.0.1", "64:ff9b::a00:1", "2002:7f00:1::"] {
        let lookup = ChangingLookup::new(&[&["93.184.216.34", closed]]);
        let endpoint = Endpoint::parse("https://models.example.test/v1", NetPolicy::default()).unwrap();
        let client = endpoint.client(Duration::from_secs(1), lookup).unwrap();
        let error = client.get("https://models.example.test/v1").send().await.unwrap_err();
        let mut cause: &dyn std::error::Error = &error;
        while let Some(next) = cause.source() {
            cause = next;
        }
        assert!(matches!(cause.downcast_ref(), Some(NetError::Forbidden(_))), "{closed}: {error:?}");
    }
}

#[tokio::test]
async fn a_private_network_is_reached_only_when_configured() {
    let server = StubLlm::start([Script::Text("hello")]).await;
    for base_url in [server.base_url.clone(), "http://127.1:1/v1".into(), "https://2130706433/v1".into()] {
        let refused = OpenAiChat::new(ProviderConfig::new(&base_url), "m", false).err();
        assert!(matches!(refused, Some(LlmError::Address(_))), "{base_url}");
    }
    let open = ProviderConfig { allow_private_network: true, ..ProviderConfig::new(&server.base_url) };
    assert_eq!(OpenAiChat::new(open, "m", false).unwrap().complete(request()).await.unwrap().text, "hello");
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_the_key_stays_home() {
    let elsewhere = StubLlm::start([Script::Text("stolen")]).await;
    let target = format!("{}/chat/completions", elsewhere.base_url);
    let server = StubLlm::start([Script::Redirect(target)]).await;
    let config = ProviderConfig {
        key: Some(Secret::new("sk-test")),
        allow_private_network: true,
        ..ProviderConfig::new(&server.base_url)
    };
    let error = OpenAiChat::new(config, "m", false).unwrap().complete(request()).await.unwrap_err();
    assert_eq!(error, LlmError::Rejected { status: 307 });
    assert_eq!((server.seen().len(), elsewhere.seen().len()), (1, 0));
}

#[tokio::test]
async fn without_a_key_no_authorization_is_sent() {
    let server = StubLlm::start([Script::Text("hello")]).await;
    let config = ProviderConfig { allow_private_network: true, ..ProviderConfig::new(&server.base_url) };
    OpenAiChat::new(config, "m", false).unwrap().complete(request()).await.unwrap();
    assert_eq!(server.seen()[0].authorization, None);
}

#[tokio::test]
async fn nobody_listening_is_a_network_failure_by_name() {
    let config =
        ProviderConfig { allow_private_network: true, retries: 0, ..ProviderConfig::new("http://127.0.0.1:1/v1") };
    let error = OpenAiChat::new(config, "m", false).unwrap().complete(request()).await.unwrap_err();
    assert_eq!(error, LlmError::Network("no connection"));
}
