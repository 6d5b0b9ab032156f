//! Merging the layers and remembering where each value came from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::Config;
use crate::secret::Secret;

/// Where a value was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Default,
    File(PathBuf),
    Environment(String),
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Environment(name) => write!(f, "${name}"),
            Self::Flag => f.write_str("flag"),
        }
    }
}

/// One set value, masked if it is a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    pub key: String,
    pub value: String,
    pub origin: Origin,
}

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{path}: {reason}")]
    File { path: PathBuf, reason: String },
    #[error("configuration: {0}")]
    Shape(String),
    #[error("configuration is not usable:\n  {}", .0.join("\n  "))]
    Check(Vec<String>),
}

/// Layers from the lowest to the highest; a later one wins key by key.
#[derive(Default)]
pub struct Layers {
    merged: Table,
    origins: BTreeMap<String, Origin>,
}

impl fmt::Debug for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.settings()).finish()
    }
}

const ENV_PREFIX: &str = "COUNTERSIGN_";
const SECRETS: [&str; 5] =
    ["llm.api_key", "llm_fallback.api_key", "embedding.api_key", "storage.database_url", "storage.migrate_url"];

impl Layers {
    /// A TOML file; `required` is false for the places that are only looked at.
    pub fn file(&mut self, path: &Path, required: bool) -> Result<(), ConfigError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !required => return Ok(()),
            Err(error) => return Err(ConfigError::File { path: path.into(), reason: error.to_string() }),
        };
        // The parser's message quotes the offending line, which may hold a secret: give the place, not the text.
        let table: Table = toml::from_str(&text).map_err(|error: toml::de::Error| {
            let line = error.span().map_or(0, |span| text[..span.start.min(text.len())].lines().count().max(1));
            ConfigError::File { path: path.into(), reason: format!("line {line}: {}", error.message()) }
        })?;
        if holds_secret(&table) && readable_by_others(path) {
            return Err(ConfigError::File {
                path: path.into(),
                reason: "holds a secret and can be read by other users: chmod 600, or use the *_file setting".into(),
            });
        }
        self.merge("", table, &Origin::File(path.into()));
        Ok(())
    }

    /// `COUNTERSIGN_SECTION__KEY=value` from the given environment.
    pub fn environment(&mut self, variables: impl Iterator<Item = (String, String)>) {
        for (name, text) in variables {
            let Some((section, key)) = name.strip_prefix(ENV_PREFIX).and_then(|rest| rest.split_once("__")) else {
                continue;
            };
            let (section, key) = (section.to_lowercase(), key.to_lowercase());
            let value = value_of(&section, &key, &text);
            self.set(&section, &key, value, Origin::Environment(name));
        }
    }

    /// A flag.
    pub fn flag(&mut self, section: &str, key: &str, text: &str) {
        self.set(section, key, value_of(section, key, text), Origin::Flag);
    }

    fn set(&mut self, section: &str, key: &str, value: Value, origin: Origin) {
        let table = Table::from_iter([(section.to_owned(), Value::Table(Table::from_iter([(key.to_owned(), value)])))]);
        self.merge("", table, &origin);
    }

    fn merge(&mut self, prefix: &str, from: Table, origin: &Origin) {
        for (section, value) in from {
            let path = format!("{prefix}{section}");
            let Value::Table(entries) = value else {
                self.origins.insert(path, origin.clone());
                self.merged.insert(section, value);
                continue;
            };
            let target = self.merged.entry(section.clone()).or_insert_with(|| Value::Table(Table::new()));
            for (key, value) in entries {
                self.origins.insert(format!("{path}.{key}"), origin.clone());
                if let Value::Table(table) = target {
                    table.insert(key, value);
                }
            }
        }
    }

    /// The configuration, its secret files read, checked.
    pub fn finish(&self) -> Result<Config, ConfigError> {
        let mut config: Config = Value::Table(self.merged.clone())
            .try_into()
            .map_err(|error: toml::de::Error| ConfigError::Shape(error.message().to_owned()))?;
        read_secret(&mut config.llm.api_key, config.llm.api_key_file.as_deref())?;
        read_secret(&mut config.llm_fallback.api_key, config.llm_fallback.api_key_file.as_deref())?;
        read_secret(&mut config.embedding.api_key, config.embedding.api_key_file.as_deref())?;
        read_secret(&mut config.storage.database_url, config.storage.database_url_file.as_deref())?;
        read_secret(&mut config.storage.migrate_url, config.storage.migrate_url_file.as_deref())?;
        let problems = config.check();
        if problems.is_empty() { Ok(config) } else { Err(ConfigError::Check(problems)) }
    }

    /// Every value that is not a default, with its origin; secrets masked.
    pub fn settings(&self) -> Vec<Setting> {
        self.origins
            .iter()
            .map(|(key, origin)| {
                let masked = SECRETS.contains(&key.as_str());
                let value = self.value_of(key).filter(|_| !masked).map_or_else(|| "***".into(), |v| v.to_string());
                Setting { key: key.clone(), value, origin: origin.clone() }
            })
            .collect()
    }

    /// Every value in use, defaults included, by key; secrets masked. What cannot be used is shown as set.
    pub fn effective(&self) -> Vec<Setting> {
        let mut settings = self.settings();
        let config: Config = Value::Table(self.merged.clone()).try_into().unwrap_or_default();
        let Ok(sections) = Table::try_from(&config) else { return settings };
        for (section, values) in &sections {
            for (key, value) in values.as_table().into_iter().flatten() {
                let key = format!("{section}.{key}");
                if !self.origins.contains_key(&key) {
                    settings.push(Setting { key, value: value.to_string(), origin: Origin::Default });
                }
            }
        }
        settings.sort_by(|a, b| a.key.cmp(&b.key));
        settings
    }

    fn value_of(&self, key: &str) -> Option<Value> {
        match key.split_once('.') {
            Some((section, key)) => self.merged.get(section)?.get(key).cloned(),
            None => self.merged.get(key).cloned(),
        }
    }
}

