//! `countersign schema`.

use std::process::ExitCode;

use clap::ValueEnum;

use super::output;
use crate::config::schema;

/// Print the JSON Schema of the configuration, or its reference page
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  countersign schema > countersign.schema.json\n\nIn the first line of a configuration beside it, for editors with the YAML language server:\n  # yaml-language-server: $schema=countersign.schema.json"
)]
pub(super) struct Arguments {
    /// What is printed.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Format {
    /// JSON Schema, draft 2020-12.
    #[default]
    Json,
    /// The reference page.
    Markdown,
}

/// Prints.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    match arguments.format {
        Format::Json => output::json(&schema::json_schema()),
        Format::Markdown => output::out(&schema::reference()),
    }
    ExitCode::SUCCESS
}
