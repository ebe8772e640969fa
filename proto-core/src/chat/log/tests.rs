use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;

use super::*;
use crate::model::{ChatText, Draft, Identity};

pub(super) const EPOCH: u64 = 77;

/// An author whose entries are dated a second apart, from 1,000 s on.
pub(super) struct Author(Identity);

impl Author {
    pub(super) fn new(n: u8) -> Self {
        Self(Identity::from_secret(&[n; 32]))
    }

    pub(super) fn key(&self) -> PublicKey {
        self.0.key()
    }

    pub(super) fn says(&self, seq: u64) -> Arc<Entry> {
        self.says_at(EPOCH, seq, 1_000_000 + seq * 1_000, "hello")
    }

    pub(super) fn says_at(&self, epoch: u64, seq: u64, at: u64, text: &str) -> Arc<Entry> {
        let draft = Draft {
            epoch,
            seq,
            at,
            uname: &Name::cut("Anna").unwrap(),
            texts: &[ChatText::new(text).unwrap()],
            to: &[],
            via: None,
        };
        Arc::new(Entry::sign(&self.0, &draft))
    }
}

/// A log, and what it said.
pub(super) struct TestLog {
    pub(super) log: Log,
    pub(super) limits: Limits,
    now: Instant,
    wall: Option<u64>,
}

impl TestLog {
    pub(super) fn new(change: impl FnOnce(&mut Limits)) -> Self {
        let mut limits = Limits::default();
        change(&mut limits);
        Self { log: Log::default(), limits, now: Instant::ORIGIN, wall: None }
    }

    pub(super) fn take(&mut self, entry: &Arc<Entry>) -> Taken {
        let taken = self.log.take(self.now, self.wall, entry.clone(), &self.limits);
        assert!(self.log.is_consistent());
        taken
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        let millis = u64::try_from(time.as_millis()).unwrap();
        self.wall = self.wall.map(|wall| wall.saturating_add(millis));
        self.log.timeout(self.now, self.wall, &self.limits);
        assert!(self.log.is_consistent());
    }

    pub(super) fn set_wall(&mut self, wall: Option<u64>) {
        self.wall = wall;
    }

    /// What had to make room, of the events that nobody has taken yet.
    pub(super) fn peek_deferred(&self) -> Vec<EntryId> {
        let id = |event: &LogEvent| if let LogEvent::Deferred { id } = event { Some(*id) } else { None };
        self.log.events.iter().filter_map(id).collect()
    }

    fn deadline(&self) -> Option<Duration> {
        self.log.deadline(self.now, self.wall, &self.limits).map(|at| at.since(self.now))
    }

    pub(super) fn events(&mut self) -> Vec<LogEvent> {
        core::iter::from_fn(|| self.log.next_event()).collect()
    }

    /// What [`shown`] says of its events.
    pub(super) fn shown(&mut self) -> Vec<String> {
        shown(self.events())
    }

    fn reconciles(&mut self) -> usize {
        self.events().iter().filter(|event| matches!(event, LogEvent::Reconcile { .. })).count()
    }

    fn deferred(&mut self) -> Vec<EntryId> {
        let id = |event| if let LogEvent::Deferred { id } = event { Some(id) } else { None };
        self.events().into_iter().filter_map(id).collect()
    }
}

/// The numbers shown, with `~` for late, `!` for forked and `<` for backdated; gaps as `-missing`.
fn shown(events: Vec<LogEvent>) -> Vec<String> {
    let word = |event| match event {
        LogEvent::Show { entry, marks: Marks { late, forked, backdated } } => {
            let mark = |is, mark| if is { mark } else { "" };
            Some(format!("{}{}{}{}", entry.seq(), mark(late, "~"), mark(forked, "!"), mark(backdated, "<")))
        }
        LogEvent::Gap { missing, .. } => Some(format!("-{missing}")),
        LogEvent::Reconcile { .. } | LogEvent::Deferred { .. } => None,
    };
    events.into_iter().filter_map(word).collect()
}

