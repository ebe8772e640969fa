//! Authors elsewhere in the network.

use proto_core::wire::Frame;
use proto_core::{ChatText, Draft, Entry, Identity, Name, RunPosition};

use crate::sim::hostile::behind;

/// Authors who take turns.
pub struct Authors {
    /// Each with the position of its next entry.
    authors: Vec<(Identity, RunPosition)>,
    said: usize,
}

impl Authors {
    /// So many authors.
    pub fn new(count: u8) -> Self {
        let identity = |author| Identity::from_secret(&[100 + author; 32]);
        let authors = (0..count).map(|author| (identity(author), RunPosition::FIRST)).collect();
        Self { authors, said: 0 }
    }

    /// The lines of so many entries of one text, all said at this time.
    pub fn say(&mut self, count: usize, text: &ChatText, unix_ms: u64) -> Vec<u8> {
        let uname: Name = "bench".parse().expect("a name");
        let texts = [text.clone()];
        let mut lines = Vec::new();
        for _ in 0..count {
            let author = self.said % self.authors.len();
            let (identity, position) = &mut self.authors[author];
            // Ten of an author a millisecond: what is dated more than 10 s ahead would wait.
            let at = unix_ms + position.seq() / 10;
            let draft = Draft::new(1, *position, at, &uname, &texts, [7; 16]);
            let entry = Entry::sign(identity, &draft);
            Frame::Chat(entry.sealed()).encode(&mut lines);
            *position = behind(Some(&entry));
            self.said += 1;
        }
        lines
    }
}
