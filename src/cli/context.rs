//! What every command starts from: configuration in its layers, the data directory, credentials.

use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;

use super::environment::Environment;
use super::failure::{Exit, Failure};
use super::output::Output;
use crate::clock::Clock;
use crate::config::{Config, Layers};
use crate::secret::Secret;

/// The flags that every command takes, and the environment.
pub struct Context {
    /// How this program was called, with the data directory when that was a flag: see [`Context::command`].
    pub called: String,
    pub config: Config,
    pub data_dir: PathBuf,
    pub output: Output,
    pub clock: Clock,
    pub environment: Environment,
    pub tenant: Option<String>,
    pub key_file: Option<PathBuf>,
}

/// Flags over environment over `./countersign.toml` (or `--config`) over the user's file over the system's file.
pub fn layers(
    environment: &Environment,
    config_file: Option<&Path>,
    data_dir: Option<&Path>,
) -> Result<Layers, crate::config::ConfigError> {
    let mut layers = Layers::default();
    layers.file(Path::new("/etc/countersign/countersign.toml"), false)?;
    if let Ok(base) = etcetera::choose_base_strategy() {
        layers.file(&base.config_dir().join("countersign").join("countersign.toml"), false)?;
    }
    match config_file {
        Some(path) => layers.file(path, true)?,
        None => layers.file(Path::new("countersign.toml"), false)?,
    }
    layers.environment(environment.pairs());
    if let Some(dir) = data_dir {
        layers.flag("storage", "dir", &dir.to_string_lossy());
    }
    Ok(layers)
}

/// The configured data directory, else the user's.
pub fn data_dir(config: &Config) -> Result<PathBuf, Failure> {
    if let Some(dir) = &config.storage.dir {
        return Ok(dir.clone());
    }
    let base = etcetera::choose_base_strategy()
        .map_err(|_| Failure::new(Exit::Usage, "there is no home directory").next("give --data-dir or storage.dir"))?;
    Ok(base.data_dir().join("countersign"))
}

impl Context {
    /// A command to be copied: `rest` for this program on this data directory.
    pub fn command(&self, rest: &str) -> String {
        format!("{} {rest}", self.called)
    }

    /// The operator's key, from the data directory.
    pub fn operator_key(&self) -> Result<Secret, Failure> {
        read_key(&self.data_dir.join("operator.key"))
    }

    /// The key of a tenant's user: `--key-file`, `COUNTERSIGN_KEY`, `COUNTERSIGN_KEY_FILE`, the data directory. Never a flag's value:
    /// other users of the machine can read command lines.
    pub fn tenant_key(&self) -> Result<Secret, Failure> {
        if let Some(path) = &self.key_file {
            return read_key(path);
        }
        if self.tenant.is_none() {
            if let Some(key) = self.environment.get("COUNTERSIGN_KEY") {
                return Ok(Secret::new(key.trim()));
            }
            if let Some(path) = self.environment.get("COUNTERSIGN_KEY_FILE") {
                return read_key(Path::new(path));
            }
        }
        self.key_of(&self.tenant_slug()?)
    }

    /// The administrator's key of a tenant, from the data directory.
    pub fn key_of(&self, slug: &str) -> Result<Secret, Failure> {
        read_key(&self.key_path(slug))
    }

    /// Which tenant's files of the data directory to use: `--tenant`, else the only one.
    pub fn tenant_slug(&self) -> Result<String, Failure> {
        if let Some(slug) = &self.tenant {
            return Ok(slug.clone());
        }
        let mut slugs = self.tenants_with_key();
        match slugs.len() {
            1 => Ok(slugs.remove(0)),
            0 => Err(Failure::new(Exit::NotPermitted, "there is no key to act with")
                .next("`countersign init` or `countersign tenant create` makes one; or give --key-file")),
            _ => Err(Failure::new(Exit::Usage, format!("there are several tenants: {}", slugs.join(", ")))
                .next("choose one with --tenant")),
        }
    }

    pub fn key_path(&self, slug: &str) -> PathBuf {
        self.data_dir.join("keys").join(format!("{slug}.key"))
    }

    /// Slugs of the tenants whose administrator's key lies in the data directory. Other keys there have a dot in their name.
    pub fn tenants_with_key(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.data_dir.join("keys")).into_iter().flatten().flatten();
        let slug = |name: String| name.strip_suffix(".key").filter(|slug| !slug.contains('.')).map(str::to_owned);
        let mut slugs: Vec<String> = entries.filter_map(|entry| slug(entry.file_name().into_string().ok()?)).collect();
        slugs.sort();
        slugs
    }
}

/// A key file's first line. A regular file that others can read is refused.
pub fn read_key(path: &Path) -> Result<Secret, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        let exit = if error.kind() == std::io::ErrorKind::NotFound { Exit::NotFound } else { Exit::NotPermitted };
        Failure::new(exit, format!("{}: {error}", path.display())).next("give the file of a key with --key-file")
    })?;
    if readable_by_others(path) {
        return Err(Failure::new(Exit::NotPermitted, format!("{}: other users can read this key", path.display()))
            .next(format!("chmod 600 {}", path.display())));
    }
    match text.lines().next().map(str::trim) {
        Some(key) if !key.is_empty() => Ok(Secret::new(key)),
        _ => Err(Failure::new(Exit::NotPermitted, format!("{}: holds no key", path.display()))),
    }
}

#[cfg(unix)]
pub fn readable_by_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
pub fn readable_by_others(_path: &Path) -> bool {
    false
}
