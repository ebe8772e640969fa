//! A map that knows in which order its keys came.

use alloc::collections::BTreeMap;

/// A map that knows in which order its keys came.
#[derive(Clone, Debug)]
pub(crate) struct Fifo<K, V> {
    places: BTreeMap<K, u64>,
    values: BTreeMap<u64, (K, V)>,
    next: u64,
}

impl<K, V> Default for Fifo<K, V> {
    fn default() -> Self {
        Self { places: BTreeMap::new(), values: BTreeMap::new(), next: 0 }
    }
}

impl<K: Ord + Copy, V> Fifo<K, V> {
    /// Puts a key last that is not there, or gives one that is there another value in its place.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        let place = *self.places.entry(key).or_insert(self.next);
        self.next += 1;
        self.values.insert(place, (key, value));
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        Some(&self.values.get(self.places.get(key)?)?.1)
    }

    pub(crate) fn contains(&self, key: &K) -> bool {
        self.places.contains_key(key)
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let place = self.places.remove(key)?;
        self.values.remove(&place).map(|(_, value)| value)
    }

    /// The key that came first.
    pub(crate) fn first(&self) -> Option<(&K, &V)> {
        self.values.first_key_value().map(|(_, (key, value))| (key, value))
    }

    pub(crate) fn pop_first(&mut self) -> Option<(K, V)> {
        let (_, (key, value)) = self.values.pop_first()?;
        self.places.remove(&key);
        Some((key, value))
    }

    pub(crate) fn pop_last(&mut self) -> Option<(K, V)> {
        let (_, (key, value)) = self.values.pop_last()?;
        self.places.remove(&key);
        Some((key, value))
    }

    /// In the order in which they came.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &K> {
        self.values.values().map(|(key, _)| key)
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Compares the index with what it is an index of.
    pub(crate) fn is_consistent(&self) -> bool {
        self.places.len() == self.values.len()
            && self.values.iter().all(|(place, (key, _))| self.places.get(key) == Some(place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_out_in_the_order_in_which_they_came() {
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
