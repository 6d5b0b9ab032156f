//! The two legs of hybrid search, asked side by side.

use serde::Serialize;
use utoipa::ToSchema;

use super::Query;
use crate::access::Principal;
use crate::config::RetrieveConfig;
use crate::document::day_number;
use crate::ids::ChunkId;
use crate::index::Index;
use crate::vector::{Filter, Hit, VectorError};

/// How a search was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Records were looked up by identifier; nothing had to be searched.
    Lookup,
    /// Keywords and vectors.
    Hybrid,
    /// Keywords only: no embedding model is configured.
    Keyword,
    /// A part that is configured failed: the result may lack what it would have found.
    Degraded,
}

/// Which legs are asked. Both, unless somebody wants to know what one of them does alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Legs {
    #[default]
    Both,
    Keywords,
    Vectors,
}

type Leg = Vec<(ChunkId, f32)>;

/// The dense leg, the sparse leg, and how it went. Each best first, at most `candidates_per_leg` long.
pub(super) async fn run(index: &Index, config: &RetrieveConfig, caller: &Principal, query: &Query) -> (Leg, Leg, Mode) {
    let Ok(mut filter) = Filter::for_audience(caller.audiences()) else { return (vec![], vec![], Mode::Degraded) };
    if let Some(kinds) = &query.kinds {
        filter = filter.kinds(kinds.clone());
    }
    if let Some(sources) = &query.sources {
        filter = filter.sources(sources.iter().map(|source| source.0).collect());
    }
    if let Some(on) = query.on {
        filter = filter.effective_on(day_number(on));
    }
    let limit = usize::from(config.candidates_per_leg.get());
    let tenant = caller.tenant.0;
    let (sparse, dense) =
        futures::join!(sparse(index, tenant, query, &filter, limit), dense(index, tenant, query, &filter, limit));
    let vectors = index.has_embedder() && query.legs != Legs::Keywords;
    let mut mode = if vectors { Mode::Hybrid } else { Mode::Keyword };
    let sparse = leg(sparse.map_err(|error| error.to_string()), "sparse", &mut mode);
    let dense = leg(dense, "dense", &mut mode);
    (dense, sparse, mode)
}

async fn sparse(
    index: &Index,
    tenant: uuid::Uuid,
    query: &Query,
    filter: &Filter,
    limit: usize,
) -> Result<Vec<Hit>, VectorError> {
    if query.legs == Legs::Vectors {
        return Ok(Vec::new());
    }
    index.vectors().search_sparse(tenant, &query.text, filter, limit).await
}

async fn dense(
    index: &Index,
    tenant: uuid::Uuid,
    query: &Query,
    filter: &Filter,
    limit: usize,
) -> Result<Vec<Hit>, String> {
    let Some(embedder) = index.embedder().filter(|_| query.legs != Legs::Keywords) else { return Ok(Vec::new()) };
    let vectors = embedder.embed_queries(vec![query.text.clone()]).await.map_err(|error| error.to_string())?;
    let vector = vectors.into_iter().next().ok_or("the embedder returned nothing")?;
    index.vectors().search_dense(tenant, vector, filter, limit).await.map_err(|error| error.to_string())
}

fn leg(found: Result<Vec<Hit>, String>, name: &'static str, mode: &mut Mode) -> Leg {
    match found {
        Ok(hits) => hits.into_iter().map(|hit| (ChunkId(hit.chunk_id), hit.score)).collect(),
        Err(error) => {
            tracing::warn!(leg = name, %error, "a search leg failed");
            metrics::counter!("countersign_search_leg_failures_total", "leg" => name).increment(1);
            *mode = Mode::Degraded;
            Vec::new()
        }
    }
}
