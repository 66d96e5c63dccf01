//! `countersign completions`.

use std::process::ExitCode;

use clap_complete::Shell;

use super::output;

/// Print what a shell needs to complete commands and options
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  countersign completions bash > /etc/bash_completion.d/countersign
  countersign completions zsh > /usr/local/share/zsh/site-functions/_countersign
  countersign completions fish > ~/.config/fish/completions/countersign.fish")]
pub(super) struct Arguments {
    /// Which shell.
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

/// Prints.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    output::out(&script(arguments.shell));
    ExitCode::SUCCESS
}

fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut super::command(), "countersign", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completions_of_each_shell_name_every_command() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = script(shell);
            for own in super::super::command().get_subcommands() {
                let name = own.get_name();
                let line = match shell {
                    Shell::Bash => format!("countersign,{name})"),
                    Shell::Zsh => format!("({name})"),
                    _ => format!("-a \"{name}\""),
                };
                assert!(script.contains(&line), "{shell}: {line}\n{script}");
            }
        }
    }
}
