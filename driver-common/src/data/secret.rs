//! Files that hold a secret: read, checked and made so that the user alone can read and write them.

use std::fs::{self, File, FileType, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use zeroize::Zeroizing;

/// Why a file or a folder must not be used for a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnsafeFile {
    /// Something else is in its place.
    #[error("{} is {kind}, not a file: move it away", path.display())]
    NotAFile {
        /// The place.
        path: PathBuf,
        /// What is there, as in "a folder".
        kind: &'static str,
    },
    /// Other users can read or write the file.
    #[error(
        "{} can be read or written by other users (mode {mode:o}): run chmod 600 on it, or delete it to get a new one",
        file.display()
    )]
    Exposed {
        /// The file.
        file: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Other users can change what is in the folder.
    #[error(
        "{} can be written by other users (mode {mode:o}), who could replace what is in it: run chmod go-w on it",
        folder.display()
    )]
    WritableFolder {
        /// The folder.
        folder: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It belongs to another user, who can change it.
    #[error("{} belongs to another user (uid {uid}): move it away, or run chown on it", path.display())]
    NotOwned {
        /// The file or folder.
        path: PathBuf,
        /// Its owner.
        uid: u32,
    },
}

/// Why a secret cannot be read.
#[derive(Debug)]
pub(crate) enum SecretError {
    Unsafe(UnsafeFile),
    Io(io::Error),
}

/// Far above the size of any such file.
const MAX_FILE: usize = 4096;

/// Reads a file that nobody but its owner can read or write. A longer file is cut off.
pub(super) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    // Without the flag, opening a FIFO waits for a writer.
    let opened = OpenOptions::new().read(true).custom_flags(NONBLOCK).open(path);
    let file = opened.map_err(|error| match path.metadata() {
        // A socket cannot be opened.
        Ok(found) if !found.is_file() => not_a_file(path, found.file_type()),
        _ => SecretError::Io(error),
    })?;
    let found = file.metadata().map_err(SecretError::Io)?;
    check_file(path, &found)?;
    // It never grows, so that no copy is left behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_FILE + 1));
    file.take(MAX_FILE as u64).read_to_end(&mut bytes).map_err(SecretError::Io)?;
    Ok(bytes)
}

/// Checks that this is a file that nobody but its owner can read or write.
#[cfg(feature = "store")]
pub(crate) fn check(path: &Path) -> Result<(), SecretError> {
    let found = path.symlink_metadata().map_err(SecretError::Io)?;
    check_file(path, &found)
}

/// `O_NONBLOCK`: opening a FIFO does not wait for its other end. It means nothing for files.
pub(super) const NONBLOCK: i32 = OFlags::NONBLOCK.bits().cast_signed();

fn check_file(path: &Path, found: &Metadata) -> Result<(), SecretError> {
    if !found.is_file() {
        return Err(not_a_file(path, found.file_type()));
    }
    check_owner(path, found).map_err(SecretError::Unsafe)?;
    let mode = found.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(SecretError::Unsafe(UnsafeFile::Exposed { file: path.to_owned(), mode }));
    }
    Ok(())
}

fn not_a_file(path: &Path, found: FileType) -> SecretError {
    let kind = match found {
        _ if found.is_dir() => "a folder",
        _ if found.is_fifo() => "a FIFO",
        _ if found.is_socket() => "a socket",
        _ => "a device",
    };
    SecretError::Unsafe(UnsafeFile::NotAFile { path: path.to_owned(), kind })
}

/// What belongs to root is as safe as root.
fn check_owner(path: &Path, found: &Metadata) -> Result<(), UnsafeFile> {
    let uid = found.uid();
    if uid == 0 || uid == rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    Err(UnsafeFile::NotOwned { path: path.to_owned(), uid })
}

/// Checks a folder that is made for secrets alone: nobody else can change what is in it.
pub(super) fn check_own_folder(folder: &Path) -> io::Result<Result<(), UnsafeFile>> {
    let found = folder.metadata()?;
    Ok(check_owner(folder, &found).and_then(|()| check_mode(folder, &found, 0)))
}

/// Checks a folder that may hold other things: nobody else can take away what the user has put there. In a folder like
/// `/tmp` the sticky bit sees to that.
pub(super) fn check_shared_folder(folder: &Path) -> io::Result<Result<(), UnsafeFile>> {
    // The parent of a relative path of one part.
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    Ok(check_mode(folder, &folder.metadata()?, STICKY))
}

const STICKY: u32 = 0o1000;

