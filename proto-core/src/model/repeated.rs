//! Which texts of an entry were shown before.

use alloc::vec::Vec;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::MAX_TEXTS;

const WORD: usize = u64::BITS as usize;

/// Which texts of an entry were shown before, as lines of a peer without a key or in other entries (SPEC 10.5).
///
/// In JSON: an array of positions, from 0 on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repeated([u64; MAX_TEXTS.div_ceil(WORD)]);

impl Repeated {
    /// No text was shown before.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the text at this position was shown before.
    pub fn contains(&self, position: usize) -> bool {
        self.0.get(position / WORD).is_some_and(|word| word & bit(position) != 0)
    }

    /// How many texts were shown before.
    pub(crate) fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// The others of these texts, which are all of the entry's.
    pub(crate) fn others<T>(self, texts: impl Iterator<Item = T>) -> impl Iterator<Item = T> {
        texts.enumerate().filter_map(move |(position, text)| (!self.contains(position)).then_some(text))
    }
}

/// No entry has texts beyond [`MAX_TEXTS`]: such positions are passed over.
impl FromIterator<usize> for Repeated {
    fn from_iter<I: IntoIterator<Item = usize>>(positions: I) -> Self {
        let mut repeated = Self::default();
        for position in positions {
            if let Some(word) = repeated.0.get_mut(position / WORD) {
                *word |= bit(position);
            }
        }
        repeated
    }
}

impl Serialize for Repeated {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((0..MAX_TEXTS).filter(|position| self.contains(*position)))
    }
}

impl<'de> Deserialize<'de> for Repeated {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Vec::<usize>::deserialize(deserializer)?.into_iter().collect())
    }
}

/// The bit of a position in its word.
fn bit(position: usize) -> u64 {
    1 << (position % WORD)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Marks;

    #[test]
    fn positions_are_kept_and_those_beyond_an_entry_are_passed_over() {
        let positions = [0, 63, 64, MAX_TEXTS - 1];
        let repeated: Repeated = positions.into_iter().chain([MAX_TEXTS, usize::MAX]).collect();
        assert_eq!(repeated.len(), positions.len());
        let kept: Vec<_> = (0..=MAX_TEXTS).filter(|position| repeated.contains(*position)).collect();
        assert_eq!(kept, positions);
        assert!(!repeated.contains(usize::MAX) && !repeated.is_empty());
        let others: Vec<_> = repeated.others(0..MAX_TEXTS).collect();
        assert_eq!((others.len(), others[0], others[62]), (MAX_TEXTS - 4, 1, 65));
    }

    #[test]
    fn as_json_it_is_an_array_that_is_left_out_when_empty() {
        let marks = Marks { repeated: [2, 0].into_iter().collect(), ..Marks::default() };
        let json = serde_json::to_string(&marks).unwrap();
        assert_eq!(json, r#"{"late":false,"forked":false,"backdated":false,"repeated":[0,2]}"#);
        assert_eq!(serde_json::from_str::<Marks>(&json).unwrap(), marks);
        let none = r#"{"late":false,"forked":false,"backdated":false}"#;
        assert_eq!(serde_json::from_str::<Marks>(none).unwrap(), Marks::default());
        assert_eq!(serde_json::to_string(&Marks::default()).unwrap(), none);
    }
}
