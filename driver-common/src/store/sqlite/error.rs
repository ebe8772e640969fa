//! What can go wrong with the database, in words.

use std::io;
use std::path::PathBuf;

use rusqlite::ErrorCode;

use crate::UnsafeFile;
use crate::store::StoreProblem;

/// Why a database is not used. The node does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// It was written by a newer version of the program.
    #[error(
        "{} was written by a newer version of this program (schema {found}, this one knows {known}): update it, or keep \
         nothing with --no-history",
        file.display()
    )]
    Newer {
        /// The file.
        file: PathBuf,
        /// The version of its schema.
        found: i32,
        /// The version that this program writes.
        known: i32,
    },
    /// It is the database of another program.
    #[error("{} is the database of another program: move it away", file.display())]
    OtherProgram {
        /// The file.
        file: PathBuf,
    },
    /// Another program has locked it.
    #[error("{} is locked by another program: end that, or choose another folder with --data-dir", file.display())]
    Locked {
        /// The file.
        file: PathBuf,
    },
    /// Other users can read or change it.
    #[error(transparent)]
    Unsafe(#[from] UnsafeFile),
    /// No thread can be started.
    #[error("no thread can be started: {0} (see ulimit -u)")]
    Thread(io::Error),
}

/// Why a database cannot be opened.
#[derive(Debug)]
pub(super) enum OpenError {
    Newer { found: i32, known: i32 },
    OtherProgram,
    Unsafe(UnsafeFile),
    Io(io::Error),
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// What a failure means for the user.
pub(super) fn problem(error: &rusqlite::Error) -> StoreProblem {
    let code = error.sqlite_error_code();
    match code {
        Some(ErrorCode::DiskFull) => StoreProblem::NoSpace,
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => StoreProblem::ReadOnly,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreProblem::Damaged,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed) => {
            StoreProblem::Locked
        }
        Some(ErrorCode::CannotOpen) => StoreProblem::CannotOpen,
        Some(ErrorCode::SystemIoFailure) => StoreProblem::Io,
        _ => StoreProblem::Other,
    }
}

/// Whether it is about what was to be stored, and not about the disk.
pub(super) fn is_of_the_data(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch)
    )
}

/// What a failure of the file system means.
pub(super) fn io_problem(error: &io::Error) -> StoreProblem {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreProblem::NoSpace,
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => StoreProblem::ReadOnly,
        io::ErrorKind::NotFound | io::ErrorKind::IsADirectory => StoreProblem::CannotOpen,
        _ => StoreProblem::Io,
    }
}
