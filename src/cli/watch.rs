//! `ingest --watch`: takes a folder in, then goes on taking in what changes.
//!
//! What is new or changed goes in soon after the folder fell quiet, as a partial run. What is gone is removed by a complete run, and only
//! once the folder stayed as it is for longer: a file that is being rewritten is short or absent for a moment, and that must not empty a
//! source. A look at the folder that finds it changing is thrown away.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tokio_util::sync::CancellationToken;

use super::client::Client;
use super::context::Context;
use super::failure::{Exit, Failure};
use super::ingest::{self, Args};
use super::progress::Progress;
use super::push::{self, Reading, Report, Target};
use crate::secret::Secret;

/// Quiet time before changes go in.
const QUIET: Duration = Duration::from_secs(1);
/// Quiet time before what is gone is removed.
const SETTLED: Duration = Duration::from_secs(10);
/// Time between two looks at the names, lengths and times of the files. Looking works on every file system; being told of changes does
/// not (network mounts, bind mounts of containers).
const LOOK: Duration = Duration::from_secs(2);

/// Files below the folder: length and time of change. Two equal pictures with time between them: nobody is writing.
type Picture = BTreeMap<PathBuf, (u64, Option<SystemTime>)>;

/// What is known of the last reading: key of each item and its digest.
type Known = BTreeMap<(Option<String>, String), String>;

pub async fn run(context: &Context, client: &Client, key: &Secret, args: &Args) -> Result<Exit, Failure> {
    let stop = CancellationToken::new();
    let listening = tokio::spawn(ingest::stop_on_ctrl_c(context.output, stop.clone()));
    let mut known: Option<Known> = None;
    // What the last look saw; `None`: it failed, look again.
    let mut seen: Option<Picture> = None;
    let (mut removal_due, mut removal_tried) = (false, None);
    let exit = loop {
        let picture = settled_picture(&args.folder, QUIET, &stop).await;
        if stop.is_cancelled() {
            break Exit::Ok;
        }
        if seen.as_ref() != Some(&picture) {
            match look(context, client, key, args, &stop, known.as_ref()).await {
                Ok(Some((now, gone))) => {
                    removal_due |= gone && !args.partial;
                    known = Some(now);
                    seen = Some(picture);
                }
                // It changed while it was read.
                Ok(None) => continue,
                Err(failure) if failure.exit == Exit::Unavailable || known.is_some() => {
                    seen = None;
                    context.output.failure(&failure);
                }
                Err(failure) => return Err(failure),
            }
        }
        if stop.is_cancelled() {
            break Exit::Interrupted;
        }
        if removal_due
            && let Some(before) = seen.clone()
            && removal_tried.as_ref() != Some(&before)
            && unchanged_for(&args.folder, &before, SETTLED, &stop).await
        {
            removal_tried = Some(before);
            match take_in(context, client, key, args, &stop, reading(context, args).await?, false).await {
                // With refused rows nothing is removed; the next change of the folder tries again.
                Ok(report) => removal_due = report.state != "complete",
                Err(failure) => context.output.failure(&failure),
            }
        }
        if !changed(&args.folder, seen.as_ref(), &stop).await {
            break Exit::Ok;
        }
    };
    listening.abort();
    Ok(exit)
}

/// Reads the folder and pushes what differs from the last reading. Returns what is known now and whether something is gone; `None` when the
/// folder changed meanwhile.
async fn look(
    context: &Context,
    client: &Client,
    key: &Secret,
    args: &Args,
    stop: &CancellationToken,
    known: Option<&Known>,
) -> Result<Option<(Known, bool)>, Failure> {
    let before = picture_of(&args.folder).await;
    let mut reading = reading(context, args).await?;
    if picture_of(&args.folder).await != before {
        return Ok(None);
    }
    let mut now = Known::new();
    for item in &reading.items {
        let (kind, external_id) = item.key();
        now.insert((kind.map(str::to_owned), external_id.to_owned()), item.sha256().to_owned());
    }
    let Some(known) = known else {
        // The first look is an import like any other.
        take_in(context, client, key, args, stop, reading, args.partial).await?;
        return Ok(Some((now, false)));
    };
    let gone = known.keys().collect::<BTreeSet<_>>().difference(&now.keys().collect()).next().is_some();
    reading.items.retain(|item| {
        let (kind, external_id) = item.key();
        known.get(&(kind.map(str::to_owned), external_id.to_owned())).map(String::as_str) != Some(item.sha256())
    });
    if !reading.items.is_empty() || !reading.rejections.is_empty() {
        take_in(context, client, key, args, stop, reading, true).await?;
    }
    Ok(Some((now, gone)))
}

async fn reading(context: &Context, args: &Args) -> Result<Reading, Failure> {
    let (_, reading) = ingest::read(context, &args.folder, args.mapping.as_deref(), args.source.as_deref()).await?;
    Ok(reading)
}

async fn take_in(
    context: &Context,
    client: &Client,
    key: &Secret,
    args: &Args,
    stop: &CancellationToken,
    reading: Reading,
    partial: bool,
) -> Result<Report, Failure> {
    let source = ingest::source_of(args)?;
    let mut progress = Progress::start(context.output, &context.environment, "items", reading.items.len() as u64);
    let target = Target { client, key, source: &source, partial, batch_bytes: ingest::batch_bytes(context), stop };
    let report = push::push(&target, reading, &mut progress).await;
    progress.finish();
    let report = report?;
    context.output.result(&serde_json::json!(report), ingest::summary(&report));
    Ok(report)
}

/// Waits until the folder differs from what was seen (`None`: until the next look is due); `false` when it is time to stop.
async fn changed(folder: &Path, seen: Option<&Picture>, stop: &CancellationToken) -> bool {
    loop {
        let started = tokio::time::Instant::now();
        let now = picture_of(folder).await;
        // A folder of a million files is looked at less often than one of ten.
        let pause = LOOK.max(started.elapsed() * 20);
        if seen.is_some_and(|seen| *seen != now) {
            return true;
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => return false,
        }
        if seen.is_none() {
            return true;
        }
    }
}

async fn picture_of(folder: &Path) -> Picture {
    let folder = folder.to_owned();
    tokio::task::spawn_blocking(move || picture(&folder)).await.unwrap_or_default()
}

fn picture(folder: &Path) -> Picture {
    let files = walkdir::WalkDir::new(folder).into_iter().flatten().filter(|entry| entry.file_type().is_file());
    files
        .filter_map(|entry| {
            let metadata = entry.metadata().ok()?;
            Some((entry.into_path(), (metadata.len(), metadata.modified().ok())))
        })
        .collect()
}

/// A picture that stayed the same for `quiet`, or the last one when it is time to stop.
async fn settled_picture(folder: &Path, quiet: Duration, stop: &CancellationToken) -> Picture {
    loop {
        let before = picture_of(folder).await;
        if unchanged_for(folder, &before, quiet, stop).await || stop.is_cancelled() {
            return before;
        }
    }
}

/// Whether the folder still looks like `before` after `quiet`; looks twice a second, and stops at the first difference.
async fn unchanged_for(folder: &Path, before: &Picture, quiet: Duration, stop: &CancellationToken) -> bool {
    let until = tokio::time::Instant::now() + quiet;
    while tokio::time::Instant::now() < until {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(500)) => {}
            () = stop.cancelled() => return false,
        }
        if picture_of(folder).await != *before {
            return false;
        }
    }
    true
}
