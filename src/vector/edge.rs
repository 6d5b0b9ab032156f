//! The embedded engine's words: shard configuration, points, payload and the one builder of its filters.
//!
//! Pure translation between `vector`'s types and `qdrant_edge`'s; no files, no threads.

use qdrant_edge::{
    Condition, Distance, EdgeConfig, EdgeOptimizersConfig, EdgeSparseVectorParams, EdgeVectorParams, FieldCondition,
    Filter as EdgeFilter, Match, Modifier, NamedQuery, PayloadSchemaType, PointId, PointStruct, PointStructPersisted,
    PointVectorsPersisted, QueryEnum, QueryRequest, Range, ScoringQuery, Vector, VectorInternal, VectorPersisted,
    VectorStructPersisted, Vectors, WalOptions, WithPayloadInterface, WithVector,
    bm25_embed::{EdgeBm25, EdgeBm25Config},
    external::ordered_float::{NotNan, OrderedFloat},
};
use serde_json::json;
use uuid::Uuid;

use super::{EmbeddingSpec, Filter, Payload, Point, VectorError, filter::FilterParts};

pub(super) const DENSE: &str = "dense";
pub(super) const SPARSE: &str = "bm25";

const DOCUMENT: &str = "document_id";
const KIND: &str = "kind";
const SOURCE: &str = "source_id";
const AUDIENCE: &str = "audience";
const FROM_DAY: &str = "effective_from_day";
const TO_DAY: &str = "effective_to_day";

/// Payload fields with an index, so that filters are answered from it.
pub(super) const INDEXED: [(&str, PayloadSchemaType); 6] = [
    (AUDIENCE, PayloadSchemaType::Keyword),
    (DOCUMENT, PayloadSchemaType::Keyword),
    (KIND, PayloadSchemaType::Keyword),
    (SOURCE, PayloadSchemaType::Keyword),
    (FROM_DAY, PayloadSchemaType::Integer),
    (TO_DAY, PayloadSchemaType::Integer),
];

/// Log segments are allocated in full, per tenant; the engine's default of 32 MiB is meant for a server.
const WAL_SEGMENT_BYTES: usize = 4 << 20;

/// Vectors in memory-mapped files (the page cache holds what is used), graph and payload index in memory.
pub(super) fn shard_config(spec: &EmbeddingSpec) -> EdgeConfig {
    EdgeConfig::builder()
        .vector(DENSE, EdgeVectorParams::builder(spec.dim, Distance::Cosine).on_disk(true).build())
        .sparse_vector(SPARSE, EdgeSparseVectorParams::builder().modifier(Modifier::Idf).build())
        .on_disk_payload(true)
        .optimizers(EdgeOptimizersConfig::default())
        .wal_options(WalOptions { segment_capacity: WAL_SEGMENT_BYTES, ..WalOptions::default() })
        .build()
}

/// The BM25 model: English stemming and stop words, k1 1.2, b 0.75.
///
/// - `avg_len`: expected tokens of a chunk after stop words are gone.
pub(super) fn bm25(avg_len: f64) -> Result<EdgeBm25, VectorError> {
    let avg_len = NotNan::new(avg_len).map_err(|_| VectorError::Invalid("average length is not a number".into()))?;
    EdgeBm25::new(EdgeBm25Config { avg_len, ..EdgeBm25Config::default() })
        .map_err(|error| VectorError::Invalid(error.to_string()))
}

/// As `vector::terms`. Words do not depend on lengths, so one model serves every store.
pub(super) fn terms(text: &str) -> Vec<u32> {
    static WORDS: std::sync::LazyLock<Option<EdgeBm25>> =
        std::sync::LazyLock::new(|| EdgeBm25::new(EdgeBm25Config::default()).ok());
    WORDS.as_ref().map(|words| words.embed_query(text).indices).unwrap_or_default()
}

