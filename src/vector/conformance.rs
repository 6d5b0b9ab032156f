//! What every vector store has to do, as a suite that tests run against each backend.
//!
//! In the library rather than in the tests, so that a backend in its own crate or an operator's probe can run it too. Every
//! case works in tenants of its own, which it empties first, so that it also runs against a store that keeps what it has.
//! A case panics when the store does otherwise; nothing here is called by the service.

use std::sync::Arc;

use uuid::Uuid;

use super::{
    ALWAYS_FROM_DAY, ALWAYS_TO_DAY, Counts, EmbeddingSpec, Filter, Hit, Payload, Point, StoredId, VectorError,
    VectorStore,
};

/// No chunk.
const NONE: [Uuid; 0] = [];

/// Dimensions of the suite's vectors.
pub const DIM: usize = 4;

/// Runs every case against stores made by `open`, which is called twice; the second store is closed by its case.
///
/// # Panics
/// When the store breaks a promise of [`VectorStore`].
pub async fn run(open: impl AsyncFn(EmbeddingSpec) -> Arc<dyn VectorStore>) {
    let spec = EmbeddingSpec::new("conformance", DIM);
    let store = open(spec.clone()).await;
    let store = store.as_ref();
    a_chunk_is_found_by_word_at_once_and_by_meaning_later(store).await;
    a_rare_word_counts_more_than_a_common_one(store).await;
    nearest_come_first_and_ties_go_to_the_lower_id(store).await;
    every_filter_narrows(store).await;
    a_tenant_never_sees_another_tenants_chunks(store).await;
    an_upsert_replaces_and_a_delete_removes(store).await;
    ids_are_scrolled_in_pages(store).await;
    mistakes_are_refused_by_name(store).await;
    a_tenant_that_never_wrote_reads_nothing(store).await;
    a_dropped_tenant_is_gone_and_can_come_back(store).await;
    many_points_are_written_in_one_call(store).await;
    a_closed_store_says_so(open(spec).await.as_ref()).await;
}

fn id(name: &str) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes())
}

async fn empty_tenant(store: &dyn VectorStore, name: &str) -> Uuid {
    let tenant = id(&format!("conformance tenant {name}"));
    store.drop_tenant(tenant).await.expect("a tenant can be dropped");
    tenant
}

fn payload() -> Payload {
    Payload {
        document_id: id("document"),
        kind: "policy".into(),
        source_id: id("source"),
        audience: vec!["agent".into()],
        effective_from_day: ALWAYS_FROM_DAY,
        effective_to_day: ALWAYS_TO_DAY,
    }
}

fn point(name: &str, text: &str, dense: Option<[f32; DIM]>) -> Point {
    Point {
        chunk_id: id(name),
        text_for_bm25: text.into(),
        dense: dense.map(|dense| dense.to_vec()),
        payload: payload(),
    }
}

fn everyone() -> Filter {
    Filter::for_audience(["agent".into()]).expect("one audience")
}

fn ids(hits: &[Hit]) -> Vec<Uuid> {
    hits.iter().map(|hit| hit.chunk_id).collect()
}

async fn by_word(store: &dyn VectorStore, tenant: Uuid, text: &str, filter: &Filter) -> Vec<Uuid> {
    ids(&store.search_sparse(tenant, text, filter, 10).await.expect("a sparse search"))
}

async fn by_meaning(store: &dyn VectorStore, tenant: Uuid, vector: [f32; DIM], filter: &Filter) -> Vec<Uuid> {
    ids(&store.search_dense(tenant, vector.to_vec(), filter, 10).await.expect("a dense search"))
}

async fn a_chunk_is_found_by_word_at_once_and_by_meaning_later(store: &dyn VectorStore) {
    let tenant = empty_tenant(store, "two speeds").await;
    store.upsert(tenant, vec![point("late", "Late shipments are refunded", None)]).await.expect("upsert");
    assert_eq!(by_word(store, tenant, "shipment refund", &everyone()).await, [id("late")]);
    assert_eq!(by_meaning(store, tenant, [1.0, 0.0, 0.0, 0.0], &everyone()).await, NONE, "no dense vector yet");
    assert_eq!(store.count(tenant).await, Ok(Counts { points: 1, with_dense: 0 }));

    let gone = (id("deleted meanwhile"), vec![0.0, 1.0, 0.0, 0.0]);
    store.set_dense(tenant, vec![gone, (id("late"), vec![1.0, 0.0, 0.0, 0.0])]).await.expect("set_dense");
    assert_eq!(by_meaning(store, tenant, [1.0, 0.0, 0.0, 0.0], &everyone()).await, [id("late")]);
    assert_eq!(by_word(store, tenant, "shipment refund", &everyone()).await, [id("late")], "still there by word");
    assert_eq!(store.count(tenant).await, Ok(Counts { points: 1, with_dense: 1 }));
}

