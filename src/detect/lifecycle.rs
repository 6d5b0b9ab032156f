//! How far an exception is, and what may happen to it next. Pure: no clock, no database.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Why somebody dismissed an exception.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DismissReason {
    /// The rule fired, the case is in order.
    Acceptable,
    /// The records are wrong.
    BadData,
    /// Somebody takes care of it elsewhere.
    HandledElsewhere,
    /// Another exception tells the same.
    Duplicate,
    Other,
}

/// How bad it was when somebody decided about it; worse than that opens it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Weight {
    /// 0 low to 3 critical.
    pub severity: i64,
    /// Millionths of the currency.
    pub amount: Option<i64>,
}

impl Weight {
    /// Whether this is worse than `other`: severer, or more money.
    fn worse_than(self, other: Self) -> bool {
        self.severity > other.severity || self.amount.unwrap_or(0) > other.amount.unwrap_or(0)
    }
}

/// The state with the data that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    Open,
    /// Nobody wants to see it before then.
    Waiting {
        until_us: i64,
    },
    /// A draft that would settle it exists.
    Drafted {
        draft_id: String,
    },
    /// The draft is being decided on.
    InReview {
        draft_id: String,
    },
    /// The cause is gone.
    Resolved {
        at_us: i64,
    },
    Dismissed {
        reason: DismissReason,
        text: String,
        by: String,
        at_us: i64,
        weight: Weight,
    },
}

/// What happens to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Snooze {
        until_us: i64,
    },
    /// The time of a snooze has come.
    Wake,
    Dismiss {
        reason: DismissReason,
        text: String,
        by: String,
        weight: Weight,
    },
    /// Somebody takes a settled one up again.
    Reopen,
    Draft {
        draft_id: String,
    },
    Submit,
    /// The draft was rejected, expired or taken back.
    Withdraw,
    /// The rule no longer fires.
    CauseGone,
    /// The rule fires; `was_there`: it did when last looked at.
    CauseSeen {
        was_there: bool,
        weight: Weight,
    },
}

/// Why a command was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    #[error("it is settled")]
    Settled,
    #[error("it is not settled")]
    NotSettled,
    #[error("its cause is gone")]
    NoCause,
    #[error("a draft is under way for it")]
    DraftUnderWay,
    #[error("there is no draft for it")]
    NoDraft,
    #[error("it does not wait")]
    NotWaiting,
}

