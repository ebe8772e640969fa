//! Lines of peers without a key that several nodes brought in (SPEC 10.5), as they are read from a store.
//!
//! The core tells them apart as they come. A store keeps every entry, in whatever order it came.

use std::collections::BTreeMap;

use proto_core::{NodeId, Repeated};

use crate::store::Shown;

/// Within this time, in milliseconds, nodes bring in the same line.
pub(crate) const SOON: u64 = 60_000;

/// The lines that are shown, and who brought each one in. One line costs little however many are like it: anybody can bring in
/// one text half a million times.
#[derive(Default)]
pub(crate) struct Repeats {
    /// By who said it, and the text.
    lines: BTreeMap<(NodeId, Box<str>), Lines>,
}

/// What somebody said with the same words.
#[derive(Default)]
struct Lines {
    /// When each was brought in first: Unix time in milliseconds, mostly rising.
    at: Vec<u64>,
    /// The first one that each node has not brought in.
    next: BTreeMap<NodeId, usize>,
}

impl Repeats {
    /// Whether another node brought this line in before. If not, it is one to show.
    pub(crate) fn is_repeated(&mut self, (speaker, text): (NodeId, &str), by: NodeId, at: u64) -> bool {
        let lines = self.lines.entry((speaker, text.into())).or_default();
        let next = lines.next.get(&by).copied().unwrap_or(0);
        let index = next + lines.at[next..].partition_point(|other| other.saturating_add(SOON) < at);
        let repeated = lines.at.get(index).is_some_and(|other| other.abs_diff(at) <= SOON);
        if !repeated {
            lines.at.push(at);
        }
        lines.next.insert(by, if repeated { index + 1 } else { lines.at.len() });
        repeated
    }
}

/// Marks the texts of these entries, the newest of which is the first, that others among them brought in before.
pub(crate) fn mark(shown: &mut [Shown]) {
    let mut repeats = Repeats::default();
    for Shown { entry, marks, .. } in shown.iter_mut().rev() {
        let Some(via) = entry.via() else { continue };
        let texts = entry.texts().enumerate();
        let repeated = texts
            .filter(|(_, text)| repeats.is_repeated((via.node_id, text), entry.author(), entry.at()))
            .map(|(part, _)| part);
        marks.repeated = repeated.collect::<Repeated>();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_shown_as_often_as_one_node_brought_it_in() {
        let [anna, ben] = [1, 2].map(|byte| NodeId::from_bytes([byte; 16]));
        let old = NodeId::from_bytes([9; 16]);
        let mut repeats = Repeats::default();
        let mut hi = |by, at| repeats.is_repeated((old, "hi"), by, at);
        assert_eq!([hi(anna, 0), hi(anna, 1), hi(ben, 2), hi(ben, 3)], [false, false, true, true]);
        assert!(!hi(ben, 4), "it was said a third time");
        assert!(hi(anna, 4 + SOON), "within a minute");
        assert!(!hi(anna, 5 + SOON) && !hi(ben, 6 + 2 * SOON), "later");
        assert!(!repeats.is_repeated((old, "ho"), ben, 0) && !repeats.is_repeated((anna, "hi"), ben, 0));
    }

    /// It takes hours if each is compared with all before it.
    #[test]
    fn a_page_that_is_full_of_one_text_is_read_at_once() {
        let [anna, ben] = [1, 2].map(|byte| NodeId::from_bytes([byte; 16]));
        let mut repeats = Repeats::default();
        for (by, repeated) in [(anna, false), (ben, true)] {
            assert!((0..500_000).all(|at| repeats.is_repeated((anna, "a"), by, at) == repeated));
        }
    }
}
