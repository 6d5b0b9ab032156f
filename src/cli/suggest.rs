//! `ingest --suggest-mapping`: a first mapping for a file, to be read and corrected.

use std::fmt::Write;
use std::path::Path;

use ingest::{Limits, Mapping, suggest};
use serde_json::json;

use super::context::Context;
use super::failure::{Exit, Failure};
use super::push::Reading;
use crate::source::Extractor;
use crate::source::folder::FileBytes;

pub async fn run(context: &Context, file: &Path, dry_run: bool) -> Result<Exit, Failure> {
    let limits = Limits::default();
    let io = |error: std::io::Error| {
        let exit = if error.kind() == std::io::ErrorKind::NotFound { Exit::NotFound } else { Exit::Failed };
        Failure::new(exit, format!("{}: {error}", file.display()))
    };
    if std::fs::metadata(file).map_err(io)?.len() > limits.file_bytes {
        return Err(Failure::new(
            Exit::Usage,
            format!("{} is larger than {} bytes", file.display(), limits.file_bytes),
        ));
    }
    let bytes = std::fs::read(file).map_err(io)?;
    let path = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let extractor = Extractor::new(&context.config.ingest);
    let prepared = extractor.prepare(FileBytes { path: path.clone(), bytes }, &limits).await;
    let prepared = prepared.map_err(|error| Failure::failed(error.to_string()))?;
    let suggestion = suggest::suggest(&path, &prepared.input().content, &limits)
        .map_err(|refused| Failure::new(Exit::Usage, refused.to_string()))?;
    let fields: Vec<_> =
        suggestion.fields.iter().map(|(field, column)| json!({ "field": field, "column": column })).collect();
    let mut result = json!({
        "mapping": suggestion.toml, "kind": suggestion.kind.as_str(), "confidence": suggestion.confidence,
        "fields": fields, "unknown": suggestion.unknown,
    });
    if dry_run {
        let mapping = Mapping::parse(&suggestion.toml).map_err(|error| Failure::failed(error.to_string()))?;
        let reading = Reading::of_files(&mapping, std::slice::from_ref(&prepared), &limits);
        result["dry_run"] = json!({ "kinds": reading.kinds, "rejected": reading.rejections.len(), "rejections": reading.rejections.iter().take(20).collect::<Vec<_>>() });
        let mut told = String::from("read with this mapping:");
        for (kind, count) in &reading.kinds {
            let _ = write!(told, "\n  {count:>8}  {kind}");
        }
        let _ = write!(told, "\n  {:>8}  refused", reading.rejections.len());
        for rejection in reading.rejections.iter().take(20) {
            let _ = write!(told, "\n    {}", super::ingest::place(rejection));
        }
        context.output.note(told);
    }
    context.output.result(&result, suggestion.toml.trim_end());
    if !dry_run {
        context
            .output
            .note(format!("next: save it as mapping.toml beside {path}, then `countersign ingest FOLDER --dry-run`"));
    }
    Ok(Exit::Ok)
}