impl State {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Waiting { .. } => "waiting",
            Self::Drafted { .. } => "drafted",
            Self::InReview { .. } => "in_review",
            Self::Resolved { .. } => "resolved",
            Self::Dismissed { .. } => "dismissed",
        }
    }

    /// Somebody still has to do something about it.
    pub fn is_active(&self) -> bool {
        match self {
            Self::Open | Self::Waiting { .. } | Self::Drafted { .. } | Self::InReview { .. } => true,
            Self::Resolved { .. } | Self::Dismissed { .. } => false,
        }
    }

    /// The state after `command` at `now_us`, or why it is refused.
    pub fn apply(&self, command: &Command, now_us: i64) -> Result<Self, StateError> {
        use Command as C;
        use StateError as E;
        match (self, command) {
            (Self::Open | Self::Waiting { .. }, C::Snooze { until_us }) => Ok(Self::Waiting { until_us: *until_us }),
            (Self::Open | Self::Waiting { .. }, C::Dismiss { reason, text, by, weight }) => Ok(Self::Dismissed {
                reason: *reason,
                text: text.clone(),
                by: by.clone(),
                at_us: now_us,
                weight: *weight,
            }),
            (Self::Open | Self::Waiting { .. }, C::Draft { draft_id }) => {
                Ok(Self::Drafted { draft_id: draft_id.clone() })
            }
            (Self::Open | Self::Waiting { .. }, C::Submit | C::Withdraw) => Err(E::NoDraft),
            (Self::Open, C::Wake) => Err(E::NotWaiting),
            (Self::Waiting { .. }, C::Wake) => Ok(Self::Open),
            (Self::Drafted { .. } | Self::InReview { .. }, C::Snooze { .. } | C::Dismiss { .. } | C::Draft { .. }) => {
                Err(E::DraftUnderWay)
            }
            (Self::Drafted { .. } | Self::InReview { .. }, C::Wake) => Err(E::NotWaiting),
            (Self::Drafted { draft_id }, C::Submit) => Ok(Self::InReview { draft_id: draft_id.clone() }),
            (Self::InReview { .. }, C::Submit) => Err(E::DraftUnderWay),
            (Self::Drafted { .. } | Self::InReview { .. }, C::Withdraw) => Ok(Self::Open),
            (Self::Open | Self::Waiting { .. } | Self::Drafted { .. } | Self::InReview { .. }, C::CauseGone) => {
                Ok(Self::Resolved { at_us: now_us })
            }
            (Self::Open | Self::Waiting { .. } | Self::Drafted { .. } | Self::InReview { .. }, C::CauseSeen { .. }) => {
                Ok(self.clone())
            }
            (Self::Open | Self::Waiting { .. } | Self::Drafted { .. } | Self::InReview { .. }, C::Reopen) => {
                Err(E::NotSettled)
            }
            (Self::Resolved { .. }, C::CauseSeen { .. }) => Ok(Self::Open),
            (Self::Resolved { .. }, C::CauseGone) => Ok(self.clone()),
            (Self::Resolved { .. }, C::Reopen) => Err(E::NoCause),
            (Self::Dismissed { weight: then, .. }, C::CauseSeen { was_there, weight }) => {
                // The same case stays dismissed; a new one, or a worse one, does not.
                if !was_there || weight.worse_than(*then) { Ok(Self::Open) } else { Ok(self.clone()) }
            }
            (Self::Dismissed { .. }, C::CauseGone) => Ok(self.clone()),
            (Self::Dismissed { .. }, C::Reopen) => Ok(Self::Open),
            (
                Self::Resolved { .. } | Self::Dismissed { .. },
                C::Snooze { .. } | C::Wake | C::Dismiss { .. } | C::Draft { .. } | C::Submit | C::Withdraw,
            ) => Err(E::Settled),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIGHT: Weight = Weight { severity: 1, amount: Some(10) };

    fn dismissed() -> State {
        State::Dismissed {
            reason: DismissReason::Acceptable,
            text: "ok".into(),
            by: "u".into(),
            at_us: 1,
            weight: LIGHT,
        }
    }

    #[test]
    fn a_dismissed_case_stays_so_until_it_comes_back_or_gets_worse() {
        let seen = |was_there, weight| dismissed().apply(&Command::CauseSeen { was_there, weight }, 2).unwrap();
        assert_eq!(seen(true, LIGHT), dismissed());
        assert_eq!(seen(true, Weight { severity: 0, amount: None }), dismissed());
        assert_eq!(seen(true, Weight { severity: 1, amount: Some(11) }), State::Open);
        assert_eq!(seen(true, Weight { severity: 2, amount: Some(1) }), State::Open);
        assert_eq!(seen(false, LIGHT), State::Open);
        assert_eq!(dismissed().apply(&Command::CauseGone, 2), Ok(dismissed()));
    }

    #[test]
    fn a_case_closes_itself_and_opens_again() {
        let seen = Command::CauseSeen { was_there: false, weight: LIGHT };
        for state in [
            State::Open,
            State::Waiting { until_us: 9 },
            State::Drafted { draft_id: "d".into() },
            State::InReview { draft_id: "d".into() },
        ] {
            assert_eq!(state.apply(&seen, 5), Ok(state.clone()));
            let closed = state.apply(&Command::CauseGone, 5).unwrap();
            assert_eq!(closed, State::Resolved { at_us: 5 });
            assert_eq!(closed.apply(&seen, 6), Ok(State::Open));
            assert_eq!(closed.apply(&Command::Reopen, 6), Err(StateError::NoCause));
        }
    }

    #[test]
    fn nobody_snoozes_or_dismisses_under_a_draft() {
        let drafted = State::Open.apply(&Command::Draft { draft_id: "d".into() }, 1).unwrap();
        let dismiss =
            Command::Dismiss { reason: DismissReason::Other, text: "x".into(), by: "u".into(), weight: LIGHT };
        for command in [Command::Snooze { until_us: 9 }, dismiss] {
            assert_eq!(drafted.apply(&command, 1), Err(StateError::DraftUnderWay));
        }
        let review = drafted.apply(&Command::Submit, 1).unwrap();
        assert_eq!(review.apply(&Command::Withdraw, 1), Ok(State::Open));
    }

    #[test]
    fn a_state_reads_back_as_it_was_written() {
        for state in [State::Open, State::Waiting { until_us: 3 }, State::Resolved { at_us: 4 }, dismissed()] {
            let text = serde_json::to_string(&state).unwrap();
            assert_eq!(serde_json::from_str::<State>(&text).unwrap(), state);
            assert!(text.contains(state.name()));
        }
    }
}
