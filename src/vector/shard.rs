//! One tenant's open shard: who may read it, and the one task that writes it.
//!
//! The engine's reads may run side by side and beside a write; its `flush()` panics when a write holds the log's lock, and
//! its log is never read back at start. So all writes, flushes and optimisations of a shard go through one task
//! ([`WriteLoop`]), which acknowledges a group of writes only after it flushed them: what was acknowledged survives a crash.
//! A panic of the engine stays inside the blocking thread it happened on and becomes [`VectorError::Engine`]; the shard is
//! then marked and reopened before its next use. Which shards are open is `places`' business.

mod directory;

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use qdrant_edge::{
    EdgeShard, PointInsertOperations, PointOperations, PointStructPersisted, PointVectorsPersisted, UpdateOperation,
    UpdateVectorsOp, VectorOperations, WithPayloadInterface, WithVector,
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};
use uuid::Uuid;

pub(super) use self::directory::{Marker, exists};
use super::{VectorError, edge};

/// Writes that wait for the task before callers wait too.
const QUEUE: usize = 32;
/// Writes that share one flush.
const GROUP: usize = 32;
/// How long the queue must be empty before an optimisation that is due begins.
const QUIET: Duration = Duration::from_millis(500);
/// How many times the due number of unindexed points makes an optimisation begin in the middle of writes.
const OVERDUE: usize = 4;
/// Log size that makes a shard be reopened, which is when old log files can go.
const MAX_WAL_BYTES: u64 = 64 << 20;

/// One write to a shard.
pub(super) enum Write {
    Upsert(Vec<PointStructPersisted>),
    SetDense(Vec<PointVectorsPersisted>),
    Delete(Vec<Uuid>),
}

impl Write {
    fn points(&self) -> usize {
        match self {
            Write::Upsert(points) => points.len(),
            Write::SetDense(vectors) => vectors.len(),
            Write::Delete(ids) => ids.len(),
        }
    }
}

type Acknowledge = oneshot::Sender<Result<(), VectorError>>;

/// A shard that is open. Close it with [`OpenShard::close`], so that it is known when its files are free again.
pub(super) struct OpenShard {
    engine: Arc<EdgeShard>,
    writes: mpsc::Sender<(Write, Acknowledge)>,
    writer: JoinHandle<()>,
    must_reopen: Arc<AtomicBool>,
}

impl OpenShard {
    /// Opens the shard at `directory`, creating it when there is none. Blocking; call it inside the runtime.
    ///
    /// - `optimise_after`: points written since the last optimisation that make the next one due.
    pub fn open(directory: &Path, marker: &Marker, optimise_after: usize) -> Result<Self, VectorError> {
        let engine = Arc::new(directory::open(directory, marker)?);
        let (writes, queue) = mpsc::channel(QUEUE);
        let must_reopen = Arc::new(AtomicBool::new(false));
        let task = WriteLoop {
            unoptimised: unindexed_points(&engine),
            engine: engine.clone(),
            queue,
            optimise_after,
            must_reopen: must_reopen.clone(),
        };
        Ok(Self { engine, writes, writer: tokio::spawn(task.run()), must_reopen })
    }

    /// Whether the engine panicked or its log grew long, so that the shard should be closed and opened again.
    pub fn must_reopen(&self) -> bool {
        self.must_reopen.load(Ordering::Relaxed)
    }

    pub fn mark_broken(&self) {
        self.must_reopen.store(true, Ordering::Relaxed);
    }

    pub fn engine(&self) -> &EdgeShard {
        &self.engine
    }

    /// Applies `write` and returns when it is on disk.
    pub async fn write(&self, write: Write) -> Result<(), VectorError> {
        let (acknowledge, done) = oneshot::channel();
        self.writes.send((write, acknowledge)).await.map_err(|_| VectorError::Closed)?;
        done.await.unwrap_or(Err(VectorError::Closed))
    }

    /// Finishes queued writes and frees the files.
    pub async fn close(self) {
        let Self { engine, writes, writer, must_reopen: _ } = self;
        drop(writes);
        let _ = writer.await;
        // Dropping flushes, which blocks and, on a full disk, panics; both stay on that thread.
        if tokio::task::spawn_blocking(move || drop(engine)).await.is_err() {
            tracing::error!("a vector shard could not be flushed when it was closed");
        }
    }
}

struct WriteLoop {
    engine: Arc<EdgeShard>,
    queue: mpsc::Receiver<(Write, Acknowledge)>,
    unoptimised: usize,
    optimise_after: usize,
    must_reopen: Arc<AtomicBool>,
}

/// What the write loop does next.
enum Next {
    Apply(Write, Acknowledge),
    Optimise,
    End,
}

impl WriteLoop {
    /// Runs until every sender is gone and the queue is empty.
    async fn run(mut self) {
        loop {
            match self.next().await {
                Next::Apply(write, acknowledge) => self.apply_group(write, acknowledge).await,
                Next::Optimise => self.optimise().await,
                Next::End => return,
            }
        }
    }

