//! The files of a database in the data folder.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use proto_core::NetworkId;

use super::error::{OpenError, io_problem};
use crate::data::secret::{self, SecretError};
use crate::store::StoreProblem;

/// Where a database is. Each network has one of its own: an entry is signed for one network.
#[derive(Clone, Debug)]
pub(super) struct Files {
    folder: PathBuf,
    stem: String,
}

impl Files {
    pub(super) fn new(folder: &Path, network: NetworkId) -> Self {
        let stem = if network.is_open() {
            "history".to_owned()
        } else {
            network.as_bytes()[..8]
                .iter()
                .fold("history-".to_owned(), |stem, byte| format!("{stem}{byte:02x}"))
        };
        Self { folder: folder.to_owned(), stem }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The database. SQLite has two more files beside it while it is open.
    pub(super) fn database(&self) -> PathBuf {
        self.with(".db")
    }

    /// The file that a copy of the database does not have.
    pub(super) fn origin(&self) -> PathBuf {
        self.with(".id")
    }

    /// The file that knows how much was committed.
    pub(super) fn count(&self) -> PathBuf {
        self.with(".count")
    }

    fn with(&self, end: &str) -> PathBuf {
        self.folder.join(format!("{}{end}", self.stem))
    }

    /// Makes the database file for the user alone, if there is none. SQLite makes the files beside it with the same
    /// permissions.
    pub(super) fn make(&self) -> Result<(), OpenError> {
        let database = self.database();
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&database);
        match made {
            Ok(_) => secret::sync_folder(&self.folder).map_err(OpenError::Io),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                secret::check(&database).map_err(|error| match error {
                    SecretError::Unsafe(refused) => OpenError::Unsafe(refused),
                    SecretError::Io(error) => OpenError::Io(error),
                })
            }
            Err(error) => Err(OpenError::Io(error)),
        }
    }

    /// Why nothing can be written, where SQLite says no more than that the disk reports an error: it does not tell a quota or a
    /// file system that became read-only from a broken disk. A small file beside the database shows it.
    pub(super) fn explain(&self, problem: StoreProblem) -> StoreProblem {
        if problem != StoreProblem::Io {
            return problem;
        }
        let probe = self.with(".probe");
        let written = secret::write_draft(&probe, &[0; 4_096]);
        let _ = fs::remove_file(&probe);
        written.err().map_or(problem, |error| io_problem(&error))
    }

    /// Renames a damaged database, and returns its new name. `when` is a date that can stand in a file name.
    pub(super) fn set_aside(&self, when: &str) -> io::Result<PathBuf> {
        let free = |number: u32| {
            let number = if number == 0 { String::new() } else { format!("-{number}") };
            self.with(&format!(".damaged-{when}{number}.db"))
        };
        // Two within a second have different names.
        let name = (0..100).map(free).find(|name| !name.exists());
        let name = name.ok_or_else(|| io::Error::other("there are too many damaged databases"))?;
        fs::rename(self.database(), &name)?;
        for end in ["-wal", "-shm"] {
            let beside = |path: &Path| PathBuf::from(format!("{}{end}", path.display()));
            match fs::rename(beside(&self.database()), beside(&name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        secret::sync_folder(&self.folder)?;
        Ok(name)
    }
}

/// The time as it can stand in a file name.
pub(super) fn date(unix_ms: u64) -> String {
    let at = i64::try_from(unix_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    at.unwrap_or_default().strftime("%Y-%m-%dT%H%M%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;

    #[test]
    fn a_database_is_for_its_user_alone() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::new(folder.path(), NetworkId::named(""));
        assert_eq!(files.database(), folder.path().join("history.db"));
        files.make().unwrap();
        files.make().unwrap();
        assert_eq!(fs::metadata(files.database()).unwrap().mode() & 0o777, 0o600);
        fs::set_permissions(files.database(), fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(files.make(), Err(OpenError::Unsafe(_))));
        fs::remove_file(files.database()).unwrap();
        fs::create_dir(files.database()).unwrap();
        assert!(matches!(files.make(), Err(OpenError::Unsafe(_))));
    }

    #[test]
    fn networks_have_files_of_their_own() {
        let [one, other] = ["one", "other"].map(|name| Files::new(Path::new("/x"), NetworkId::named(name)));
        assert_ne!(one.database(), other.database());
        assert!(one.database().to_str().unwrap().starts_with("/x/history-"));
    }

    #[test]
    fn a_damaged_database_gets_a_dated_name_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::new(folder.path(), NetworkId::named(""));
        let when = date(1_700_000_000_000);
        assert_eq!(when, "2023-11-14T221320Z");
        for name in ["history.damaged-2023-11-14T221320Z.db", "history.damaged-2023-11-14T221320Z-1.db"] {
            fs::write(files.database(), "nonsense").unwrap();
            fs::write(folder.path().join("history.db-wal"), "more").unwrap();
            assert_eq!(files.set_aside(&when).unwrap(), folder.path().join(name));
            assert!(folder.path().join(format!("{name}-wal")).exists());
        }
    }
}