/// With any of the bits `harmless` it does not matter who can write.
fn check_mode(folder: &Path, found: &Metadata, harmless: u32) -> Result<(), UnsafeFile> {
    let mode = found.mode() & 0o7777;
    if mode & 0o022 != 0 && mode & harmless == 0 {
        return Err(UnsafeFile::WritableFolder { folder: folder.to_owned(), mode });
    }
    Ok(())
}

/// Writes a new file at `draft`, for the user alone, and makes sure that the disk has it. What a crash left there is
/// replaced.
pub(crate) fn write_draft(draft: &Path, content: &[u8]) -> io::Result<()> {
    if let Err(error) = fs::remove_file(draft)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)?;
    written.write_all(content)?;
    written.sync_all()
}

/// Makes sure that the disk has the names in a folder.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// 32 bytes that are wiped when they are dropped. They have a place of their own, so that moves leave no copies behind.
pub(crate) type Secret = Box<Zeroizing<[u8; 32]>>;

/// Random bytes.
pub(crate) fn random() -> io::Result<Secret> {
    let mut bytes = Secret::default();
    getrandom::fill(&mut **bytes).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(bytes)
}

#[cfg(test)]
pub(super) mod tests {
    use std::os::unix::fs::{PermissionsExt, chown};
    use std::os::unix::net::UnixListener;

    use super::*;

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Makes a FIFO.
    pub(in crate::data) fn fifo(path: &Path) {
        assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
    }

    fn refusal(path: &Path) -> String {
        match read(path).unwrap_err() {
            SecretError::Unsafe(refused) => refused.to_string(),
            SecretError::Io(error) => panic!("{error}"),
        }
    }

    #[test]
    fn what_is_not_a_file_is_named_and_never_waited_for() {
        let base = tempfile::tempdir().unwrap();
        let at = |name: &str| base.path().join(name);
        fs::create_dir(at("folder")).unwrap();
        fifo(&at("fifo"));
        let _socket = UnixListener::bind(at("socket")).unwrap();
        std::os::unix::fs::symlink("fifo", at("link")).unwrap();
        for (name, kind) in
            [("folder", "a folder"), ("fifo", "a FIFO"), ("socket", "a socket"), ("link", "a FIFO")]
        {
            let text = refusal(&at(name));
            assert!(text.contains(&format!("{name} is {kind}, not a file")), "{text}");
        }
        assert!(refusal(Path::new("/dev/null")).contains("/dev/null is a device"));
    }

    #[test]
    fn a_file_that_others_can_read_or_write_is_refused() {
        let base = tempfile::tempdir().unwrap();
        let file = base.path().join("file");
        fs::write(&file, "secret").unwrap();
        for mode in 0..0o1000 {
            chmod(&file, mode);
            match read(&file) {
                Ok(bytes) => assert!(mode & 0o077 == 0 && *bytes == b"secret", "{mode:o}"),
                Err(SecretError::Unsafe(UnsafeFile::Exposed { mode: told, .. })) => {
                    assert!(mode & 0o077 != 0 && told == mode, "{mode:o}");
                }
                // Root can read what nobody may.
                Err(SecretError::Io(error)) => {
                    assert!(mode & 0o400 == 0 && error.kind() == io::ErrorKind::PermissionDenied, "{mode:o}");
                }
                Err(error) => panic!("{error:?}"),
            }
        }
    }

    #[test]
    fn folders_that_others_can_write_are_refused() {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path();
        for (mode, own, shared) in [
            (0o700, true, true),
            (0o755, true, true),
            (0o770, false, false),
            (0o702, false, false),
            (0o1777, false, true),
            (0o2755, true, true),
        ] {
            chmod(folder, mode);
            assert_eq!(check_own_folder(folder).unwrap().is_ok(), own, "{mode:o}");
            assert_eq!(check_shared_folder(folder).unwrap().is_ok(), shared, "{mode:o}");
        }
        chmod(folder, 0o700);
    }

    #[test]
    fn what_belongs_to_another_user_is_refused() {
        let base = tempfile::tempdir().unwrap();
        let file = base.path().join("file");
        fs::write(&file, "secret").unwrap();
        chmod(&file, 0o600);
        // Only root can give a file away.
        if chown(&file, Some(54_321), None).is_err() {
            return;
        }
        assert!(refusal(&file).contains("belongs to another user (uid 54321)"));
        chown(base.path(), Some(54_321), None).unwrap();
        let refused = check_own_folder(base.path()).unwrap().unwrap_err();
        assert!(matches!(refused, UnsafeFile::NotOwned { uid: 54_321, .. }), "{refused}");
    }
}
