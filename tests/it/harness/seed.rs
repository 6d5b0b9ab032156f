//! A tenant with everything in it: a person of each role, keys in every state, records, documents, a run. Every text of it holds the
//! tenant's marker word, so that a word of one tenant in front of another is found wherever it shows up.

use std::collections::{BTreeMap, BTreeSet};

use countersign::access::{Role, keys, tenants, users};
use countersign::audit::Actor;
use countersign::ids::TenantId;
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::TestApp;

/// What a seeded tenant has.
#[derive(Debug, Clone, Default)]
pub struct Tenant {
    /// The word in all of its texts; lower-case letters and digits.
    pub marker: String,
    pub id: Option<TenantId>,
    /// Key texts by caller: each role's name, `suspended`, `revoked`, `expired`.
    pub keys: BTreeMap<&'static str, String>,
    pub users: BTreeMap<&'static str, String>,
    pub key_ids: BTreeMap<&'static str, String>,
    pub source: String,
    pub run_id: String,
    /// Record ids by kind.
    pub records: BTreeMap<String, String>,
    /// Document ids by external id's last word.
    pub documents: BTreeMap<String, String>,
    /// The administrator's.
    pub conversation: String,
    pub answer: String,
    /// Ids of an exception, its group and a webhook.
    pub exceptions: BTreeMap<&'static str, String>,
}

impl Tenant {
    pub fn id(&self) -> TenantId {
        self.id.expect("seeded")
    }

    pub fn key(&self, caller: &str) -> &str {
        &self.keys[caller]
    }

    /// Every id of the tenant that a request could name.
    pub fn all_ids(&self) -> Vec<&String> {
        let ids = self.users.values().chain(self.key_ids.values()).chain(self.records.values());
        let ids = ids.chain(self.documents.values()).chain(self.exceptions.values());
        ids.chain([&self.run_id, &self.conversation, &self.answer]).collect()
    }
}

/// Amounts that only roles with sight of costs may read.
pub const COST: &str = "4137.77";
pub const MARGIN: &str = "61.83";

pub fn order(marker: &str, number: u32, status: &str) -> Value {
    json!({
        "kind": "order", "external_id": format!("SO-{number}"),
        "fields": {
            "status": status, "customer_id": "C-1", "customer_name": format!("Customer {marker}"),
            "customer_email": format!("buyer.{marker}@example.com"), "total": "84.00 EUR",
            "note": format!("gift for {marker}"), "address_valid": number != 1042,
        },
        "lines": [{ "sku": "SKU-7", "name": format!("Lamp {marker}"), "quantity": 2 }],
        "extra": { "legacy_note": format!("imported {marker}") },
    })
}

pub fn product(marker: &str) -> Value {
    json!({
        "kind": "product", "external_id": "SKU-7",
        "fields": {
            "sku": "SKU-7", "name": format!("Lamp {marker}"), "list_price": "42.00 EUR",
            "standard_cost": format!("{COST} EUR"), "margin_percent": MARGIN,
        },
    })
}

pub fn policy(marker: &str, id: &str, from: &str, supersedes: &[&str], body: &str) -> Value {
    json!({
        "external_id": format!("policies/{id}"), "kind": "policy", "title": format!("Refund policy {marker} {id}"),
        "content": format!("# Refunds\n\n{body} The desk of {marker} decides about refunds.\n"),
        "meta": {
            "policy_id": id, "effective_from": from, "effective_to": null, "supersedes": supersedes, "scope": {},
            "audience": [], "extra": {},
        },
    })
}

/// Makes the tenant and fills it through the API.
pub async fn tenant(app: &TestApp, marker: String) -> Tenant {
    let id = TenantId::mint();
    let mut tenant = Tenant { source: format!("erp-{marker}"), marker, id: Some(id), ..Tenant::default() };
    people(app, &mut tenant).await;
    content(app, &mut tenant).await;
    tenant
}

async fn people(app: &TestApp, tenant: &mut Tenant) {
    let (now, operator, marker) = (app.app.clock.now(), Actor::operator(), tenant.marker.clone());
    let mut tx = app.app.store.begin_write(tenant.id()).await.unwrap();
    tenants::create(&mut tx, &marker, &format!("Company {marker}"), now).await.unwrap();
    let people = [
        ("agent", Role::Agent),
        ("reviewer", Role::Reviewer),
        ("approver", Role::Approver),
        ("admin", Role::Admin),
        ("auditor", Role::Auditor),
        ("suspended", Role::Admin),
        ("revoked", Role::Admin),
        ("expired", Role::Admin),
    ];
    for (name, role) in people {
        let email = format!("{name}.{marker}@example.com");
        let (full_name, roles) = (format!("{name} {marker}"), BTreeSet::from([role]));
        let user = users::create(&mut tx, &operator, &email, &full_name, &roles, now).await.unwrap();
        let expires = (name == "expired").then(|| now + SignedDuration::from_secs(1));
        let key_name = format!("{name} key {marker}");
        let (key_id, key) = keys::create(&mut tx, &operator, Some(user), &key_name, expires, now).await.unwrap();
        match name {
            "suspended" => drop(users::change(&mut tx, &operator, user, None, Some(true), now).await.unwrap()),
            "revoked" => keys::revoke(&mut tx, &operator, key_id, now).await.unwrap(),
            _ => {}
        }
        tenant.users.insert(name, user.to_string());
        tenant.key_ids.insert(name, key_id.to_string());
        tenant.keys.insert(name, key.reveal().to_owned());
    }
    let service = keys::create(&mut tx, &operator, None, &format!("service {marker}"), None, now).await.unwrap();
    tenant.key_ids.insert("integration", service.0.to_string());
    tenant.keys.insert("integration", service.1.reveal().to_owned());
    tx.commit().await.unwrap();
    app.app.clock.advance(SignedDuration::from_secs(2));
}

