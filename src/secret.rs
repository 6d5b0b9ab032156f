//! A credential that cannot be printed by accident.
//!
//! Foundation: neighbours that talk to a provider hold their key as a [`Secret`]. Where a secret comes from (file or
//! environment) is `config`'s business; this type only keeps it out of `Debug`, `Display` and serialised output.

use std::fmt;

/// A key or token. `Debug` prints `[redacted]`; there is no `Display` and no `Serialize`.
#[derive(Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps `value` without trimming or checking it.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The secret itself. Call it where the value leaves the process, and nowhere else.
    pub fn expose(&self) -> &str {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_never_shows_the_value() {
        let shown = format!("{:?} {:#?}", Secret::new("sk-live-1"), Some(Secret::new("sk-live-1")));
        assert!(!shown.contains("sk-live"), "{shown}");
    }
}
