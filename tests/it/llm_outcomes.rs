//! Every way a provider can fail has a named outcome, takes bounded time and bytes, and shows nobody's text.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use countersign::{
    embed::{EmbedError, Embedder, openai::OpenAiEmbedder},
    llm::{
        ChatModel, ChatRequest, Delta, Finish, LlmError, Message, Usage,
        breaker::BreakerConfig,
        complete_json,
        openai::{OpenAiChat, ProviderConfig},
    },
    secret::Secret,
};
use futures::StreamExt;
use serde_json::json;

use crate::stub_llm::{Script, StubLlm};

const KEY: &str = "sk-test-SECRET-KEY";

fn config(server: &StubLlm) -> ProviderConfig {
    ProviderConfig {
        key: Some(Secret::new(KEY)),
        allow_private_network: true,
        first_token_timeout: Duration::from_millis(400),
        stall_timeout: Duration::from_millis(300),
        total_timeout: Duration::from_millis(1500),
        max_response_bytes: 1 << 20,
        retries: 0,
        ..ProviderConfig::new(&server.base_url)
    }
}

fn chat(config: ProviderConfig) -> OpenAiChat {
    OpenAiChat::new(config, "stub-model", false).unwrap()
}

fn request() -> ChatRequest {
    ChatRequest::text(vec![Message::system("be brief"), Message::user("SECRET-PROMPT")], 50)
}

fn json_request() -> ChatRequest {
    let schema = json!({"type": "object", "properties": {"total": {"type": "integer"}}, "required": ["total"]});
    ChatRequest { json_schema: Some(("answer".into(), schema)), ..request() }
}

/// What was shown of a stream, and how it ended. `Err` with nothing shown is an error of `stream()` itself.
async fn streamed(chat: &OpenAiChat) -> (String, Result<(Finish, Usage), LlmError>) {
    let mut shown = String::new();
    let mut stream = match chat.stream(request()).await {
        Ok(stream) => stream,
        Err(error) => return (shown, Err(error)),
    };
    let mut ended = None;
    while let Some(item) = stream.next().await {
        assert!(ended.is_none(), "an item after the end");
        match item {
            Ok(Delta::Text(text)) => shown.push_str(&text),
            Ok(Delta::End { finish, usage }) => ended = Some(Ok((finish, usage))),
            Err(error) => ended = Some(Err(error)),
        }
    }
    (shown, ended.expect("a stream says how it ended"))
}

fn no_secret(shown: impl std::fmt::Debug + std::fmt::Display) {
    let shown = format!("{shown:?} {shown}");
    assert!(!shown.contains("SECRET"), "{shown}");
}

#[tokio::test]
async fn a_whole_answer_comes_with_its_usage() {
    let server = StubLlm::start([Script::Text("an answer"), Script::Finished("half", "length")]).await;
    let chat = chat(config(&server));
    let answer = chat.complete(request()).await.unwrap();
    assert_eq!((answer.text.as_str(), answer.finish), ("an answer", Finish::Stop));
    assert_eq!(answer.usage, Usage { prompt_tokens: 7, completion_tokens: 3 });
    assert_eq!(chat.complete(request()).await.unwrap().finish, Finish::Length);
    let seen = &server.seen()[0];
    assert_eq!(seen.path, "/v1/chat/completions");
    assert_eq!(seen.authorization.as_deref(), Some(format!("Bearer {KEY}").as_str()));
    assert_eq!(seen.body["temperature"], 0);
    assert_eq!(seen.body["max_tokens"], 50);
    assert_eq!(seen.body["messages"][1], json!({"role": "user", "content": "SECRET-PROMPT"}));
}

#[tokio::test]
async fn a_streamed_answer_comes_word_by_word_with_its_usage() {
    let server = StubLlm::start([Script::Text("an answer in words")]).await;
    let (shown, ended) = streamed(&chat(config(&server))).await;
    assert_eq!(shown, "an answer in words");
    assert_eq!(ended, Ok((Finish::Stop, Usage { prompt_tokens: 7, completion_tokens: 3 })));
}