const ALMOST: Duration = Duration::from_millis(2_999);
const A_MOMENT: Duration = Duration::from_millis(1);

#[test]
fn what_comes_in_order_is_shown_at_once_and_once() {
    let (anna, mut node) = (Author::new(1), TestLog::new(|_| ()));
    for seq in 0..3 {
        assert_eq!(node.take(&anna.says(seq)), Taken::New);
        assert_eq!(node.take(&anna.says(seq)), Taken::Known);
        assert_eq!(node.shown(), [seq.to_string()]);
    }
    assert_eq!(node.deadline(), None);
}

#[test]
fn an_early_one_waits_for_those_before_it() {
    let (anna, mut node) = (Author::new(1), TestLog::new(|_| ()));
    node.take(&anna.says(0));
    node.take(&anna.says(3));
    assert_eq!(node.reconciles(), 1);
    node.take(&anna.says(2));
    node.take(&anna.says(4));
    assert_eq!(node.reconciles(), 0);
    node.pass(ALMOST);
    assert_eq!(node.shown(), [""; 0]);
    node.take(&anna.says(1));
    assert_eq!(node.shown(), ["1", "2", "3", "4"]);
    assert_eq!(node.deadline(), None);
}

#[test]
fn a_hole_is_given_up_after_three_seconds_and_filled_late() {
    let (anna, mut node) = (Author::new(1), TestLog::new(|_| ()));
    node.take(&anna.says(0));
    node.take(&anna.says(3));
    node.pass(Duration::from_secs(1));
    node.take(&anna.says(6));
    assert_eq!(node.reconciles(), 2);
    assert_eq!(node.deadline(), Some(Duration::from_secs(2)));
    node.pass(ALMOST - Duration::from_secs(1));
    assert_eq!(node.shown(), [""; 0]);
    node.pass(A_MOMENT);
    assert_eq!(node.shown(), ["-2", "3"]);
    node.pass(Duration::from_secs(1));
    assert_eq!(node.shown(), ["-2", "6"]);
    let gap = |from, to| Gap { key: anna.key(), uname: Name::cut("Anna").unwrap(), epoch: EPOCH, from, to };
    assert_eq!(node.log.gaps().collect::<Vec<_>>(), [gap(1, 3), gap(4, 6)]);
    assert_eq!((node.take(&anna.says(2)), node.take(&anna.says(2))), (Taken::New, Taken::Known));
    node.take(&anna.says(5));
    assert_eq!(node.shown(), ["2~", "5~"]);
    assert_eq!(node.log.gaps().collect::<Vec<_>>(), [gap(1, 2), gap(4, 5)]);
    node.take(&anna.says(1));
    node.take(&anna.says(4));
    assert_eq!(node.shown(), ["1~", "4~"]);
    assert_eq!(node.log.gaps().count(), 0);
}

#[test]
fn an_epoch_that_is_joined_begins_with_the_lowest_that_comes_in_time() {
    let (anna, mut node) = (Author::new(1), TestLog::new(|_| ()));
    node.take(&anna.says(7));
    assert_eq!(node.reconciles(), 1);
    node.pass(Duration::from_secs(2));
    node.take(&anna.says(5));
    node.take(&anna.says(6));
    node.pass(Duration::from_secs(1));
    assert_eq!(node.shown(), ["5", "6", "7"]);
    node.take(&anna.says(2));
    assert_eq!(node.shown(), ["2~"]);
    assert_eq!(node.log.gaps().count(), 0);
    // Another epoch of hers begins anew.
    node.take(&anna.says_at(EPOCH + 1, 0, 2_000_000, "back"));
    assert_eq!(node.shown(), ["0"]);
}

