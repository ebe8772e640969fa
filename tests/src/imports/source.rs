//! The sources of a crate, read whole.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

/// The files below `src`, by their paths from there.
#[derive(Clone, Debug, Default)]
pub struct Sources(BTreeMap<String, String>);

impl Sources {
    /// Reads all `.rs` files in a folder and those below it.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn read(folder: &Path) -> io::Result<Self> {
        let mut sources = Self::default();
        sources.add(folder, "")?;
        Ok(sources)
    }

    fn add(&mut self, folder: &Path, below: &str) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let path = format!("{below}{}", entry.file_name().to_string_lossy());
            if entry.file_type()?.is_dir() {
                self.add(&entry.path(), &format!("{path}/"))?;
            } else if path.ends_with(".rs") {
                self.0.insert(path, fs::read_to_string(entry.path())?);
            }
        }
        Ok(())
    }

    /// The paths of all files.
    pub(super) fn files(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The file of the module of this name whose parent's children are in `folder`, and its text.
    pub(super) fn module(&self, folder: &str, name: &str) -> Option<(&str, &str)> {
        let found = self.file(&format!("{folder}{name}.rs"));
        found.or_else(|| self.file(&format!("{folder}{name}/mod.rs")))
    }

    fn file(&self, path: &str) -> Option<(&str, &str)> {
        self.0.get_key_value(path).map(|(path, text)| (path.as_str(), text.as_str()))
    }
}

impl FromIterator<(String, String)> for Sources {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(files: I) -> Self {
        Self(files.into_iter().collect())
    }
}
