//! A map in order of insertion.

use alloc::collections::BTreeMap;

/// A map that keeps its keys in the order in which they were inserted.
#[derive(Clone, Debug)]
pub(crate) struct Fifo<K, V> {
    /// The position of each key in `values`.
    positions: BTreeMap<K, u64>,
    values: BTreeMap<u64, (K, V)>,
    next: u64,
}

impl<K, V> Default for Fifo<K, V> {
    fn default() -> Self {
        Self { positions: BTreeMap::new(), values: BTreeMap::new(), next: 0 }
    }
}

impl<K: Ord + Clone, V> Fifo<K, V> {
    /// Appends a new key. A key that is there already keeps its position and gets the new value.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        let position = *self.positions.entry(key.clone()).or_insert(self.next);
        self.next += 1;
        self.values.insert(position, (key, value));
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        Some(&self.values.get(self.positions.get(key)?)?.1)
    }

    pub(crate) fn contains(&self, key: &K) -> bool {
        self.positions.contains_key(key)
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let position = self.positions.remove(key)?;
        self.values.remove(&position).map(|(_, value)| value)
    }

    /// The oldest key and its value.
    pub(crate) fn first(&self) -> Option<(&K, &V)> {
        self.values.first_key_value().map(|(_, (key, value))| (key, value))
    }

    /// Removes the oldest key.
    pub(crate) fn pop_first(&mut self) -> Option<(K, V)> {
        let (_, (key, value)) = self.values.pop_first()?;
        self.positions.remove(&key);
        Some((key, value))
    }

    /// Removes the newest key.
    pub(crate) fn pop_last(&mut self) -> Option<(K, V)> {
        let (_, (key, value)) = self.values.pop_last()?;
        self.positions.remove(&key);
        Some((key, value))
    }

    /// The keys and their values, the oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.values.values().map(|(key, value)| (key, value))
    }

    /// The keys, the oldest first.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &K> {
        self.values.values().map(|(key, _)| key)
    }

    pub(crate) fn len(&self) -> usize {
        self.positions.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }

    /// Whether the index agrees with what it indexes.
    pub(crate) fn is_consistent(&self) -> bool {
        self.positions.len() == self.values.len()
            && self.values.iter().all(|(position, (key, _))| self.positions.get(key) == Some(position))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_out_in_the_order_of_insertion() {
        let mut fifo = Fifo::default();
        for key in [3, 1, 2] {
            fifo.insert(key, key * 10);
        }
        fifo.insert(3, 33);
        assert_eq!((fifo.len(), fifo.get(&3)), (3, Some(&33)));
        assert_eq!(fifo.remove(&1), Some(10));
        assert_eq!(fifo.remove(&1), None);
        assert!(!fifo.contains(&1) && fifo.is_consistent());
        assert_eq!(fifo.pop_first(), Some((3, 33)));
        assert_eq!(fifo.first(), Some((&2, &20)));
        fifo.insert(5, 50);
        assert_eq!(fifo.pop_last(), Some((5, 50)));
        assert_eq!(fifo.pop_first(), Some((2, 20)));
        assert!(fifo.is_empty() && fifo.pop_first().is_none());
    }
}
