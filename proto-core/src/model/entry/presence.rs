//! What a member says of itself: that it is here, or that it leaves (SPEC 12.3).

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::read::{object, present_number, text};
use super::{EntryError, MAX_NUMBER};
use crate::model::{Name, write_display, write_string};

/// What an entry of the class `live` and the kind `presence` says of its author.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Presence {
    /// The author's name.
    pub uname: Name,
    /// Since when the author is here, in milliseconds since the Unix epoch, by its own clock.
    pub since: u64,
    /// In how many seconds it says so again: [`LEAST`](Self::LEAST) to [`MOST`](Self::MOST). None: it leaves.
    pub every: Option<u32>,
}

/// The members of the body.
#[derive(Deserialize)]
struct Members {
    #[serde(deserialize_with = "text")]
    uname: Name,
    since: u64,
    #[serde(default, deserialize_with = "present_number")]
    every: Option<u64>,
}

impl Presence {
    /// The shortest interval, in seconds.
    pub const LEAST: u32 = 30;
    /// The longest interval, in seconds: a day.
    pub const MOST: u32 = 86_400;

    pub(super) fn read(body: &str) -> Result<Self, EntryError> {
        let Members { uname, since, every } = object(body)?;
        if since > MAX_NUMBER {
            return Err(EntryError::Content);
        }
        let every =
            every.map(|every| u32::try_from(every).unwrap_or(u32::MAX).clamp(Self::LEAST, Self::MOST));
        Ok(Self { uname, since, every })
    }

    /// The JSON of the body.
    pub(super) fn write(&self) -> String {
        let Self { uname, since, every } = self;
        let mut out = Vec::with_capacity(128);
        out.extend_from_slice(b"{\"uname\":");
        write_string(&mut out, uname.as_str());
        write_display(&mut out, format_args!(",\"since\":{since}"));
        if let Some(every) = every {
            write_display(&mut out, format_args!(",\"every\":{every}"));
        }
        out.push(b'}');
        // Only UTF-8 was written.
        String::from_utf8(out).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Identity, Live, NetworkId};

    fn presence(every: Option<u32>) -> Presence {
        Presence { uname: "Z|\"oe".parse().unwrap(), since: 7, every }
    }

    #[test]
    fn what_is_signed_is_read_and_names_its_author() {
        let identity = Identity::from_secret(&[7; 32]);
        for every in [None, Some(30), Some(86_400)] {
            let live = Live::sign(&identity, NetworkId::OPEN, (3, 9), presence(every));
            let opened = live.sealed().open(NetworkId::OPEN).unwrap();
            let crate::model::Opened::Live(read) = opened else { panic!("{opened:?}") };
            assert_eq!(
                (read.presence(), read.header().author()),
                (Some(&presence(every)), identity.node_id())
            );
            assert_eq!((read.header().at(), read.header().epoch()), (9, 3));
        }
    }

    #[test]
    fn an_interval_is_clamped_and_what_is_wrong_is_refused() {
        let every = |text: &str| Presence::read(text).map(|presence| presence.every);
        assert_eq!(every(r#"{"uname":"Z","since":1,"every":0}"#), Ok(Some(30)));
        assert_eq!(
            every(r#"{"uname":"Z","since":1,"every":18446744073709551615,"more":[]}"#),
            Ok(Some(86_400))
        );
        assert_eq!(every(r#"{"uname":"Z","since":1}"#), Ok(None));
        for wrong in [
            r#"{"since":1}"#,
            r#"{"uname":"Z"}"#,
            r#"{"uname":"Z","since":9007199254740992}"#,
            r#"{"uname":"Z","since":-1}"#,
            r#"{"uname":"Z","since":1,"every":null}"#,
            r#"["Z",1]"#,
            "",
        ] {
            assert_eq!(Presence::read(wrong), Err(EntryError::Content), "{wrong}");
        }
    }
}