/// A secret is text even when it looks like a number: as one it would be refused, and the refusal would quote it.
fn value_of(section: &str, key: &str, text: &str) -> Value {
    if SECRETS.contains(&format!("{section}.{key}").as_str()) { Value::String(text.to_owned()) } else { scalar(text) }
}

fn scalar(text: &str) -> Value {
    if let Ok(flag) = text.parse::<bool>() {
        return Value::Boolean(flag);
    }
    text.parse::<i64>().map_or_else(|_| Value::String(text.to_owned()), Value::Integer)
}

fn read_secret(secret: &mut Option<Secret>, file: Option<&Path>) -> Result<(), ConfigError> {
    let (None, Some(path)) = (secret.as_ref(), file) else { return Ok(()) };
    let fail = |reason: String| ConfigError::File { path: path.into(), reason };
    if readable_by_others(path) {
        return Err(fail("holds a secret and can be read by other users: chmod 600".into()));
    }
    let text = std::fs::read_to_string(path).map_err(|error| fail(error.to_string()))?;
    *secret = Some(Secret::new(text.trim()));
    Ok(())
}

fn holds_secret(table: &Table) -> bool {
    SECRETS.iter().any(|key| {
        key.split_once('.').is_some_and(|(section, key)| table.get(section).is_some_and(|s| s.get(key).is_some()))
    })
}

#[cfg(unix)]
fn readable_by_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn readable_by_others(_path: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Layers {
        let mut layers = Layers::default();
        layers.environment(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
        layers
    }

    #[test]
    fn a_later_layer_wins_and_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("countersign.toml");
        std::fs::write(&path, "[server]\nlisten = \"127.0.0.1:1\"\nbehind_tls_proxy = true\n").unwrap();
        let mut layers = Layers::default();
        layers.file(&path, true).unwrap();
        layers.environment([("COUNTERSIGN_SERVER__LISTEN".to_owned(), "127.0.0.1:2".to_owned())].into_iter());
        let config = layers.finish().unwrap();
        assert_eq!(config.server.listen.port(), 2);
        assert!(config.server.behind_tls_proxy);
        let listen = layers.settings().into_iter().find(|s| s.key == "server.listen").unwrap();
        assert_eq!(listen.origin, Origin::Environment("COUNTERSIGN_SERVER__LISTEN".into()));
    }

    #[test]
    fn unknown_keys_are_refused() {
        assert!(env(&[("COUNTERSIGN_SERVER__LISTN", "x")]).finish().is_err());
    }

    #[test]
    fn a_plain_http_public_address_is_refused() {
        let error = env(&[("COUNTERSIGN_SERVER__LISTEN", "0.0.0.0:80")]).finish().unwrap_err();
        assert!(error.to_string().contains("TLS"), "{error}");
    }

    #[test]
    fn placeholder_secrets_are_refused_and_secrets_are_masked() {
        let layers = env(&[("COUNTERSIGN_LLM__API_KEY", "changeme")]);
        assert!(layers.finish().is_err());
        assert_eq!(layers.settings()[0].value, "***");
    }

    #[cfg(unix)]
    #[test]
    fn a_secret_in_a_file_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.toml");
        std::fs::write(&path, "[llm]\napi_key = \"k-123456\"\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Layers::default().file(&path, true).is_err());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(Layers::default().file(&path, true).is_ok());
    }

    #[test]
    fn a_broken_file_is_named_by_line_and_never_quoted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.toml");
        std::fs::write(&path, "[llm]\napi_key = \"sk-very-secret\n").unwrap();
        let error = Layers::default().file(&path, true).unwrap_err().to_string();
        assert!(error.contains("line 2") && !error.contains("very-secret"), "{error}");
    }
}