#[test]
fn two_versions_of_a_number_are_shown_and_no_third() {
    let (anna, mut node) = (Author::new(1), TestLog::new(|_| ()));
    let version = |seq, text| anna.says_at(EPOCH, seq, 1_000_000 + seq, text);
    node.take(&version(0, "a"));
    assert_eq!(node.take(&version(0, "b")), Taken::New);
    assert_eq!(node.take(&version(0, "c")), Taken::Dropped);
    assert_eq!(node.shown(), ["0", "0!"]);
    // Of what is held back, too.
    node.take(&version(2, "a"));
    node.take(&version(2, "b"));
    assert_eq!(node.take(&version(2, "c")), Taken::Dropped);
    node.take(&version(1, "a"));
    assert_eq!(node.shown(), ["1", "2", "2!"]);
    assert_eq!(node.take(&version(1, "b")), Taken::New);
    assert_eq!(node.shown(), ["1~!"]);
}

#[test]
fn an_entry_dated_no_later_than_the_one_before_is_marked() {
    let (anna, mut node) = (Author::new(1), TestLog::new(|_| ()));
    for (seq, at) in [(0, 1_000), (1, 1_000), (2, 1_001), (3, 5)] {
        node.take(&anna.says_at(EPOCH, seq, at, "x"));
    }
    assert_eq!(node.shown(), ["0", "1<", "2", "3<"]);
}

#[test]
fn what_is_dated_too_far_ahead_waits_until_it_is_due() {
    let (anna, mut node) = (Author::new(1), TestLog::new(|_| ()));
    node.wall = Some(1_000_000);
    let at = |seq, ahead: u64| anna.says_at(EPOCH, seq, 1_000_000 + ahead, "x");
    assert_eq!(node.take(&at(0, 119_999)), Taken::New);
    assert_eq!(node.take(&at(1, 120_000)), Taken::New);
    assert_eq!(node.take(&at(2, 120_001)), Taken::Parked);
    assert_eq!(node.take(&at(2, 120_001)), Taken::Known);
    assert_eq!(node.take(&at(3, 130_000)), Taken::Parked);
    assert_eq!(node.shown(), ["0", "1"]);
    assert_eq!((node.log.iter().count(), node.log.sizes().parked), (2, 2));
    assert!(node.log.get(&at(2, 120_001).id()).is_some());
    assert_eq!(node.deadline(), Some(A_MOMENT));
    node.pass(A_MOMENT);
    assert_eq!(node.shown(), ["2"]);
    // The clock is set.
    node.wall = Some(1_010_000);
    node.pass(Duration::ZERO);
    assert_eq!(node.shown(), ["3"]);
}

#[test]
fn without_a_wall_clock_nothing_is_parked() {
    let (anna, mut node) = (Author::new(1), TestLog::new(|_| ()));
    assert_eq!(node.take(&anna.says_at(EPOCH, 0, crate::model::MAX_NUMBER, "x")), Taken::New);
    assert_eq!(
        node.take(&anna.says_at(EPOCH, crate::model::MAX_NUMBER, crate::model::MAX_NUMBER, "x")),
        Taken::New
    );
    node.pass(ALMOST + A_MOMENT);
    assert_eq!(
        node.shown(),
        ["0".into(), format!("-{}", crate::model::MAX_NUMBER - 1), crate::model::MAX_NUMBER.to_string()]
    );
}

#[test]
fn the_parked_one_furthest_ahead_makes_room() {
    let (anna, mut node) = (Author::new(1), TestLog::new(|limits| limits.chat.parked = 2));
    node.wall = Some(0);
    let ahead = |ahead: u64| anna.says_at(EPOCH, ahead, 1_000_000 + ahead, "x");
    assert_eq!(node.take(&ahead(5)), Taken::Parked);
    assert_eq!(node.take(&ahead(9)), Taken::Parked);
    assert_eq!(node.take(&ahead(10)), Taken::Full);
    assert_eq!(node.take(&ahead(3)), Taken::Parked);
    assert_eq!(node.deferred(), [ahead(9).id()]);
    assert_eq!(node.log.sizes().parked, 2);
}

