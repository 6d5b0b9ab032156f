//! Who may do what: tenants, users with roles, API keys. Base module.
//!
//! The tenant of a request comes from its credential alone: a key carries its tenant's id inside the hashed text, so that looking it
//! up is already a query inside that tenant. There is no other way to name one.

mod authenticate;
pub mod keys;
mod state;
pub mod tenants;
pub mod users;

pub use authenticate::{authenticate, current};
pub use state::{key_state, user_state};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::audit::{Actor, ActorKind};
use crate::ids::{KeyId, TenantId, UserId};
use crate::quota::TenantQuota;

/// What a principal may do. A person can hold several; a service key holds `Integration` alone and can never approve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Asks, reads records and documents.
    Agent,
    /// Decides drafts that need no special authority.
    Reviewer,
    /// Decides what needs authority; sees costs.
    Approver,
    /// Users, keys, sources, configuration; sees costs.
    Admin,
    /// Reads everything and the audit trail; changes nothing.
    Auditor,
    /// A service: asks and pushes records and documents.
    Integration,
}

impl Role {
    pub const ALL: [Self; 6] =
        [Self::Agent, Self::Reviewer, Self::Approver, Self::Admin, Self::Auditor, Self::Integration];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Reviewer => "reviewer",
            Self::Approver => "approver",
            Self::Admin => "admin",
            Self::Auditor => "auditor",
            Self::Integration => "integration",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }

    /// Whether fields of class Cost (unit cost, margin) may be shown.
    pub fn sees_costs(self) -> bool {
        match self {
            Self::Approver | Self::Admin | Self::Auditor => true,
            Self::Agent | Self::Reviewer | Self::Integration => false,
        }
    }
}

/// Who is asking, as found by the credential.
#[derive(Debug, Clone)]
pub struct Principal {
    pub tenant: TenantId,
    pub key: KeyId,
    /// `None`: a service.
    pub user: Option<UserId>,
    pub roles: Vec<Role>,
    /// What is set for the tenant, read with the key.
    pub quota: TenantQuota,
}

impl Principal {
    pub fn has_any(&self, roles: &[Role]) -> bool {
        self.roles.iter().any(|role| roles.contains(role))
    }

    pub fn actor(&self) -> Actor {
        match self.user {
            Some(user) => Actor { kind: ActorKind::Person, id: user.to_string() },
            None => Actor { kind: ActorKind::Service, id: self.key.to_string() },
        }
    }

    /// The audiences whose documents this principal may see: `everyone` and its roles. Never empty.
    pub fn audiences(&self) -> Vec<String> {
        let mut audiences = vec!["everyone".to_owned()];
        audiences.extend(self.roles.iter().map(|role| role.as_str().to_owned()));
        if self.roles.iter().any(|role| role.sees_costs()) {
            audiences.push(COSTS.to_owned());
        }
        audiences
    }
}

/// The audience of cost cards.
pub const COSTS: &str = "costs";

/// Why an access operation was refused.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    #[error("there is no such user, key or tenant")]
    NotFound,
    #[error("that name or address is taken")]
    Taken,
    #[error("{0}")]
    Invalid(&'static str),
    #[error(transparent)]
    Db(#[from] sqlx::Error),
}

/// Maps a unique violation to [`AccessError::Taken`]; SQLite does not say which constraint.
fn taken(error: sqlx::Error) -> AccessError {
    match &error {
        sqlx::Error::Database(db) if db.is_unique_violation() => AccessError::Taken,
        _ => AccessError::Db(error),
    }
}
