//! The table: who may import whom.

use std::collections::BTreeMap;

/// Every module, and the names that the crate root exports.
pub(super) const ALL: &str = "*";

/// What the sources are held to.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Table {
    /// What each module below the crate root may import.
    rows: BTreeMap<String, Vec<String>>,
    /// What test code may import besides.
    tests: Vec<String>,
    /// The files that may have an `impl` of a type.
    impls: BTreeMap<String, Vec<String>>,
    /// The modules whose structs keep their fields to themselves.
    pub(super) closed: Vec<String>,
    /// The structs there that do not: `mesh::Dialed`.
    pub(super) open: Vec<String>,
}

impl Table {
    /// Reads a table, one row a line. `.ci/imports` says what the rows mean.
    ///
    /// # Errors
    /// When a line is not a row, a row comes twice, or a row names a module without one.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut table = Self::default();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (key, values) = line.split_once(':').ok_or_else(|| format!("this is not a row: {line}"))?;
            let values: Vec<String> = values.split_whitespace().map(str::to_owned).collect();
            let before = match key.split_once(' ') {
                Some(("impl", name)) => table.impls.insert(name.to_owned(), values).unwrap_or_default(),
                Some(("closed", "fields")) => std::mem::replace(&mut table.closed, values),
                Some(("open", "fields")) => std::mem::replace(&mut table.open, values),
                Some(_) => return Err(format!("this is not a row: {line}")),
                None if key == "tests" => std::mem::replace(&mut table.tests, values),
                None if table.has(key) => return Err(format!("`{key}` has two rows")),
                None => table.rows.insert(key.to_owned(), values).unwrap_or_default(),
            };
            if !before.is_empty() {
                return Err(format!("`{key}` has two rows"));
            }
        }
        let named = table.rows.values().flatten().chain(&table.tests).chain(&table.closed);
        match named.into_iter().find(|name| *name != ALL && !table.has(name)) {
            Some(name) => Err(format!("`{name}` is named, but has no row")),
            None => Ok(table),
        }
    }

    /// Whether a module has a row.
    pub(super) fn has(&self, unit: &str) -> bool {
        self.rows.contains_key(unit)
    }

    /// The modules that have a row.
    pub(super) fn units(&self) -> impl Iterator<Item = &str> {
        self.rows.keys().map(String::as_str)
    }

    /// Whether a module, or test code in it, may import another; [`ALL`] stands for the crate root.
    pub(super) fn allows(&self, unit: &str, target: &str, test: bool) -> bool {
        let row = self.rows.get(unit).into_iter().flatten();
        let tests = self.tests.iter().filter(|_| test);
        row.chain(tests).any(|allowed| allowed == target || allowed == ALL)
    }

    /// The types whose `impl` has its place, and the files that are it.
    pub(super) fn impls(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.impls.iter().map(|(name, files)| (name.as_str(), files.as_slice()))
    }

    /// The files that may have an `impl` of this type; `None` is all.
    pub(super) fn files_with_impl(&self, name: &str) -> Option<&[String]> {
        self.impls.get(name).map(Vec::as_slice)
    }
}
