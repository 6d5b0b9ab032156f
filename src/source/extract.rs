//! Extraction in a process of its own: this program starts itself again, hands a file over on standard input and reads text back.
//!
//! PDF, office files and mails are parsed by libraries that allocate, loop or die on some hostile files. The child gets the kernel's
//! limits on memory, processor time, files and processes before it reads a byte of the document; the parent adds a limit on time and on
//! the size of the answer, and turns every way to end into a named reason. The parsing itself is `ingest::extract`; the child has no
//! configuration, no environment and no way to open a file or a socket.
//!
//! Over the pipe: four bytes with the length of a JSON header (`Job`, little-endian), the header, the document to its end. Back: the JSON
//! of `Result<Extract, String>`.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{ExitCode, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use ingest::extract::{self, Extract, Route};
use ingest::{Given, Input, Limits};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;

use super::folder::FileBytes;
use crate::config::IngestConfig;

/// The command with which the program becomes a child. It takes no arguments: names of documents do not belong into a process list.
pub const COMMAND: &str = "extract-one";

/// Bytes of an answer: the text a workbook may become, with what JSON adds.
const ANSWER_BYTES: u64 = 192 << 20;
/// Bytes of standard error that are looked at for why the child died.
const DYING_WORDS: u64 = 8 << 10;

/// What the child is told. The limits come first, so that they hold before anything foreign is read.
#[derive(Debug, Serialize, Deserialize)]
struct Job {
    memory_bytes: u64,
    cpu_s: u64,
    path: String,
    limits: Limits,
}

/// The machinery failed: nothing was learned about the document.
#[derive(Debug, thiserror::Error)]
#[error("a file could not be handed to its reader: {0}")]
pub struct ExtractError(#[from] std::io::Error);

/// Runs extractions, a bounded number at a time. Cheap to clone; clones share the bound.
#[derive(Debug, Clone)]
pub struct Extractor {
    program: PathBuf,
    memory_bytes: u64,
    cpu_s: u64,
    patience: Duration,
    turns: Arc<Semaphore>,
    at_once: usize,
}

/// A file of a source, ready to be read by a mapping.
#[derive(Debug)]
pub struct Prepared {
    pub path: String,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Text(Vec<u8>),
    Extract(Extract),
    Refused(String),
}

impl Prepared {
    pub fn input(&self) -> Input<'_> {
        let content = match &self.content {
            Content::Text(bytes) => Given::Text(bytes),
            Content::Extract(extract) => Given::Extract(extract),
            Content::Refused(reason) => Given::Refused(reason),
        };
        Input { path: &self.path, content }
    }

    /// The bytes, if they are text.
    pub fn text(&self) -> Option<&[u8]> {
        if let Content::Text(bytes) = &self.content { Some(bytes) } else { None }
    }

    /// What it was turned into, or why not; `None` for text.
    pub fn extracted(&self) -> Option<Result<&Extract, &str>> {
        match &self.content {
            Content::Text(_) => None,
            Content::Extract(extract) => Some(Ok(extract)),
            Content::Refused(reason) => Some(Err(reason)),
        }
    }
}

impl Extractor {
    pub fn new(config: &IngestConfig) -> Self {
        let at_once = usize::from(config.extract_processes.get());
        Self {
            program: config.program.clone().unwrap_or_else(this_program),
            memory_bytes: config.extract_memory_bytes.get() as u64,
            cpu_s: config.extract_cpu_s.get().into(),
            patience: Duration::from_millis(config.extract_timeout_ms.get().into()),
            turns: Arc::new(Semaphore::new(at_once)),
            at_once,
        }
    }

    /// Prepares files in their order, extracting where a file is no text.
    pub async fn prepare_all(&self, files: Vec<FileBytes>, limits: &Limits) -> Result<Vec<Prepared>, ExtractError> {
        futures::stream::iter(files).map(|file| self.prepare(file, limits)).buffered(self.at_once).try_collect().await
    }

    /// Prepares one file.
    pub async fn prepare(&self, file: FileBytes, limits: &Limits) -> Result<Prepared, ExtractError> {
        let FileBytes { path, bytes } = file;
        let content = match extract::route(&path, &bytes) {
            Ok(Route::Text) => Content::Text(bytes),
            Ok(Route::Extract) => match self.extract(&path, &bytes, limits).await? {
                Ok(extract) => Content::Extract(extract),
                Err(reason) => Content::Refused(reason),
            },
            Err(reason) => Content::Refused(reason),
        };
        Ok(Prepared { path, content })
    }