#[tokio::test]
async fn each_failure_of_a_whole_answer_has_its_name() {
    let limited = |seconds| LlmError::RateLimited { retry_after: seconds };
    let cases = [
        ("timeout", Script::SlowFirst(Duration::from_secs(5)), LlmError::Timeout),
        ("stall inside the body", Script::Stall, LlmError::Timeout),
        ("429 with Retry-After", Script::Status(429, Some("20")), limited(Some(Duration::from_secs(20)))),
        ("429 without", Script::Status(429, None), limited(None)),
        ("429 with a date", Script::Status(429, Some("Fri, 31 Dec 1999 23:59:59 GMT")), limited(None)),
        ("500", Script::Status(500, None), LlmError::Server { status: 500 }),
        ("401", Script::Status(401, None), LlmError::Rejected { status: 401 }),
        ("413", Script::Status(413, None), LlmError::TooLarge("the prompt")),
        ("200 with an error", Script::ErrorEvent(0), LlmError::Server { status: 200 }),
        ("no finish_reason", Script::NoFinish, LlmError::Truncated),
        ("cut JSON", Script::Cut, LlmError::Malformed("the reply is not JSON")),
        ("not JSON", Script::Garbage, LlmError::Malformed("the reply is not JSON")),
        ("no body", Script::NoBody, LlmError::Malformed("the reply is not JSON")),
        ("other JSON", Script::OtherShape, LlmError::Malformed("not a chat completion")),
        ("empty", Script::Empty, LlmError::Empty),
        ("10 MB token", Script::Huge(10 << 20), LlmError::TooLarge("the answer")),
        ("refusal", Script::Refusal, LlmError::Refused),
        ("content filter", Script::Finished("x", "content_filter"), LlmError::Refused),
        ("redirect", Script::Redirect("http://127.0.0.1:1/".into()), LlmError::Rejected { status: 307 }),
    ];
    for (name, script, expected) in cases {
        let server = StubLlm::start([script]).await;
        let error = chat(config(&server)).complete(request()).await.unwrap_err();
        assert_eq!(error, expected, "{name}");
        no_secret(error);
    }
}

#[tokio::test]
async fn each_failure_of_a_stream_has_its_name_and_says_what_was_shown() {
    let cases = [
        ("timeout before the first token", Script::SlowFirst(Duration::from_secs(5)), "", LlmError::Timeout),
        ("stall in the middle", Script::Stall, "two words", LlmError::Stalled),
        ("429", Script::Status(429, None), "", LlmError::RateLimited { retry_after: None }),
        ("500", Script::Status(500, None), "", LlmError::Server { status: 500 }),
        ("200 and an error event", Script::ErrorEvent(0), "", LlmError::Server { status: 200 }),
        ("an error event after words", Script::ErrorEvent(2), "two words", LlmError::Server { status: 200 }),
        ("no finish_reason", Script::NoFinish, "two words", LlmError::Truncated),
        ("cut in an event", Script::Cut, "two words", LlmError::Truncated),
        ("not JSON", Script::Garbage, "two words", LlmError::Malformed("an event of the stream is not JSON")),
        ("other JSON", Script::OtherShape, "", LlmError::Malformed("not a chat completion")),
        ("empty", Script::Empty, "", LlmError::Empty),
        ("10 MB token", Script::Huge(10 << 20), "", LlmError::TooLarge("the answer")),
        ("refusal", Script::Refusal, "", LlmError::Refused),
        ("no body", Script::NoBody, "", LlmError::Malformed("the reply is not JSON")),
    ];
    for (name, script, expected_text, expected) in cases {
        let server = StubLlm::start([script]).await;
        let (shown, ended) = streamed(&chat(config(&server))).await;
        let error = ended.expect_err(name);
        assert_eq!((shown.as_str(), &error), (expected_text, &expected), "{name}");
        no_secret(error);
    }
}

