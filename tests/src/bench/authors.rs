//! Authors elsewhere in the network.

use proto_core::wire::Frame;
use proto_core::{ChatText, Draft, Entry, Identity, Name};

use crate::sim::hostile::position;

/// Authors who take turns.
pub struct Authors {
    authors: Vec<Identity>,
    said: usize,
}

impl Authors {
    /// So many authors.
    pub fn new(count: u8) -> Self {
        let authors = (0..count).map(|author| Identity::from_secret(&[100 + author; 32])).collect();
        Self { authors, said: 0 }
    }

    /// The lines of so many entries of one text, all said at this time.
    pub fn say(&mut self, count: usize, text: &ChatText, unix_ms: u64) -> Vec<u8> {
        let uname: Name = "bench".parse().expect("a name");
        let texts = [text.clone()];
        let mut lines = Vec::new();
        for _ in 0..count {
            let (seq, author) = (self.said / self.authors.len(), self.said % self.authors.len());
            let draft = Draft::new(1, position(seq as u64), unix_ms + seq as u64, &uname, &texts, [7; 16]);
            let entry = Entry::sign(&self.authors[author], &draft);
            Frame::Chat(entry.sealed()).encode(&mut lines);
            self.said += 1;
        }
        lines
    }
}