    /// Extracts one file in a child. The inner error is about the document: why it is not text.
    async fn extract(
        &self,
        path: &str,
        bytes: &[u8],
        limits: &Limits,
    ) -> Result<Result<Extract, String>, ExtractError> {
        if bytes.len() > limits.extract_bytes {
            return Ok(Err(format!("is larger than {} bytes", limits.extract_bytes)));
        }
        // The semaphore is never closed.
        let _turn = self.turns.acquire().await.map_err(|_| std::io::Error::other("closed"))?;
        let job = Job { memory_bytes: self.memory_bytes, cpu_s: self.cpu_s, path: path.to_owned(), limits: *limits };
        let header = serde_json::to_vec(&job).map_err(std::io::Error::other)?;
        let mut child = tokio::process::Command::new(&self.program)
            .arg(COMMAND)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(mut stdin), Some(stdout), Some(mut stderr)) = pipes else {
            return Err(std::io::Error::other("no pipes").into());
        };
        let (mut answer, mut words) = (Vec::new(), Vec::new());
        let talk = async {
            let give = async {
                // A child that died has closed its end; why it died is told by how it ended.
                let length = u32::try_from(header.len()).unwrap_or(0).to_le_bytes();
                let _ = stdin.write_all(&length).await;
                let _ = stdin.write_all(&header).await;
                let _ = stdin.write_all(bytes).await;
                drop(stdin);
            };
            let hear = async {
                let mut limited = stdout.take(ANSWER_BYTES + 1);
                limited.read_to_end(&mut answer).await
            };
            let listen = async {
                let mut limited = (&mut stderr).take(DYING_WORDS);
                limited.read_to_end(&mut words).await?;
                tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await
            };
            let ((), heard, listened) = tokio::join!(give, hear, listen);
            heard?;
            listened?;
            child.wait().await
        };
        match tokio::time::timeout(self.patience, talk).await {
            // Dropping the child kills it.
            Err(_) => Ok(Err(format!("took more than {} s to read", self.patience.as_secs()))),
            Ok(status) => Ok(self.outcome(status?, &answer, &words)),
        }
    }

    /// What a child's end says about the document.
    fn outcome(&self, status: ExitStatus, answer: &[u8], words: &[u8]) -> Result<Extract, String> {
        if answer.len() as u64 > ANSWER_BYTES {
            return Err("becomes too much text".into());
        }
        if status.success()
            && let Ok(outcome) = serde_json::from_slice::<Result<Extract, String>>(answer)
        {
            return outcome;
        }
        let said = |phrase: &str| words.windows(phrase.len()).any(|window| window == phrase.as_bytes());
        if said("memory allocation of") || said("out of memory") {
            return Err(format!("needs more than {} MiB of memory to read", self.memory_bytes >> 20));
        }
        if said("overflowed its stack") {
            return Err("is nested too deeply".into());
        }
        if ended_by_cpu_limit(status) {
            return Err(format!("took more than {} s of processor time to read", self.cpu_s));
        }
        Err("ended its reader".into())
    }
}

#[cfg(unix)]
fn ended_by_cpu_limit(status: ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt;
    const SIGKILL: i32 = 9;
    const SIGXCPU: i32 = 24;
    matches!(status.signal(), Some(SIGXCPU | SIGKILL))
}

#[cfg(not(unix))]
fn ended_by_cpu_limit(_: ExitStatus) -> bool {
    false
}

/// This very program, also after its file was replaced by an upgrade.
fn this_program() -> PathBuf {
    let own = PathBuf::from("/proc/self/exe");
    if own.exists() { own } else { std::env::current_exe().unwrap_or(own) }
}

/// The child's life: limits, document in, text out. Never returns an error of the document as an exit code.
pub fn child() -> ExitCode {
    // What a parser panics with may quote the document.
    std::panic::set_hook(Box::new(|_| {}));
    match run_child() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn run_child() -> std::io::Result<()> {
    let mut stdin = std::io::stdin().lock();
    let mut length = [0; 4];
    stdin.read_exact(&mut length)?;
    let mut header = vec![0; u32::from_le_bytes(length) as usize];
    stdin.read_exact(&mut header)?;
    let job: Job = serde_json::from_slice(&header)?;
    confine(&job)?;
    let mut bytes = Vec::new();
    stdin.take(job.limits.extract_bytes as u64 + 1).read_to_end(&mut bytes)?;
    let read = || extract::extract(&job.path, &bytes, &job.limits);
    let outcome = std::panic::catch_unwind(read).unwrap_or_else(|_| Err("is damaged: its reader gave up".into()));
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    serde_json::to_writer(&mut out, &outcome)?;
    out.flush()
}

/// Takes away what a parser has no use for. Memory is limited by what is written to (`RLIMIT_DATA`) as well as by addresses: the program
/// itself, mapped from its file, counts only for the second.
#[cfg(unix)]
fn confine(job: &Job) -> std::io::Result<()> {
    use rlimit::Resource;
    const PROGRAM_BYTES: u64 = 2 << 30;
    let addresses = job.memory_bytes.saturating_add(PROGRAM_BYTES);
    for (resource, most) in [
        (Resource::CORE, 0),
        (Resource::FSIZE, 0),
        (Resource::CPU, job.cpu_s),
        (Resource::DATA, job.memory_bytes),
        (Resource::AS, addresses),
        // Standard input, output and error are open; nothing else will be.
        (Resource::NOFILE, 3),
    ] {
        // What the service itself may not have is not given.
        let (_, hard) = resource.get()?;
        let most = most.min(hard);
        resource.set(most, most)?;
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    Resource::NPROC.set(0, 0)?;
    Ok(())
}

#[cfg(not(unix))]
fn confine(_: &Job) -> std::io::Result<()> {
    Err(std::io::Error::other("limits on a process need Unix"))
}