async fn content(app: &TestApp, tenant: &mut Tenant) {
    let (marker, source) = (tenant.marker.clone(), tenant.source.clone());
    let key = tenant.key("integration").to_owned();
    let run = app.call("POST", &format!("/v1/sources/{source}/runs")).key(&key).send().await.ok().json();
    tenant.run_id = run["run_id"].as_str().unwrap().to_owned();
    let records = [order(&marker, 1042, "shipped"), product(&marker)];
    app.push_records(&key, &source, &records).await.ok();
    let mut approvers = policy(&marker, "POL-9", "2026-01-01", &[], "Only approvers read this.");
    approvers["audience"] = json!(["approver", "admin"]);
    let documents = [
        policy(&marker, "POL-1", "2026-01-01", &[], "A refund above 100.00 EUR needs a second pair of eyes."),
        approvers,
        policy(&marker, "POL-2", "2026-06-01", &["POL-1"], "From June a refund needs no second pair of eyes."),
        json!({ "external_id": "runbooks/lost-parcel", "kind": "runbook", "title": format!("Lost parcel {marker}"),
            "content": format!("# Lost parcel\n\nAsk the carrier of {marker} for a trace, then reship.\n") }),
    ];
    app.push_documents(&key, &source, &documents).await.ok();
    let rejection = json!({ "file": format!("{marker}.csv"), "row": 3, "column": format!("col_{marker}"), "reason": "is not money" });
    let finish = json!({ "complete": false, "rejected": 1, "rejections": [rejection] });
    app.call("POST", &format!("/v1/runs/{}/finish", tenant.run_id)).key(&key).json(&finish).send().await.ok();
    let admin = tenant.key("admin").to_owned();
    for (kind, external_id) in [("order", "SO-1042"), ("product", "SKU-7")] {
        let id = app.record_id(&admin, kind, external_id).await.expect("just pushed");
        tenant.records.insert(kind.to_owned(), id);
    }
    for document in app.get(&admin, "/v1/documents").await.ok().json()["documents"].as_array().unwrap() {
        let external_id = document["external_id"].as_str().unwrap();
        let name = external_id.rsplit('/').next().unwrap().to_owned();
        tenant.documents.insert(name, document["document_id"].as_str().unwrap().to_owned());
    }
    assert!(app.settle(tenant.id()).await, "the index settles");
    // A scripted model would answer this instead of the test's question.
    if app.app.config.history.retention_days > 0 && app.app.llm.is_empty() {
        asked(app, tenant, &admin).await;
    }
    exceptions(app, tenant).await;
}

/// A conversation with an answer in it, and an opinion on that.
async fn asked(app: &TestApp, tenant: &mut Tenant, admin: &str) {
    let title = json!({ "title": format!("About {}", tenant.marker) });
    let opened = app.call("POST", "/v1/conversations").key(admin).once().json(&title).send().await.ok().json();
    tenant.conversation = opened["conversation_id"].as_str().unwrap().to_owned();
    let question = format!("What is the status of order SO-1042 of {}?", tenant.marker);
    let body = json!({ "question": question, "conversation_id": tenant.conversation });
    let answer = app.post(admin, "/v1/answers", &body).await.ok().json();
    tenant.answer = answer["answer_id"].as_str().unwrap().to_owned();
    let opinion = json!({ "helpful": true, "reason": "correct", "comment": format!("right, says {}", tenant.marker) });
    let path = format!("/v1/answers/{}/feedback", tenant.answer);
    app.call("POST", &path).key(admin).once().json(&opinion).send().await.ok();
}

/// The seeded order's address is undeliverable; a webhook that nothing is sent to hears of such things from now on.
async fn exceptions(app: &TestApp, tenant: &mut Tenant) {
    let patience = std::time::Duration::from_secs(20);
    assert!(app.app.detect.settle(tenant.id(), patience).await.unwrap(), "detection settles");
    let admin = tenant.key("admin").to_owned();
    let page = app.get(&admin, "/v1/exceptions").await.ok().json();
    let first = &page["exceptions"][0];
    for (name, field) in [("exception", "exception_id"), ("group", "group_id")] {
        tenant.exceptions.insert(name, first[field].as_str().unwrap_or_else(|| panic!("{page}")).to_owned());
    }
    let hook = json!({ "url": format!("https://{}.invalid/hook", tenant.marker), "events": ["exception.escalated"] });
    let hook = app.post(&admin, "/v1/webhooks", &hook).await.ok().json();
    tenant.exceptions.insert("webhook", hook["endpoint"]["endpoint_id"].as_str().unwrap().to_owned());
}