async fn a_rare_word_counts_more_than_a_common_one(store: &dyn VectorStore) {
    let tenant = empty_tenant(store, "idf").await;
    let mut points: Vec<Point> = (0..8).map(|n| point(&format!("common {n}"), "order shipped", None)).collect();
    points.push(point("rare", "quarantined pallet", None));
    store.upsert(tenant, points).await.expect("upsert");
    let hits = store.search_sparse(tenant, "order quarantined", &everyone(), 10).await.expect("search");
    assert_eq!(hits.first().map(|hit| hit.chunk_id), Some(id("rare")));
    assert_eq!(hits.len(), 9);
    assert!(hits.iter().all(|hit| hit.score > 0.0));
    assert_eq!(by_word(store, tenant, "the of and", &everyone()).await, NONE, "nothing but stop words");
    assert_eq!(by_word(store, tenant, "", &everyone()).await, NONE);
}

async fn nearest_come_first_and_ties_go_to_the_lower_id(store: &dyn VectorStore) {
    let tenant = empty_tenant(store, "order").await;
    let mut points = vec![
        point("near", "x", Some([1.0, 0.1, 0.0, 0.0])),
        point("far", "x", Some([0.0, 1.0, 0.0, 0.0])),
        point("opposite", "x", Some([-1.0, 0.0, 0.0, 0.0])),
    ];
    points.extend((0..3).map(|n| point(&format!("same {n}"), "x", Some([2.0, 0.0, 0.0, 0.0]))));
    store.upsert(tenant, points).await.expect("upsert");
    let hits = store.search_dense(tenant, vec![3.0, 0.0, 0.0, 0.0], &everyone(), 10).await.expect("search");
    let mut same = [id("same 0"), id("same 1"), id("same 2")];
    same.sort();
    assert_eq!(ids(&hits), [same[0], same[1], same[2], id("near"), id("far"), id("opposite")]);
    assert!((hits[0].score - 1.0).abs() < 1e-5 && (hits[5].score + 1.0).abs() < 1e-5, "cosine: {hits:?}");
    assert_eq!(store.search_dense(tenant, vec![1.0, 0.0, 0.0, 0.0], &everyone(), 2).await.expect("search").len(), 2);
    assert_eq!(store.search_dense(tenant, vec![1.0, 0.0, 0.0, 0.0], &everyone(), 0).await, Ok(vec![]));
}

async fn every_filter_narrows(store: &dyn VectorStore) {
    let tenant = empty_tenant(store, "filters").await;
    let changed = |name: &str, change: fn(&mut Payload)| {
        let mut point = point(name, "returns window", Some([1.0, 0.0, 0.0, 0.0]));
        change(&mut point.payload);
        point
    };
    let points = vec![
        changed("plain", |_| {}),
        changed("finance only", |payload| payload.audience = vec!["finance".into()]),
        changed("both", |payload| payload.audience = vec!["finance".into(), "agent".into()]),
        changed("record", |payload| payload.kind = "order".into()),
        changed("elsewhere", |payload| payload.source_id = id("other source")),
        changed("other document", |payload| payload.document_id = id("other document")),
        changed("superseded", |payload| payload.effective_to_day = 20_000),
        changed("new", |payload| payload.effective_from_day = 20_001),
    ];
    store.upsert(tenant, points).await.expect("upsert");
    let agent = ["plain", "both", "record", "elsewhere", "other document", "superseded", "new"];
    let except = |left_out: &[&str]| agent.into_iter().filter(|name| !left_out.contains(name)).collect::<Vec<_>>();
    let finance = Filter::for_audience(["finance".into()]).expect("one audience");
    let cases: Vec<(&str, Filter, Vec<&str>)> = vec![
        ("audience", everyone(), agent.to_vec()),
        ("another audience", finance, vec!["finance only", "both"]),
        ("kinds", everyone().kinds(vec!["policy".into()]), except(&["record"])),
        ("sources", everyone().sources(vec![id("other source")]), vec!["elsewhere"]),
        ("documents", everyone().documents(vec![id("other document")]), vec!["other document"]),
        ("last day", everyone().effective_on(20_000), except(&["new"])),
        ("first day", everyone().effective_on(20_001), except(&["superseded"])),
        ("an empty list", everyone().kinds(vec![]), vec![]),
        ("all at once", everyone().kinds(vec!["order".into()]).sources(vec![id("other source")]), vec![]),
    ];
    for (name, filter, expected) in cases {
        let mut expected: Vec<Uuid> = expected.into_iter().map(id).collect();
        expected.sort();
        let mut words = by_word(store, tenant, "returns window", &filter).await;
        let mut meanings = by_meaning(store, tenant, [1.0, 0.0, 0.0, 0.0], &filter).await;
        words.sort();
        meanings.sort();
        assert_eq!(words, expected, "{name}, by word");
        assert_eq!(meanings, expected, "{name}, by meaning");
    }
}