#[tokio::test]
async fn a_structured_answer_of_another_shape_is_malformed() {
    #[derive(serde::Deserialize, Debug, PartialEq)]
    struct Answer {
        total: i64,
    }
    for (text, finish, expected) in [
        (r#"{"total": 3}"#, "stop", Ok(Answer { total: 3 })),
        (r#"{"sum": 3}"#, "stop", Err(LlmError::Malformed("the answer does not follow the schema"))),
        ("three", "stop", Err(LlmError::Malformed("the answer is not the JSON that was asked for"))),
        (r#"{"total": 3"#, "length", Err(LlmError::Truncated)),
    ] {
        let server = StubLlm::start([Script::Finished(text, finish)]).await;
        let answer = complete_json::<Answer>(&chat(config(&server)), json_request()).await;
        assert_eq!(answer.map(|(answer, _)| answer), expected, "{text}");
        assert_eq!(server.seen()[0].body["response_format"]["json_schema"]["name"], "answer");
    }
}

#[tokio::test]
async fn another_attempt_is_made_only_when_nothing_was_received() {
    let retried = [Script::Status(503, None), Script::Status(429, Some("0")), Script::Text("third time")];
    let server = StubLlm::start(retried.clone()).await;
    let patient = |server: &StubLlm| ProviderConfig { retries: 2, ..config(server) };
    assert_eq!(chat(patient(&server)).complete(request()).await.unwrap().text, "third time");
    assert_eq!(server.seen().len(), 3);

    let server = StubLlm::start(retried).await;
    assert_eq!(streamed(&chat(patient(&server))).await.0, "third time");

    for script in [Script::Cut, Script::NoFinish, Script::Stall, Script::ErrorEvent(1), Script::Status(400, None)] {
        let server = StubLlm::start([script.clone(), Script::Text("never asked for")]).await;
        streamed(&chat(patient(&server))).await.1.expect_err("a failure");
        assert_eq!(server.seen().len(), 1, "{script:?}");
    }
}

#[tokio::test]
async fn a_wait_longer_than_ours_is_reported_instead_of_waited() {
    let server = StubLlm::start([Script::Status(429, Some("3600")), Script::Text("never asked for")]).await;
    let started = std::time::Instant::now();
    let error = chat(ProviderConfig { retries: 2, ..config(&server) }).complete(request()).await.unwrap_err();
    assert_eq!(error, LlmError::RateLimited { retry_after: Some(Duration::from_secs(3600)) });
    assert!(started.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn repeated_failures_open_the_breaker_and_a_rest_closes_it() {
    let server = StubLlm::start([Script::Status(500, None), Script::Stall, Script::Text("well again")]).await;
    let breaker = BreakerConfig { failures: 2, rest: Duration::from_millis(300) };
    let chat = chat(ProviderConfig { breaker, ..config(&server) });
    chat.complete(request()).await.unwrap_err();
    streamed(&chat).await.1.unwrap_err();
    // One failure of each kind; the stream's beginning worked, so one more is needed.
    server.then(Script::Text("unused"));
    assert_eq!(chat.complete(request()).await.unwrap().text, "well again");

    let server =
        StubLlm::start([Script::Status(500, None), Script::Status(500, None), Script::Text("well again")]).await;
    let chat = OpenAiChat::new(ProviderConfig { breaker, ..config(&server) }, "stub-model", false).unwrap();
    chat.complete(request()).await.unwrap_err();
    chat.complete(request()).await.unwrap_err();
    assert_eq!(chat.complete(request()).await.unwrap_err(), LlmError::CircuitOpen);
    assert_eq!(server.seen().len(), 2, "not asked while it rests");
    tokio::time::sleep(Duration::from_millis(350)).await;
    assert_eq!(chat.complete(request()).await.unwrap().text, "well again");
}

/// Everything that is logged by anyone, at every level, while `run` runs on this thread.
async fn logged(run: impl Future<Output = ()>) -> String {
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);
    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone()).finish();
    let guard = tracing::subscriber::set_default(subscriber);
    run.await;
    drop(guard);
    let bytes = lines.0.lock().unwrap().clone();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn neither_prompt_nor_answer_nor_key_is_ever_logged() {
    let scripts = [
        Script::Text("SECRET-ANSWER is this"),
        Script::Garbage,
        Script::OtherShape,
        Script::ErrorEvent(1),
        Script::Cut,
        Script::Status(500, None),
        Script::Status(400, None),
        Script::Status(429, None),
    ];
    let log = logged(async {
        tracing::info!("the subscriber listens");
        for script in scripts {
            let server = StubLlm::start([script.clone(), script]).await;
            let chat = chat(config(&server));
            let _ = chat.complete(request()).await;
            let _ = streamed(&chat).await;
        }
    })
    .await;
    assert!(log.contains("the subscriber listens"));
    let leak = log.lines().find(|line| line.contains("SECRET"));
    assert_eq!(leak, None);
}

#[tokio::test]
async fn embeddings_come_in_the_order_of_the_texts() {
    let server = StubLlm::start([Script::Vectors(4), Script::Vectors(4)]).await;
    let embedder = OpenAiEmbedder::new(config(&server), "stub-embed", 4).unwrap();
    let texts: Vec<String> = (0..70).map(|n| format!("text {n}")).collect();
    let vectors = embedder.embed_passages(texts).await.unwrap();
    assert_eq!(vectors.len(), 70);
    assert_eq!(vectors[1], [1.0, 0.5, 0.5, 0.5]);
    assert_eq!(vectors[63][0], 63.0);
    assert_eq!(vectors[64][0], 0.0, "the second request counts anew");
    let seen = server.seen();
    assert_eq!((seen[0].path.as_str(), &seen[0].body["input"][1]), ("/v1/embeddings", &json!("text 1")));
}

#[tokio::test]
async fn embeddings_of_another_model_or_shape_are_refused_by_name() {
    let cases = [
        (Script::Vectors(5), EmbedError::Dimension { found: 5, wanted: 4 }),
        (Script::OtherShape, EmbedError::Malformed("not an embedding list")),
        (Script::Status(500, None), EmbedError::Provider(LlmError::Server { status: 500 })),
        (Script::SlowFirst(Duration::from_secs(9)), EmbedError::Provider(LlmError::Timeout)),
    ];
    for (script, expected) in cases {
        let server = StubLlm::start([script]).await;
        let embedder = OpenAiEmbedder::new(config(&server), "stub-embed", 4).unwrap();
        let error = embedder.embed_queries(vec!["SECRET-TEXT".into()]).await.unwrap_err();
        assert_eq!(error, expected);
        no_secret(error);
    }
}
