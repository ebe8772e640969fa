//! The first catch-up: what others said before this node came is shown in the order of the conversation (SPEC 9.11).

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use crate::model::{Entry, Instant, Limits, Marks, RunId};

/// How long after the last message of a neighbour's reconciliation it is taken to be over.
const QUIET: Duration = Duration::from_millis(500);

/// Entries to show, each with its marks.
pub(super) type Shown = Vec<(Arc<Entry>, Marks)>;

/// Holds back what is shown until the first reconciliation is over and what it found has come.
#[derive(Debug, Default)]
pub(super) struct CatchUp {
    phase: Phase,
}

#[derive(Debug, Default)]
enum Phase {
    /// No neighbour was linked yet.
    #[default]
    Before,
    /// `missing`: entries turned out to be missing. From then on, what is to be shown is held back. `compared`: when a
    /// reconciliation is over. What it found may still have to come.
    Running {
        until: Instant,
        missing: bool,
        compared: Option<Instant>,
        held: Shown,
        bytes: usize,
    },
    Over,
}

impl CatchUp {
    /// A neighbour was linked. The first one begins the catch-up.
    pub(super) fn begin(&mut self, now: Instant, limits: &Limits) {
        if matches!(self.phase, Phase::Before) {
            let until = now + limits.chat.catch_up;
            self.phase = Phase::Running { until, missing: false, compared: None, held: Vec::new(), bytes: 0 };
        }
    }

    /// An entry is to be shown: it is held back, or returned to be shown now.
    pub(super) fn hold(&mut self, entry: Arc<Entry>, marks: Marks) -> Option<(Arc<Entry>, Marks)> {
        let Phase::Running { missing: true, held, bytes, .. } = &mut self.phase else {
            return Some((entry, marks));
        };
        *bytes += entry.charge() + size_of::<(Arc<Entry>, Marks)>();
        held.push((entry, Marks { catch_up: true, ..marks }));
        None
    }

    /// This node lacks entries that a neighbour holds.
    pub(super) fn found(&mut self) {
        if let Phase::Running { missing, .. } = &mut self.phase {
            *missing = true;
        }
    }

    /// A reconciliation that this node began is over.
    pub(super) fn compared(&mut self, now: Instant) {
        if let Phase::Running { compared, .. } = &mut self.phase {
            *compared = Some(now);
        }
    }

    /// A message of a reconciliation that a neighbour began came, or what followed from it. Nothing tells when that is
    /// over, so it is taken to be over after a while without one.
    pub(super) fn neighbour_compares(&mut self, now: Instant) {
        if let Phase::Running { compared, .. } = &mut self.phase {
            *compared = Some(now + QUIET);
        }
    }

    /// Whether it is over.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    /// When it may end next.
    pub(super) fn deadline(&self, now: Instant) -> Option<Instant> {
        match self.phase {
            Phase::Running { until, compared, .. } => {
                Some(compared.filter(|at| *at > now).map_or(until, |at| until.min(at)))
            }
            Phase::Before | Phase::Over => None,
        }
    }

    /// Bytes of what is held back.
    pub(super) fn bytes(&self) -> usize {
        match self.phase {
            Phase::Running { bytes, .. } => bytes,
            Phase::Before | Phase::Over => 0,
        }
    }

    /// Ends the catch-up if all has come (`complete`: nothing that neighbours hold is awaited), if its time is over, or if
    /// no more fits. Returns what was held back, in order.
    pub(super) fn end(&mut self, now: Instant, complete: bool, limits: &Limits) -> Option<Shown> {
        let Phase::Running { until, compared, held, bytes, .. } = &mut self.phase else { return None };
        let is_over = complete && compared.is_some_and(|at| at <= now)
            || now >= *until
            || *bytes > limits.chat.catch_up_bytes;
        let held = is_over.then(|| core::mem::take(held))?;
        self.phase = Phase::Over;
        Some(sorted(held))
    }
}

