//! The API's token: a secret text in a file of its own.

use std::path::{Path, PathBuf};
use std::{fmt, fs, io, process};

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::secret::{self, SecretError, UnsafeFile};

/// A token. It is wiped from memory when it is dropped.
pub struct ApiToken(Zeroizing<String>);

/// Why a token cannot be had from its file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The file, or its folder, is not safe from other users.
    #[error(transparent)]
    Unsafe(#[from] UnsafeFile),
    /// The file holds something else. It is never overwritten.
    #[error(
        "{} does not hold a token, which is {MIN} to {MAX} letters, digits, '-', '.', '_' and '~': delete it to get a new one",
        file.display()
    )]
    Invalid {
        /// The file.
        file: PathBuf,
    },
    /// The operating system refused an operation.
    #[error("{}: {error}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// The cause.
        error: io::Error,
    },
}

/// The length of the shortest token, in bytes: as hexadecimal digits 128 bits.
const MIN: usize = 32;
/// The length of the longest token, in bytes.
const MAX: usize = 256;

impl ApiToken {
    /// The token in this file. Makes the file, with a new token, if there is none.
    pub fn load_or_create(file: &Path) -> Result<Self, TokenError> {
        let io = |error| TokenError::Io { file: file.to_owned(), error };
        let folder = file.parent().unwrap_or(Path::new("/"));
        secret::check_shared_folder(folder).map_err(io)??;
        match secret::read(file) {
            Ok(bytes) => Self::parse(&bytes).ok_or_else(|| TokenError::Invalid { file: file.to_owned() }),
            Err(SecretError::Unsafe(refused)) => Err(refused.into()),
            Err(SecretError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                if create(file).map_err(io)? { Self::load_or_create(file) } else { Err(io(error)) }
            }
            Err(SecretError::Io(error)) => Err(io(error)),
        }
    }

    /// Compares a text with the token, in a time that does not depend on where they differ.
    pub(crate) fn equals(&self, text: &str) -> bool {
        self.0.as_bytes().ct_eq(text.as_bytes()).into()
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = str::from_utf8(bytes).ok()?.trim_ascii();
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let valid = (MIN..=MAX).contains(&text.len()) && text.bytes().all(legal);
        valid.then(|| Self(Zeroizing::new(text.to_owned())))
    }

    /// A token of this text.
    #[cfg(test)]
    pub(crate) fn for_tests(text: &str) -> Self {
        Self::parse(text.as_bytes()).unwrap()
    }
}

impl fmt::Debug for ApiToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiToken").finish_non_exhaustive()
    }
}

/// Makes the file. Two nodes that start at once end up with one token: a file that is there is left as it is. Returns
/// false if something is there that has no content, as a link to nowhere.
fn create(file: &Path) -> io::Result<bool> {
    let mut text = Zeroizing::new(String::with_capacity(2 * 32 + 1));
    for byte in secret::random()?.iter() {
        text.extend([byte >> 4, byte & 15].map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)])));
    }
    text.push('\n');
    let mut draft = file.as_os_str().to_owned();
    draft.push(format!(".{}.new", process::id()));
    let draft = PathBuf::from(draft);
    secret::write_draft(&draft, text.as_bytes())?;
    // Unlike a renaming, it replaces nothing.
    let linked = fs::hard_link(&draft, file);
    fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(file.exists()),
        linked => linked.map(|()| true),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_token_is_made_once_and_for_the_user_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let made = ApiToken::load_or_create(&file).unwrap();
        let text = fs::read_to_string(&file).unwrap();
        assert_eq!((text.len(), text.ends_with('\n')), (65, true));
        assert!(
            text.trim().bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)),
            "{text}"
        );
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(made.equals(text.trim()));
        assert!(ApiToken::load_or_create(&file).unwrap().equals(text.trim()));
        assert!(!made.equals("") && !made.equals(&text) && !made.equals(&text.trim()[..63]));
        let other = folder.path().join("other");
        assert!(!ApiToken::load_or_create(&other).unwrap().equals(text.trim()));
    }

    #[test]
    fn what_is_no_token_is_refused_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let good = "aA0-._~".repeat(5);
        for content in
            ["", "short", &good[..MIN - 1], &"x".repeat(MAX + 1), &format!("{good} x"), &"é".repeat(40)]
        {
            fs::write(&file, content).unwrap();
            chmod(&file, 0o600);
            assert!(matches!(ApiToken::load_or_create(&file), Err(TokenError::Invalid { .. })), "{content}");
            assert_eq!(fs::read_to_string(&file).unwrap(), content);
        }
        fs::write(&file, format!("{good}\n")).unwrap();
        assert!(ApiToken::load_or_create(&file).unwrap().equals(&good));
    }

    #[test]
    fn a_file_or_folder_of_others_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let refused = || ApiToken::load_or_create(&file).unwrap_err().to_string();
        chmod(folder.path(), 0o777);
        assert!(refused().contains("can be written by other users (mode 777)"), "{}", refused());
        assert!(!file.exists());
        chmod(folder.path(), 0o700);
        ApiToken::load_or_create(&file).unwrap();
        for mode in [0o640, 0o602, 0o604] {
            chmod(&file, mode);
            assert!(refused().contains("can be read or written by other users"), "{}", refused());
        }
    }

    #[test]
    fn a_place_without_a_file_is_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        symlink("/nowhere/token", &file).unwrap();
        let refused = ApiToken::load_or_create(&file).unwrap_err();
        assert!(matches!(refused, TokenError::Io { .. }), "{refused}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let refused = ApiToken::load_or_create(&folder.path().join("not/there")).unwrap_err();
        assert!(refused.to_string().contains("not/there: "), "{refused}");
    }

    #[test]
    fn a_token_is_not_shown() {
        let token = ApiToken::for_tests(&"x".repeat(MIN));
        assert_eq!(format!("{token:?}"), "ApiToken { .. }");
    }
}
