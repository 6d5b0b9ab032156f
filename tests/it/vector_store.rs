//! The embedded vector store: the conformance suite, crashes, isolation between tenants, opening and closing.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use countersign::vector::{
    ALWAYS_FROM_DAY, ALWAYS_TO_DAY, Counts, EmbeddingSpec, Filter, Payload, Point, VectorError, VectorStore,
    conformance,
    embedded::{EmbeddedConfig, EmbeddedStore},
};
use uuid::Uuid;

const DIM: usize = 8;
const NONE: [u128; 0] = [];

fn config(directory: &Path) -> EmbeddedConfig {
    EmbeddedConfig::new(directory, EmbeddingSpec::new("test-model", DIM))
}

fn open(directory: &Path) -> EmbeddedStore {
    EmbeddedStore::open(config(directory)).unwrap()
}

fn tenant(n: u128) -> Uuid {
    Uuid::from_u128(0xA000 + n)
}

/// Point number `n`: its own word, its own direction.
fn point(n: u128) -> Point {
    let mut dense = vec![0.1; DIM];
    dense[n as usize % DIM] = 1.0 + (n as f32) / 1000.0;
    Point {
        chunk_id: Uuid::from_u128(n),
        text_for_bm25: format!("word{n} order shipment"),
        dense: Some(dense),
        payload: Payload {
            document_id: Uuid::from_u128(1),
            kind: "order".into(),
            source_id: Uuid::from_u128(2),
            audience: vec!["agent".into()],
            effective_from_day: ALWAYS_FROM_DAY,
            effective_to_day: ALWAYS_TO_DAY,
        },
    }
}

fn agent() -> Filter {
    Filter::for_audience(["agent".to_owned()]).unwrap()
}

