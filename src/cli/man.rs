//! `countersign man`.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use super::output;
use crate::telemetry::json::visible;

/// Print the manual page, or write those of all commands
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  countersign man | man -l -
  countersign man --directory /usr/local/share/man/man1")]
pub(super) struct Arguments {
    /// Where the pages of the program and of each command are written; there is such a directory already.
    #[arg(long, value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
}

/// Prints or writes.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    super::report(match &arguments.directory {
        Some(directory) => clap_mangen::generate_to(super::command(), directory).map_err(|error| {
            let directory = visible(&directory.display().to_string());
            io::Error::new(error.kind(), format!("{directory}: {error}"))
        }),
        None => page().map(|page| output::out(&page)),
    })
}

fn page() -> io::Result<String> {
    let mut page = Vec::new();
    clap_mangen::Man::new(super::command()).render(&mut page)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_names_every_command_and_each_has_a_page_with_its_exit_codes() {
        let page = page().expect("a page");
        let folder = tempfile::tempdir().expect("a folder");
        let directory = Some(folder.path().to_owned());
        assert_eq!(run(&Arguments { directory }), ExitCode::SUCCESS);
        for own in super::super::command().get_subcommands() {
            let name = own.get_name();
            assert!(
                page.contains(&format!("countersign\\-{name}(1)")),
                "{name}\n{page}"
            );
            let file = folder.path().join(format!("countersign-{name}.1"));
            let own_page = std::fs::read_to_string(file).expect(name);
            assert!(
                own.has_subcommands() || own_page.contains("Exit codes:"),
                "{own_page}"
            );
        }
        let directory = Some(folder.path().join("none"));
        assert_eq!(run(&Arguments { directory }), ExitCode::FAILURE);
    }
}