#[test]
fn the_oldest_is_evicted_and_does_not_come_in_again() {
    let anna = Author::new(1);
    let mut node = TestLog::new(|limits| (limits.chat.log_entries, limits.chat.evicted) = (3, 2));
    for seq in 0..6 {
        node.take(&anna.says(seq));
        assert_eq!(node.log.sizes().held, 3.min(seq as usize + 1));
    }
    assert_eq!(node.shown(), ["0", "1", "2", "3", "4", "5"]);
    for seq in 0..3 {
        assert_eq!(node.take(&anna.says(seq)), Taken::Dropped);
    }
    assert_eq!(node.log.iter().map(|entry| entry.seq()).collect::<Vec<_>>(), [3, 4, 5]);
}

#[test]
fn what_is_older_than_all_that_is_held_is_shown_as_long_as_it_can_be_known_as_new() {
    let anna = Author::new(1);
    let mut node = TestLog::new(|limits| (limits.chat.log_entries, limits.chat.evicted) = (3, 2));
    for seq in 0..6 {
        node.take(&anna.says(seq));
    }
    node.events();
    // Remembered are the numbers 1 and 2; nothing is known of what is not younger than 0.
    let bob = |at| Author::new(2).says_at(at, 0, at, "x");
    assert_eq!(node.take(&bob(999_999)), Taken::Dropped);
    assert_eq!((node.take(&bob(1_000_001)), node.take(&bob(1_000_001))), (Taken::New, Taken::Dropped));
    assert_eq!(node.shown(), ["0"]);
    assert_eq!((node.take(&bob(1_000_002)), node.take(&bob(1_000_001))), (Taken::New, Taken::Dropped));
    assert_eq!(node.log.iter().map(|entry| entry.seq()).collect::<Vec<_>>(), [3, 4, 5]);
}

#[test]
fn the_window_is_bounded_in_bytes_and_what_is_held_back_is_shown_before_it_goes() {
    let anna = Author::new(1);
    let size = anna.says(0).size();
    let mut node = TestLog::new(|limits| limits.chat.log_bytes = 3 * size);
    for seq in [0, 3, 4, 5] {
        node.take(&anna.says(seq));
    }
    assert_eq!((node.log.sizes().held, node.log.sizes().bytes), (3, 3 * size));
    assert_eq!(node.shown(), ["0"]);
    node.take(&anna.says(6));
    assert_eq!(node.shown(), ["-2", "3", "4", "5", "6"]);
}

#[test]
fn an_author_at_the_bound_loses_the_highest_number() {
    let (anna, mut node) = (Author::new(1), TestLog::new(|limits| limits.chat.early_per_author = 3));
    node.take(&anna.says(0));
    for seq in [5, 7, 9] {
        assert_eq!(node.take(&anna.says(seq)), Taken::New);
    }
    assert_eq!(node.take(&anna.says(11)), Taken::Full);
    assert_eq!(node.deferred(), []);
    assert_eq!(node.take(&anna.says(3)), Taken::New);
    assert_eq!(node.deferred(), [anna.says(9).id()]);
    assert_eq!((node.log.sizes().early, node.log.sizes().held), (3, 4));
    node.pass(Duration::from_secs(3));
    let events = node.events();
    assert_eq!(events.last(), Some(&LogEvent::Reconcile { key: anna.key() }));
    assert_eq!(shown(events), ["-2", "3", "-1", "5", "-1", "7"]);
    // What was forgotten can come again.
    assert_eq!(node.take(&anna.says(9)), Taken::New);
}

#[test]
fn an_author_whose_beginning_is_not_known_begins_at_the_bound() {
    let (anna, mut node) = (Author::new(1), TestLog::new(|limits| limits.chat.early_per_author = 3));
    for seq in 10..13 {
        node.take(&anna.says(seq));
    }
    assert_eq!(node.shown(), [""; 0]);
    assert_eq!(node.take(&anna.says(13)), Taken::New);
    assert_eq!(node.shown(), ["10", "11", "12", "13"]);
}

