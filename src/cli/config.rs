//! `countersign config`: what is set, where, and whether it can be used.

use serde_json::{Value, json};

use super::failure::{Exit, Failure};
use super::output::{Output, table};
use crate::config::{ConfigError, Layers};

/// Show or check the configuration
#[derive(Debug, clap::Subcommand)]
#[command(help_template = super::TEMPLATE, before_help = "Examples:\n  countersign config show --origin\n  countersign config check --config /etc/countersign/countersign.toml\n\n")]
pub enum Command {
    /// Every value in use; secrets are masked
    Show {
        /// Also where each value is set
        #[arg(long)]
        origin: bool,
    },
    /// Say whether the configuration can be used
    Check,
}

pub fn run(command: &Command, layers: Result<Layers, ConfigError>, output: Output) -> Result<Exit, Failure> {
    let layers = layers.map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
    match command {
        Command::Show { origin } => {
            show(&layers, *origin, output);
            Ok(Exit::Ok)
        }
        Command::Check => {
            layers.finish()?;
            output.result(&json!({ "ok": true }), "the configuration can be used");
            Ok(Exit::Ok)
        }
    }
}

fn show(layers: &Layers, origin: bool, output: Output) {
    let settings = layers.effective();
    let rows: Vec<Vec<String>> = settings
        .iter()
        .map(|setting| {
            let mut row = vec![setting.key.clone(), setting.value.clone()];
            if origin {
                row.push(setting.origin.to_string());
            }
            row
        })
        .collect();
    let listed: Vec<Value> = settings
        .iter()
        .map(|setting| json!({ "key": setting.key, "value": setting.value, "origin": setting.origin.to_string() }))
        .collect();
    output.result(&json!({ "settings": listed }), table(&rows));
}
