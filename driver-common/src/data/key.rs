//! The file of a node's key: PKCS#8 in PEM (RFC 8410, section 7), as `openssl genpkey -algorithm ed25519` writes it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proto_core::Identity;

use super::DataError;

/// Creates a new key pair.
pub fn new_identity() -> io::Result<Identity> {
    random_secret().map(|secret| Identity::from_secret(&secret))
}

/// Loads the key pair from this locked folder, or creates one if there is none.
pub(super) fn load_or_create(folder: &Path) -> Result<Identity, DataError> {
    let file = folder.join(NAME);
    let secret = if may_exist_in(folder) {
        read(&file)?
    } else {
        let secret = random_secret().map_err(DataError::io(&file))?;
        write(folder, &file, &secret).map_err(DataError::io(&file))?;
        secret
    };
    Ok(Identity::from_secret(&secret))
}

/// Whether the folder may contain a key. It is false only if the system says that there is no such file.
pub(super) fn may_exist_in(folder: &Path) -> bool {
    let found = folder.join(NAME).symlink_metadata();
    found.map_or_else(|error| error.kind() != io::ErrorKind::NotFound, |_| true)
}

fn random_secret() -> io::Result<[u8; 32]> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(secret)
}

fn read(file: &Path) -> Result<[u8; 32], DataError> {
    let inaccessible = |error| DataError::Inaccessible { path: file.to_owned(), error };
    let opened = File::open(file).map_err(inaccessible)?;
    let mode = opened.metadata().map_err(inaccessible)?.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(DataError::Exposed { file: file.to_owned(), mode });
    }
    let mut bytes = Vec::new();
    opened.take(MAX_FILE).read_to_end(&mut bytes).map_err(inaccessible)?;
    decode(&bytes).ok_or_else(|| DataError::InvalidKey { file: file.to_owned() })
}

/// Writes the file atomically: after a crash it is either complete or missing.
fn write(folder: &Path, file: &Path, secret: &[u8; 32]) -> io::Result<()> {
    let draft = folder.join("key.pem.new");
    // A crash may have left one.
    if let Err(error) = fs::remove_file(&draft)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    written.write_all(encode(secret).as_bytes())?;
    written.sync_all()?;
    fs::rename(&draft, file)?;
    File::open(folder)?.sync_all()
}

const NAME: &str = "key.pem";

/// Far above the size of a key file.
const MAX_FILE: u64 = 4096;

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

/// The DER encoding before the secret: a sequence of 46 bytes, version 0, the algorithm (1.3.101.112), and two octet
/// string headers.
const DER_PREFIX: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

fn encode(secret: &[u8; 32]) -> String {
    let base64 = STANDARD.encode([&DER_PREFIX[..], secret].concat());
    format!("{BEGIN}\n{base64}\n{END}\n")
}

fn decode(bytes: &[u8]) -> Option<[u8; 32]> {
    let text = str::from_utf8(bytes).ok()?.trim();
    let base64 = text.strip_prefix(BEGIN)?.strip_suffix(END)?.trim();
    let der = STANDARD.decode(base64).ok()?;
    der.strip_prefix(&DER_PREFIX[..])?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use std::fs::DirBuilder;
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_key_is_made_once_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("key.pem.new"), "left by a crash").unwrap();
        let made = load_or_create(folder.path()).unwrap();
        assert_eq!(load_or_create(folder.path()).unwrap().key(), made.key());
        let mode = fs::metadata(folder.path().join("key.pem")).unwrap().mode() & 0o777;
        assert_eq!(mode, 0o600);
        let names: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
        assert_eq!(names, ["key.pem"]);
        let other = tempfile::tempdir().unwrap();
        assert_ne!(load_or_create(other.path()).unwrap().key(), made.key());
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        load_or_create(folder.path()).unwrap();
        let file = folder.path().join("key.pem");
        for (mode, good) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false), (0o620, false)] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            match load_or_create(folder.path()) {
                Ok(_) => assert!(good, "{mode:o}"),
                Err(DataError::Exposed { mode: told, .. }) => assert!(!good && told == mode, "{mode:o}"),
                Err(error) => panic!("{error}"),
            }
        }
    }

    #[test]
    fn a_key_that_cannot_be_read_is_refused_and_no_other_is_made() {
        let refused = |make: fn(&Path)| {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join(NAME);
            make(&file);
            let error = load_or_create(folder.path()).unwrap_err();
            let text = error.to_string();
            assert!(matches!(&error, DataError::Inaccessible { path, .. } if *path == file), "{text}");
            assert!(!error.is_storage_unavailable() && text.contains("key.pem: "), "{text}");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
            assert!(!file.is_file());
        };
        refused(|file| DirBuilder::new().mode(0o700).create(file).unwrap());
        // As on a disk that is not mounted.
        refused(|file| symlink("/nowhere/key.pem", file).unwrap());
        refused(|file| symlink(file, file).unwrap());
    }

    #[test]
    fn the_form_is_that_of_openssl() {
        // RFC 8410, section 10.3.
        let text = "-----BEGIN PRIVATE KEY-----\n\
                    MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
                    -----END PRIVATE KEY-----\n";
        let secret = decode(text.as_bytes()).unwrap();
        assert_eq!((secret[0], secret[31]), (0xd4, 0x42));
        assert_eq!(encode(&secret), text);
    }

    #[test]
    fn what_is_no_key_is_refused_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key.pem");
        let good = encode(&[7; 32]);
        let short = STANDARD.encode([&DER_PREFIX[..], &[7; 31]].concat());
        let long = STANDARD.encode([&DER_PREFIX[..], &[7; 33]].concat());
        for content in [
            String::new(),
            "secret".to_owned(),
            good.replace("PRIVATE", "PUBLIC"),
            good[..good.len() - 10].to_owned(),
            good.replace("MC4C", "MC4D"),
            format!("{BEGIN}\n{short}\n{END}\n"),
            format!("{BEGIN}\n{long}\n{END}\n"),
            good.repeat(2),
            "x".repeat(1 << 20),
        ] {
            fs::write(&file, &content).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
            assert!(
                matches!(load_or_create(folder.path()), Err(DataError::InvalidKey { .. })),
                "{content:.80}"
            );
            assert_eq!(fs::read_to_string(&file).unwrap(), content);
        }
        fs::write(&file, format!("\n{good}\n\n")).unwrap();
        assert!(load_or_create(folder.path()).is_ok());
    }
}