#[test]
fn of_all_authors_who_holds_most_loses() {
    let (anna, bob) = (Author::new(1), Author::new(2));
    let mut node = TestLog::new(|limits| limits.chat.early = 5);
    for author in [&anna, &bob] {
        node.take(&author.says(0));
    }
    for seq in [2, 3, 4] {
        node.take(&anna.says(seq));
    }
    node.take(&bob.says(2));
    assert_eq!(node.take(&bob.says(3)), Taken::New);
    assert_eq!(node.log.sizes().early, 5);
    assert_eq!(node.events().len(), 4);
    assert_eq!(node.take(&bob.says(4)), Taken::New);
    // Both hold three: the one of the higher key loses.
    let last = if anna.key() > bob.key() { anna.says(4) } else { bob.says(4) };
    assert_eq!(node.log.get(&last.id()), None);
    assert_eq!(node.log.sizes().early, 5);
}

#[test]
fn an_author_that_is_forgotten_is_not_shown_twice_or_out_of_order() {
    let (anna, bob) = (Author::new(1), Author::new(2));
    let mut node = TestLog::new(|limits| limits.chat.authors = 1);
    node.take(&anna.says(3));
    node.take(&anna.says(5));
    assert_eq!(node.shown(), [""; 0]);
    node.take(&bob.says(0));
    // What was held back of her is shown when she is forgotten.
    assert_eq!(node.shown(), ["3", "-1", "5", "0"]);
    assert_eq!(node.log.sizes().authors, 1);
    assert_eq!(node.take(&anna.says(5)), Taken::Known);
    node.take(&anna.says(4));
    node.take(&anna.says(6));
    assert_eq!(node.shown(), ["4~", "6"]);
}

#[test]
fn the_epoch_least_recently_heard_is_forgotten() {
    let (anna, mut node) = (Author::new(1), TestLog::new(|limits| limits.chat.epochs_per_author = 2));
    let says = |epoch, seq| anna.says_at(epoch, seq, 1_000_000 + epoch * 1_000 + seq, "x");
    for (epoch, seq) in [(1, 0), (2, 0), (1, 2)] {
        node.take(&says(epoch, seq));
    }
    node.pass(Duration::from_secs(3));
    assert_eq!(node.shown(), ["0", "0", "-1", "2"]);
    assert_eq!(node.log.gaps().count(), 1);
    node.take(&says(3, 0));
    assert_eq!(node.log.gaps().count(), 1);
    node.take(&says(4, 0));
    assert_eq!(node.log.gaps().count(), 0);
    assert_eq!(node.shown(), ["0", "0"]);
}

#[test]
fn gaps_at_the_bound_are_forgotten_but_filled_all_the_same() {
    let (anna, mut node) = (Author::new(1), TestLog::new(|limits| limits.chat.gaps_per_epoch = 2));
    for seq in [0, 2, 4] {
        node.take(&anna.says(seq));
    }
    node.pass(Duration::from_secs(3));
    assert_eq!(node.log.gaps().count(), 2);
    node.take(&anna.says(6));
    node.pass(Duration::from_secs(3));
    assert_eq!(node.log.gaps().map(|gap| gap.from).collect::<Vec<_>>(), [3, 5]);
    assert_eq!(node.shown(), ["0", "-1", "2", "-1", "4", "-1", "6"]);
    node.take(&anna.says(1));
    assert_eq!(node.shown(), ["1~"]);
    assert_eq!(node.take(&anna.says(1)), Taken::Known);
}

#[test]
fn own_words_are_held_and_not_shown() {
    let (anna, mut node) = (Author::new(1), TestLog::new(|_| ()));
    for entry in [anna.says(0), anna.says(1)] {
        assert_eq!(node.log.take_own(Instant::ORIGIN, entry.clone(), &node.limits), Taken::New);
        assert_eq!(node.take(&entry), Taken::Known);
    }
    // Its beginning was forgotten.
    let later = anna.says_at(EPOCH + 1, 9, 3_000_000, "x");
    assert_eq!(node.log.take_own(Instant::ORIGIN, later, &node.limits), Taken::New);
    assert_eq!((node.shown(), node.deadline()), (vec![], None));
    assert_eq!(node.log.sizes().held, 3);
}
