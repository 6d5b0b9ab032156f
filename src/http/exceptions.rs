//! `/v1/exceptions`, `/v1/exception-groups`: what was noticed, and what people do about it.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use futures::FutureExt;
use ingest::Money;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::App;
use super::extract::{ApiJson, Caller};
use super::once::{Once, Reply, once};
use super::problem::{Problem, ProblemBody};
use super::records::sees_costs;
use super::routes::{Access, EVERYONE, Route};
use crate::access::{Principal, Role};
use crate::detect::{
    self, Act, Cause, DetectError, DismissReason, Domain, Fact, Filter, Group, Involved, Kind, KindCount, Part,
    Severity, Sort, Stored, Summary,
};
use crate::ids::{ExceptionId, UserId};

/// People who work on exceptions.
const DESK: Access = Access::Roles(&[Role::Agent, Role::Reviewer, Role::Approver, Role::Admin]);

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route { access: EVERYONE, methods: routes!(list) },
        Route { access: EVERYONE, methods: routes!(get) },
        Route { access: EVERYONE, methods: routes!(summary) },
        Route { access: DESK, methods: routes!(assign) },
        Route { access: DESK, methods: routes!(snooze) },
        Route { access: DESK, methods: routes!(dismiss) },
        Route { access: DESK, methods: routes!(reopen) },
        Route { access: DESK, methods: routes!(link) },
        Route { access: EVERYONE, methods: routes!(list_groups) },
        Route { access: EVERYONE, methods: routes!(group_summary) },
        Route { access: EVERYONE, methods: routes!(kinds) },
    ]
}

impl From<DetectError> for Problem {
    fn from(error: DetectError) -> Self {
        match error {
            DetectError::NotFound => Self::not_found(),
            DetectError::State(_) => Self::new(StatusCode::CONFLICT, "exception-state", error.to_string()),
            DetectError::Stale => Self::new(StatusCode::CONFLICT, "stale", error.to_string()),
            DetectError::Settings(_) | DetectError::Invalid(_) => Self::unprocessable("invalid", error.to_string()),
            DetectError::Db(cause) => Self::db(&cause),
        }
    }
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ExceptionQuery {
    /// Names of kinds, separated by commas.
    pub kind: Option<String>,
    /// `orders`, `fulfilment`, `stock`, `procurement`, `finance`, `returns`, `custom`, separated by commas.
    pub domain: Option<String>,
    /// `open`, `waiting`, `drafted`, `in_review`, `resolved`, `dismissed`, separated by commas; default: the first four.
    pub state: Option<String>,
    /// This severity or a worse one: `low`, `medium`, `high`, `critical`.
    pub severity: Option<String>,
    /// A user's id, `me`, or `nobody`.
    pub owner: Option<String>,
    pub group_id: Option<String>,
    /// Of this record.
    pub record_id: Option<String>,
    /// Whose service level has passed.
    pub escalated: Option<bool>,
    /// `priority` (default), `newest`, `oldest`, `service_level`, `money`.
    pub sort: Option<Sort>,
    /// Where the page before ended.
    pub after: Option<String>,
    /// 1 to 200; default 50.
    pub limit: Option<u16>,
}

impl ExceptionQuery {
    fn filter(&self, caller: &Principal) -> Result<Filter, Problem> {
        let wrong = |what: &str| Problem::unprocessable("invalid", format!("{what} has an unknown name"));
        let list = |text: &Option<String>| -> Vec<String> {
            text.iter()
                .flat_map(|text| text.split(','))
                .map(|name| name.trim().to_owned())
                .filter(|name| !name.is_empty())
                .collect()
        };
        let states = list(&self.state);
        let known = ["open", "waiting", "drafted", "in_review", "resolved", "dismissed"];
        if states.iter().any(|name| !known.contains(&name.as_str())) {
            return Err(wrong("state"));
        }
        let domains = list(&self.domain);
        if domains.iter().any(|name| Domain::parse(name).is_none()) {
            return Err(wrong("domain"));
        }
        let severity = self.severity.as_deref().map(|name| Severity::parse(name).ok_or_else(|| wrong("severity")));
        let owner = match self.owner.as_deref() {
            Some("me") => Some(caller.user.map(|user| user.to_string()).unwrap_or_else(|| "none".into())),
            Some("nobody") => Some(String::new()),
            other => other.map(str::to_owned),
        };
        Ok(Filter {
            kinds: list(&self.kind),
            domains,
            states,
            severity_at_least: severity.transpose()?,
            owner,
            group_id: self.group_id.clone(),
            record_id: self.record_id.clone(),
            escalated: self.escalated,
        })
    }
}

/// An exception as the caller may see it.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExceptionView {
    pub exception_id: String,
    pub kind: String,
    pub title: String,
    pub domain: String,
    pub severity: Severity,
    /// Sum of the parts, 0 to 100.
    pub priority: i64,
    pub priority_parts: Vec<Part>,
    /// The record that carries it.
    pub subject: Involved,
    #[schema(value_type = Option<Object>)]
    pub at_stake: Option<Money>,
    /// Facts with costs show their limit to roles that see costs only.
    pub facts: Vec<Fact>,
    pub records: Vec<Involved>,
    pub cause: Option<Cause>,
    pub group_id: Option<String>,
    /// `open`, `waiting`, `drafted`, `in_review`, `resolved`, `dismissed`, with what belongs to it.
    pub state: detect::State,
    /// Whether the rule fires now.
    pub present: bool,
    pub owner_id: Option<String>,
    pub ticket: Option<String>,
    pub first_seen_us: i64,
    /// When it opened last.
    pub opened_at_us: i64,
    pub last_seen_us: i64,
    /// How often it came back.
    pub reopened: i64,
    /// When its service level passes.
    pub due_at_us: i64,
    pub escalated_at_us: Option<i64>,
}

