//! The local embedder on the real weights. Passes as skipped, by name, where they cannot be had.

use countersign::embed::{
    Embedder,
    minilm::{DIM, MiniLm},
    weights::{Resolution, Weights, WeightsConfig, resolve},
};

/// The loaded model; `None` after saying why `test` is skipped.
async fn model(test: &str) -> Option<MiniLm> {
    let weights = weights(test).await?;
    let loaded = tokio::task::spawn_blocking(move || MiniLm::load(weights.read().unwrap(), 2).unwrap()).await.unwrap();
    Some(loaded)
}

async fn weights(test: &str) -> Option<Weights> {
    // Beside the other build products: shared by all runs, gone with `cargo clean`.
    let cache = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("minilm");
    match resolve(&WeightsConfig::new(cache), &|_| ()).await {
        Resolution::Ready(weights) => Some(weights),
        Resolution::Unavailable { why } => {
            println!("{test} skipped: embedding weights absent: {why}");
            None
        }
    }
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn paraphrases_are_nearer_than_strangers_and_vectors_have_unit_length() {
    let Some(model) = model("paraphrases_are_nearer_than_strangers_and_vectors_have_unit_length").await else { return };
    let texts = [
        "The parcel arrived broken and the customer wants money back",
        "Customer requests a refund because the shipment was damaged",
        "Purchase orders above the limit need a second approval",
        "",
    ];
    let vectors = model.embed_passages(texts.map(str::to_owned).to_vec()).await.unwrap();
    assert!(vectors.iter().all(|vector| vector.len() == DIM && (cosine(vector, vector) - 1.0).abs() < 1e-4));
    let (same, other) = (cosine(&vectors[0], &vectors[1]), cosine(&vectors[0], &vectors[2]));
    assert!(same > 0.5 && other < 0.3 && same > other + 0.3, "{same} against {other}");
}

/// The values come from a second implementation: the layers written out in NumPy with 64-bit floats, on the same weights
/// and tokenizer, mean over all tokens, L2 norm 1, as sentence-transformers does it.
#[tokio::test(flavor = "multi_thread")]
async fn vectors_equal_those_of_an_independent_implementation() {
    let Some(model) = model("vectors_equal_those_of_an_independent_implementation").await else { return };
    let golden = [
        (
            "The customer asks for a refund of order SO-1042.".to_owned(),
            [-0.097252, 0.038032, 0.023889, 0.056406, -0.009605],
        ),
        // Cut at 256 tokens.
        ("late shipment ".repeat(200), [-0.020456, -0.067767, 0.065895, -0.003538, 0.005892]),
    ];
    let vectors = model.embed_passages(golden.iter().map(|(text, _)| text.clone()).collect()).await.unwrap();
    for (vector, (text, expected)) in vectors.iter().zip(&golden) {
        for (place, wanted) in [0, 1, 100, 200, 383].into_iter().zip(expected) {
            let found: f32 = vector[place];
            assert!((found - wanted).abs() < 1e-4, "{found} instead of {wanted} at {place} of {:.20}", text);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vector_does_not_depend_on_the_batch_it_was_computed_in() {
    let Some(model) = model("a_vector_does_not_depend_on_the_batch_it_was_computed_in").await else { return };
    let texts: Vec<String> = (1..=40).map(|n| "late shipment of an order ".repeat(n)).collect();
    let together = model.embed_passages(texts.clone()).await.unwrap();
    for n in [0, 7, 20] {
        let alone = model.embed_queries(vec![texts[n].clone()]).await.unwrap();
        assert!(cosine(&alone[0], &together[n]) > 0.9999, "text {n}");
    }
    // 40 repetitions are beyond the window of 256 tokens: what follows is cut.
    let beyond = model.embed_passages(vec![texts[39].repeat(2), texts[39].repeat(3)]).await.unwrap();
    assert!(cosine(&beyond[0], &beyond[1]) > 0.9999);
}

/// Numbers, not a verdict: `cargo test --test it -- --ignored --nocapture measure_embedding_speed`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn measure_embedding_speed() {
    let Some(model) = model("measure_embedding_speed").await else { return };
    let text =
        "Order SO-1042 for customer Hansen was shipped late by the carrier and a refund of 12.50 EUR was asked for. ";
    let chunks: Vec<String> = (0..192).map(|n| format!("{n} {}", text.repeat(4))).collect();
    model.embed_passages(chunks[..16].to_vec()).await.unwrap();
    let started = std::time::Instant::now();
    model.embed_passages(chunks.clone()).await.unwrap();
    let elapsed = started.elapsed();
    println!("{} chunks in {elapsed:?}: {:.1} chunks/s", chunks.len(), chunks.len() as f64 / elapsed.as_secs_f64());
    let started = std::time::Instant::now();
    for _ in 0..10 {
        model.embed_queries(vec!["which orders are late?".into()]).await.unwrap();
    }
    println!("one question: {:?}", started.elapsed() / 10);
}
