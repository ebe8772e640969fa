//! Lists the imports within proto-core that `.ci/imports` does not allow, and exits with 1 if there are any.
//!
//! It reads files alone, so that it helps where the core does not compile:
//! `imports [the folder of the project]`, by default the one it was built in.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use tests::imports::check_project;

fn main() -> io::Result<ExitCode> {
    let project = std::env::args_os().nth(1);
    let here = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let found = check_project(project.as_ref().map_or(here, Path::new))?;
    for violation in &found {
        println!("{violation}");
    }
    println!("violations: {}", found.len());
    Ok(if found.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