fn view(one: Stored, costs: bool) -> ExceptionView {
    let parts = detect::parts(&one.weighed());
    let title = Kind::parse(&one.kind).map_or_else(|| one.kind.clone(), |kind| kind.spec().title.to_owned());
    let subject = one.involved.iter().find(|record| record.record_id == one.record_id).cloned();
    let subject = subject.unwrap_or_else(|| Involved {
        record_id: one.record_id.clone(),
        kind: one.subject_kind.clone(),
        external_id: one.subject_external_id.clone(),
        version: 0,
    });
    let facts = one.facts.into_iter().map(|mut fact| {
        if fact.cost && !costs {
            fact.limit = String::new();
        }
        fact
    });
    ExceptionView {
        exception_id: one.id.to_string(),
        title,
        domain: one.domain,
        severity: one.severity,
        priority: parts.iter().map(|part| part.points).sum(),
        priority_parts: parts,
        subject,
        at_stake: one.at_stake,
        facts: facts.collect(),
        records: one.involved,
        cause: one.cause,
        group_id: one.group_id,
        state: one.state,
        present: one.present,
        owner_id: one.owner_id,
        ticket: one.ticket,
        first_seen_us: one.first_seen_us,
        opened_at_us: one.opened_at_us,
        last_seen_us: one.last_seen_us,
        reopened: one.reopened,
        due_at_us: one.due_at_us,
        escalated_at_us: one.escalated_at_us,
        kind: one.kind,
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ExceptionPage {
    pub exceptions: Vec<ExceptionView>,
    /// Of everything the filters leave, not of this page.
    pub counts: Vec<KindCount>,
    pub total: i64,
    /// Records that nobody has looked at yet: the list may lack what they show.
    pub pending: i64,
    /// Pass as `after` for the next page; absent at the end.
    pub next: Option<String>,
}

/// What was noticed, most urgent first.
#[utoipa::path(get, path = "/v1/exceptions", tag = "Exceptions", security(("key" = [])), params(ExceptionQuery),
    responses((status = 200, body = ExceptionPage), (status = 422, body = ProblemBody)))]
async fn list(
    State(app): State<App>,
    Caller(caller): Caller,
    Query(query): Query<ExceptionQuery>,
) -> Result<Json<ExceptionPage>, Problem> {
    let filter = query.filter(&caller)?;
    let limit = i64::from(query.limit.unwrap_or(50).clamp(1, 200));
    let pending = app.detect.backlog(caller.tenant).await?;
    let mut tx = app.store.begin_read(caller.tenant).await?;
    let sort = query.sort.unwrap_or_default();
    let (page, next) = detect::list(&mut tx, &caller, &filter, sort, query.after.as_deref(), limit).await?;
    let counts = detect::counts(&mut tx, &caller, &filter).await?;
    let costs = sees_costs(&caller);
    Ok(Json(ExceptionPage {
        exceptions: page.into_iter().map(|one| view(one, costs)).collect(),
        total: counts.iter().map(|kind| kind.count).sum(),
        counts,
        pending,
        next,
    }))
}

