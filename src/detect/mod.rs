//! Exceptions: what deterministic rules notice in the records. No model.
//!
//! After `answer`, before drafts. The transaction that stores a version of a record also queues it (`detect_work`); a worker looks at what
//! changed, at what is linked to it, and at what time alone has made due. Detectors are pure functions, one file per desk; what they look at
//! beside their record is declared (`rules`), loaded (`load`) and handed over as values (`view`). What they find is held against what is
//! stored (`observe`): one exception per record and kind, which opens, closes itself and opens again.
//!
//! Not here: drafts and decisions about exceptions. Nothing in this stage asks a model or changes a record.

mod act;
mod backtest;
mod calendar;
mod custom;
mod engine;
mod finance;
mod finding;
mod fulfilment;
mod kind;
mod lifecycle;
mod list;
mod load;
mod observe;
mod orders;
mod priority;
mod procurement;
mod project;
mod queue;
mod returns;
mod rules;
mod settings;
mod settings_store;
mod stock;
mod stored;
mod summary;
mod view;
mod worker;

pub use act::{Act, act};
pub use backtest::{Backtest, BacktestPage, SUBJECT_KINDS, backtest};
pub use custom::CustomRule;
pub use finding::{Cause, Fact, Involved};
pub use kind::{Domain, Kind, Severity};
pub use lifecycle::{DismissReason, State, StateError};
pub use list::{Filter, Group, KindCount, Sort, counts, get, groups, list};
pub use priority::{Part, parts};
pub use settings::{KindSetting, Limits, ServiceLevels, Settings, SettingsError};
pub use settings_store::{current as settings, put as put_settings, state as settings_state};
pub use stored::{Stored, state as exception_state};
pub use summary::{Sources, Summary, of_exception, of_group};

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};

use crate::clock::Clock;
use crate::ids::TenantId;
use crate::store::Store;

/// Why an operation on exceptions was refused.
#[derive(Debug, thiserror::Error)]
pub enum DetectError {
    #[error("there is no such exception")]
    NotFound,
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("{0}")]
    Invalid(&'static str),
    #[error("they were changed meanwhile")]
    Stale,
    #[error(transparent)]
    Db(#[from] sqlx::Error),
}

/// The worker's handle: cheap to clone.
#[derive(Clone)]
pub struct Detect {
    store: Store,
    clock: Clock,
    wake: mpsc::UnboundedSender<TenantId>,
    settled: Arc<Notify>,
    /// Rung when something was written that others may have to be told of.
    told: Arc<Notify>,
}

impl Detect {
    /// Starts the worker; it ends when `shutdown` is cancelled, after the portion in hand.
    pub fn start(
        store: Store,
        clock: Clock,
        told: Arc<Notify>,
        shutdown: tokio_util::sync::CancellationToken,
        tasks: &tokio_util::task::TaskTracker,
    ) -> Self {
        let (wake, woken) = mpsc::unbounded_channel();
        let detect = Self { store, clock, wake, settled: Arc::new(Notify::new()), told };
        tasks.spawn(worker::run(detect.clone(), woken, shutdown));
        detect
    }

    /// Says that the tenant has something to look at. Call it after the commit.
    pub fn wake(&self, tenant: TenantId) {
        // The worker is gone only when the service stops; what is queued stays in SQL.
        let _ = self.wake.send(tenant);
    }

    /// Records that nobody has looked at yet.
    pub async fn backlog(&self, tenant: TenantId) -> sqlx::Result<i64> {
        let mut tx = self.store.begin_read(tenant).await?;
        Ok(queue::backlog(&mut tx).await?.0)
    }

    /// Waits until everything that is queued or due was looked at, or `limit` has passed. Returns whether it was.
    pub async fn settle(&self, tenant: TenantId, limit: Duration) -> sqlx::Result<bool> {
        let deadline = tokio::time::Instant::now() + limit;
        loop {
            let settled = self.settled.notified();
            self.wake(tenant);
            let mut tx = self.store.begin_read(tenant).await?;
            let (left, _) = queue::backlog(&mut tx).await?;
            let due = stored::next_due(&mut tx).await?.is_some_and(|at| at <= self.clock.now().as_microsecond());
            drop(tx);
            if left == 0 && !due {
                return Ok(true);
            }
            if tokio::time::Instant::now() >= deadline {
                return Ok(false);
            }
            let _ = tokio::time::timeout(Duration::from_millis(100), settled).await;
        }
    }
}

#[cfg(test)]
mod tests;
