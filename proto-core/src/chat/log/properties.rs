//! Properties of the log for arbitrary entries in arbitrary order.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec;

use proptest::collection::vec as many;
use proptest::prelude::*;

use super::testing::{EPOCH, TestAuthor, TestLog};
use super::*;
use crate::model::{ConnId, NodeId};

/// What happens to a log.
#[derive(Clone, Debug)]
enum Op {
    /// An entry comes.
    Take { author: usize, epoch: u64, seq: u64, version: u64 },
    /// Time passes.
    Pass { millis: u64 },
}

fn ops(authors: usize, epochs: u64, seqs: u64, versions: u64) -> impl Strategy<Value = Vec<Op>> {
    let take = (0..authors, 0..epochs, 0..seqs, 0..versions)
        .prop_map(|(author, epoch, seq, version)| Op::Take { author, epoch, seq, version });
    let pass = (0_u64..4_000).prop_map(|millis| Op::Pass { millis });
    many(prop_oneof![8 => take, 1 => pass], 1..120)
}

/// All the entries of a test. They are signed in advance, since signing is slow.
struct EntryPool(BTreeMap<(usize, u64, u64, u64), Arc<Entry>>);

impl EntryPool {
    /// Dates rise with the sequence number, in all versions, as those of an honest author do.
    fn new(authors: usize, epochs: u64, seqs: u64, versions: u64) -> Self {
        let mut all = BTreeMap::new();
        for author in 0..authors {
            let who = TestAuthor::new(u8::try_from(author).unwrap() + 1);
            for (epoch, seq, version) in (0..epochs)
                .flat_map(|epoch| (0..seqs).map(move |seq| (epoch, seq)))
                .flat_map(|(epoch, seq)| (0..versions).map(move |version| (epoch, seq, version)))
            {
                let at = 1_000_000 + epoch * 100_000 + seq * 1_000 + version;
                let entry = who.entry_at(EPOCH + epoch, seq, at, ["a", "b", "c"][version as usize]);
                all.insert((author, epoch, seq, version), entry);
            }
        }
        Self(all)
    }

    fn get(&self, author: usize, epoch: u64, seq: u64, version: u64) -> &Arc<Entry> {
        &self.0[&(author, epoch, seq, version)]
    }
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// A simple and slow implementation of the rules for one author sequence.
#[derive(Default)]
struct ReferenceModel {
    taken: Vec<Arc<Entry>>,
    shown: Vec<Arc<Entry>>,
    waiting: Vec<(Duration, Arc<Entry>)>,
    outputs: Vec<Output>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Output {
    Show { id: EntryId, late: bool, forked: bool },
    Gap { missing: u64 },
}

impl ReferenceModel {
    fn next(&self) -> Option<u64> {
        self.shown.iter().map(|entry| entry.seq() + 1).max()
    }

    fn take(&mut self, now: Duration, entry: &Arc<Entry>) -> Taken {
        if self.taken.contains(entry) {
            return Taken::Known;
        }
        if self.taken.iter().filter(|other| other.seq() == entry.seq()).count() == 2 {
            return Taken::Dropped;
        }
        self.taken.push(entry.clone());
        self.waiting.push((now, entry.clone()));
        self.show_up_to(0);
        Taken::New
    }

    fn pass(&mut self, now: Duration) {
        let overdue = self.waiting.iter().filter(|(since, _)| *since + Duration::from_secs(3) <= now);
        let last = overdue.map(|(_, entry)| entry.seq()).max();
        if let Some(last) = last {
            self.show_up_to(last);
        }
    }

