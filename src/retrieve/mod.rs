//! From a question to evidence: records by identifier, passages by hybrid search. After `index`, before `answer`.
//!
//! Two ways run side by side. Identifiers are looked up exactly in SQL ([`identify`]); a near miss never counts as a hit. Everything else
//! is hybrid search: keywords and vectors each rank (`legs`), fusion is ours (`fuse`), and every hit is checked again in SQL for tenant,
//! audience, liveness, version and date before anybody sees it.

pub mod about;
pub mod fuse;
pub mod identify;
mod legs;
pub mod when;

use std::collections::{BTreeSet, HashMap};

use jiff::civil::Date;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::Principal;
use crate::config::RetrieveConfig;
use crate::document::day_number;
use crate::document::passage::{self, PassageText};
use crate::ids::{ChunkId, SourceId};
use crate::index::Index;
use crate::store::Store;
use crate::vector::terms;

pub use identify::Identified;
pub use legs::{Legs, Mode};

/// What to look for.
#[derive(Debug, Clone, Default)]
pub struct Query {
    pub text: String,
    /// Only these kinds (`policy`, `order`, …); `None`: all.
    pub kinds: Option<Vec<String>>,
    /// Only these sources; `None`: all.
    pub sources: Option<Vec<SourceId>>,
    /// Only what holds on this day; `None`: whatever is stored.
    pub on: Option<Date>,
    /// Passages wanted.
    pub limit: usize,
    pub legs: Legs,
}

/// Where one leg ranked a passage.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct LegHit {
    /// From 1.
    pub rank: usize,
    /// Dense: cosine, -1 to 1. Sparse: BM25, above 0.
    pub score: f32,
}

/// A passage with how it was found.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Hit {
    /// From 1.
    pub rank: usize,
    /// Fused, 0 to 1: comparable within one search only.
    pub score: f64,
    pub dense: Option<LegHit>,
    pub sparse: Option<LegHit>,
    pub passage: PassageText,
}

/// What a search found.
#[derive(Debug, Clone)]
pub struct Retrieval {
    pub mode: Mode,
    /// Best first.
    pub hits: Vec<Hit>,
}

#[derive(Debug, thiserror::Error)]
pub enum RetrieveError {
    #[error(transparent)]
    Db(#[from] sqlx::Error),
}

/// Hybrid search for `query`, seen with the eyes of `caller`.
///
/// A leg that fails is left out and the result says so ([`Mode`]); with both gone there are no hits, never unfiltered ones.
pub async fn search(
    store: &Store,
    index: &Index,
    config: &RetrieveConfig,
    caller: &Principal,
    query: &Query,
) -> Result<Retrieval, RetrieveError> {
    let (dense, sparse, mode) = legs::run(index, config, caller, query).await;
    let ids: BTreeSet<String> = dense.iter().chain(&sparse).map(|(id, _)| id.to_string()).collect();
    let ids: Vec<String> = ids.into_iter().collect();
    let mut tx = store.begin_read(caller.tenant).await?;
    let mut passages = passage::load(&mut tx, &ids, &caller.audiences(), query.on.map(day_number)).await?;
    drop(tx);
    passages.retain(|_, passage| wanted(query, passage));
    let there = |leg: &[(ChunkId, f32)]| -> Vec<(ChunkId, f32)> {
        leg.iter().filter(|(id, _)| passages.contains_key(&id.to_string())).copied().collect()
    };
    let (dense, sparse) = (there(&dense), there(&sparse));
    let waits = |id: &ChunkId| passages.get(&id.to_string()).is_some_and(|passage| !passage.embedded);
    let spelled_out = index.embedder().and_then(|embedder| embedder.spelled_out(&query.text));
    let best = sparse.first().and_then(|(id, _)| passages.get(&id.to_string()));
    let trust = fuse::Trust { spelled_out, matched: best.map_or(0, |best| matched(&query.text, best)) };
    let fused = fuse::min_max(&dense, &sparse, fuse::dense_weight(trust), waits);
    let fused = fuse::head(fused, [&dense, &sparse], query.limit);
    let (dense, sparse) = (by_id(&dense), by_id(&sparse));
    let mut hits = Vec::new();
    for (id, score) in fused {
        let Some(passage) = passages.remove(&id.to_string()) else { continue };
        let hit = Hit {
            rank: hits.len() + 1,
            score,
            dense: dense.get(&id).copied(),
            sparse: sparse.get(&id).copied(),
            passage,
        };
        hits.push(hit);
    }
    index.asked(caller.tenant, hits.iter().filter(|hit| hit.dense.is_none()).map(|hit| &hit.passage.chunk_id));
    Ok(Retrieval { mode, hits })
}

/// Different words of the question that a passage holds, its headings included.
fn matched(question: &str, passage: &PassageText) -> usize {
    let held = terms(&passage::indexed_text(&passage.heading_path, &passage.text));
    terms(question).iter().filter(|term| held.binary_search(term).is_ok()).count()
}

/// The index filtered already; this holds even if it did not.
fn wanted(query: &Query, passage: &PassageText) -> bool {
    query.kinds.as_ref().is_none_or(|kinds| kinds.contains(&passage.kind))
}

fn by_id(leg: &[(ChunkId, f32)]) -> HashMap<ChunkId, LegHit> {
    leg.iter().zip(1..).map(|((id, score), rank)| (*id, LegHit { rank, score: *score })).collect()
}
