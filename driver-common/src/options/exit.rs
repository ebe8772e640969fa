//! Why no node is started.

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::config_file::ConfigFile;

/// Why no node is started.
#[derive(Debug)]
#[non_exhaustive]
pub enum Exit {
    /// The user asked for the help or the version.
    Shown(clap::Error),
    /// The user asked for a generated file, such as the manual page.
    Generated(Vec<u8>),
    /// The command line, the environment or the configuration file is invalid: one line.
    Error(String),
}

/// The exit code of a usage error, as of other programs.
const USAGE: u8 = 2;

impl Exit {
    pub(super) fn new(
        binary: &str,
        command: &clap::Command,
        args: &[OsString],
        file: Option<&ConfigFile>,
        error: clap::Error,
    ) -> Self {
        if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
            return Self::Shown(error);
        }
        let line = match (error.get(ContextKind::InvalidArg), std::error::Error::source(&error)) {
            (Some(ContextValue::String(arg)), Some(source)) => {
                let flag = arg.split([' ', '.']).next().unwrap_or(arg);
                let place = file.and_then(|file| file.place_of(flag));
                format!("{}: {source}", place.unwrap_or_else(|| where_given(command, args, flag)))
            }
            _ => {
                let text = error.render().to_string();
                let line = text.lines().next().unwrap_or_default();
                format!("{} (see --help)", line.strip_prefix("error: ").unwrap_or(line))
            }
        };
        Self::Error(format!("{binary}: {line}"))
    }

    /// Prints the text and returns the exit code.
    pub fn print(&self) -> ExitCode {
        match self {
            Self::Shown(text) => {
                // It fails if standard output is closed. Then there is nowhere to report it.
                let _ = text.print();
                ExitCode::SUCCESS
            }
            Self::Generated(text) => match std::io::stdout().write_all(text) {
                Ok(()) => ExitCode::SUCCESS,
                Err(_) => ExitCode::FAILURE,
            },
            Self::Error(line) => {
                // It fails if standard error is closed. Then there is nowhere to report it.
                let _ = writeln!(std::io::stderr(), "{line}");
                USAGE.into()
            }
        }
    }
}

/// The flag if the user wrote it, otherwise the environment variable that the value came from.
fn where_given(command: &clap::Command, args: &[OsString], flag: &str) -> String {
    let written = args.iter().any(|arg| arg.to_string_lossy().starts_with(flag));
    let arg = command.get_arguments().find(|arg| arg.get_long() == flag.strip_prefix("--"));
    match arg.and_then(clap::Arg::get_env) {
        Some(variable) if !written => variable.to_string_lossy().into_owned(),
        _ => flag.to_owned(),
    }
}
