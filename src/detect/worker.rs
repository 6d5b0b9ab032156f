//! The worker: one tenant's portion after another, woken by pushes and by the clock.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::CancellationToken;

use super::{Detect, engine};
use crate::access::tenants;
use crate::ids::TenantId;

/// How often the clock is asked whether something is due.
const TICK: Duration = Duration::from_millis(500);
/// After a failure (disk full, database away) the tenant is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(5);

pub(super) async fn run(detect: Detect, mut woken: UnboundedReceiver<TenantId>, shutdown: CancellationToken) {
    let mut queue: VecDeque<TenantId> = all_tenants(&detect).await.into();
    let mut due: BTreeMap<TenantId, i64> = BTreeMap::new();
    loop {
        while let Ok(tenant) = woken.try_recv() {
            if !queue.contains(&tenant) {
                queue.push_back(tenant);
            }
        }
        let now_us = detect.clock.now().as_microsecond();
        let ready: Vec<TenantId> = due.iter().filter(|(_, at)| **at <= now_us).map(|(tenant, _)| *tenant).collect();
        for tenant in ready {
            due.remove(&tenant);
            if !queue.contains(&tenant) {
                queue.push_back(tenant);
            }
        }
        if shutdown.is_cancelled() {
            return;
        }
        let Some(tenant) = queue.pop_front() else {
            detect.settled.notify_waiters();
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(TICK) => {}
                next = woken.recv() => match next {
                    Some(tenant) => queue.push_back(tenant),
                    None => return,
                },
            }
            continue;
        };
        match engine::turn(&detect.store, tenant, detect.clock.now()).await {
            Ok(turn) => {
                if turn.told {
                    detect.told.notify_one();
                }
                if turn.done > 0 {
                    queue.push_back(tenant);
                } else {
                    detect.settled.notify_waiters();
                }
                match turn.next_due_us {
                    Some(at) => due.insert(tenant, at),
                    None => due.remove(&tenant),
                };
            }
            Err(error) => {
                tracing::warn!(%tenant, %error, "looking for exceptions failed; it is tried again");
                metrics::counter!("countersign_detect_failures_total").increment(1);
                due.remove(&tenant);
                retry_later(&detect, tenant);
            }
        }
    }
}

fn retry_later(detect: &Detect, tenant: TenantId) {
    let wake = detect.wake.clone();
    tokio::spawn(async move {
        tokio::time::sleep(RETRY_AFTER).await;
        let _ = wake.send(tenant);
    });
}

async fn all_tenants(detect: &Detect) -> Vec<TenantId> {
    tenants::ids(&detect.store).await.unwrap_or_else(|error| {
        tracing::error!(%error, "the list of tenants could not be read; what is queued waits for the next push");
        Vec::new()
    })
}
