//! A configuration file: TOML, with the flags' names as keys.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use toml::{Table, Value};

/// What a file gives.
#[derive(Debug)]
pub(super) struct ConfigFile {
    path: PathBuf,
    /// As if they stood on the command line.
    pub(super) args: Vec<OsString>,
    flags: BTreeSet<String>,
}

impl ConfigFile {
    /// Reads the settings that neither the command line nor the environment gives.
    pub(super) fn read(path: &Path, command: &Command, given: &ArgMatches) -> Result<Self, String> {
        let place = path.display();
        let text = std::fs::read_to_string(path).map_err(|error| format!("--config {place}: {error}"))?;
        let table: Table = text.parse().map_err(|error: toml::de::Error| at_its_line(path, &text, &error))?;
        let mut file = Self { path: path.to_owned(), args: Vec::new(), flags: BTreeSet::new() };
        for (key, value) in &table {
            let arg = command.get_arguments().find(|arg| arg.get_long() == Some(key) && is_setting(arg));
            let arg = arg.ok_or_else(|| format!("{place}: there is no setting {key:?}"))?;
            let source = given.value_source(arg.get_id().as_str());
            if matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable)) {
                continue;
            }
            let args =
                arguments(arg, key, value).map_err(|expected| format!("{place}: {key}: {expected}"))?;
            file.args.extend(args.into_iter().map(OsString::from));
            file.flags.insert(format!("--{key}"));
        }
        Ok(file)
    }

    /// Where a flag was given, if it was in this file.
    pub(super) fn place_of(&self, flag: &str) -> Option<String> {
        let key = flag.strip_prefix("--").filter(|_| self.flags.contains(flag))?;
        Some(format!("{}: {key}", self.path.display()))
    }
}

/// Whether a flag makes sense in a file.
fn is_setting(arg: &Arg) -> bool {
    arg.get_env().is_some() && arg.get_id() != "config"
}

fn at_its_line(path: &Path, text: &str, error: &toml::de::Error) -> String {
    let start = error.span().map_or(0, |span| span.start.min(text.len()));
    let line = text.as_bytes()[..start].iter().filter(|byte| **byte == b'\n').count() + 1;
    format!("{}, line {line}: {}", path.display(), error.message().replace('\n', " "))
}

/// The arguments of a key and its value. The error says what is expected.
fn arguments(arg: &Arg, key: &str, value: &Value) -> Result<Vec<String>, &'static str> {
    let flag = format!("--{key}");
    match (arg.get_action(), value) {
        (ArgAction::SetTrue, Value::Boolean(on)) => Ok(on.then_some(flag).into_iter().collect()),
        (ArgAction::SetTrue, _) => Err("true or false is expected"),
        (ArgAction::Count, Value::Integer(count @ 0..=255)) => {
            Ok((0..*count).map(|_| flag.clone()).collect())
        }
        (ArgAction::Count, _) => Err("a number from 0 to 255 is expected"),
        (ArgAction::Append, Value::Array(values)) => {
            values.iter().map(|value| Ok(format!("{flag}={}", text_of(value)?))).collect()
        }
        (_, value) => Ok(vec![format!("{flag}={}", text_of(value)?)]),
    }
}

fn text_of(value: &Value) -> Result<String, &'static str> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Integer(number) => Ok(number.to_string()),
        _ => Err("a text or a number is expected"),
    }
}