    /// Shows what waits up to this number, and what follows directly.
    fn show_up_to(&mut self, seq: u64) {
        while let Some(index) = (0..self.waiting.len()).min_by_key(|index| self.waiting[*index].1.seq()) {
            let entry = self.waiting[index].1.clone();
            let next = self.next().unwrap_or(0);
            if entry.seq() > next && (entry.seq() > seq) {
                return;
            }
            if entry.seq() > next && self.next().is_some() {
                self.outputs.push(Output::Gap { missing: entry.seq() - next });
            }
            let late = self.shown.iter().any(|other| other.seq() > entry.seq());
            let forked = self.shown.iter().any(|other| other.seq() == entry.seq());
            self.outputs.push(Output::Show { id: entry.id(), late, forked });
            self.waiting.remove(index);
            self.shown.push(entry);
        }
    }
}

/// The output of a log, by author.
fn outputs(events: Vec<LogEvent>) -> BTreeMap<NodeId, Vec<Output>> {
    let mut outputs: BTreeMap<NodeId, Vec<Output>> = BTreeMap::new();
    for event in events {
        let (author, what) = match event {
            LogEvent::Show { entry, marks: Marks { late, forked, .. } } => {
                (entry.author(), Output::Show { id: entry.id(), late, forked })
            }
            LogEvent::Gap { run, missing, .. } => (run.key.node_id(), Output::Gap { missing }),
            LogEvent::Reconcile { .. } | LogEvent::Deferred { .. } | LogEvent::Due { .. } => continue,
        };
        outputs.entry(author).or_default().push(what);
    }
    outputs
}

#[test]
fn without_bounds_the_log_agrees_with_the_reference_model() {
    let pool = EntryPool::new(3, 1, 10, 3);
    proptest!(config(256), |(ops in ops(3, 1, 10, 3))| {
        let mut log = TestLog::new(|_| ());
        let mut models: BTreeMap<NodeId, ReferenceModel> = BTreeMap::new();
        let mut now = Duration::ZERO;
        for op in ops {
            match op {
                Op::Take { author, epoch, seq, version } => {
                    let entry = pool.get(author, epoch, seq, version);
                    let model = models.entry(entry.author()).or_default();
                    prop_assert_eq!(log.take(entry), model.take(now, entry));
                }
                Op::Pass { millis } => {
                    now += Duration::from_millis(millis);
                    log.pass(Duration::from_millis(millis));
                    models.values_mut().for_each(|model| model.pass(now));
                }
            }
            let expected: BTreeMap<_, _> = models.iter_mut()
                .map(|(author, model)| (*author, core::mem::take(&mut model.outputs)))
                .filter(|(_, outputs)| !outputs.is_empty())
                .collect();
            prop_assert_eq!(outputs(log.events()), expected);
        }
    });
}

/// What a log showed, to check what it shows next.
#[derive(Default)]
struct Shown {
    ids: BTreeSet<EntryId>,
    by_sequence: BTreeMap<RunId, Vec<u64>>,
}

impl Shown {
    fn check(&mut self, log: &mut TestLog) -> Result<(), TestCaseError> {
        for event in log.events() {
            let LogEvent::Show { entry, marks } = event else { continue };
            prop_assert!(self.ids.insert(entry.id()), "shown twice");
            let shown = self.by_sequence.entry(entry.run().clone()).or_default();
            prop_assert_eq!(marks.late, shown.iter().any(|seq| *seq > entry.seq()));
            prop_assert!(!marks.forked || shown.contains(&entry.seq()));
            shown.push(entry.seq());
        }
        Ok(())
    }
}

fn tight(limits: &mut Limits) {
    limits.chat.log_entries = 12;
    limits.chat.evicted = 6;
    limits.chat.floors = 2;
    limits.chat.author_new = Duration::from_secs(5);
    limits.chat.early_per_author = 3;
    limits.chat.early = 5;
    limits.chat.authors = 2;
    limits.chat.epochs_per_author = 2;
    limits.chat.gaps_per_epoch = 2;
    limits.chat.parked_bytes = 5_000;
    limits.chat.authors_bytes = 8_000;
}

#[test]
fn within_bounds_each_entry_is_shown_once_and_in_order_or_marked() {
    let pool = EntryPool::new(3, 3, 12, 3);
    // When the clock starts, only some entries are due.
    let start = 1_090_000 - 10_000;
    proptest!(config(512), |(ops in ops(3, 3, 12, 3), with_clock: bool)| {
        let mut log = TestLog::new(tight);
        log.set_wall(with_clock.then_some(start));
        let mut shown = Shown::default();
        let mut accepted = BTreeSet::new();
        let (mut parked, mut deferred) = (BTreeSet::new(), BTreeSet::new());
        for op in ops {
            match op {
                Op::Take { author, epoch, seq, version } => {
                    let entry = pool.get(author, epoch, seq, version);
                    match log.take(entry) {
                        Taken::New => {
                            let again = deferred.remove(&entry.id());
                            prop_assert!(accepted.insert(entry.id()) || again);
                            parked.remove(&entry.id());
                        }
                        Taken::Parked => prop_assert!(parked.insert(entry.id()) || deferred.remove(&entry.id())),
                        Taken::Known => prop_assert!(accepted.contains(&entry.id()) || parked.contains(&entry.id())),
                        Taken::Dropped | Taken::Full => {}
                    }
                }
                Op::Pass { millis } => log.pass(Duration::from_millis(millis)),
            }
            let sizes = log.inner.sizes();
            prop_assert!(sizes.held <= log.limits.chat.log_entries && sizes.early <= log.limits.chat.early);
            prop_assert!(sizes.authors <= log.limits.chat.authors);
            let parked = log.inner.capacities().iter().find(|(capacity, _)| *capacity == Capacity::Parked).map(|(_, bytes)| *bytes);
            prop_assert!(parked <= Some(log.limits.chat.parked_bytes));
            deferred.extend(log.peek_deferred());
            shown.check(&mut log)?;
        }
        // No accepted entry waits forever.
        log.set_wall(Some(u64::MAX));
        log.pass(Duration::ZERO);
        log.pass(Duration::from_secs(3));
        deferred.extend(log.peek_deferred());
        shown.check(&mut log)?;
        let silent: Vec<_> = accepted.difference(&shown.ids).filter(|id| !deferred.contains(id)).collect();
        prop_assert_eq!(silent, vec![] as Vec<&EntryId>);
        prop_assert_eq!((log.inner.sizes().early, log.inner.sizes().parked), (0, 0));
    });
}

/// Reconciles two logs, and gives each what it lacks and may want. Returns whether either took anything.
fn reconcile(one: &mut TestLog, other: &mut TestLog) -> bool {
    let (mut ours, mut theirs) = (Reconciler::default(), Reconciler::default());
    let link = ConnId(1);
    let mut next =
        ours.begin(Instant::ORIGIN, link, crate::wire::Token::from_bits(1), &one.inner, &one.limits);
    let mut took = false;
    while let Some(message) = next {
        let step = theirs.message(Instant::ORIGIN, link, &message, &other.inner, &other.limits).unwrap();
        let step =
            ours.message(Instant::ORIGIN, link, &step.reply.unwrap(), &one.inner, &one.limits).unwrap();
        let mut give = |from: &TestLog, ids: &[EntryId], to: &mut TestLog| {
            for id in ids {
                // It may have been evicted since, on either side.
                if let Some(entry) = from.inner.get(id).filter(|_| to.inner.wants(id)).cloned() {
                    took |= to.take(&entry) == Taken::New;
                }
            }
        };
        give(one, &step.have, other);
        give(other, &step.need, one);
        next = step.reply;
    }
    took
}

#[test]
fn two_logs_that_reconcile_to_the_end_hold_all_that_neither_evicted_and_show_the_same() {
    let pool = EntryPool::new(3, 2, 12, 2);
    let both = || (ops(3, 2, 12, 2), ops(3, 2, 12, 2), 20_usize..150, 20_usize..150);
    proptest!(config(128), |((for_one, for_other, small, large) in both())| {
        let mut logs = [(for_one, small), (for_other, large)].map(|(ops, log_entries)| {
            let mut log = TestLog::new(|limits| limits.chat.log_entries = log_entries);
            for op in ops {
                match op {
                    Op::Take { author, epoch, seq, version } => {
                        log.take(pool.get(author, epoch, seq, version));
                    }
                    Op::Pass { millis } => log.pass(Duration::from_millis(millis)),
                }
            }
            log
        });
        let [one, other] = &mut logs;
        let mut rounds = 0;
        while reconcile(one, other) {
            rounds += 1;
            prop_assert!(rounds < 20, "it must end");
        }
        let since = one.inner.window.compared_since().max(other.inner.window.compared_since());
        for (log, peer) in [(&*one, &*other), (&*other, &*one)] {
            for entry in log.inner.iter().filter(|entry| entry.at() >= since) {
                let gone = peer.inner.window.is_below_floor(entry);
                // A third version with one number is not taken.
                let forked = peer.inner.window.versions(entry.run(), entry.seq()) >= 2;
                prop_assert!(peer.inner.contains(&entry.id()) || gone || forked);
            }
        }
        let floors: Vec<_> = logs.iter().map(|log| log.inner.lost().evicted).collect();
        let shown = logs.map(|mut log| {
            log.pass(Duration::from_secs(3));
            let id = |event| match event {
                LogEvent::Show { entry, .. } => Some(entry.id()),
                _ => None,
            };
            log.events().into_iter().filter_map(id).collect::<BTreeSet<_>>()
        });
        if floors == [0, 0] {
            prop_assert_eq!(&shown[0], &shown[1]);
        }
    });
}