fn id_of(text: &str) -> Result<ExceptionId, Problem> {
    text.parse().map_err(|_| Problem::not_found())
}

/// One exception.
#[utoipa::path(get, path = "/v1/exceptions/{exception_id}", tag = "Exceptions", security(("key" = [])), params(("exception_id" = String, Path)),
    responses((status = 200, body = ExceptionView), (status = 404, body = ProblemBody)))]
async fn get(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(id): Path<String>,
) -> Result<Json<ExceptionView>, Problem> {
    let mut tx = app.store.begin_read(caller.tenant).await?;
    let one = detect::get(&mut tx, &caller, id_of(&id)?).await?;
    Ok(Json(view(one, sees_costs(&caller))))
}

fn sources<'a>(app: &'a App, caller: &'a Principal) -> detect::Sources<'a> {
    let today = app.clock.now().to_zoned(jiff::tz::TimeZone::UTC).date();
    detect::Sources { store: &app.store, index: &app.index, config: &app.config.retrieve, caller, today }
}

/// What happened, why it is an exception, what the policies of that day say, how similar cases ended, what could be done.
#[utoipa::path(get, path = "/v1/exceptions/{exception_id}/summary", tag = "Exceptions", security(("key" = [])),
    params(("exception_id" = String, Path)), responses((status = 200, body = Summary), (status = 404, body = ProblemBody)))]
async fn summary(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(id): Path<String>,
) -> Result<Json<Summary>, Problem> {
    let mut tx = app.store.begin_read(caller.tenant).await?;
    let one = detect::get(&mut tx, &caller, id_of(&id)?).await?;
    drop(tx);
    Ok(Json(detect::of_exception(&sources(&app, &caller), &one).await?))
}

async fn act(app: &App, caller: &Principal, request: Once, id: &str, what: Act) -> Result<Response, Problem> {
    let id = id_of(id)?;
    let (by, now) = (caller.clone(), app.clock.now());
    let done = once(app, caller, request, |tx| {
        async move {
            let one = detect::act(tx, &by, id, what, now).await?;
            Reply::json(StatusCode::OK, &view(one, sees_costs(&by)))
        }
        .boxed()
    })
    .await?;
    app.detect.wake(caller.tenant);
    Ok(done)
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AssignBody {
    /// Who takes care of it; null: nobody.
    pub user_id: Option<String>,
}

/// Says who takes care of it.
#[utoipa::path(post, path = "/v1/exceptions/{exception_id}/assign", tag = "Exceptions", security(("key" = [])),
    params(("exception_id" = String, Path), ("Idempotency-Key" = Option<String>, Header)), request_body = AssignBody,
    responses((status = 200, body = ExceptionView), (status = 404, body = ProblemBody), (status = 422, body = ProblemBody)))]
async fn assign(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(id): Path<String>,
    request: Once,
    ApiJson(body): ApiJson<AssignBody>,
) -> Result<Response, Problem> {
    let request = request.with(&body)?;
    // An id that is none and one that is nobody's read the same.
    let owner = body.user_id.map(|user| user.parse::<UserId>().unwrap_or(UserId(uuid::Uuid::nil())));
    act(&app, &caller, request, &id, Act::Assign(owner)).await
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SnoozeBody {
    /// RFC 3339; within 90 days.
    pub until: String,
}

/// Puts it off: it waits until then.
#[utoipa::path(post, path = "/v1/exceptions/{exception_id}/snooze", tag = "Exceptions", security(("key" = [])),
    params(("exception_id" = String, Path), ("Idempotency-Key" = Option<String>, Header)), request_body = SnoozeBody,
    responses((status = 200, body = ExceptionView), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody)))]
async fn snooze(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(id): Path<String>,
    request: Once,
    ApiJson(body): ApiJson<SnoozeBody>,
) -> Result<Response, Problem> {
    let until: Timestamp =
        body.until.parse().map_err(|_| Problem::unprocessable("invalid", "until is an RFC 3339 time"))?;
    let until = crate::clock::from_us(until.as_microsecond());
    act(&app, &caller, request.with(&body)?, &id, Act::Snooze { until }).await
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DismissBody {
    pub reason: DismissReason,
    /// 1 to 2,000 bytes.
    pub text: String,
}

/// Says that nothing has to be done. The same case stays dismissed; it opens again when it comes back or gets worse.
#[utoipa::path(post, path = "/v1/exceptions/{exception_id}/dismiss", tag = "Exceptions", security(("key" = [])),
    params(("exception_id" = String, Path), ("Idempotency-Key" = Option<String>, Header)), request_body = DismissBody,
    responses((status = 200, body = ExceptionView), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody)))]
