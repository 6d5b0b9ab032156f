//! What a set is: one TOML file in `eval/sets`, so that adding a set is adding a file.
//!
//! A set names one corpus and what is measured over it: passages found for judged queries, records found for texts about them, facts of
//! records, answers to cases, or that unchanged content costs nothing. Paths that begin with `shared:` lie below `--shared` (open data
//! that is not in the repository); others lie beside this crate. A set whose shared data is absent is skipped by name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

/// One set.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// As given on the command line and before each figure: letters, digits, `-`.
    pub name: String,
    /// One sentence: what a good figure here says.
    pub about: String,
    pub corpus: Corpus,
    pub passages: Option<Passages>,
    pub records: Option<Records>,
    pub facts: Option<Facts>,
    pub answers: Option<Answers>,
    #[serde(default)]
    pub unchanged: bool,
    /// What figures are held to, by their name.
    #[serde(default)]
    pub bars: BTreeMap<String, f64>,
}

/// What is taken in before anything is asked.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Corpus {
    /// One document a line.
    Jsonl { file: Place, id: String, title: String, text: String },
    /// Folders, each as a source of its own, read as `countersign ingest` reads them.
    Folders {
        folders: Vec<Place>,
        /// Name of a built-in mapping; absent: prose only.
        mapping: Option<String>,
        /// Leave prose out.
        #[serde(default)]
        records_only: bool,
    },
    /// The demo company on a fixed day, so that the figures of two runs can be compared.
    Demo {
        as_of: jiff::civil::Date,
        /// Leave records out.
        #[serde(default)]
        prose_only: bool,
    },
    /// That many generated notes.
    Notes { count: usize },
}

/// Judged queries over the corpus's documents: nDCG, recall and mean reciprocal rank for each leg and for both.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Passages {
    /// Queries as JSON lines, judgements as tab-separated `query, document, gain` with a header line.
    Trec { queries: Place, id: String, text: String, judgements: Place },
    /// Own questions as JSON lines: [`crate::measure::passages::Judged`].
    Cases { files: Vec<Place> },
}

/// Texts and the records they are about: recall of those records among the first found.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Records {
    /// JSON lines.
    pub file: Place,
    /// Path of the text in a line: `instruction`.
    pub text: String,
    /// Path of the expected external ids: `actions.*.kwargs.order_id`. Lines without any are left out.
    pub expected: String,
    pub kind: String,
}

/// A question for each row of a table, answered exactly and cited at the right field.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// `.json` (the values of its object or the items of its array) or `.csv`. Read by other means than the mapping.
    pub rows: Place,
    /// `{path}` stands for a value of the row.
    pub question: String,
    /// External id of the record to be cited, with `{path}`.
    pub record: String,
    pub expect: Vec<ExpectedFact>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedFact {
    /// The field that has to be cited. With `each`, `{n}` is the position from 0.
    pub field: String,
    /// With `{path}` of the row, or of the item when `each` is given.
    pub value: String,
    /// Path of a list in the row: the fact is expected for each item.
    pub each: Option<String>,
    /// The value is an amount in this currency, printed as cards print it.
    pub money: Option<String>,
    /// Source words and what they are on the card.
    #[serde(default)]
    pub words: BTreeMap<String, String>,
}

/// Cases through `POST /v1/answers`: accuracy by kind of case, citations, abstention.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answers {
    /// [`crate::cases::Case`] as JSON lines or one JSON array.
    pub cases: Vec<Place>,
}

/// A path of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub struct Place(String);

impl From<String> for Place {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// Where paths of manifests begin.
#[derive(Debug, Clone)]
pub struct Roots {
    /// This crate.
    pub own: PathBuf,
    /// Open data.
    pub shared: PathBuf,
}

impl Place {
    pub fn under(&self, roots: &Roots) -> PathBuf {
        match self.0.strip_prefix("shared:") {
            Some(path) => roots.shared.join(path),
            None => roots.own.join(&self.0),
        }
    }

    /// Last part of the path: names a folder's source.
    pub fn name(&self) -> &str {
        self.0.rsplit(['/', ':']).next().unwrap_or(&self.0)
    }

    pub fn read(&self, roots: &Roots) -> Result<String> {
        let path = self.under(roots);
        std::fs::read_to_string(&path).with_context(|| path.display().to_string())
    }
}

impl Manifest {
    /// Every `*.toml` of a folder, by name.
    pub fn all(folder: &Path) -> Result<Vec<Self>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                let text = std::fs::read_to_string(&path)?;
                found.push(toml::from_str(&text).with_context(|| path.display().to_string())?);
            }
        }
        found.sort_by(|a: &Self, b: &Self| a.name.cmp(&b.name));
        Ok(found)
    }

    /// The first path of the set that does not exist.
    pub fn absent(&self, roots: &Roots) -> Option<PathBuf> {
        let mut places: Vec<&Place> = Vec::new();
        match &self.corpus {
            Corpus::Jsonl { file, .. } => places.push(file),
            Corpus::Folders { folders, .. } => places.extend(folders),
            Corpus::Demo { .. } | Corpus::Notes { .. } => {}
        }
        match &self.passages {
            Some(Passages::Trec { queries, judgements, .. }) => places.extend([queries, judgements]),
            Some(Passages::Cases { files }) => places.extend(files),
            None => {}
        }
        places.extend(self.records.as_ref().map(|records| &records.file));
        places.extend(self.facts.as_ref().map(|facts| &facts.rows));
        places.extend(self.answers.iter().flat_map(|answers| &answers.cases));
        places.into_iter().map(|place| place.under(roots)).find(|path| !path.exists())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_of_the_repository_can_be_read_and_its_own_files_are_there() {
        let own = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let roots = Roots { shared: own.join("nowhere"), own };
        let sets = Manifest::all(&roots.own.join("sets")).unwrap();
        assert!(sets.len() >= 5);
        for set in &sets {
            let absent = set.absent(&roots);
            assert!(absent.is_none_or(|path| path.starts_with(&roots.shared)), "{} lacks a file", set.name);
        }
        let mut names: Vec<&str> = sets.iter().map(|set| set.name.as_str()).collect();
        names.dedup();
        assert_eq!(names.len(), sets.len(), "names are unique");
    }

    #[test]
    fn a_misspelt_key_is_refused() {
        let text = "name = 'a'\nabout = 'b'\nunchangd = true\n[corpus.notes]\ncount = 1\n";
        assert!(toml::from_str::<Manifest>(text).unwrap_err().to_string().contains("unchangd"));
    }
}
