//! The service in a temporary directory, driven through its own router.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use countersign::access::{Principal, authenticate};
use countersign::app::{App, Parts};
use countersign::clock::Clock;
use countersign::config::Config;
use countersign::embed::{Counted, Embedder, EmbeddingCounter};
use countersign::http;
use countersign::source::folder::FileBytes;
use countersign::store::{PoolOptions, Store};
use countersign::vector::EmbeddingSpec;
use countersign::vector::embedded::{EmbeddedConfig, EmbeddedStore};
use ingest::mapping::{Ingested, Mapping, SourceFile};
use ingest::{Document, Limits};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::embedder::SharedEmbedder;

/// One tenant's service.
pub struct BenchApp {
    pub app: App,
    pub caller: Principal,
    pub counter: Option<EmbeddingCounter>,
    key: String,
    router: axum::Router,
    _directory: tempfile::TempDir,
}

impl BenchApp {
    pub async fn start(embedder: SharedEmbedder, clock: Clock) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let store = Store::open(&PoolOptions::sqlite(&directory.path().join("eval.db"))).await?;
        let counted = embedder.map(Counted::new);
        let counter = counted.as_ref().map(Counted::counter);
        let spec = counted
            .as_ref()
            .map_or_else(|| EmbeddingSpec::new("none", 1), |one| EmbeddingSpec::new(one.model_id(), one.dim()));
        let vectors = EmbeddedStore::open(EmbeddedConfig::new(directory.path().join("vectors"), spec))?;
        let app = App::new(Parts {
            config: Config::default(),
            clock,
            store,
            vectors: Arc::new(vectors),
            embedder: counted.map(|one| Arc::new(one) as Arc<dyn Embedder>),
            llm: countersign::ladder::Ladder::default(),
            audit_key: countersign::app::signing_key(&[7; 32]),
            operator_key: "cso_eval".into(),
            metrics: countersign::app::metrics_recorder(),
        });
        let router = http::router(&app);
        let body = json!({ "slug": "eval", "name": "Eval", "admin_email": "eval@example.com", "admin_name": "Eval" });
        let (status, created) = send(&router, "cso_eval", "POST", "/v1/operator/tenants", Some(body)).await?;
        ensure!(status == 201, "tenant: {created}");
        let key = created["admin_key"].as_str().context("no key")?.to_owned();
        let caller = authenticate(&app.store, &key, app.clock.now()).await?.context("the key does not work")?;
        Ok(Self { app, caller, counter, key, router, _directory: directory })
    }

    /// One call of the API; anything but 200 or 201 is an error.
    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Result<Value> {
        let (status, answer) = send(&self.router, &self.key, method, path, body).await?;
        ensure!(status == 200 || status == 201, "{method} {path}: {status} {answer}");
        Ok(answer)
    }

    pub async fn ask(&self, question: &str) -> Result<Value> {
        self.call("POST", "/v1/answers", Some(json!({ "question": question }))).await
    }

    /// Pushes files through their mapping. Returns (records, documents, rejected).
    pub async fn push_files(
        &self,
        source: &str,
        mapping: &Mapping,
        files: &[FileBytes],
    ) -> Result<(usize, usize, usize)> {
        let inputs: Vec<SourceFile<'_>> =
            files.iter().map(|file| SourceFile { path: &file.path, bytes: &file.bytes }).collect();
        let (mut records, mut documents, mut rejected) = (Vec::new(), Vec::new(), 0);
        mapping.read(&inputs, &Limits::default(), &mut |one| match one {
            Ingested::Record { record, audience, .. } => {
                records.push(json!(countersign::source::PushedRecord::from_record(*record, audience)));
            }
            Ingested::Document { document, audience, .. } => {
                documents.push(json!(countersign::source::PushedDocument::from_document(*document, audience)));
            }
            Ingested::Rejected(one) => {
                rejected += 1;
                println!("rejected: {one}");
            }
            Ingested::Notice { .. } | Ingested::Unused { .. } => {}
        });
        let counts = (records.len(), documents.len(), rejected);
        self.push("/v1/records:batch", "records", source, records).await?;
        self.push("/v1/documents", "documents", source, documents).await?;
        Ok(counts)
    }

    pub async fn push_documents(&self, source: &str, documents: Vec<Document>) -> Result<()> {
        let documents = documents
            .into_iter()
            .map(|document| json!(countersign::source::PushedDocument::from_document(document, Vec::new())))
            .collect();
        self.push("/v1/documents", "documents", source, documents).await
    }

    async fn push(&self, path: &str, name: &str, source: &str, items: Vec<Value>) -> Result<()> {
        for part in items.chunks(500) {
            let mut body = json!({ "source": source });
            body[name] = part.into();
            let answer = self.call("POST", path, Some(body)).await?;
            ensure!(answer["rejected"].as_array().is_none_or(Vec::is_empty), "{path}: {}", answer["rejected"]);
        }
        Ok(())
    }

    /// Waits for the index; `dense`: for vectors too, when there is a model.
    pub async fn settle(&self, dense: bool) -> Result<()> {
        let limit = Duration::from_secs(3_600);
        let settled = self.app.index.settle(self.caller.tenant, dense && self.counter.is_some(), limit).await?;
        ensure!(settled, "the index did not settle");
        Ok(())
    }

    /// Checks every citation of an answer: the quote stands at that span of that version, byte for byte. Returns (valid, all).
    pub async fn check_citations(&self, answer: &Value) -> Result<(usize, usize)> {
        let (mut valid, mut all) = (0, 0);
        for citation in answer["citations"].as_array().into_iter().flatten() {
            all += 1;
            let href = citation["href"].as_str().unwrap_or_default();
            let text = self.call("GET", href, None).await?;
            let (start, end) = (citation["start"].as_u64().unwrap_or(0), citation["end"].as_u64().unwrap_or(0));
            let body = text["text"].as_str().unwrap_or_default();
            let quote = body.get(usize::try_from(start)?..usize::try_from(end)?);
            if quote.is_some() && quote == citation["quote"].as_str() {
                valid += 1;
            }
        }
        Ok((valid, all))
    }
}

async fn send(router: &axum::Router, key: &str, method: &str, path: &str, body: Option<Value>) -> Result<(u16, Value)> {
    let request = axum::http::Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", "application/json")
        .header("idempotency-key", countersign::ids::BatchId::mint().to_string())
        .body(axum::body::Body::from(body.map(|body| body.to_string()).unwrap_or_default()))?;
    let response = router.clone().oneshot(request).await?;
    let status = response.status().as_u16();
    let bytes = axum::body::to_bytes(response.into_body(), 256 << 20).await?;
    Ok((status, serde_json::from_slice(&bytes).unwrap_or(Value::Null)))
}
