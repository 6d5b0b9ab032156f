//! A folder of exports, policies and runbooks: which files there are, their bytes, the mapping that reads them.

use std::path::{Path, PathBuf};

use ingest::Limits;
use ingest::mapping::Mapping;

/// The mapping a folder brings along.
pub const MAPPING_FILE: &str = "mapping.toml";

/// Why a folder cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    #[error("{path}: {reason}")]
    Io { path: PathBuf, reason: String },
    #[error("{path}: {source}")]
    Mapping { path: PathBuf, source: ingest::MappingError },
    #[error("there is no built-in mapping of that name; there are: {}", .0.join(", "))]
    NoBuiltin(Vec<&'static str>),
}

/// A file read from a folder: its path below it, with `/`, and its bytes.
#[derive(Debug)]
pub struct FileBytes {
    pub path: String,
    pub bytes: Vec<u8>,
}

/// The mapping to use: `wanted` as a file or the name of a built-in one, else the folder's own `mapping.toml`, else prose only.
pub fn mapping_for(folder: &Path, wanted: Option<&str>, source: &str) -> Result<Mapping, FolderError> {
    let own = folder.join(MAPPING_FILE);
    let (path, text) = match wanted {
        Some(name) if Path::new(name).is_file() => (PathBuf::from(name), read_text(Path::new(name))?),
        Some(name) => {
            let text = ingest::mapping::builtin(name)
                .ok_or_else(|| FolderError::NoBuiltin(ingest::mapping::builtin_names(name).0))?;
            (PathBuf::from(name), text.to_owned())
        }
        None if own.is_file() => (own.clone(), read_text(&own)?),
        None => return Ok(Mapping::prose_only(source)),
    };
    Mapping::parse(&text).map_err(|source| FolderError::Mapping { path, source })
}

fn read_text(path: &Path) -> Result<String, FolderError> {
    std::fs::read_to_string(path).map_err(|error| FolderError::Io { path: path.into(), reason: error.to_string() })
}

/// Every regular file below the folder that the mapping or the prose parser can use, by path. Hidden files and links are passed over; a
/// file beyond the size limit is listed with no bytes in `too_large`.
pub fn files(folder: &Path, mapping: &Mapping, limits: &Limits) -> Result<(Vec<FileBytes>, Vec<String>), FolderError> {
    let (mut found, mut too_large) = (Vec::new(), Vec::new());
    let visible =
        |entry: &walkdir::DirEntry| entry.depth() == 0 || !entry.file_name().to_string_lossy().starts_with('.');
    for entry in walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().filter_entry(visible) {
        let entry = entry.map_err(|error| FolderError::Io { path: folder.into(), reason: error.to_string() })?;
        if !entry.file_type().is_file() {
            continue;
        }
        let below = entry.path().strip_prefix(folder).unwrap_or(entry.path());
        let path = below.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/");
        if path == MAPPING_FILE || !mapping.uses(&path) {
            continue;
        }
        let io = |error: std::io::Error| FolderError::Io { path: entry.path().into(), reason: error.to_string() };
        let size = entry
            .metadata()
            .map_err(|error| FolderError::Io { path: entry.path().into(), reason: error.to_string() })?
            .len();
        if size > limits.file_bytes {
            too_large.push(path);
            continue;
        }
        found.push(FileBytes { path, bytes: std::fs::read(entry.path()).map_err(io)? });
    }
    Ok((found, too_large))
}
