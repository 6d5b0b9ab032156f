//! `countersign completions`.

use clap::CommandFactory;

use super::failure::{Exit, Failure};

/// Write a completion script for a shell
#[derive(Debug, clap::Args)]
#[command(help_template = super::TEMPLATE, before_help = "Examples:\n  countersign completions bash > /etc/bash_completion.d/countersign\n  source <(countersign completions zsh)\n\n")]
pub struct Args {
    shell: clap_complete::Shell,
}

pub fn run(args: &Args) -> Result<Exit, Failure> {
    clap_complete::generate(args.shell, &mut super::Cli::command(), "countersign", &mut std::io::stdout());
    Ok(Exit::Ok)
}
