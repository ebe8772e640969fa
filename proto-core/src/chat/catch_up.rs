//! The first catch-up: what others said before this node came is shown in the order of the conversation (SPEC 9.11).

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use crate::model::{ConnId, Entry, Instant, Limits, Marks, RunId};

/// How long after the last message of a neighbour's reconciliation it is taken to be over, at least.
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
    /// `missing`: entries turned out to be missing. From then on, what is to be shown is held back. `compared`: the last
    /// reconciliation. What it found may still have to come.
    Running {
        until: Instant,
        missing: bool,
        compared: Option<Compared>,
        held: Shown,
        bytes: usize,
    },
    Over,
}

/// A reconciliation.
#[derive(Clone, Copy, Debug)]
struct Compared {
    /// When it is over.
    at: Instant,
    /// The connection on which a neighbour began it, and when its last message came. None: this node began it.
    begun: Option<(ConnId, Instant)>,
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
            *compared = Some(Compared { at: now, begun: None });
        }
    }

    /// A message of a reconciliation that a neighbour began came, or what followed from it. Nothing tells when that is
    /// over, so it is taken to be over after a while without one. `round_trip` is the link's, as far as it is known.
    pub(super) fn neighbour_compares(
        &mut self,
        now: Instant,
        conn: ConnId,
        round_trip: Option<Duration>,
        limits: &Limits,
    ) {
        if let Phase::Running { compared, .. } = &mut self.phase {
            let at = now + quiet(round_trip.unwrap_or_default(), limits);
            *compared = Some(Compared { at, begun: Some((conn, now)) });
        }
    }

    /// The round trip of a link was measured. It was unknown or another one, perhaps, when the last message came there.
    pub(super) fn measured(&mut self, conn: ConnId, round_trip: Duration, limits: &Limits) {
        if let Phase::Running { compared: Some(compared), .. } = &mut self.phase
            && let Some((_, last)) = compared.begun.filter(|(begun, _)| *begun == conn)
        {
            compared.at = last + quiet(round_trip, limits);
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
                let compared = compared.map(|compared| compared.at).filter(|at| *at > now);
                Some(compared.map_or(until, |at| until.min(at)))
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
        let is_over = complete && compared.is_some_and(|compared| compared.at <= now)
            || now >= *until
            || *bytes > limits.chat.catch_up_bytes;
        let held = is_over.then(|| core::mem::take(held))?;
        self.phase = Phase::Over;
        Some(sorted(held))
    }
}

/// How long a neighbour may take to go on with its reconciliation over a link with this round trip. The neighbour delays its
/// `PONG` as it likes, and so the round trip, but gets no more than half of the catch-up.
fn quiet(round_trip: Duration, limits: &Limits) -> Duration {
    round_trip.saturating_mul(2).min(limits.chat.catch_up / 2).max(QUIET)
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

    const CONN: ConnId = ConnId(1);

    fn ms(round_trip: u64) -> Duration {
        Duration::from_millis(round_trip)
    }

    #[test]
    fn a_neighbours_reconciliation_is_over_after_a_while_without_a_message() {
        let (mut catch_up, limits) = (running(), Limits::default());
        catch_up.neighbour_compares(at(100), CONN, None, &limits);
        catch_up.neighbour_compares(at(200), CONN, Some(ms(250)), &limits);
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
    fn over_a_far_link_it_is_over_two_round_trips_after_its_last_message() {
        let limits = Limits::default();
        for (round_trip, over) in [(250, 600), (251, 602), (1_200, 2_500), (2_500, 5_100), (60_000, 5_100)] {
            let mut catch_up = running();
            catch_up.neighbour_compares(at(100), CONN, Some(ms(round_trip)), &limits);
            assert_eq!(catch_up.deadline(at(100)), Some(at(over)), "{round_trip}");
            assert!(catch_up.end(at(over - 1), true, &limits).is_none(), "{round_trip}");
            assert!(catch_up.end(at(over), true, &limits).is_some(), "{round_trip}");
        }
        let mut catch_up = running();
        catch_up.neighbour_compares(at(9_900), CONN, Some(ms(1_000)), &limits);
        assert_eq!(catch_up.deadline(at(9_900)), Some(at(10_000)), "not beyond its time");
    }

    #[test]
    fn a_round_trip_that_is_measured_later_holds_from_the_last_message() {
        let limits = Limits::default();
        let mut catch_up = running();
        catch_up.measured(CONN, ms(1_000), &limits);
        catch_up.neighbour_compares(at(100), CONN, None, &limits);
        catch_up.measured(ConnId(2), ms(1_000), &limits);
        assert_eq!(catch_up.deadline(at(200)), Some(at(600)), "another link was measured");
        catch_up.measured(CONN, ms(1_000), &limits);
        assert_eq!(catch_up.deadline(at(200)), Some(at(2_100)));
        catch_up.measured(CONN, ms(100), &limits);
        assert_eq!(catch_up.deadline(at(200)), Some(at(600)));
        catch_up.compared(at(300));
        catch_up.measured(CONN, ms(1_000), &limits);
        assert!(catch_up.end(at(300), true, &limits).is_some(), "this node's own reconciliation is over");
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
