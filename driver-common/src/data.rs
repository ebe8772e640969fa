//! A node's data folder: what it stores between runs.

mod key;
pub(crate) mod secret;
#[cfg(feature = "app")]
mod token;

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;
use proto_core::Identity;

pub use self::key::new_identity;
pub use self::secret::UnsafeFile;
#[cfg(feature = "app")]
pub use self::token::{ApiToken, TokenError};

/// The data folder of the node at one port. It is locked while this value exists.
#[derive(Debug)]
pub struct DataDir {
    folder: PathBuf,
    _lock: File,
}

/// Why a node's data folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// Another node uses the folder. Two nodes with one key would be taken for one.
    #[error("{} is in use by another node: choose another folder with --data-dir", folder.display())]
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// Other users can change or read what is stored, so they could write in this node's name.
    #[error(transparent)]
    Unsafe(#[from] UnsafeFile),
    /// The file does not hold a key. It is never overwritten.
    #[error("{} is not an Ed25519 key file: move it away to get a new key", file.display())]
    InvalidKey {
        /// The key file.
        file: PathBuf,
    },
    /// The key may exist and cannot be read. A node with a new key would be a different node.
    #[error(
        "{}: {error}: this node's key is stored there and cannot be read: fix that, or choose another folder with --data-dir",
        path.display()
    )]
    Inaccessible {
        /// The key file, or the file without which the folder cannot be used.
        path: PathBuf,
        /// The cause.
        error: io::Error,
    },
    /// The platform names no home folder.
    #[error("no home folder was found")]
    NoHome,
    /// The operating system refused an operation.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file or folder that cannot be created, read or written.
        path: PathBuf,
        /// The cause.
        error: io::Error,
    },
}

impl DataError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Io { path: path.to_owned(), error }
    }

    /// Whether no key is stored and there is no place to store one. Otherwise something is wrong with a stored key.
    pub fn is_storage_unavailable(&self) -> bool {
        matches!(self, Self::NoHome | Self::Io { .. })
    }
}

impl DataDir {
    /// Opens the data folder of the node at this port, in `base` or else in the platform's data folder. Creates it if
    /// it does not exist.
    pub fn open(base: Option<&Path>, port: u16) -> Result<Self, DataError> {
        let base = base.map_or_else(platform, |base| Ok(base.to_owned()))?;
        let folder = base.join(port.to_string());
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.map_err(DataError::io(&folder))?;
        secret::check_shared_folder(&base).map_err(DataError::io(&base))??;
        secret::check_own_folder(&folder).map_err(DataError::io(&folder))??;
        let lock = folder.join("lock");
        let unusable = |error| {
            let path = lock.clone();
            if key::may_exist_in(&folder) {
                DataError::Inaccessible { path, error }
            } else {
                DataError::Io { path, error }
            }
        };
        let opened = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(secret::NONBLOCK)
            .open(&lock);
        let opened = opened.map_err(unusable)?;
        match opened.try_lock() {
            Ok(()) => Ok(Self { folder, _lock: opened }),
            Err(TryLockError::WouldBlock) => Err(DataError::InUse { folder }),
            Err(TryLockError::Error(error)) => Err(unusable(error)),
        }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The stored key. The first call creates one.
    pub fn identity(&self) -> Result<Identity, DataError> {
        key::load_or_create(&self.folder)
    }
}

fn platform() -> Result<PathBuf, DataError> {
    let strategy = etcetera::base_strategy::choose_native_strategy().map_err(|_| DataError::NoHome)?;
    Ok(strategy.data_dir().join("p2p-chat"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_folder_is_its_owners_and_one_nodes() {
        let base = tempfile::tempdir().unwrap();
        let base = base.path().join("not/there/yet");
        let open = |port| DataDir::open(Some(&base), port);
        let first = open(8080).unwrap();
        assert_eq!(mode(&base.join("8080")), 0o700);
        assert!(matches!(open(8080), Err(DataError::InUse { folder }) if folder == base.join("8080")));
        assert!(open(8081).is_ok());
        drop(first);
        assert!(open(8080).is_ok());
    }

    #[test]
    fn a_place_that_cannot_be_had_is_told_from_one_that_is_wrong() {
        let base = tempfile::tempdir().unwrap();
        let file = base.path().join("file");
        fs::write(&file, "").unwrap();
        let error = DataDir::open(Some(&file), 1).unwrap_err();
        assert!(error.is_storage_unavailable() && error.to_string().contains("/file/1"), "{error}");
        let data = DataDir::open(Some(base.path()), 1).unwrap();
        assert!(!DataDir::open(Some(base.path()), 1).unwrap_err().is_storage_unavailable());
        let key = data.folder.join("key.pem");
        fs::write(&key, "").unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(!data.identity().unwrap_err().is_storage_unavailable());
    }

    #[test]
    fn a_folder_that_cannot_be_used_is_refused_where_a_key_may_be_in_it() {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("1");
        fs::create_dir_all(folder.join("lock")).unwrap();
        let open = || DataDir::open(Some(base.path()), 1).unwrap_err();
        assert!(open().is_storage_unavailable(), "{}", open());
        fs::write(folder.join("key.pem"), "").unwrap();
        let error = open();
        assert!(!error.is_storage_unavailable() && error.to_string().contains("/1/lock: "), "{error}");
    }

    #[test]
    fn a_fifo_in_the_place_of_the_lock_is_not_waited_for() {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("1");
        fs::create_dir(&folder).unwrap();
        secret::tests::fifo(&folder.join("lock"));
        assert!(DataDir::open(Some(base.path()), 1).unwrap_err().is_storage_unavailable());
    }

    #[test]
    fn a_folder_that_others_can_write_is_refused() {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("1");
        drop(DataDir::open(Some(base.path()), 1).unwrap());
        let refused = |path: &Path, bad| {
            fs::set_permissions(path, fs::Permissions::from_mode(bad)).unwrap();
            let error = DataDir::open(Some(base.path()), 1).unwrap_err();
            fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
            assert!(!error.is_storage_unavailable(), "{error}");
            let says = format!("{} can be written by other users (mode {bad:o})", path.display());
            assert!(error.to_string().contains(&says), "{error}");
        };
        refused(&folder, 0o770);
        refused(&folder, 0o1777);
        refused(base.path(), 0o777);
        fs::set_permissions(base.path(), fs::Permissions::from_mode(0o1777)).unwrap();
        assert!(DataDir::open(Some(base.path()), 1).is_ok(), "as /tmp is");
    }
}