/// In the order of the conversation, but no entry before one that was shown before it in its author sequence: a backdated
/// one stays behind.
fn sorted(held: Shown) -> Shown {
    let mut latest: BTreeMap<RunId, u64> = BTreeMap::new();
    let mut placed: Vec<_> = held
        .into_iter()
        .map(|(entry, marks)| {
            let latest = latest.entry(entry.run().clone()).or_default();
            *latest = entry.at().max(*latest);
            ((*latest, entry.key(), entry.epoch()), entry, marks)
        })
        .collect();
    placed.sort_by_key(|(place, ..)| *place);
    placed.into_iter().map(|(_, entry, marks)| (entry, marks)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::log::testing::TestAuthor;
    use crate::chat::testing::at;

    const TEN_SECONDS: Duration = Duration::from_secs(10);

    fn texts(shown: &Shown) -> Vec<u64> {
        shown.iter().map(|(entry, _)| entry.seq()).collect()
    }

    fn running() -> CatchUp {
        let mut catch_up = CatchUp::default();
        catch_up.begin(at(0), &Limits::default());
        catch_up.begin(at(5_000), &Limits::default());
        assert!(catch_up.hold(TestAuthor::new(1).entry(0), Marks::default()).is_some(), "nothing is missing");
        catch_up.found();
        catch_up
    }

    #[test]
    fn before_it_begins_and_after_it_ended_entries_are_shown_at_once() {
        let (anna, limits) = (TestAuthor::new(1), Limits::default());
        let mut catch_up = CatchUp::default();
        assert!(catch_up.hold(anna.entry(0), Marks::default()).is_some());
        let mut later = running();
        assert!(later.hold(anna.entry(0), Marks::default()).is_none());
        later.compared(at(1));
        assert_eq!(later.end(at(1), true, &limits).map(|shown| texts(&shown)), Some([0].into()));
        assert!(later.hold(anna.entry(1), Marks::default()).is_some());
        assert_eq!((later.deadline(at(1)), later.bytes()), (None, 0));
    }

    #[test]
    fn it_ends_when_all_has_come_or_after_its_time_or_when_it_is_full() {
        let mut catch_up = running();
        let limits = Limits::default();
        assert!(catch_up.end(at(1), true, &limits).is_none(), "nothing was compared");
        catch_up.compared(at(1));
        assert!(catch_up.end(at(1), false, &limits).is_none(), "something is awaited");
        assert!(catch_up.end(at(1), true, &limits).is_some());

        let mut catch_up = running();
        let end = Instant::ORIGIN + TEN_SECONDS;
        assert_eq!(catch_up.deadline(at(1)), Some(end));
        assert!(catch_up.end(at(9_999), false, &limits).is_none());
        assert!(catch_up.end(end, false, &limits).is_some());

        let mut catch_up = running();
        let small = Limits::default().with(|limits| limits.chat.catch_up_bytes = 1);
        assert!(catch_up.end(at(1), false, &small).is_none());
        catch_up.hold(TestAuthor::new(1).entry(0), Marks::default());
        assert!(catch_up.end(at(1), false, &small).is_some());
    }

    #[test]
    fn a_neighbours_reconciliation_is_over_after_a_while_without_a_message() {
        let (mut catch_up, limits) = (running(), Limits::default());
        catch_up.neighbour_compares(at(100));
        catch_up.neighbour_compares(at(200));
        assert_eq!(catch_up.deadline(at(200)), Some(at(700)));
        assert!(catch_up.end(at(699), true, &limits).is_none());
        assert!(catch_up.end(at(700), false, &limits).is_none());
        assert_eq!(
            catch_up.deadline(at(700)),
            Some(Instant::ORIGIN + TEN_SECONDS),
            "it waits for what is awaited"
        );
        assert!(catch_up.end(at(701), true, &limits).is_some());
    }

    #[test]
    fn what_was_held_comes_in_the_order_of_the_conversation() {
        let (anna, ben) = (TestAuthor::new(1), TestAuthor::new(2));
        let mut catch_up = running();
        for entry in [
            anna.entry_at(1, 0, 30, "x"),
            // Backdated: it stays behind the one before it.
            anna.entry_at(1, 1, 5, "x"),
            ben.entry_at(1, 2, 10, "x"),
            ben.entry_at(1, 3, 20, "x"),
            ben.entry_at(1, 4, 40, "x"),
        ] {
            catch_up.hold(entry, Marks::default());
        }
        catch_up.compared(at(1));
        let shown = catch_up.end(at(1), true, &Limits::default()).unwrap();
        assert_eq!(texts(&shown), [2, 3, 0, 1, 4]);
    }
}