async fn found(store: &EmbeddedStore, tenant: Uuid, text: &str) -> Vec<u128> {
    let hits = store.search_sparse(tenant, text, &agent(), 10).await.unwrap();
    hits.into_iter().map(|hit| hit.chunk_id.as_u128()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_store_conforms() {
    let directory = tempfile::tempdir().unwrap();
    let made = std::sync::atomic::AtomicUsize::new(0);
    conformance::run(async |spec| {
        let place = directory.path().join(made.fetch_add(1, std::sync::atomic::Ordering::Relaxed).to_string());
        Arc::new(EmbeddedStore::open(EmbeddedConfig::new(place, spec)).unwrap()) as Arc<dyn VectorStore>
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_store_conforms_with_one_open_shard_and_eager_optimisation() {
    let directory = tempfile::tempdir().unwrap();
    let made = std::sync::atomic::AtomicUsize::new(0);
    conformance::run(async |spec| {
        let place = directory.path().join(made.fetch_add(1, std::sync::atomic::Ordering::Relaxed).to_string());
        let config = EmbeddedConfig { max_open_shards: 1, optimise_after: 1, ..EmbeddedConfig::new(place, spec) };
        Arc::new(EmbeddedStore::open(config).unwrap()) as Arc<dyn VectorStore>
    })
    .await;
}

/// Not a test by itself: the process that the next test kills. Reads a directory from its input, writes batches, and
/// prints a number after each acknowledged one.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "child process of the kill test"]
async fn child_that_writes_until_killed() {
    let mut directory = String::new();
    std::io::stdin().read_line(&mut directory).unwrap();
    let config = EmbeddedConfig { optimise_after: 60, ..config(Path::new(directory.trim())) };
    let store = EmbeddedStore::open(config).unwrap();
    for batch in 0..10_000_u128 {
        store.upsert(tenant(1), (batch * 20..batch * 20 + 20).map(point).collect()).await.unwrap();
        if batch % 3 == 0 {
            store.delete(tenant(1), vec![Uuid::from_u128(batch * 20)]).await.unwrap();
        }
        println!("\nacknowledged {batch}");
        std::io::stdout().flush().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_kill_9_and_the_shard_opens_again() {
    let directory = tempfile::tempdir().unwrap();
    // In one directory: each run writes over what the one before it left.
    for kill_after in [7_u128, 23, 50] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "vector_store::child_that_writes_until_killed", "--ignored", "--nocapture"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        writeln!(child.stdin.take().unwrap(), "{}", directory.path().display()).unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let acknowledged = lines
            .map_while(Result::ok)
            .filter_map(|line| line.strip_prefix("acknowledged ")?.parse::<u128>().ok())
            .find(|batch| *batch >= kill_after)
            .expect("the child wrote");
        child.kill().unwrap();
        child.wait().unwrap();

        let store = open(directory.path());
        let ids: std::collections::HashSet<u128> =
            store.scroll_ids(tenant(1), None, 10_000).await.unwrap().iter().map(|id| id.chunk_id.as_u128()).collect();
        for batch in 0..=acknowledged {
            for n in batch * 20..batch * 20 + 20 {
                let deleted = batch % 3 == 0 && n == batch * 20;
                assert_eq!(ids.contains(&n), !deleted, "point {n} after kill at {acknowledged}");
            }
        }
        assert_eq!(found(&store, tenant(1), "word25").await, [25]);
        // And it goes on: replaced, added, deleted.
        let changed = Point { text_for_bm25: "rewritten".into(), ..point(25) };
        store.upsert(tenant(1), vec![changed, point(900_000)]).await.unwrap();
        assert_eq!(found(&store, tenant(1), "word25").await, NONE);
        assert_eq!(found(&store, tenant(1), "rewritten").await, [25]);
        assert_eq!(found(&store, tenant(1), "word900000").await, [900_000]);
        store.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_of_one_tenant_never_opens_another_tenants_directory() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    for n in [1, 2] {
        store.upsert(tenant(n), vec![point(n)]).await.unwrap();
    }
    store.close().await.unwrap();
    // B's directory is made unusable: whoever opened it would fail.
    let b = directory.path().join(tenant(2).to_string());
    for entry in
        walkdir::WalkDir::new(&b).into_iter().filter_map(Result::ok).filter(|entry| entry.file_type().is_file())
    {
        std::fs::write(entry.path(), b"not a shard").unwrap();
    }
    let store = open(directory.path());
    assert_eq!(found(&store, tenant(1), "shipment").await, [1]);
    assert_eq!(store.search_dense(tenant(1), vec![1.0; DIM], &agent(), 10).await.unwrap().len(), 1);
    assert_eq!(store.scroll_ids(tenant(1), None, 10).await.unwrap().len(), 1);
    assert_eq!(store.count(tenant(1)).await.unwrap(), Counts { points: 1, with_dense: 1 });
    assert_eq!(store.open_tenants(), [tenant(1)]);
    // B itself gets an error by name, not a panic, and A is not disturbed.
    assert!(store.search_sparse(tenant(2), "shipment", &agent(), 10).await.is_err());
    assert_eq!(found(&store, tenant(1), "shipment").await, [1]);
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_a_tenant_that_never_wrote_creates_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    assert_eq!(found(&store, tenant(9), "anything").await, NONE);
    assert!(store.open_tenants().is_empty());
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_of_another_model_is_refused_when_opened() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    store.upsert(tenant(1), vec![point(1)]).await.unwrap();
    store.close().await.unwrap();
    // Same directory name, other model: only the marker inside tells.
    let other = EmbeddingSpec::new("Test.Model", DIM);
    assert_eq!(other.version(), config(directory.path()).spec.version());
    let store = EmbeddedStore::open(EmbeddedConfig { spec: other, ..config(directory.path()) }).unwrap();
    let refused = store.count(tenant(1)).await.unwrap_err();
    assert!(
        matches!(&refused, VectorError::EmbeddingMismatch { found_model, wanted_model, .. }
            if found_model == "test-model" && wanted_model == "Test.Model"),
        "{refused}"
    );
    let store = EmbeddedStore::open(EmbeddedConfig { bm25_avg_len: 7.0, ..config(directory.path()) }).unwrap();
    assert!(matches!(store.count(tenant(1)).await, Err(VectorError::Invalid(_))));
}

/// The engine counts operations from its log and skips writes whose number it has seen: the log may be cut, not restarted.
#[tokio::test(flavor = "multi_thread")]
async fn old_log_files_go_when_a_shard_is_opened_and_later_writes_still_count() {
    let directory = tempfile::tempdir().unwrap();
    let long = |n: u128, text: &str| {
        let mut point = Point { text_for_bm25: text.into(), ..point(n) };
        point.payload.audience.push("x".repeat(20_000));
        point
    };
    let closed_logs = || {
        let entries = walkdir::WalkDir::new(directory.path()).into_iter().filter_map(Result::ok);
        entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("closed-")).count()
    };
    let store = open(directory.path());
    for text in ["one", "two", "three", "first", "second", "third"] {
        store.upsert(tenant(1), (0..400).map(|n| long(n, text)).collect()).await.unwrap();
    }
    store.close().await.unwrap();
    assert!(closed_logs() > 3, "the log is long enough for this test");
    for round in ["fourth", "fifth"] {
        let store = open(directory.path());
        store.upsert(tenant(1), vec![long(7, round)]).await.unwrap();
        assert_eq!(found(&store, tenant(1), round).await, [7]);
        store.delete(tenant(1), vec![Uuid::from_u128(8)]).await.unwrap();
        assert_eq!(store.count(tenant(1)).await.unwrap().points, 399);
        store.close().await.unwrap();
        assert!(closed_logs() <= 2, "{round}: the newest of before, and one that was filled since");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_shards_are_closed_and_come_back_with_everything() {
    let directory = tempfile::tempdir().unwrap();
    let store =
        EmbeddedStore::open(EmbeddedConfig { idle_after: Duration::from_millis(100), ..config(directory.path()) })
            .unwrap();
    store.upsert(tenant(1), vec![point(1)]).await.unwrap();
    assert_eq!(store.open_tenants(), [tenant(1)]);
    for _ in 0..100 {
        if store.open_tenants().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(store.open_tenants().is_empty());
    assert_eq!(found(&store, tenant(1), "word1").await, [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn at_most_the_allowed_number_of_shards_stays_open() {
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(EmbeddedConfig { max_open_shards: 3, ..config(directory.path()) }).unwrap();
    for n in 1..=8 {
        store.upsert(tenant(n), vec![point(n)]).await.unwrap();
        assert!(store.open_tenants().len() <= 3);
    }
    assert!(store.open_tenants().contains(&tenant(8)) && !store.open_tenants().contains(&tenant(1)));
    for n in 1..=8 {
        assert_eq!(found(&store, tenant(n), &format!("word{n}")).await, [n]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_callers_open_a_shard_once_and_lose_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(EmbeddedConfig { max_open_shards: 2, ..config(directory.path()) }).unwrap();
    let calls = (0..60_u128).map(|n| {
        let store = store.clone();
        tokio::spawn(async move {
            store.upsert(tenant(n % 4), vec![point(n)]).await.unwrap();
            found(&store, tenant(n % 4), &format!("word{n}")).await
        })
    });
    for (n, call) in futures::future::join_all(calls).await.into_iter().enumerate() {
        assert_eq!(call.unwrap(), [n as u128]);
    }
    for n in 0..4 {
        assert_eq!(store.count(tenant(n)).await.unwrap().points, 15);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_caller_gave_up_does_not_break_the_shard() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    for n in 0..20 {
        let write = store.upsert(tenant(1), vec![point(n)]);
        let _ = tokio::time::timeout(Duration::from_micros(50 * n as u64), write).await;
    }
    store.upsert(tenant(1), vec![point(100)]).await.unwrap();
    assert_eq!(found(&store, tenant(1), "word100").await, [100]);
    store.close().await.unwrap();
    assert_eq!(found(&open(directory.path()), tenant(1), "word100").await, [100]);
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_and_counts_hold_after_an_optimisation() {
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(EmbeddedConfig { optimise_after: 100, ..config(directory.path()) }).unwrap();
    store.upsert(tenant(1), (0..3000).map(point).collect()).await.unwrap();
    store.delete(tenant(1), (0..1000).map(Uuid::from_u128).collect()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    store.upsert(tenant(1), (3000..3100).map(point).collect()).await.unwrap();
    assert_eq!(store.count(tenant(1)).await.unwrap(), Counts { points: 2100, with_dense: 2100 });
    assert_eq!(found(&store, tenant(1), "word500").await, NONE);
    assert_eq!(found(&store, tenant(1), "word3050").await, [3050]);
    let nobody = Filter::for_audience(["stranger".to_owned()]).unwrap();
    assert_eq!(store.search_dense(tenant(1), vec![1.0; DIM], &nobody, 10).await.unwrap().len(), 0);
}

/// Numbers, not a verdict: `cargo test --test it -- --ignored --nocapture measure_20_000_points`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement of about a minute"]
async fn measure_20_000_points() {
    const POINTS: u128 = 20_000;
    const WORDS: [&str; 16] = [
        "order",
        "shipment",
        "refund",
        "invoice",
        "carrier",
        "pallet",
        "supplier",
        "receipt",
        "stock",
        "return",
        "credit",
        "price",
        "customer",
        "warehouse",
        "late",
        "damaged",
    ];
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(EmbeddedConfig::new(directory.path(), EmbeddingSpec::new("m", 384))).unwrap();
    let mut state = 7_u64;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    let mut made = |n: u128| {
        let words: Vec<&str> = (0..60).map(|_| WORDS[next() % WORDS.len()]).collect();
        let dense = (0..384).map(|_| (next() % 2001) as f32 / 1000.0 - 1.0).collect();
        Point {
            chunk_id: Uuid::from_u128(n),
            text_for_bm25: format!("SO-{n} {}", words.join(" ")),
            dense: Some(dense),
            ..point(n)
        }
    };
    let started = std::time::Instant::now();
    for batch in 0..POINTS / 500 {
        store.upsert(tenant(1), (batch * 500..batch * 500 + 500).map(&mut made).collect()).await.unwrap();
    }
    println!("{POINTS} points in batches of 500: {:?}", started.elapsed());
    let queries: Vec<Point> = (0..200).map(|n| made(1_000_000 + n)).collect();
    for phase in ["as written", "optimised"] {
        let mut times = Vec::new();
        for query in &queries {
            let filter = agent().effective_on(20_000).kinds(vec!["order".into()]);
            let started = std::time::Instant::now();
            let dense = store.search_dense(tenant(1), query.dense.clone().unwrap(), &filter, 50);
            let sparse = store.search_sparse(tenant(1), "late shipment refund SO-17", &filter, 50);
            let (dense, sparse) = futures::join!(dense, sparse);
            assert_eq!((dense.unwrap().len(), sparse.unwrap().len()), (50, 50));
            times.push(started.elapsed());
        }
        times.sort();
        println!("{phase}: hybrid query p50 {:?}, p99 {:?}", times[100], times[198]);
        tokio::time::sleep(Duration::from_secs(1)).await;
        let started = std::time::Instant::now();
        if phase == "as written" {
            let fresh = Point { text_for_bm25: "urgentword".into(), ..made(3_000_000) };
            let write = store.upsert(tenant(1), vec![fresh]);
            let seen = async {
                while found(&store, tenant(1), "urgentword").await.is_empty() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                println!("a write beside an optimisation is found after {:?}", started.elapsed());
            };
            futures::join!(write, seen).0.unwrap();
            println!("and acknowledged after {:?}", started.elapsed());
        }
        let started = std::time::Instant::now();
        for n in 0..10 {
            store.upsert(tenant(1), vec![made(2_000_000 + n)]).await.unwrap();
        }
        println!("10 writes of one point: {:?}", started.elapsed());
    }
    let started = std::time::Instant::now();
    store.close().await.unwrap();
    println!("close: {:?}", started.elapsed());
}