async fn dismiss(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(id): Path<String>,
    request: Once,
    ApiJson(body): ApiJson<DismissBody>,
) -> Result<Response, Problem> {
    let request = request.with(&body)?;
    act(&app, &caller, request, &id, Act::Dismiss { reason: body.reason, text: body.text }).await
}

/// Takes a dismissed one up again, while its cause is there.
#[utoipa::path(post, path = "/v1/exceptions/{exception_id}/reopen", tag = "Exceptions", security(("key" = [])),
    params(("exception_id" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 200, body = ExceptionView), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
async fn reopen(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(id): Path<String>,
    request: Once,
) -> Result<Response, Problem> {
    act(&app, &caller, request, &id, Act::Reopen).await
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkBody {
    /// The helpdesk's number; null takes the link away.
    pub ticket: Option<String>,
}

/// Links a helpdesk ticket.
#[utoipa::path(post, path = "/v1/exceptions/{exception_id}/link", tag = "Exceptions", security(("key" = [])),
    params(("exception_id" = String, Path), ("Idempotency-Key" = Option<String>, Header)), request_body = LinkBody,
    responses((status = 200, body = ExceptionView), (status = 404, body = ProblemBody), (status = 422, body = ProblemBody)))]
async fn link(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(id): Path<String>,
    request: Once,
    ApiJson(body): ApiJson<LinkBody>,
) -> Result<Response, Problem> {
    let request = request.with(&body)?;
    act(&app, &caller, request, &id, Act::Link(body.ticket)).await
}

#[derive(Debug, Serialize, ToSchema)]
pub struct GroupList {
    pub groups: Vec<Group>,
}

/// Exceptions of one kind that have a cause in common (supplier, carrier, product, customer), largest score first.
#[utoipa::path(get, path = "/v1/exception-groups", tag = "Exceptions", security(("key" = [])), params(ExceptionQuery),
    responses((status = 200, body = GroupList), (status = 422, body = ProblemBody)))]
async fn list_groups(
    State(app): State<App>,
    Caller(caller): Caller,
    Query(query): Query<ExceptionQuery>,
) -> Result<Json<GroupList>, Problem> {
    let filter = query.filter(&caller)?;
    let mut tx = app.store.begin_read(caller.tenant).await?;
    let (_, settings) = detect::settings(&mut tx).await?;
    let groups = detect::groups(&mut tx, &caller, &filter, i64::from(settings.group_from)).await?;
    Ok(Json(GroupList { groups }))
}

/// As the summary of one exception, for all active ones of a group.
#[utoipa::path(get, path = "/v1/exception-groups/{group_id}/summary", tag = "Exceptions", security(("key" = [])),
    params(("group_id" = String, Path)), responses((status = 200, body = Summary), (status = 404, body = ProblemBody)))]
async fn group_summary(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(id): Path<String>,
) -> Result<Json<Summary>, Problem> {
    Ok(Json(detect::of_group(&sources(&app, &caller), &id).await?))
}

/// One kind of the catalogue.
#[derive(Debug, Serialize, ToSchema)]
pub struct KindView {
    pub kind: &'static str,
    pub title: &'static str,
    pub domain: Domain,
    pub record_kind: &'static str,
    pub default_severity: Severity,
    pub rule: &'static str,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct KindList {
    pub kinds: Vec<KindView>,
}

/// The built-in kinds of exceptions.
#[utoipa::path(get, path = "/v1/exception-kinds", tag = "Exceptions", security(("key" = [])), responses((status = 200, body = KindList)))]
async fn kinds() -> Json<KindList> {
    let view = |kind: Kind| {
        let spec = kind.spec();
        KindView {
            kind: spec.name,
            title: spec.title,
            domain: spec.domain,
            record_kind: spec.subject.as_str(),
            default_severity: spec.severity,
            rule: spec.rule,
        }
    };
    Json(KindList { kinds: Kind::ALL.into_iter().map(view).collect() })
}
