//! Taking a set's corpus in, the way it is taken in outside of `eval`: through mappings and the push API.

use anyhow::{Context, Result};
use countersign::demo;
use countersign::source::folder::{self, FileBytes};
use ingest::mapping::{Mapping, builtin};
use ingest::{Document, DocumentKind, DocumentMeta, Limits, Markup};
use serde_json::Value;

use crate::bench_app::BenchApp;
use crate::cases;
use crate::json_path::{text, values};
use crate::manifest::{Corpus, Place};
use crate::measure::Run;

/// How much was taken in.
#[derive(Debug, Clone, Copy, Default)]
pub struct Taken {
    pub records: usize,
    pub documents: usize,
    pub rejected: usize,
}

impl Taken {
    fn add(&mut self, (records, documents, rejected): (usize, usize, usize)) {
        self.records += records;
        self.documents += documents;
        self.rejected += rejected;
    }
}

/// Takes `corpus` in and waits for the index: for keywords, and for the vectors of everything but large sets of records.
pub async fn load(run: &Run<'_>, bench: &BenchApp, corpus: &Corpus) -> Result<Taken> {
    let mut taken = Taken::default();
    match corpus {
        Corpus::Jsonl { file, id, title, text } => {
            let documents = jsonl(run, file, [id, title, text])?;
            taken.documents = documents.len();
            bench.push_documents("documents", documents).await?;
            bench.settle(true).await?;
        }
        Corpus::Folders { folders, mapping, records_only } => {
            for place in folders {
                let mapping = match mapping {
                    Some(name) => Mapping::parse(builtin(name).context("no such mapping")?)?,
                    None => Mapping::prose_only(place.name()),
                };
                let (mut files, _) = folder::files(&place.under(run.roots), &mapping, &Limits::default())?;
                files.retain(|file| !(*records_only && (file.path.ends_with(".md") || file.path.ends_with(".txt"))));
                taken.add(bench.push_files(&place.name().replace('_', "-"), &mapping, &files).await?);
            }
            bench.settle(!*records_only).await?;
        }
        Corpus::Demo { as_of, prose_only } => load_demo(bench, *as_of, *prose_only, &mut taken).await?,
        Corpus::Notes { count } => {
            bench.push_documents("notes", notes(*count)).await?;
            taken.documents = *count;
            bench.settle(true).await?;
        }
    }
    Ok(taken)
}

fn jsonl(run: &Run<'_>, file: &Place, [id, title, body]: [&String; 3]) -> Result<Vec<Document>> {
    let field = |line: &Value, path: &str| values(line, path).first().map(|value| text(value)).unwrap_or_default();
    let lines: Vec<Value> = cases::read(file, run.roots)?;
    let document = |line: &Value| Document {
        external_id: field(line, id),
        kind: DocumentKind::Page,
        title: field(line, title),
        text: field(line, body),
        markup: Markup::Plain,
        meta: DocumentMeta::default(),
    };
    Ok(lines.iter().map(document).collect())
}

async fn load_demo(bench: &BenchApp, as_of: jiff::civil::Date, prose_only: bool, taken: &mut Taken) -> Result<()> {
    let files: Vec<FileBytes> = demo::generate(as_of, demo::DEFAULT_SEED)
        .files()
        .into_iter()
        .map(|(path, bytes)| FileBytes { path, bytes })
        .collect();
    let mapping = files
        .iter()
        .find(|file| file.path == folder::MAPPING_FILE)
        .map(|file| String::from_utf8_lossy(&file.bytes).into_owned());
    let mapping = Mapping::parse(&mapping.context("the demo brings no mapping")?)?;
    let files = files.into_iter().filter(|file| mapping.uses(&file.path));
    // Prose first, vectors included; the cards of 11,000 records are searched by word, as in the first minutes of `make demo`.
    let (prose, records): (Vec<FileBytes>, Vec<FileBytes>) = files.partition(|file| file.path.ends_with(".md"));
    taken.add(bench.push_files("demo", &mapping, &prose).await?);
    bench.settle(true).await?;
    if !prose_only {
        taken.add(bench.push_files("demo", &mapping, &records).await?);
        bench.settle(false).await?;
    }
    Ok(())
}

/// Generated notes, always the same.
pub fn notes(count: usize) -> Vec<Document> {
    (0..count)
        .map(|n| Document {
            external_id: format!("note-{n}"),
            kind: DocumentKind::Note,
            title: format!("Note {n}"),
            text: format!("Pallet {n} was counted in aisle {}. Its label reads {}.", n % 97, n * 31),
            markup: Markup::Plain,
            meta: DocumentMeta::default(),
        })
        .collect()
}
