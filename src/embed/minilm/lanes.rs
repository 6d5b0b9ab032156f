//! Threads for the model, one core each.
//!
//! The matrix library splits every product over all cores of the thread pool it is called in. For products of this size
//! that costs more than it brings: with one thread to a product, two batches side by side were 1.8 times as fast. So a
//! batch runs inside a pool of one thread. The library's other pool, for element-wise operations, is sized by the variable
//! `CANDLE_NUM_THREADS` alone; set to 1 it saves another fifth of the CPU time.

use std::sync::{Arc, Mutex, PoisonError};

use rayon::{ThreadPool, ThreadPoolBuilder};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::embed::EmbedError;

/// A number of single-threaded pools; work waits for a free one. Clones share them.
#[derive(Clone)]
pub(super) struct Lanes {
    free: Arc<Mutex<Vec<ThreadPool>>>,
    permits: Arc<Semaphore>,
    count: usize,
}

impl Lanes {
    pub fn new(count: usize) -> Result<Self, EmbedError> {
        let pools: Result<Vec<_>, _> = (0..count)
            .map(|_| ThreadPoolBuilder::new().num_threads(1).thread_name(|_| "embed".into()).build())
            .collect();
        let pools = pools.map_err(|_| EmbedError::Model("no thread for it".into()))?;
        Ok(Self { free: Arc::new(Mutex::new(pools)), permits: Arc::new(Semaphore::new(count)), count })
    }

    pub fn count(&self) -> usize {
        self.count
    }

    /// Runs `work` when a lane is free. Work that has begun runs to its end, also when the caller gives up.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, EmbedError> {
        let interrupted = || EmbedError::Model("the computation was interrupted".into());
        let permit = self.permits.clone().acquire_owned().await.map_err(|_| interrupted())?;
        let mut lane = Lane { pool: None, free: self.free.clone(), _permit: permit };
        lane.pool = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        tokio::task::spawn_blocking(move || lane.pool.as_ref().map(|pool| pool.install(work)))
            .await
            .ok()
            .flatten()
            .ok_or_else(interrupted)
    }
}

/// A lane in use; goes back when dropped, also by a panic. The pool goes back before the permit does.
struct Lane {
    pool: Option<ThreadPool>,
    free: Arc<Mutex<Vec<ThreadPool>>>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).extend(self.pool.take());
    }
}
