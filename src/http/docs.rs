//! `/openapi.json` and a plain page of it at `/docs`: no script, nothing from elsewhere.

use std::fmt::Write;
use std::sync::Arc;

use axum::Extension;
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};
use serde_json::Value;
use utoipa_axum::routes;

use super::routes::{Access, Route};

/// The document, made once at start.
#[derive(Clone)]
pub(super) struct ApiDocument(pub Arc<str>);

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route { access: Access::Documentation, methods: routes!(openapi_json) },
        Route { access: Access::Documentation, methods: routes!(docs_page) },
    ]
}

/// This API as an OpenAPI 3.1 document, generated from the code that serves it.
#[utoipa::path(get, path = "/openapi.json", tag = "Health", responses((status = 200, body = Object)))]
async fn openapi_json(Extension(document): Extension<ApiDocument>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], document.0.to_string()).into_response()
}

/// This API as a page to read.
#[utoipa::path(get, path = "/docs", tag = "Health", responses((status = 200, body = String, content_type = "text/html")))]
async fn docs_page(Extension(document): Extension<ApiDocument>) -> Html<String> {
    let api: Value = serde_json::from_str(&document.0).unwrap_or_default();
    Html(page(&api))
}

fn page(api: &Value) -> String {
    let mut out = String::from(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>countersign API</title><main><h1>countersign API</h1><p>Machine-readable: <a href=\"/openapi.json\">openapi.json</a>. \
         Send your key as <code>Authorization: Bearer &lt;key&gt;</code>.</p>",
    );
    for (path, item) in api.get("paths").and_then(Value::as_object).into_iter().flatten() {
        for (method, operation) in item.as_object().into_iter().flatten() {
            let text = |name: &str| escape(operation.get(name).and_then(Value::as_str).unwrap_or(""));
            let _ = write!(
                out,
                "<section><h2><code>{} {}</code></h2><p>{}</p><p>{}</p>",
                escape(&method.to_uppercase()),
                escape(path),
                text("summary"),
                text("description")
            );
            schema_block(&mut out, api, "Request", operation.pointer("/requestBody/content/application~1json/schema"));
            schema_block(&mut out, api, "Answer", operation.pointer("/responses/200/content/application~1json/schema"));
            out.push_str("</section>");
        }
    }
    out.push_str("</main></html>");
    out
}

fn schema_block(out: &mut String, api: &Value, title: &str, schema: Option<&Value>) {
    let Some(mut schema) = schema else { return };
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        schema = api.pointer(reference.trim_start_matches('#')).unwrap_or(schema);
    }
    let text = serde_json::to_string_pretty(schema).unwrap_or_default();
    let _ = write!(out, "<details><summary>{title}</summary><pre>{}</pre></details>", escape(&text));
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