    async fn next(&mut self) -> Next {
        if self.queue.is_closed() && self.queue.is_empty() {
            return Next::End;
        }
        let received = if self.unoptimised < self.optimise_after {
            self.queue.recv().await
        } else if self.unoptimised >= self.optimise_after.saturating_mul(OVERDUE) {
            return Next::Optimise;
        } else {
            match tokio::time::timeout(QUIET, self.queue.recv()).await {
                Ok(received) => received,
                Err(_) => return Next::Optimise,
            }
        };
        received.map_or(Next::End, |(write, acknowledge)| Next::Apply(write, acknowledge))
    }

    /// Applies `first` and what else is waiting, flushes once, then acknowledges.
    async fn apply_group(&mut self, first: Write, acknowledge: Acknowledge) {
        let mut applied = vec![(acknowledge, self.apply(first).await)];
        while applied.len() < GROUP {
            let Ok((write, acknowledge)) = self.queue.try_recv() else { break };
            applied.push((acknowledge, self.apply(write).await));
        }
        self.flush_and_acknowledge(applied).await;
    }

    /// Optimises while writes go on. Those are found at once, but acknowledged only after the optimisation: until then a
    /// delete from a segment that is being rebuilt is in memory only.
    async fn optimise(&mut self) {
        self.unoptimised = 0;
        let engine = self.engine.clone();
        let mut optimising = tokio::task::spawn_blocking(move || engine.optimize().map(drop).map_err(engine_error));
        let mut applied = Vec::new();
        let outcome = loop {
            tokio::select! {
                outcome = &mut optimising => break outcome,
                Some((write, acknowledge)) = self.queue.recv() => applied.push((acknowledge, self.apply(write).await)),
                // The queue is closed: nothing is left to do but to wait.
                else => break (&mut optimising).await,
            }
        };
        self.flush_and_acknowledge(applied).await;
        match outcome {
            Ok(Ok(())) if directory::log_bytes(self.engine.path()) <= MAX_WAL_BYTES => {}
            Ok(Ok(())) => self.must_reopen.store(true, Ordering::Relaxed),
            Ok(Err(error)) => tracing::warn!(%error, "a vector shard could not be optimised"),
            Err(_) => {
                self.must_reopen.store(true, Ordering::Relaxed);
                tracing::error!("the vector engine panicked while optimising");
            }
        }
    }

    async fn apply(&mut self, write: Write) -> Result<(), VectorError> {
        self.unoptimised += write.points();
        let engine = self.engine.clone();
        let applied = tokio::task::spawn_blocking(move || apply(&engine, write)).await;
        applied.unwrap_or_else(|_| {
            self.must_reopen.store(true, Ordering::Relaxed);
            Err(VectorError::Engine("it panicked while writing".into()))
        })
    }

    /// Makes what was applied durable, then tells the callers. When the flush fails, none of it counts.
    async fn flush_and_acknowledge(&self, applied: Vec<(Acknowledge, Result<(), VectorError>)>) {
        let engine = self.engine.clone();
        let flushed = tokio::task::spawn_blocking(move || engine.flush()).await.is_ok();
        if !flushed {
            self.must_reopen.store(true, Ordering::Relaxed);
        }
        for (acknowledge, result) in applied {
            let result = if flushed { result } else { Err(VectorError::Unavailable("the flush failed".into())) };
            // A caller that went away no longer wants to know.
            let _ = acknowledge.send(result);
        }
    }
}

fn apply(engine: &EdgeShard, write: Write) -> Result<(), VectorError> {
    let operation = match write {
        Write::Upsert(points) => {
            UpdateOperation::PointOperation(PointOperations::UpsertPoints(PointInsertOperations::PointsList(points)))
        }
        Write::SetDense(vectors) => {
            let points = only_present(engine, vectors)?;
            if points.is_empty() {
                return Ok(());
            }
            let update = UpdateVectorsOp { points, update_filter: None };
            UpdateOperation::VectorOperation(VectorOperations::UpdateVectors(update))
        }
        Write::Delete(ids) => UpdateOperation::PointOperation(PointOperations::DeletePoints {
            ids: ids.into_iter().map(edge::point_id).collect(),
        }),
    };
    engine.update(operation).map_err(engine_error)
}

/// The engine fails a whole update when one of its points is not there; a chunk deleted meanwhile is no failure here.
fn only_present(
    engine: &EdgeShard,
    vectors: Vec<PointVectorsPersisted>,
) -> Result<Vec<PointVectorsPersisted>, VectorError> {
    let ids: Vec<_> = vectors.iter().map(|vector| vector.id).collect();
    let found = engine
        .retrieve(&ids, Some(WithPayloadInterface::Bool(false)), Some(WithVector::Bool(false)))
        .map_err(engine_error)?;
    let present: std::collections::HashSet<_> = found.into_iter().map(|record| record.id).collect();
    Ok(vectors.into_iter().filter(|vector| present.contains(&vector.id)).collect())
}

/// Points that the optimiser has not indexed yet, roughly.
fn unindexed_points(engine: &EdgeShard) -> usize {
    let counted = engine.info();
    counted.points_count.saturating_sub(counted.indexed_vectors_count)
}

pub(super) fn engine_error(error: qdrant_edge::OperationError) -> VectorError {
    VectorError::Engine(error.to_string())
}

pub(super) fn unavailable(error: &io::Error) -> VectorError {
    VectorError::Unavailable(error.to_string())
}
