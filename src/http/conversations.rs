//! `/v1/conversations`: opened, listed, read and deleted by whoever asks in them; nobody else sees them. And what was said about answers.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use futures::FutureExt;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::App;
use super::answers::{AnswerView, kept_since};
use super::extract::{ApiJson, Caller, PageQuery};
use super::once::{Once, Reply, once};
use super::problem::{Problem, ProblemBody};
use super::routes::{Access, EVERYONE, Route};
use crate::access::Role;
use crate::conversation::feedback::{self, FeedbackCase};
use crate::conversation::{self, ConversationError, ConversationRow, history, owner};
use crate::ids::ConversationId;

pub(super) fn routes() -> Vec<Route> {
    const READERS: Access = Access::Roles(&[Role::Admin, Role::Auditor]);
    vec![
        Route { access: EVERYONE, methods: routes!(create_conversation) },
        Route { access: EVERYONE, methods: routes!(list_conversations) },
        Route { access: EVERYONE, methods: routes!(get_conversation) },
        Route { access: EVERYONE, methods: routes!(delete_conversation) },
        Route { access: READERS, methods: routes!(export_feedback) },
    ]
}

impl From<ConversationError> for Problem {
    fn from(error: ConversationError) -> Self {
        match error {
            ConversationError::NotFound => Self::not_found(),
            ConversationError::Full => Self::new(StatusCode::CONFLICT, "conversation-full", error.to_string()),
            ConversationError::Invalid(_) => Self::unprocessable("invalid", error.to_string()),
            ConversationError::Db(cause) => Self::db(&cause),
        }
    }
}

#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateConversation {
    /// At most 200 bytes.
    #[serde(default)]
    pub title: String,
}

/// Opens a conversation. Ask in it with `POST /v1/answers` and its `conversation_id`.
#[utoipa::path(post, path = "/v1/conversations", tag = "Ask", security(("key" = [])), request_body = CreateConversation,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = ConversationRow), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody)))]
async fn create_conversation(
    State(app): State<App>,
    Caller(caller): Caller,
    request: Once,
    ApiJson(body): ApiJson<CreateConversation>,
) -> Result<Response, Problem> {
    if kept_since(&app).is_none() {
        let why = "this service keeps no answers (history.retention_days = 0), so it has no conversations";
        return Err(Problem::new(StatusCode::CONFLICT, "no-history", why));
    }
    let (request, actor, now) = (request.with(&body)?, caller.actor(), app.clock.now());
    once(&app, &caller, request, |tx| {
        async move { Reply::json(StatusCode::CREATED, &conversation::create(tx, &actor, &body.title, now).await?) }
            .boxed()
    })
    .await
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ConversationPage {
    /// Newest first.
    pub conversations: Vec<ConversationRow>,
    pub next: Option<String>,
}

/// The caller's own conversations, newest first.
#[utoipa::path(get, path = "/v1/conversations", tag = "Ask", security(("key" = [])), params(PageQuery),
    responses((status = 200, body = ConversationPage)))]
async fn list_conversations(
    State(app): State<App>,
    Caller(caller): Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<ConversationPage>, Problem> {
    let since = kept_since(&app).unwrap_or(i64::MAX);
    let mut tx = app.store.begin_read(caller.tenant).await?;
    let conversations = conversation::list(&mut tx, &owner(&caller), page.after(), page.limit(), since).await?;
    let full = i64::try_from(conversations.len()).is_ok_and(|n| n == page.limit());
    let next = conversations.last().filter(|_| full).map(|last| last.conversation_id.clone());
    Ok(Json(ConversationPage { conversations, next }))
}

/// A conversation with its turns.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConversationView {
    #[serde(flatten)]
    pub conversation: ConversationRow,
    /// Oldest first, each as its citations still stand.
    pub answers: Vec<AnswerView>,
}

/// One of the caller's own conversations.
#[utoipa::path(get, path = "/v1/conversations/{conversation_id}", tag = "Ask", security(("key" = [])),
    params(("conversation_id" = String, Path)), responses((status = 200, body = ConversationView), (status = 404, body = ProblemBody)))]
async fn get_conversation(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(id): Path<String>,
) -> Result<Json<ConversationView>, Problem> {
    let id: ConversationId = id.parse().map_err(|_| Problem::not_found())?;
    let since = kept_since(&app).ok_or_else(Problem::not_found)?;
    let mut tx = app.store.begin_read(caller.tenant).await?;
    let conversation = conversation::get(&mut tx, &owner(&caller), id, since).await?;
    let owner = owner(&caller);
    let stored = history::list(&mut tx, &owner, &id.to_string(), "", conversation::TURNS_MAX, since).await?;
    let mut answers = Vec::with_capacity(stored.len());
    for one in stored.into_iter().rev() {
        answers.push(AnswerView::of(&mut tx, &caller, one).await?);
    }
    Ok(Json(ConversationView { conversation, answers }))
}

/// Deletes a conversation with its answers and what was said about them.
#[utoipa::path(delete, path = "/v1/conversations/{conversation_id}", tag = "Ask", security(("key" = [])),
    params(("conversation_id" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 204), (status = 404, body = ProblemBody)))]
async fn delete_conversation(
    State(app): State<App>,
    Caller(caller): Caller,
    request: Once,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id: ConversationId = id.parse().map_err(|_| Problem::not_found())?;
    let (actor, owner, now) = (caller.actor(), owner(&caller), app.clock.now());
    once(&app, &caller, request, |tx| {
        async move {
            conversation::delete(tx, &actor, &owner, id, now).await?;
            Ok(Reply::empty())
        }
        .boxed()
    })
    .await
}

#[derive(Debug, Serialize, ToSchema)]
pub struct FeedbackPage {
    pub cases: Vec<FeedbackCase>,
    pub next: Option<String>,
}

/// What people of the tenant said about their answers, as cases to measure with.
#[utoipa::path(get, path = "/v1/feedback", tag = "Ask", security(("key" = [])), params(PageQuery), responses((status = 200, body = FeedbackPage)))]
async fn export_feedback(
    State(app): State<App>,
    Caller(caller): Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<FeedbackPage>, Problem> {
    let since = kept_since(&app).unwrap_or(i64::MAX);
    let mut tx = app.store.begin_read(caller.tenant).await?;
    let cases = feedback::export(&mut tx, &caller, page.after(), page.limit(), since).await?;
    let full = i64::try_from(cases.len()).is_ok_and(|n| n == page.limit());
    let next = cases.last().filter(|_| full).map(|last| last.id.clone());
    Ok(Json(FeedbackPage { cases, next }))
}
