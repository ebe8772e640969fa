//! The decompressed keys of authors.

use crate::model::{Fifo, KeyPoint, PublicKey};

/// The points of the keys of authors whose entries were verified, so that they need not be decompressed again.
///
/// Neighbours have no shares of it: to whoever pushes out the keys of others, each entry of these costs some microseconds, and
/// nothing else.
#[derive(Debug, Default)]
pub(super) struct KnownKeys {
    points: Fifo<PublicKey, KeyPoint>,
}

impl KnownKeys {
    /// What a key is charged, in bytes: more than it takes in memory.
    const CHARGE: usize = 512;

    /// The point of a key. None: it is the encoding of none.
    pub(super) fn point(&self, key: &PublicKey) -> Option<KeyPoint> {
        self.points.get(key).copied().or_else(|| key.point())
    }

    /// Keeps the point of a key, within so many bytes. The key that was kept first makes room.
    pub(super) fn keep(&mut self, (key, point): (PublicKey, KeyPoint), most: usize) {
        if self.points.contains(&key) || most < Self::CHARGE {
            return;
        }
        while self.bytes() + Self::CHARGE > most {
            self.points.pop_first();
        }
        self.points.insert(key, point);
    }

    /// What they are charged together, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.points.len() * Self::CHARGE
    }

    pub(super) fn is_consistent(&self) -> bool {
        self.points.is_consistent()
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::model::Identity;

    #[test]
    fn the_key_that_was_kept_first_makes_room() {
        let mut known = KnownKeys::default();
        let keys = [1, 2, 3].map(|secret| Identity::from_secret(&[secret; 32]).key());
        for key in [0, 1, 0, 2].map(|index: usize| keys[index]) {
            known.keep((key, key.point().unwrap()), 2 * KnownKeys::CHARGE + 1);
        }
        assert_eq!(known.points.keys().copied().collect::<Vec<_>>(), keys[1..]);
        assert_eq!(known.bytes(), 2 * KnownKeys::CHARGE);
        assert!(keys.iter().all(|key| known.point(key) == key.point()));
        let mut none = KnownKeys::default();
        none.keep((keys[0], keys[0].point().unwrap()), KnownKeys::CHARGE - 1);
        assert_eq!(none.bytes(), 0);
    }

    #[test]
    fn a_key_takes_no_more_memory_than_it_is_charged() {
        let node = size_of::<(PublicKey, u64)>() + size_of::<(u64, (PublicKey, KeyPoint))>();
        // The nodes of a B-tree are at least half full.
        assert!(2 * node <= KnownKeys::CHARGE, "{node}");
    }
}
