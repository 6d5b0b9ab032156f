//! Vectors by (tenant, model, text hash): text that was embedded once is never embedded again.

use std::collections::HashMap;

use sqlx::Row;

use super::pending::PendingChunk;
use crate::ids::TenantId;
use crate::store::Store;
use crate::store::bulk::{self, Bind};

/// Vectors of the chunks that are cached, by text hash. Without a model there are none.
pub(super) async fn get(
    store: &Store,
    tenant: TenantId,
    model: Option<&str>,
    chunks: &[PendingChunk],
) -> sqlx::Result<HashMap<String, Vec<f32>>> {
    let Some(model) = model else { return Ok(HashMap::new()) };
    let hashes: Vec<String> = chunks.iter().map(|chunk| chunk.text_sha256.clone()).collect();
    let mut tx = store.begin_read(tenant).await?;
    let head = "SELECT text_sha256, vector FROM embedding_cache WHERE tenant_id = $1 AND model = $2 AND text_sha256 IN";
    let rows = bulk::select_in(&mut tx, head, &[model.into()], &hashes, "").await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, from_bytes(&row.try_get::<Vec<u8>, _>(1)?)))).collect()
}

pub(super) async fn put(
    store: &Store,
    tenant: TenantId,
    model: &str,
    vectors: &[(String, Vec<f32>)],
) -> sqlx::Result<()> {
    let mut tx = store.begin_write(tenant).await?;
    let rows = vectors
        .iter()
        .map(|(sha256, vector)| vec![model.into(), sha256.clone().into(), Bind::Bytes(to_bytes(vector))])
        .collect();
    let head = "INSERT INTO embedding_cache (tenant_id, model, text_sha256, vector)";
    bulk::insert(&mut tx, head, "ON CONFLICT (tenant_id, model, text_sha256) DO NOTHING", rows).await?;
    tx.commit().await
}

fn to_bytes(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn from_bytes(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_survives_its_bytes() {
        let vector = vec![0.0, -1.5, f32::MIN_POSITIVE, 3.25e7];
        assert_eq!(from_bytes(&to_bytes(&vector)), vector);
    }
}
