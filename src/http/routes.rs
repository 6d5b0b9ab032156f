//! The one table of routes. It feeds axum, the OpenAPI document, the access matrix and the cross-tenant walk, so that a route that is
//! not here does not exist, and one that is here is guarded, documented and tested.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::UtoipaMethodRouter;

use super::App;
use super::problem::Problem;
use super::{chat_completions, limits};
use crate::access::{Principal, Role, authenticate};

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// No credential is looked at.
    Public,
    /// The API's documentation: public while `server.public_docs` says so, else for every principal.
    Documentation,
    /// The platform's operator, by the key in the data directory.
    Operator,
    /// Principals with at least one of these roles.
    Roles(&'static [Role]),
}

/// One row: a path with its methods, and who may call it.
pub struct Route {
    pub access: Access,
    pub methods: UtoipaMethodRouter<App>,
}

/// A route as the tests see it.
#[derive(Debug, Clone)]
pub struct RouteRow {
    pub method: String,
    pub path: String,
    pub access: Access,
}

pub const EVERYONE: Access = Access::Roles(&Role::ALL);

impl Route {
    pub fn rows(&self) -> Vec<RouteRow> {
        let mut rows = Vec::new();
        for (path, item) in &self.methods.1.paths {
            let operations = [
                ("GET", &item.get),
                ("POST", &item.post),
                ("PUT", &item.put),
                ("PATCH", &item.patch),
                ("DELETE", &item.delete),
            ];
            for (method, operation) in operations {
                if operation.is_some() {
                    rows.push(RouteRow { method: method.into(), path: path.clone(), access: self.access });
                }
            }
        }
        rows
    }
}

/// Builds the router and its OpenAPI document from the table.
pub fn assemble(app: &App, routes: Vec<Route>, mut api: OpenApi) -> (Router<App>, OpenApi) {
    let mut router = Router::new();
    for route in routes {
        let (schemas, paths, methods) = route.methods;
        let access = match route.access {
            Access::Documentation if app.config.server.public_docs => Access::Public,
            Access::Documentation => EVERYONE,
            access @ (Access::Public | Access::Operator | Access::Roles(_)) => access,
        };
        let guarded = methods.route_layer(middleware::from_fn_with_state((app.clone(), access), guard));
        let Some(path) = paths.paths.keys().next().cloned() else { continue };
        router = router.route(&path, guarded);
        let components = api.components.get_or_insert_default();
        components.schemas.extend(schemas);
        api.paths.merge(paths);
    }
    (router, api)
}

/// Decides before the body is read.
async fn guard(State((app, access)): State<(App, Access)>, mut request: Request, next: Next) -> Response {
    let outcome = match access {
        Access::Public | Access::Documentation => Ok(None),
        Access::Operator => operator(&app, request.headers()).map(|()| None),
        Access::Roles(roles) => principal(&app, request.headers(), roles).await.map(Some),
    };
    match outcome {
        Ok(Some(principal)) => match limits::take(&app, &principal).await {
            Ok(headers) => {
                request.extensions_mut().insert(principal);
                let mut response = next.run(request).await;
                response.headers_mut().extend(headers);
                response
            }
            Err((problem, headers)) => {
                let mut response = refusal(&request, problem);
                response.headers_mut().extend(headers);
                response
            }
        },
        Ok(None) => next.run(request).await,
        Err(problem) if problem.status == StatusCode::UNAUTHORIZED => {
            let origin = limits::origin(&app, &request);
            let problem = limits::refused_credential(&app, origin, problem).await;
            refusal(&request, problem)
        }
        Err(problem) => refusal(&request, problem),
    }
}

/// OpenAI's clients are promised OpenAI's error object on their routes, whoever refuses.
fn refusal(request: &Request, problem: Problem) -> Response {
    if OPENAI_PATHS.contains(&request.uri().path()) {
        chat_completions::refusal(&problem)
    } else {
        problem.into_response()
    }
}

const OPENAI_PATHS: [&str; 2] = ["/v1/chat/completions", "/v1/models"];

async fn principal(app: &App, headers: &HeaderMap, roles: &[Role]) -> Result<Principal, Problem> {
    let key = credential(headers)?;
    let principal = authenticate(&app.store, &key, app.clock.now()).await?.ok_or_else(Problem::unauthenticated)?;
    if principal.has_any(roles) { Ok(principal) } else { Err(Problem::forbidden()) }
}

fn operator(app: &App, headers: &HeaderMap) -> Result<(), Problem> {
    let key = credential(headers)?;
    let given = crate::canonical::sha256_hex(key);
    let same: bool = given.as_bytes().ct_eq(app.operator_key_sha256.as_bytes()).into();
    if same { Ok(()) } else { Err(Problem::unauthenticated()) }
}

/// The one credential of a request, from `Authorization: Bearer` (any case) or `X-Api-Key`. Two are refused, whatever they are:
/// which of them counted would depend on the code path.
fn credential(headers: &HeaderMap) -> Result<String, Problem> {
    let mut found = Vec::new();
    for value in headers.get_all(header::AUTHORIZATION) {
        let text = value.to_str().map_err(|_| Problem::unauthenticated())?;
        let (scheme, key) = text.split_once(' ').ok_or_else(Problem::unauthenticated)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Problem::unauthenticated());
        }
        found.push(key.trim().to_owned());
    }
    for value in headers.get_all("x-api-key") {
        found.push(value.to_str().map_err(|_| Problem::unauthenticated())?.trim().to_owned());
    }
    match found.len() {
        1 => found.pop().ok_or_else(Problem::unauthenticated),
        0 => Err(Problem::unauthenticated()),
        _ => Err(Problem::bad_request("credentials", "send one credential, not several")),
    }
}
