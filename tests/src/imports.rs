//! Who imports whom inside the core: checks its sources against the table in [`TABLE`].
//!
//! The sources are read as tokens, so that paths in macros count and paths in comments do not. The reader starts at
//! `lib.rs` and follows `mod`, so that it knows what is compiled for tests alone. It does not see paths that the macro of
//! another module writes, nor which methods and fields of a value are used.

mod facts;
mod fields;
mod source;
mod table;
mod tokens;

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io;

pub use source::Sources;
pub use table::Table;

use facts::{Fact, What};

/// The table, from the project's folder.
pub const TABLE: &str = ".ci/imports";

/// The sources that it is about.
pub const SOURCES: &str = "proto-core/src/";

/// The path of a module or of something in it, from the crate root.
type Path = Vec<String>;

/// Everything in a project that its table does not allow.
///
/// # Errors
/// When the table or the sources cannot be read.
pub fn check_project(project: &std::path::Path) -> io::Result<Vec<Violation>> {
    let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, format!("{TABLE}: {error}"));
    let table = Table::parse(&fs::read_to_string(project.join(TABLE))?).map_err(invalid)?;
    Ok(check(&table, &Sources::read(&project.join(SOURCES))?))
}

/// Something that the table does not allow.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Violation {
    /// The file, from the project's folder.
    pub file: String,
    /// Its line, from 1; 0 for the whole file.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.what),
            line => write!(f, "{}:{line}: {}", self.file, self.what),
        }
    }
}

/// Everything in these sources that the table does not allow, in order of files and lines.
pub fn check(table: &Table, sources: &Sources) -> Vec<Violation> {
    let facts = facts::read(sources);
    let mut found: BTreeSet<Violation> = facts.iter().filter_map(|fact| judge(table, fact)).collect();
    let unreached = unreached(sources, &facts).into_iter();
    found.extend(unreached.map(|file| violation(file, 0, "no `mod` declares this file".to_owned())));
    let stale = stale(table, &facts).into_iter().map(|row| format!("there is no `{row}` in the sources"));
    found.extend(stale.map(|what| Violation { file: TABLE.to_owned(), line: 0, what }));
    found.into_iter().collect()
}

fn judge(table: &Table, fact: &Fact) -> Option<Violation> {
    let what = match &fact.what {
        What::File if table.has(fact.unit()) || fact.module.len() > 1 => None,
        What::File => Some(format!("`{}` has no row in the table", fact.unit())),
        What::Wrong(what) => Some(what.clone()),
        What::Path(path) => import(table, fact, path),
        What::Impl(name) => {
            let files = table.files_with_impl(name).filter(|_| !fact.test)?;
            let allowed = files.contains(&fact.file);
            (!allowed).then(|| format!("`impl {name}` belongs in {}", files.join(" ")))
        }
        What::Field { owner, field, reach } => {
            let owner = format!("{}::{owner}", fact.unit());
            let closed = !fact.test && table.closed.iter().any(|unit| unit == fact.unit());
            let inside = reach.first().is_some_and(|unit| unit == fact.unit());
            (closed && !inside && !table.open.contains(&owner))
                .then(|| format!("`{field}` of `{owner}` can be seen outside of `{}`", fact.unit()))
        }
    };
    what.map(|what| violation(&fact.file, fact.line, what))
}

/// What is wrong with naming this path, from the crate root.
fn import(table: &Table, fact: &Fact, path: &[String]) -> Option<String> {
    let unit = fact.unit();
    let shown = format!("crate::{}", path.join("::"));
    match path
        .first()
        .filter(|first| !first.starts_with(|letter: char| letter.is_uppercase() || letter == '*'))
    {
        // The file has been named already.
        _ if !table.has(unit) => None,
        Some(target) if target == unit || table.allows(unit, target, fact.test) => None,
        Some(target) if table.has(target) => Some(format!("`{unit}` may not import `{target}`: {shown}")),
        Some(target) => Some(format!("`{target}` has no row in the table: {shown}")),
        None if table.allows(unit, table::ALL, fact.test) => None,
        None if path.is_empty() => Some(format!("`{unit}` may not import the crate root")),
        None => Some(format!("`{unit}` may not import through the crate root: {shown}")),
    }
}

/// Files that the compiler never sees.
fn unreached<'a>(sources: &'a Sources, facts: &[Fact]) -> Vec<&'a str> {
    let reached: BTreeSet<&str> = facts.iter().map(|fact| fact.file.as_str()).collect();
    sources.files().filter(|file| !reached.contains(file)).collect()
}

/// Rows of the table, or parts of them, that stand for nothing.
fn stale(table: &Table, facts: &[Fact]) -> Vec<String> {
    let units: BTreeSet<&str> = facts.iter().map(Fact::unit).collect();
    let mut stale: Vec<String> =
        table.units().filter(|unit| !units.contains(unit)).map(str::to_owned).collect();
    for (name, files) in table.impls() {
        let is_there = |file: &str| {
            facts.iter().any(|fact| fact.file == file && matches!(&fact.what, What::Impl(of) if of == name))
        };
        stale.extend(files.iter().filter(|file| !is_there(file)).map(|file| format!("impl {name}: {file}")));
    }
    let owner = |fact: &Fact| match &fact.what {
        What::Field { owner, .. } => Some(format!("{}::{owner}", fact.unit())),
        _ => None,
    };
    let owners: BTreeSet<String> = facts.iter().filter_map(owner).collect();
    stale.extend(table.open.iter().filter(|open| !owners.contains(*open)).cloned());
    stale
}

fn violation(file: &str, line: usize, what: String) -> Violation {
    Violation { file: format!("{SOURCES}{file}"), line, what }
}
