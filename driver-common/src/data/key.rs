//! The file of a node's key: PKCS#8 in PEM (RFC 8410, section 7), as `openssl genpkey -algorithm ed25519` writes it.

use std::path::Path;
use std::{fs, io};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proto_core::Identity;
use zeroize::Zeroizing;

use super::DataError;
use super::secret::{self, Secret, SecretError};

/// Creates a new key pair.
pub fn new_identity() -> io::Result<Identity> {
    secret::random().map(|secret| Identity::from_secret(&secret))
}

/// Loads the key pair from this locked folder, or creates one if there is none.
pub(super) fn load_or_create(folder: &Path) -> Result<Identity, DataError> {
    let file = folder.join(NAME);
    let secret = if may_exist_in(folder) {
        read(&file)?
    } else {
        let secret = secret::random().map_err(DataError::io(&file))?;
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

fn read(file: &Path) -> Result<Secret, DataError> {
    let bytes = secret::read(file).map_err(|error| match error {
        SecretError::Unsafe(refused) => DataError::Unsafe(refused),
        SecretError::Io(error) => DataError::Inaccessible { path: file.to_owned(), error },
    })?;
    decode(&bytes).ok_or_else(|| DataError::InvalidKey { file: file.to_owned() })
}

/// Writes the file atomically: after a crash it is either complete or missing.
fn write(folder: &Path, file: &Path, secret: &Secret) -> io::Result<()> {
    let draft = folder.join("key.pem.new");
    secret::write_draft(&draft, encode(secret).as_bytes())?;
    fs::rename(&draft, file)?;
    secret::sync_folder(folder)
}

const NAME: &str = "key.pem";

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

/// The DER encoding before the secret: a sequence of 46 bytes, version 0, the algorithm (1.3.101.112), and two octet
/// string headers.
const DER_PREFIX: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// The length of the DER encoding, in bytes.
const DER: usize = DER_PREFIX.len() + 32;

fn encode(secret: &Secret) -> Zeroizing<String> {
    let mut der = Zeroizing::new([0; DER]);
    der[..DER_PREFIX.len()].copy_from_slice(&DER_PREFIX);
    der[DER_PREFIX.len()..].copy_from_slice(&***secret);
    // Large enough, so that it never grows and leaves no copy behind.
    let mut text = Zeroizing::new(String::with_capacity(2 * (BEGIN.len() + DER + END.len())));
    text.push_str(BEGIN);
    text.push('\n');
    STANDARD.encode_string(*der, &mut text);
    text.push('\n');
    text.push_str(END);
    text.push('\n');
    text
}

fn decode(bytes: &[u8]) -> Option<Secret> {
    let text = str::from_utf8(bytes).ok()?.trim();
    let base64 = text.strip_prefix(BEGIN)?.strip_suffix(END)?.trim();
    // The decoder asks for room in steps of three bytes.
    let mut der = Zeroizing::new([0; DER + 3]);
    let length = STANDARD.decode_slice(base64, &mut *der).ok()?;
    let mut secret = Secret::default();
    secret.copy_from_slice(der[..length].strip_prefix(&DER_PREFIX[..]).filter(|rest| rest.len() == 32)?);
    Some(secret)
}

#[cfg(test)]
mod tests {
    use std::fs::DirBuilder;
    use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, symlink};

    use super::super::secret::UnsafeFile;
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
    fn a_key_that_others_can_read_or_write_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        load_or_create(folder.path()).unwrap();
        let file = folder.path().join("key.pem");
        for (mode, good) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false), (0o620, false)] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            match load_or_create(folder.path()) {
                Ok(_) => assert!(good, "{mode:o}"),
                Err(DataError::Unsafe(UnsafeFile::Exposed { mode: told, .. })) => {
                    assert!(!good && told == mode, "{mode:o}");
                }
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
        // As on a disk that is not mounted.
        refused(|file| symlink("/nowhere/key.pem", file).unwrap());
        refused(|file| symlink(file, file).unwrap());
    }

    #[test]
    fn what_is_in_the_place_of_the_key_is_named() {
        let folder = tempfile::tempdir().unwrap();
        DirBuilder::new().mode(0o700).create(folder.path().join(NAME)).unwrap();
        let error = load_or_create(folder.path()).unwrap_err();
        assert!(!error.is_storage_unavailable(), "{error}");
        assert!(error.to_string().contains("key.pem is a folder, not a file"), "{error}");
    }

    #[test]
    fn the_form_is_that_of_openssl() {
        // RFC 8410, section 10.3.
        let text = "-----BEGIN PRIVATE KEY-----\n\
                    MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
                    -----END PRIVATE KEY-----\n";
        let secret = decode(text.as_bytes()).unwrap();
        assert_eq!((secret[0], secret[31]), (0xd4, 0x42));
        assert_eq!(*encode(&secret), text);
    }

    #[test]
    fn what_is_no_key_is_refused_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key.pem");
        let good = encode(&Box::new(Zeroizing::new([7; 32])));
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
        fs::write(&file, format!("\n{}\n\n", *good)).unwrap();
        assert!(load_or_create(folder.path()).is_ok());
    }
}
