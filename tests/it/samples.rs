//! One good request per route, with the places where an id or a name stands marked: `$user`, `$source` and so on. Walks over all routes
//! fill them with a tenant's own, another tenant's, or missing ones. A route without a sample fails the walks.

use serde_json::{Value, json};

use crate::access_matrix::rows;
use crate::harness::{Call, Reply, Tenant, TestApp, unique};

/// A request with marked places.
#[derive(Debug, Clone)]
pub struct Sample {
    pub route: String,
    pub method: String,
    pub path: String,
    pub body: Option<Value>,
    /// Changes something.
    pub writes: bool,
    /// Asks: nothing is changed but the answer kept.
    pub asks: bool,
}

/// What stands for each mark.
pub type Marks = Vec<(&'static str, String)>;

pub const MARKS: [&str; 12] = [
    "$user",
    "$key",
    "$record",
    "$document",
    "$run",
    "$source",
    "$tenant",
    "$conversation",
    "$answer",
    "$exception",
    "$group",
    "$webhook",
];

/// The tenant's own ids.
pub fn own(tenant: &Tenant) -> Marks {
    vec![
        ("$user", tenant.users["reviewer"].clone()),
        ("$key", tenant.key_ids["reviewer"].clone()),
        ("$record", tenant.records["order"].clone()),
        ("$document", tenant.documents["POL-1"].clone()),
        ("$run", tenant.run_id.clone()),
        ("$source", tenant.source.clone()),
        ("$tenant", tenant.id().to_string()),
        ("$conversation", tenant.conversation.clone()),
        ("$answer", tenant.answer.clone()),
        ("$exception", tenant.exceptions["exception"].clone()),
        ("$group", tenant.exceptions["group"].clone()),
        ("$webhook", tenant.exceptions["webhook"].clone()),
    ]
}

/// What nobody has, in the shape that is expected.
pub fn missing(mark: &str) -> String {
    if mark == "$source" { unique() } else { uuid::Uuid::from_u128(0xDEAD).to_string() }
}

fn body(route: &str) -> Option<Value> {
    let record = json!({ "kind": "order", "external_id": "SO-77", "fields": { "status": "open" } });
    Some(match route {
        "POST /v1/answers" => {
            json!({ "question": "What is the status of order SO-1042, and who decides about refunds?", "sources": ["$source"] })
        }
        "POST /v1/chat/completions" => json!({ "model": "countersign", "messages": [
            { "role": "user", "content": "What is the status of order SO-1042, and who decides about refunds?" }] }),
        "POST /v1/conversations" => json!({ "title": "Another" }),
        "POST /v1/answers/{answer_id}/feedback" => json!({ "helpful": false, "reason": "incomplete" }),
        "POST /v1/search" => {
            json!({ "query": "refund SO-1042 lamp", "sources": ["$source"], "limit": 50, "linked": true })
        }
        "POST /v1/queries" => json!({ "query": { "kind": "order" } }),
        "POST /v1/files" => json!({ "note": "taken in as it is" }),
        "POST /v1/sources/{name}/offers" => {
            json!({ "run_id": "$run", "offers": [{ "kind": "order", "external_id": "SO-77", "sha256": "0" }] })
        }
        "POST /v1/records:batch" => json!({ "source": "$source", "run_id": "$run", "records": [record] }),
        "POST /v1/documents" => json!({ "source": "$source", "run_id": "$run",
            "documents": [{ "external_id": "pages/one", "content": "# One\n\nText." }] }),
        "POST /v1/runs/{run_id}/finish" => json!({ "complete": false }),
        "POST /v1/users" => json!({ "email": format!("{}@example.com", unique()), "name": "New", "roles": ["agent"] }),
        "PATCH /v1/users/{user_id}" => json!({ "suspended": false }),
        "POST /v1/keys" => json!({ "name": "another", "user_id": "$user" }),
        "POST /v1/audit:verify" => json!({ "anchor": { "tenant": "$tenant", "seq": 1, "hash": "00", "at_us": 0,
            "public_key": "00", "signature": "00" } }),
        "POST /v1/operator/tenants" => {
            json!({ "slug": format!("t{}", &unique()[20..]), "name": "New", "admin_email": "a@example.com", "admin_name": "A" })
        }
        "POST /v1/exceptions/{exception_id}/assign" => json!({ "user_id": "$user" }),
        "POST /v1/exceptions/{exception_id}/snooze" => json!({ "until": "2026-03-20T09:00:00Z" }),
        "POST /v1/exceptions/{exception_id}/dismiss" => json!({ "reason": "other", "text": "as agreed" }),
        "POST /v1/exceptions/{exception_id}/link" => json!({ "ticket": "T-1" }),
        "PUT /v1/detection/settings" => json!({ "settings": { "limits": { "credit_hold_days": 5 } } }),
        "POST /v1/detection:backtest" => json!({ "as_of": "2026-03-02T09:00:00Z", "record_kind": "order" }),
        "POST /v1/webhooks" => json!({ "url": "https://hooks.invalid/hook", "events": ["exception.escalated"] }),
        "PATCH /v1/operator/tenants/{tenant_id}" => json!({ "suspended": false }),
        "PUT /v1/operator/tenants/{tenant_id}/quota" => json!({ "token_limit": 1_000_000 }),
        _ => return None,
    })
}

/// One per row of the route table, in its order.
pub fn samples() -> Vec<Sample> {
    let mut samples: Vec<Sample> = rows()
        .into_iter()
        .map(|row| {
            let route = format!("{} {}", row.method, row.path);
            let mut path = row.path.clone();
            let places = [
                ("user_id", "$user"),
                ("key_id", "$key"),
                ("record_id", "$record"),
                ("document_id", "$document"),
                ("run_id", "$run"),
                ("name", "$source"),
                ("tenant_id", "$tenant"),
                ("conversation_id", "$conversation"),
                ("answer_id", "$answer"),
                // A kind and an id of the source: no ids of ours.
                ("kind", "order"),
                ("external_id", "SO-1042"),
                ("exception_id", "$exception"),
                ("group_id", "$group"),
                ("webhook_id", "$webhook"),
            ];
            for (name, mark) in places {
                path = path.replace(&format!("{{{name}}}"), mark);
            }
            assert!(!path.contains('{'), "{route}: a sample does not know this place");
            match route.as_str() {
                "POST /v1/files" => path.push_str("?source=$source&external_id=upload.md&run_id=$run"),
                "GET /v1/records" => path.push_str("?kind=order&external_id=SO-1042"),
                "GET /v1/documents" => path.push_str("?limit=200&after=00000000-0000-0000-0000-000000000000"),
                "GET /v1/documents/{document_id}/text" => path.push_str("?version=1"),
                "GET /v1/exceptions" => path.push_str("?group_id=$group&record_id=$record"),
                "GET /v1/audit/events" => path.push_str("?limit=200&resource=user:$user"),
                _ => {}
            }
            let reads = row.method == "GET"
                || [
                    "/v1/answers",
                    "/v1/chat/completions",
                    "/v1/search",
                    "/v1/queries",
                    "/v1/audit:verify",
                    "/v1/detection:backtest",
                ]
                .contains(&row.path.as_str());
            let asks = row.method == "POST" && ["/v1/answers", "/v1/chat/completions"].contains(&row.path.as_str());
            Sample { body: body(&route), route, method: row.method, path, writes: !reads, asks }
        })
        .collect();
    // The same routes asked another way.
    for (route, change) in [
        ("POST /v1/answers", json!({ "question": "Who decides about refunds?" })),
        ("POST /v1/search", json!({ "query": "refund lamp parcel", "limit": 100 })),
        ("POST /v1/audit:verify", json!({})),
    ] {
        let mut sample = samples.iter().find(|sample| sample.route == route).expect("a route").clone();
        sample.body = Some(change);
        samples.push(sample);
    }
    let mut follow_up = samples.iter().find(|sample| sample.route == "POST /v1/answers").expect("a route").clone();
    follow_up.body = Some(json!({ "question": "and when was it ordered?", "conversation_id": "$conversation" }));
    samples.push(follow_up);
    for query in ["?kind=order", "?kind=product", "?kind=policy"] {
        let mut sample = samples.iter().find(|sample| sample.route == "GET /v1/documents").expect("a route").clone();
        sample.path = format!("/v1/documents{query}");
        samples.push(sample);
    }
    samples
}

impl Sample {
    pub fn uses(&self, mark: &str) -> bool {
        self.path.contains(mark) || self.body.as_ref().is_some_and(|body| body.to_string().contains(mark))
    }

    pub fn call(&self, app: &TestApp, key: &str, marks: &Marks) -> Call {
        let fill = |text: &str| marks.iter().fold(text.to_owned(), |text, (mark, value)| text.replace(mark, value));
        let call = app.call(&self.method, &fill(&self.path)).key(key).once();
        match &self.body {
            Some(body) => call.json(&serde_json::from_str(&fill(&body.to_string())).expect("still JSON")),
            None => call,
        }
    }

    pub async fn send(&self, app: &TestApp, key: &str, marks: &Marks) -> Reply {
        self.call(app, key, marks).send().await
    }
}
