//! Signed audit heads in the data directory, one file per tenant: what `audit verify` holds the chain against.
//!
//! An anchor is replaced only by one that continues the same chain. When the chain no longer contains the old anchor's entry, the old file
//! is the evidence, and it stays.

use std::path::{Path, PathBuf};

use crate::access::tenants;
use crate::app::{App, write_secret};
use crate::audit;
use crate::audit::anchor::Anchor;
use crate::ids::TenantId;

pub fn path(data_dir: &Path, slug: &str) -> PathBuf {
    data_dir.join("anchors").join(format!("{slug}.json"))
}

/// Writes every tenant's anchor. Failures are logged; one tenant's does not keep the others from theirs.
pub async fn write_all(app: &App, data_dir: &Path) {
    let tenants = match tenants::list(&app.store).await {
        Ok(tenants) => tenants,
        Err(error) => return tracing::error!(%error, "no audit anchors were written"),
    };
    for tenant in tenants {
        let Ok(id) = tenant.tenant_id.parse::<TenantId>() else { continue };
        match write(app, id, &path(data_dir, &tenant.slug)).await {
            Ok(true) => {}
            Ok(false) => tracing::error!(
                tenant = %id,
                "the audit chain does not contain its last anchor: it was cut or rewritten; the anchor was kept, run `countersign audit verify`"
            ),
            Err(error) => tracing::error!(tenant = %id, %error, "the audit anchor was not written"),
        }
    }
}

/// `false`: the chain does not continue the anchor that is there, which was kept.
async fn write(app: &App, tenant: TenantId, path: &Path) -> anyhow::Result<bool> {
    let mut tx = app.store.begin_read(tenant).await?;
    let (seq, hash) = audit::head(&mut tx).await?;
    let old: Option<Anchor> = match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).ok(),
        Err(_) => None,
    };
    if let Some(old) = old {
        if (old.seq, &old.hash) == (seq, &hash) {
            return Ok(true);
        }
        let at_old = audit::list(&mut tx, old.seq.saturating_add(1), None, 1).await?;
        let continues = at_old.first().is_some_and(|event| event.seq == old.seq && event.hash == old.hash);
        if !continues && old.seq > 0 {
            return Ok(false);
        }
    }
    let anchor = Anchor::sign(&app.audit_key, tenant.to_string(), seq, hash, app.clock.now().as_microsecond());
    write_secret(path, &serde_json::to_string_pretty(&anchor)?)?;
    Ok(true)
}