async fn a_tenant_never_sees_another_tenants_chunks(store: &dyn VectorStore) {
    let (a, b) = (empty_tenant(store, "A").await, empty_tenant(store, "B").await);
    let vector = [1.0, 0.0, 0.0, 0.0];
    store.upsert(a, vec![point("of A", "secret price", Some(vector))]).await.expect("upsert");
    store
        .upsert(b, vec![point("of B", "secret price", Some(vector)), point("shared id", "x", None)])
        .await
        .expect("upsert");
    assert_eq!(by_word(store, a, "secret price", &everyone()).await, [id("of A")]);
    assert_eq!(by_meaning(store, a, vector, &everyone()).await, [id("of A")]);
    assert_eq!(by_word(store, a, "secret price", &everyone().documents(vec![id("document")])).await, [id("of A")]);
    let scrolled = store.scroll_ids(a, None, 10).await.expect("scroll");
    assert_eq!(scrolled, [StoredId { chunk_id: id("of A"), has_dense: true }]);
    assert_eq!(store.count(a).await, Ok(Counts { points: 1, with_dense: 1 }));

    // Writes by id do not reach across either.
    store.delete(a, vec![id("of B"), id("shared id")]).await.expect("delete");
    store.set_dense(a, vec![(id("shared id"), vector.to_vec())]).await.expect("set_dense");
    store.upsert(a, vec![point("shared id", "y", None)]).await.expect("upsert");
    store.drop_tenant(a).await.expect("drop");
    assert_eq!(store.count(b).await, Ok(Counts { points: 2, with_dense: 1 }));
    assert_eq!(by_word(store, b, "x", &everyone()).await, [id("shared id")]);
}

async fn an_upsert_replaces_and_a_delete_removes(store: &dyn VectorStore) {
    let tenant = empty_tenant(store, "replace").await;
    let vector = [0.0, 0.0, 1.0, 0.0];
    store.upsert(tenant, vec![point("one", "alpha", Some(vector)), point("two", "alpha", None)]).await.expect("upsert");
    store.upsert(tenant, vec![point("one", "beta", None)]).await.expect("upsert");
    assert_eq!(by_word(store, tenant, "alpha", &everyone()).await, [id("two")]);
    assert_eq!(by_word(store, tenant, "beta", &everyone()).await, [id("one")]);
    assert_eq!(by_meaning(store, tenant, vector, &everyone()).await, NONE, "replaced as a whole");
    store.delete(tenant, vec![id("one"), id("never there")]).await.expect("delete");
    store.delete(tenant, vec![]).await.expect("delete nothing");
    assert_eq!(by_word(store, tenant, "beta", &everyone()).await, NONE);
    assert_eq!(store.count(tenant).await, Ok(Counts { points: 1, with_dense: 0 }));
}

