//! What an entry is to say, before it is signed.

use super::body::SALT;
use super::header::{BodyHash, Fields};
use super::{Class, Kind, MAX_TEXTS, Room, RunId, RunPosition, Via};
use crate::model::{ChatText, MAX_LINE, Name, NetworkId, NodeId, PublicKey};

/// Lines of text, before they are signed by [`Entry::sign`](super::Entry::sign).
///
/// With [`via`](Self::via) they become an entry of the class [`Line`](Class::Line), in a run of its own; without, one of
/// the class [`Kept`](Class::Kept).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Draft<'a> {
    /// The network in which it is said.
    pub network: NetworkId,
    /// The room in which it is said. None: the lobby.
    pub room: Option<&'a Room>,
    /// The epoch of the run: a random number of at most [`MAX_NUMBER`](super::MAX_NUMBER). A new one is drawn whenever it
    /// is uncertain which entry of the run was the last.
    pub epoch: u64,
    /// The position in the run.
    pub position: RunPosition,
    /// When it was said, in milliseconds since the Unix epoch, by a hybrid logical clock (Kulkarni et al., OPODIS
    /// 2014). It grows with each entry of the run.
    pub at: u64,
    /// The author's name.
    pub uname: &'a Name,
    /// The lines that were said together: at least one, and at most what [`fitting`](Self::fitting) says.
    pub texts: &'a [ChatText],
    /// The peers without a key to which the author sent the texts itself. Further ones than [`MAX_TO`](super::MAX_TO) are
    /// left out, and so are all where [`via`](Self::via) is given.
    pub to: &'a [NodeId],
    /// The peer without a key that said this. Its id is not one of a key. None: the author said it.
    pub via: Option<&'a Via>,
    /// Random bytes, new for each entry. Without them, whoever has the header could guess at a short body that is gone.
    pub salt: [u8; SALT],
}

impl<'a> Draft<'a> {
    /// A draft for all peers in the lobby of the open network, of its author's own words.
    pub fn new(
        epoch: u64,
        position: RunPosition,
        at: u64,
        uname: &'a Name,
        texts: &'a [ChatText],
        salt: [u8; SALT],
    ) -> Self {
        let network = NetworkId::OPEN;
        Self { network, room: None, epoch, position, at, uname, texts, to: &[], via: None, salt }
    }
}

impl Draft<'_> {
    /// The room in a `CHAT` line that is kept for all but the texts, in bytes.
    pub const OVERHEAD: usize = 4_096;

    /// How many of these texts, from the first on, fit one entry: [`MAX_TEXTS`] at most. At least one, even if there are
    /// none.
    pub fn fitting(texts: &[ChatText]) -> usize {
        let mut room = MAX_LINE - Self::OVERHEAD;
        let fit = texts.iter().take(MAX_TEXTS).take_while(|text| {
            let bytes = text.json_len() + 1;
            let fits = bytes <= room;
            room = room.saturating_sub(bytes);
            fits
        });
        fit.count().max(1)
    }

    /// An upper bound of the bytes of the `CHAT` lines for these texts.
    pub(crate) fn most_bytes(texts: &[ChatText]) -> usize {
        // All entries but the last are full: of texts, or so far that the next text does not fit.
        let (mut entries, mut rest) = (1, texts);
        while let Some((_, after)) = rest.split_at_checked(Self::fitting(rest))
            && !after.is_empty()
        {
            (entries, rest) = (entries + 1, after);
        }
        texts.iter().map(|text| text.json_len() + 1).sum::<usize>() + Self::OVERHEAD * entries
    }

    /// What the header says of an author with this key and a body with this JSON.
    pub(super) fn fields(&self, key: PublicKey, body: &str) -> Fields {
        let class = if self.via.is_some() { Class::Line } else { Class::Kept };
        Fields {
            run: RunId { key, room: self.room.cloned(), class, epoch: self.epoch },
            at: self.at,
            kind: Kind::Text,
            size: body.len(),
            hash: BodyHash::of(body),
            via: self.via.map(|via| via.node_id),
        }
    }
}