pub(super) fn point_id(id: Uuid) -> PointId {
    PointId::Uuid(id)
}

/// Our ids are UUIDs; a number can only come from somebody else's point.
pub(super) fn chunk_id(id: PointId) -> Result<Uuid, VectorError> {
    match id {
        PointId::Uuid(id) => Ok(id),
        PointId::NumId(_) => Err(VectorError::Engine("a point that is not ours".into())),
    }
}

pub(super) fn point(bm25: &EdgeBm25, point: Point) -> PointStructPersisted {
    let sparse = Vector::from(bm25.embed_document(&point.text_for_bm25));
    let mut vectors = vec![(SPARSE, sparse)];
    if let Some(dense) = point.dense {
        vectors.push((DENSE, Vector::new_dense(dense)));
    }
    PointStruct::new(point_id(point.chunk_id), Vectors::from(vectors), payload(&point.payload)).into()
}

pub(super) fn dense_update(chunk_id: Uuid, vector: Vec<f32>) -> PointVectorsPersisted {
    let named = [(DENSE.to_owned(), VectorPersisted::Dense(vector))];
    PointVectorsPersisted { id: point_id(chunk_id), vector: VectorStructPersisted::Named(named.into()) }
}

fn payload(payload: &Payload) -> serde_json::Value {
    let Payload { document_id, kind, source_id, audience, effective_from_day, effective_to_day } = payload;
    json!({
        DOCUMENT: document_id.to_string(),
        KIND: kind,
        SOURCE: source_id.to_string(),
        AUDIENCE: audience,
        FROM_DAY: effective_from_day,
        TO_DAY: effective_to_day,
    })
}

/// The only place where a search's filter is made. Takes [`FilterParts`] apart exhaustively.
fn engine_filter(filter: &Filter) -> EdgeFilter {
    let FilterParts { audience, kinds, sources, documents, effective_on } = filter.parts();
    let texts = |ids: &[Uuid]| ids.iter().map(Uuid::to_string).collect::<Vec<_>>();
    let mut must = vec![any_of(AUDIENCE, audience.to_vec())];
    must.extend(kinds.map(|kinds| any_of(KIND, kinds.to_vec())));
    must.extend(sources.map(|sources| any_of(SOURCE, texts(sources))));
    must.extend(documents.map(|documents| any_of(DOCUMENT, texts(documents))));
    if let Some(day) = effective_on {
        let day = Some(OrderedFloat(day as f64));
        must.push(in_range(FROM_DAY, Range { lte: day, lt: None, gt: None, gte: None }));
        must.push(in_range(TO_DAY, Range { gte: day, lt: None, gt: None, lte: None }));
    }
    EdgeFilter { must: Some(must), should: None, min_should: None, must_not: None }
}

fn any_of(field: &str, values: Vec<String>) -> Condition {
    Condition::Field(FieldCondition::new_match(path(field), Match::from(values)))
}

fn in_range(field: &str, range: Range<OrderedFloat<f64>>) -> Condition {
    Condition::Field(FieldCondition::new_range(path(field), range))
}

/// The path of a top-level payload field.
pub(super) fn path(field: &str) -> qdrant_edge::JsonPath {
    qdrant_edge::JsonPath { first_key: field.to_owned(), rest: Vec::new() }
}

/// A nearest-neighbour query on one named vector. There is no way to make one without a [`Filter`].
pub(super) fn query(vector: VectorInternal, using: &str, filter: &Filter, limit: usize) -> QueryRequest {
    QueryRequest {
        prefetches: Vec::new(),
        query: Some(ScoringQuery::Vector(QueryEnum::Nearest(NamedQuery { query: vector, using: Some(using.into()) }))),
        filter: Some(engine_filter(filter)),
        score_threshold: None,
        limit,
        offset: 0,
        params: None,
        with_vector: WithVector::Bool(false),
        with_payload: WithPayloadInterface::Bool(false),
    }
}
