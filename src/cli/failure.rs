//! Why a command ended badly, and the one mapping from that to exit codes.

use serde::Deserialize;
use serde_json::json;

use crate::app::DataDirError;
use crate::config::ConfigError;
use crate::source::folder::FolderError;
use crate::start::StartError;
use crate::store::StoreError;

/// The documented exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    Ok = 0,
    Failed = 1,
    Usage = 2,
    /// Some rows were refused, the rest went in.
    Partly = 3,
    NotFound = 4,
    NotPermitted = 5,
    /// Taken, in use, stale.
    Conflict = 6,
    /// A database, a model provider or the service is down: try again.
    Unavailable = 7,
    /// The audit trail does not verify.
    Verification = 8,
    Interrupted = 130,
}

/// For `--help`.
pub const EXIT_CODES: &str = "\
Exit codes:
  0  done                       5  not permitted
  1  failed                     6  conflict: taken, in use, stale
  2  usage or invalid input     7  a dependency is down: try again
  3  some rows were refused     8  verification failed
  4  not found                  130  interrupted (Ctrl-C)";

/// What went wrong, why, and what to do about it.
#[derive(Debug)]
pub struct Failure {
    pub exit: Exit,
    /// One sentence: what and why.
    pub message: String,
    /// What to do.
    pub next: Option<String>,
}

impl Failure {
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), next: None }
    }

    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }

    #[must_use]
    pub fn next(mut self, what_to_do: impl Into<String>) -> Self {
        self.next = Some(what_to_do.into());
        self
    }

    /// From a reply that is not 2xx. `body` is problem+json, or anything when a proxy answered.
    pub fn of_reply(status: u16, body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Problem {
            #[serde(rename = "type")]
            kind: String,
            detail: String,
        }
        let problem = serde_json::from_slice::<Problem>(body);
        let is = |kind: &str| problem.as_ref().is_ok_and(|problem| problem.kind == kind);
        let (exit, next) = match status {
            400 | 413 | 415 | 422 => (Exit::Usage, None),
            401 => (Exit::NotPermitted, Some("check which key is used: --tenant, --key-file or COUNTERSIGN_KEY_FILE")),
            403 => (Exit::NotPermitted, Some("use the key of a user whose role allows it, for example an admin")),
            404 => (Exit::NotFound, None),
            // The first attempt with this idempotency key still runs.
            409 if is("/problems/in-progress") => (Exit::Unavailable, Some("try again in a moment")),
            409 | 412 => (Exit::Conflict, None),
            429 | 502..=504 => (Exit::Unavailable, Some("try again in a moment")),
            _ => (Exit::Failed, None),
        };
        let message = match problem {
            Ok(problem) => format!("{} ({})", problem.detail, problem.kind.trim_start_matches("/problems/")),
            Err(_) => format!("the service answered with status {status}"),
        };
        Self { exit, message, next: next.map(str::to_owned) }
    }

    pub fn to_json(&self) -> serde_json::Value {
        json!({ "error": { "exit": self.exit as u8, "message": self.message, "next": self.next } })
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(Exit::Usage, error.to_string())
            .next("`countersign config show --origin` says where each value is set")
    }
}

impl From<FolderError> for Failure {
    fn from(error: FolderError) -> Self {
        let exit = match &error {
            FolderError::Mapping { .. } | FolderError::NoBuiltin(_) => Exit::Usage,
            FolderError::Io { path, .. } if !path.exists() => Exit::NotFound,
            FolderError::Io { .. } => Exit::Failed,
        };
        Self::new(exit, error.to_string())
    }
}

impl From<DataDirError> for Failure {
    fn from(error: DataDirError) -> Self {
        match &error {
            DataDirError::InUse(_) => Self::new(Exit::Conflict, error.to_string())
                .next("wait for it to end; beside `countersign serve` every command works"),
            DataDirError::Io { .. } => Self::failed(error.to_string()),
        }
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        let exit = match &error {
            StartError::DataDir(_) => Exit::Failed,
            StartError::Store(StoreError::Db(_)) => Exit::Unavailable,
            StartError::Store(_) | StartError::Vector(_) => Exit::Failed,
            StartError::Embedding(_) | StartError::Llm(_) | StartError::Readable(_) | StartError::NoCache => {
                Exit::Usage
            }
        };
        Self::new(exit, error.to_string()).next("`countersign doctor` checks the set-up")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_become_the_documented_exit_codes() {
        let body = br#"{"type":"/problems/taken","title":"Conflict","status":409,"detail":"that name is taken"}"#;
        let failure = Failure::of_reply(409, body);
        assert_eq!(failure.exit, Exit::Conflict);
        assert_eq!(failure.message, "that name is taken (taken)");
        for (status, exit) in [
            (400, Exit::Usage),
            (401, Exit::NotPermitted),
            (403, Exit::NotPermitted),
            (404, Exit::NotFound),
            (422, Exit::Usage),
            (429, Exit::Unavailable),
            (500, Exit::Failed),
            (503, Exit::Unavailable),
        ] {
            assert_eq!(Failure::of_reply(status, b"<html>").exit, exit, "{status}");
        }
    }
}
