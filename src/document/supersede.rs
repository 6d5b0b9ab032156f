//! "Policy B replaces A": A ends the day before B begins, whichever of the two arrived first.

use std::collections::HashSet;

use sqlx::Row;

use crate::store::TenantTx;
use crate::store::bulk::{self, Bind};

/// Rewrites what the documents `ids` supersede (`rows`: document id, policy id) and recomputes the end of every policy concerned.
///
/// - `policies`: ids of policies that came or changed themselves, and may already have a successor.
pub(super) async fn update(
    tx: &mut TenantTx,
    ids: &[String],
    rows: Vec<Vec<Bind>>,
    mut policies: HashSet<String>,
) -> sqlx::Result<()> {
    let head = "SELECT policy_id FROM document_supersedes WHERE tenant_id = $1 AND document_id IN";
    for row in bulk::select_in(tx, head, &[], ids, "").await? {
        policies.insert(row.try_get(0)?);
    }
    for row in &rows {
        if let Some(Bind::Text(policy)) = row.get(1) {
            policies.insert(policy.clone());
        }
    }
    if policies.is_empty() {
        return Ok(());
    }
    bulk::execute_in(tx, "DELETE FROM document_supersedes WHERE tenant_id = $1 AND document_id IN", &[], ids, "")
        .await?;
    bulk::insert(tx, "INSERT INTO document_supersedes (tenant_id, document_id, policy_id)", "", rows).await?;
    let policies: Vec<String> = policies.into_iter().collect();
    recompute(tx, &policies).await
}

/// The first day on which a live successor holds; a successor without a first day has always held.
async fn recompute(tx: &mut TenantTx, policies: &[String]) -> sqlx::Result<()> {
    let head = "UPDATE document SET superseded_from_day = (SELECT min(coalesce(b.effective_from_day, -2000000000)) \
                FROM document_supersedes s JOIN document b ON b.tenant_id = s.tenant_id AND b.document_id = s.document_id \
                WHERE s.tenant_id = $1 AND s.policy_id = document.policy_id AND b.deleted_at_us IS NULL \
                AND b.document_id <> document.document_id AND b.kind = document.kind) \
                WHERE tenant_id = $1 AND policy_id IN";
    bulk::execute_in(tx, head, &[], policies, "").await?;
    // The index holds the days too: write those chunks again. The vectors come from the cache.
    let head = "UPDATE chunk SET sparse_state = 0, dense_state = 0 WHERE tenant_id = $1 AND document_id IN \
                (SELECT document_id FROM document WHERE tenant_id = $1 AND policy_id IN";
    bulk::execute_in(tx, head, &[], policies, ")").await?;
    Ok(())
}
