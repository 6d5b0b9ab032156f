//! `POST /v1/files`: one file as it is, with its pages, its reasons and its idempotency.

#[path = "../../ingest/tests/build/mod.rs"]
pub mod build;

use rstest::rstest;
use serde_json::{Value, json};

use crate::harness::{Engine, Reply, TestApp, unique};

async fn upload(app: &TestApp, query: &str, kind: &str, bytes: Vec<u8>, idempotency_key: &str) -> Reply {
    let path = format!("/v1/files?source=uploads&{query}");
    let call = app.call("POST", &path).key(app.a.key("integration")).header("idempotency-key", idempotency_key);
    call.header("content-type", kind).bytes(bytes).send().await
}

#[rstest]
#[tokio::test]
async fn a_pdf_is_cited_with_its_page(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(app) = TestApp::new(engine).await else { return };
    let file = build::pdf(&[
        &["Returns of hardware", "Goods go back within 30 days of delivery."],
        &["Approval of scaffold hire", "Hire of scaffolding above EUR 900 needs the approval of the site director."],
    ]);
    let key = unique();
    let query = "external_id=policies/hire.pdf&kind=policy";
    let first = upload(&app, query, "application/pdf", file.clone(), &key).await.ok();
    assert_eq!(first.json()["documents"], json!({ "created": 1, "changed": 0, "unchanged": 0 }));
    let again = upload(&app, query, "application/pdf", file.clone(), &key).await.ok();
    assert_eq!((again.text.as_str(), again.headers.contains_key("idempotency-replayed")), (first.text.as_str(), true));
    let anew = upload(&app, query, "application/pdf", file, &unique()).await.ok();
    assert_eq!(anew.json()["documents"]["unchanged"], 1, "by source and external id, too");
    assert!(app.settle(app.a.id()).await);
    let question = json!({ "question": "Whose approval does the hire of scaffolding need?", "sources": ["uploads"] });
    let answer = app.post(app.a.key("agent"), "/v1/answers", &question).await.ok().json();
    let citation = &answer["citations"][0];
    assert!(citation["quote"].as_str().unwrap().contains("site director"), "{answer}");
    assert_eq!((&citation["page"], &citation["kind"]), (&json!(2), &json!("policy")), "{answer}");
}

#[rstest]
#[tokio::test]
async fn a_file_that_cannot_be_read_is_refused_with_the_reason_and_changes_nothing(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(app) = TestApp::new(engine).await else { return };
    for (id, kind, bytes, reason) in [
        ("a.pdf", "application/pdf", b"MZ\x90\0\x03\0".to_vec(), "the file is named .pdf and holds a program"),
        ("a", "application/pdf", build::docx(""), "the file is named .pdf and holds an office file or archive"),
        (
            "scan",
            "application/octet-stream",
            b"\x89PNG\r\n\x1A\n\0".to_vec(),
            "the file holds an image, which is not read",
        ),
        ("a.pdf", "application/pdf", build::pdf_encrypted(), "the file is encrypted with a password"),
        ("a.csv", "text/csv", b"id,total\n1,2\n".to_vec(), "the file is no document by its name: a table"),
    ] {
        let reply = upload(&app, &format!("external_id={id}"), kind, bytes, &unique()).await;
        let detail = reply.json()["detail"].as_str().unwrap_or_default().to_owned();
        reply.refused(422, "/problems/file-refused");
        assert!(detail.starts_with(reason), "{detail}");
    }
    let sources = app.get(app.a.key("admin"), "/v1/sources").await.ok().json();
    assert!(!sources.to_string().contains("\"uploads\""), "{sources}");
}

#[rstest]
#[tokio::test]
async fn a_table_is_read_by_a_built_in_mapping(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(app) = TestApp::new(engine).await else { return };
    let csv = "Name,Email,Financial Status,Fulfillment Status,Currency,Subtotal,Shipping,Taxes,Total,Created at,Lineitem quantity,Lineitem name,Lineitem price\n\
               #77001,a@b.example,paid,fulfilled,EUR,30.00,5.00,0.00,35.00,2026-03-02 10:00:00 +0100,2,Lamp,10.00\n\
               #77001,a@b.example,,,,,,,,,1,Shade,10.00\n";
    let query = "external_id=orders_export.csv&mapping=shopify_orders";
    let reply = upload(&app, query, "text/csv", csv.into(), &unique()).await.ok().json();
    assert_eq!(reply["records"]["created"], 1, "{reply}");
    let found = app.get(app.a.key("agent"), "/v1/records?kind=order&external_id=%2377001").await.ok().json();
    assert_eq!(found["records"][0]["lines"].as_array().map(Vec::len), Some(2), "{found}");
    upload(&app, "external_id=o.csv&mapping=shopfy", "text/csv", csv.into(), &unique())
        .await
        .refused(422, "/problems/mapping");
}

#[tokio::test]
async fn a_mail_brings_its_attachments_for_those_who_may_see_it() {
    let app = TestApp::new(Engine::Sqlite).await.expect("SQLite is always there");
    let reply =
        upload(&app, "external_id=m.eml&audience=approver", "message/rfc822", build::MAIL.into(), &unique()).await;
    assert_eq!(reply.ok().json()["documents"]["created"], 2);
    let list = |key: &'static str| app.get(app.a.key(key), "/v1/documents?kind=note&limit=200");
    let ids = |list: Value| -> Vec<String> {
        let documents = list["documents"].as_array().unwrap().clone();
        let mut ids: Vec<String> =
            documents.iter().map(|one| one["external_id"].as_str().unwrap().to_owned()).collect();
        ids.retain(|id| id.starts_with("m.eml"));
        ids.sort();
        ids
    };
    assert_eq!(ids(list("approver").await.ok().json()), ["m.eml", "m.eml/note.txt"]);
    assert_eq!(ids(list("agent").await.ok().json()), Vec::<String>::new());
}