async fn ids_are_scrolled_in_pages(store: &dyn VectorStore) {
    let tenant = empty_tenant(store, "scroll").await;
    let vector = |n: usize| n.is_multiple_of(2).then_some([1.0, 0.0, 0.0, 0.0]);
    store.upsert(tenant, (0..25).map(|n| point(&format!("p{n}"), "x", vector(n))).collect()).await.expect("upsert");
    let mut expected: Vec<StoredId> =
        (0..25).map(|n| StoredId { chunk_id: id(&format!("p{n}")), has_dense: n % 2 == 0 }).collect();
    expected.sort_by_key(|stored| stored.chunk_id);
    let mut seen = Vec::new();
    loop {
        let after = seen.last().map(|stored: &StoredId| stored.chunk_id);
        let page = store.scroll_ids(tenant, after, 10).await.expect("scroll");
        assert!(page.len() <= 10);
        if page.is_empty() {
            break;
        }
        seen.extend(page);
    }
    assert_eq!(seen, expected);
}

async fn mistakes_are_refused_by_name(store: &dyn VectorStore) {
    let tenant = empty_tenant(store, "mistakes").await;
    let refused =
        |outcome: Result<(), VectorError>| assert!(matches!(outcome, Err(VectorError::Invalid(_))), "{outcome:?}");
    let mut short = point("short", "x", None);
    short.dense = Some(vec![1.0; DIM - 1]);
    refused(store.upsert(tenant, vec![short]).await);
    refused(store.upsert(tenant, vec![point("nan", "x", Some([f32::NAN; DIM]))]).await);
    let mut unseen = point("for nobody", "x", None);
    unseen.payload.audience = vec![];
    refused(store.upsert(tenant, vec![unseen]).await);
    refused(store.set_dense(tenant, vec![(id("one"), vec![1.0; DIM + 1])]).await);
    refused(store.search_dense(tenant, vec![f32::INFINITY; DIM], &everyone(), 3).await.map(drop));
    refused(store.search_dense(tenant, vec![1.0], &everyone(), 3).await.map(drop));
    refused(store.upsert(Uuid::nil(), vec![point("of nobody", "x", None)]).await);
    refused(store.drop_tenant(Uuid::nil()).await);
    assert_eq!(store.count(tenant).await, Ok(Counts::default()));
}

async fn a_tenant_that_never_wrote_reads_nothing(store: &dyn VectorStore) {
    let tenant = id("conformance tenant that never wrote");
    assert_eq!(by_word(store, tenant, "anything", &everyone()).await, NONE);
    assert_eq!(by_meaning(store, tenant, [1.0, 0.0, 0.0, 0.0], &everyone()).await, NONE);
    assert_eq!(store.scroll_ids(tenant, None, 10).await, Ok(vec![]));
    assert_eq!(store.count(tenant).await, Ok(Counts::default()));
    store.delete(tenant, vec![id("x")]).await.expect("delete");
    store.set_dense(tenant, vec![(id("x"), vec![1.0; DIM])]).await.expect("set_dense");
}

async fn a_dropped_tenant_is_gone_and_can_come_back(store: &dyn VectorStore) {
    let tenant = empty_tenant(store, "dropped").await;
    store.upsert(tenant, vec![point("old", "alpha", None)]).await.expect("upsert");
    store.drop_tenant(tenant).await.expect("drop");
    assert_eq!(store.count(tenant).await, Ok(Counts::default()));
    store.upsert(tenant, vec![point("new", "alpha", None)]).await.expect("upsert");
    assert_eq!(by_word(store, tenant, "alpha", &everyone()).await, [id("new")]);
}

async fn many_points_are_written_in_one_call(store: &dyn VectorStore) {
    let tenant = empty_tenant(store, "many").await;
    let points = (0..1500).map(|n| point(&format!("m{n}"), &format!("word{n} common"), None)).collect();
    store.upsert(tenant, points).await.expect("upsert");
    assert_eq!(store.count(tenant).await.map(|counts| counts.points), Ok(1500));
    assert_eq!(by_word(store, tenant, "word1499", &everyone()).await, [id("m1499")]);
}

async fn a_closed_store_says_so(store: &dyn VectorStore) {
    let tenant = empty_tenant(store, "closed").await;
    store.upsert(tenant, vec![point("one", "alpha", None)]).await.expect("upsert");
    store.close().await.expect("close");
    assert_eq!(store.count(tenant).await, Err(VectorError::Closed));
    assert_eq!(store.upsert(tenant, vec![point("two", "alpha", None)]).await, Err(VectorError::Closed));
}
