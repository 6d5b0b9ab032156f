//! A shard's directory: the marker that says what is in it, creation that survives a crash, and the trimming of its log.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use qdrant_edge::{CreateIndex, EdgeShard, FieldIndexOperations, PayloadFieldSchema, UpdateOperation};
use serde::{Deserialize, Serialize};

use super::{engine_error, unavailable};
use crate::vector::{EmbeddingSpec, VectorError, edge};

/// Written last when a shard is created and read first when it is opened.
const MARKER: &str = "embedding.json";
/// What a shard directory holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::vector) struct Marker {
    /// Layout of the shard directory; another number is refused.
    pub format: u32,
    #[serde(flatten)]
    pub spec: EmbeddingSpec,
    pub bm25_avg_len: f64,
}

/// Opens the shard at `directory`, creating it when there is none. Blocking.
pub(super) fn open(directory: &Path, marker: &Marker) -> Result<EdgeShard, VectorError> {
    match read_marker(directory)? {
        None => create(directory, marker),
        Some(found) => {
            check_marker(&found, marker)?;
            trim_log(directory).map_err(|error| unavailable(&error))?;
            EdgeShard::load(directory, Some(edge::shard_config(&marker.spec))).map_err(engine_error)
        }
    }
}

/// Creates a shard from nothing. A directory without a marker is what a crash during creation left, and is cleared.
fn create(directory: &Path, marker: &Marker) -> Result<EdgeShard, VectorError> {
    let cleared = match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => fs::create_dir_all(directory),
    };
    cleared.map_err(|error| unavailable(&error))?;
    let engine = EdgeShard::new(directory, edge::shard_config(&marker.spec)).map_err(engine_error)?;
    for (field, schema) in edge::INDEXED {
        let index =
            CreateIndex { field_name: edge::path(field), field_schema: Some(PayloadFieldSchema::FieldType(schema)) };
        let operation = UpdateOperation::FieldIndexOperation(FieldIndexOperations::CreateIndex(index));
        engine.update(operation).map_err(engine_error)?;
    }
    engine.flush();
    write_marker(directory, marker).map_err(|error| unavailable(&error))?;
    Ok(engine)
}

fn write_marker(directory: &Path, marker: &Marker) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    serde_json::to_writer_pretty(&mut file, marker)?;
    file.as_file().sync_all()?;
    file.persist(directory.join(MARKER)).map(drop).map_err(|error| error.error)
}

/// The marker of the shard at `directory`; `None` when no shard was completed there.
fn read_marker(directory: &Path) -> Result<Option<Marker>, VectorError> {
    match fs::read(directory.join(MARKER)) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|_| VectorError::Invalid(format!("{MARKER} of the shard is not readable; rebuild the index"))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unavailable(&error)),
    }
}

/// Whether a completed shard is at `directory`.
pub(in crate::vector) fn exists(directory: &Path) -> bool {
    directory.join(MARKER).exists()
}

fn check_marker(found: &Marker, wanted: &Marker) -> Result<(), VectorError> {
    if found.spec != wanted.spec {
        return Err(VectorError::EmbeddingMismatch {
            found_model: found.spec.model_id.clone(),
            found_dim: found.spec.dim,
            wanted_model: wanted.spec.model_id.clone(),
            wanted_dim: wanted.spec.dim,
        });
    }
    if found != wanted {
        return Err(VectorError::Invalid("the shard was built with other BM25 settings; rebuild the index".into()));
    }
    Ok(())
}

fn log_files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(directory.join("wal"))?.map(|entry| Ok(entry?.path())).collect()
}

pub(super) fn log_bytes(directory: &Path) -> u64 {
    let files = log_files(directory).unwrap_or_default();
    files.iter().filter_map(|path| path.metadata().ok()).map(|metadata| metadata.len()).sum()
}

/// Deletes closed log files but the newest, as the engine's server does after a flush and the embedded one never does.
///
/// The newest stays because the number of the next operation is counted from it; numbers must not go back, or the engine
/// takes new writes for old ones and skips them.
fn trim_log(directory: &Path) -> io::Result<()> {
    let mut closed: Vec<(u64, PathBuf)> = log_files(directory)?
        .into_iter()
        .filter_map(|path| {
            let start = path.file_name()?.to_str()?.strip_prefix("closed-")?.parse().ok()?;
            Some((start, path))
        })
        .collect();
    closed.sort();
    closed.pop();
    closed.iter().try_for_each(|(_, path)| fs::remove_file(path))
}
