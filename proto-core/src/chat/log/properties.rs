//! Properties of the log for arbitrary entries in arbitrary order.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec;

use proptest::collection::vec as many;
use proptest::prelude::*;

use super::testing::{EPOCH, TestAuthor, TestLog};
use super::*;
use crate::chat::testing::peer;
use crate::model::{ConnId, NodeId, RunPosition};

/// What happens to a log.
#[derive(Clone, Debug)]
enum Op {
    /// An entry comes.
    Take { author: usize, epoch: u64, seq: u64, version: u64 },
    /// Time passes.
    Pass { millis: u64 },
}

fn ops(authors: usize, epochs: u64, seqs: u64, versions: u64) -> impl Strategy<Value = Vec<Op>> {
    // Most entries are of one version, so that runs are not frozen at once.
    let version = prop_oneof![12 => Just(0), 1 => 0..versions];
    let take = (0..authors, 0..epochs, 0..seqs, version).prop_map(|(author, epoch, seq, version)| Op::Take {
        author,
        epoch,
        seq,
        version,
    });
    let pass = (0_u64..4_000).prop_map(|millis| Op::Pass { millis });
    many(prop_oneof![8 => take, 1 => pass], 1..120)
}

/// All the entries of a test. They are signed in advance, since signing is slow.
struct EntryPool(BTreeMap<(usize, u64, u64, u64), Arc<Entry>>);

impl EntryPool {
    /// Dates rise with the sequence number, in all versions, as those of an honest author do. The entries of versions 0 and
    /// 1 are behind those of version 0, those of version 2 behind those of version 1.
    fn new(authors: usize, epochs: u64, seqs: u64, versions: u64) -> Self {
        let mut all = BTreeMap::new();
        for author in 0..authors {
            let who = TestAuthor::new(u8::try_from(author).unwrap() + 1);
            for (epoch, seq, version) in (0..epochs)
                .flat_map(|epoch| (0..seqs).map(move |seq| (epoch, seq)))
                .flat_map(|(epoch, seq)| (0..versions).map(move |version| (epoch, seq, version)))
            {
                let at = 1_000_000 + epoch * 100_000 + seq * 1_000 + version;
                let prev = seq.checked_sub(1).map(|before| &all[&(author, epoch, before, version / 2)]);
                let position =
                    prev.map_or(RunPosition::FIRST, |prev: &Arc<Entry>| RunPosition::after(prev).unwrap());
                let text = ["a", "b", "c"][version as usize];
                let entry = who.sign_at(None, None, position, (EPOCH + epoch, at), text);
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

/// The entries of one run that are to be held of these, and where it is frozen: the rules of SPEC 9.3, as they are
/// written.
fn frozen(given: &[Arc<Entry>]) -> (BTreeSet<EntryId>, Option<u64>) {
    let at = |seq: u64| {
        let mut versions: Vec<_> = given.iter().filter(|entry| entry.seq() == seq).collect();
        versions.sort_by_key(|entry| entry.id());
        versions.dedup();
        versions
    };
    let known = |seq: u64| {
        let ids = at(seq).into_iter().map(|entry| entry.id());
        ids.chain(at(seq + 1).into_iter().filter_map(|entry| entry.prev())).collect::<BTreeSet<_>>().len()
    };
    let last = given.iter().map(|entry| entry.seq()).max().unwrap_or(0);
    let fork = (0..=last).find(|seq| known(*seq) > 1);
    let Some(fork) = fork else { return (given.iter().map(|entry| entry.id()).collect(), None) };
    let (versions, behind) = (at(fork), at(fork + 1));
    let mut proof: Vec<EntryId> = versions.iter().map(|entry| entry.id()).take(2).collect();
    while proof.len() < 2 {
        let other = |prev: Option<EntryId>| behind.iter().find(|entry| entry.prev() != prev).unwrap().id();
        let first = behind.iter().find(|entry| proof.contains(&entry.id()));
        proof.push(match (versions.first(), first) {
            (Some(version), _) => other(Some(version.id())),
            (None, Some(first)) => other(first.prev()),
            (None, None) => behind[0].id(),
        });
    }
    let below = given.iter().filter(|entry| entry.seq() < fork).map(|entry| entry.id());
    (below.chain(proof).collect(), Some(fork))
}

/// A simple and slow implementation of the rules for one author sequence.
#[derive(Default)]
struct ReferenceModel {
    given: Vec<Arc<Entry>>,
    shown: Vec<Arc<Entry>>,
    waiting: Vec<(Duration, Arc<Entry>)>,
    /// The lowest number that was shown twice.
    twice: Option<u64>,
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
        if frozen(&self.given).0.contains(&entry.id()) {
            return Taken::Known;
        }
        self.given.push(entry.clone());
        let (held, fork) = frozen(&self.given);
        if !held.contains(&entry.id()) {
            return Taken::Dropped;
        }
        let may_be_shown =
            |entry: &Entry| held.contains(&entry.id()) && fork.is_none_or(|seq| entry.seq() <= seq);
        self.waiting.retain(|(_, waiting)| may_be_shown(waiting));
        if may_be_shown(entry) {
            self.waiting.push((now, entry.clone()));
            self.show_up_to(0);
        }
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
            self.waiting.remove(index);
            if forked && self.twice.is_some_and(|seq| seq <= entry.seq()) {
                continue;
            }
            self.twice = if forked { Some(entry.seq()) } else { self.twice };
            self.outputs.push(Output::Show { id: entry.id(), late, forked });
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
            _ => continue,
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
            let held: BTreeSet<_> = log.inner.iter().map(|entry| entry.id()).collect();
            prop_assert_eq!(held, models.values().flat_map(|model| frozen(&model.given).0).collect());
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
            let later = shown.iter().any(|seq| *seq > entry.seq());
            // What proves a fork is later, too, and is not shown.
            let proof = log.inner.window.frozen_at(entry.run()).is_some();
            prop_assert!(marks.late == later || marks.late && proof);
            prop_assert!(!marks.forked || shown.contains(&entry.seq()));
            prop_assert!(shown.iter().filter(|seq| **seq == entry.seq()).count() < 2, "shown a third time");
            shown.push(entry.seq());
        }
        Ok(())
    }
}

impl Shown {
    /// The lowest number of which two versions were shown.
    fn twice(&self, run: &RunId) -> Option<u64> {
        let shown = self.by_sequence.get(run)?;
        let is_twice = |seq: &u64| shown.iter().filter(|other| *other == seq).count() > 1;
        shown.iter().copied().filter(is_twice).min()
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
    limits.chat.waited = Duration::ZERO;
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
        let (mut parked, mut deferred, mut withdrawn) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        // What is above a fork, or has a higher id than two other versions, is not shown, also when the fork was evicted.
        let mut forks = BTreeMap::<RunId, u64>::new();
        let runs: BTreeSet<_> = pool.0.values().map(|entry| entry.run().clone()).collect();
        for op in ops {
            match op {
                Op::Take { author, epoch, seq, version } => {
                    let entry = pool.get(author, epoch, seq, version);
                    match log.take(entry) {
                        Taken::New => {
                            // What was withdrawn may come again when the fork is forgotten.
                            let again = deferred.remove(&entry.id()) || withdrawn.contains(&entry.id());
                            prop_assert!(accepted.insert(entry.id()) || again);
                            parked.remove(&entry.id());
                        }
                        Taken::Parked => prop_assert!(parked.insert(entry.id()) || deferred.remove(&entry.id())),
                        Taken::Known => prop_assert!(accepted.contains(&entry.id()) || parked.contains(&entry.id())),
                        Taken::Archived | Taken::Dropped | Taken::Full | Taken::NoRoom => {}
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
            withdrawn.extend(log.peek_withdrawn());
            shown.check(&mut log)?;
            for run in &runs {
                if let Some(seq) = log.inner.window.frozen_at(run) {
                    forks.entry(run.clone()).and_modify(|lowest| *lowest = seq.min(*lowest)).or_insert(seq);
                }
            }
        }
        // No accepted entry waits forever.
        log.set_wall(Some(u64::MAX));
        log.pass(Duration::ZERO);
        log.pass(Duration::from_secs(3));
        deferred.extend(log.peek_deferred());
        withdrawn.extend(log.peek_withdrawn());
        shown.check(&mut log)?;
        let is_above_a_fork = |id: &EntryId| {
            let entry = pool.0.values().find(|entry| entry.id() == *id).unwrap();
            let twice = shown.twice(entry.run());
            forks.get(entry.run()).copied().into_iter().chain(twice).any(|seq| seq <= entry.seq())
        };
        let is_gone = |id: &EntryId| deferred.contains(id) || withdrawn.contains(id) || is_above_a_fork(id);
        let silent: Vec<_> = accepted.difference(&shown.ids).filter(|id| !is_gone(id)).collect();
        prop_assert_eq!(silent, vec![] as Vec<&EntryId>);
        prop_assert_eq!((log.inner.sizes().early, log.inner.sizes().parked), (0, 0));
    });
}

/// Reconciles the tips of two logs, and gives each what it lacks of their runs. Returns whether either took anything.
fn reconcile(one: &mut TestLog, other: &mut TestLog) -> bool {
    let (mut ours, mut theirs) = (Reconciler::default(), Reconciler::default());
    let link = ConnId(1);
    let asker = Asker { conn: link, peer: peer(1), room: AnswerRoom::Whole };
    let mut next =
        ours.begin(Instant::ORIGIN, link, crate::wire::Token::from_bits(1), &one.inner, &one.limits);
    let mut took = false;
    while let Some(message) = next {
        let step = theirs.message(Instant::ORIGIN, asker, &message, &other.inner, &other.limits).unwrap();
        let step =
            ours.message(Instant::ORIGIN, asker, &step.reply.unwrap(), &one.inner, &one.limits).unwrap();
        let mut give = |from: &TestLog, ids: &[EntryId], to: &mut TestLog| {
            for id in ids {
                // It may have been evicted since, on either side.
                if let Some(entry) = from.inner.get(id).filter(|_| to.inner.wants(id)).cloned() {
                    took |=
                        give_range(from, (entry.run(), entry.seq()), to) | (to.take(&entry) == Taken::New);
                }
            }
        };
        give(one, &step.have, other);
        give(other, &step.need, one);
        next = step.reply;
    }
    took
}

/// Gives a log what it lacks of a run up to a number. Returns whether it took anything.
fn give_range(from: &TestLog, (run, last): (&RunId, u64), to: &mut TestLog) -> bool {
    let (mut next, mut took) = (0, false);
    while let Some((first, end)) = to.inner.first_missing(run, (next, last), &to.limits) {
        let entries: Vec<_> = from.inner.of_run(run, first, end).cloned().collect();
        took |= entries.iter().filter(|entry| to.take(entry) == Taken::New).count() > 0;
        next = end + 1;
    }
    took
}

/// Reconciles two logs, and gives each the entries that it knows to lack, until neither takes anything.
pub(super) fn exchange(one: &mut TestLog, other: &mut TestLog) {
    let mut rounds = 0;
    while reconcile(one, other) | fill_holes(one, other) | fill_holes(other, one) {
        rounds += 1;
        assert!(rounds < 20, "it must end");
    }
}

/// Gives a log the entries that it knows to lack. Returns whether it took any.
fn fill_holes(from: &TestLog, to: &mut TestLog) -> bool {
    let runs: BTreeMap<_, _> = from.inner.iter().map(|entry| (entry.run().clone(), entry.seq())).collect();
    let mut took = false;
    for (run, _) in runs {
        let last = from.inner.iter().filter(|entry| *entry.run() == run).map(|entry| entry.seq()).max();
        took |= give_range(from, (&run, last.unwrap()), to);
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
        exchange(one, other);
        let agree = |one: &TestLog, other: &TestLog| {
            // What is not held cannot be given.
            let mut held = one.inner.window.tips().dated_since(0).map(|(item, _)| item).filter(|(_, id)| one.inner.contains(id));
            held.all(|(_, id)| !other.inner.wants(&id))
        };
        prop_assert!(agree(one, other) && agree(other, one));
        for (log, peer) in [(&*one, &*other), (&*other, &*one)] {
            for entry in log.inner.iter() {
                let gone = peer.inner.window.is_below_floor(entry)
                    || entry.seq() < peer.inner.window.tips().base(entry.run());
                let forked = peer.inner.window.frozen_at(entry.run()).is_some_and(|seq| seq <= entry.seq());
                // A number is asked for that is missing in all versions.
                prop_assert!(
                    gone || forked || peer.inner.window.versions(entry.run(), entry.seq()) > 0
                );
            }
        }
        let floors: Vec<_> = logs.iter().map(|log| log.inner.lost().evicted).collect();
        let shown = logs.map(|mut log| {
            log.pass(Duration::from_secs(3));
            let events = log.events();
            // Of what is forked, each shows what came first.
            let id = |event| match event {
                LogEvent::Show { entry, .. } => {
                    let frozen = log.inner.window.frozen_at(entry.run());
                    Some(entry.id()).filter(|_| frozen.is_none_or(|seq| entry.seq() < seq))
                }
                _ => None,
            };
            events.into_iter().filter_map(id).collect::<BTreeSet<_>>()
        });
        let numbers = |ids: &BTreeSet<EntryId>| -> BTreeSet<(RunId, u64)> {
            let said = pool.0.values().filter(|entry| ids.contains(&entry.id()));
            said.map(|entry| (entry.run().clone(), entry.seq())).collect()
        };
        if floors == [0, 0] {
            prop_assert_eq!(numbers(&shown[0]), numbers(&shown[1]));
        }
    });
}

/// Entries of one run with forks of all sorts: of each number two entries behind each of three entries of the number
/// before.
pub(super) fn tangle() -> Vec<Arc<Entry>> {
    let who = TestAuthor::new(1);
    let mut levels: Vec<Vec<Arc<Entry>>> = Vec::new();
    for seq in 0..5 {
        let before = levels.last().map_or(&[][..], |level| &level[..3]);
        let positions = before.iter().map(|entry| RunPosition::after(entry).unwrap());
        let positions: Vec<_> = if seq == 0 { vec![RunPosition::FIRST; 2] } else { positions.collect() };
        let texts = ["a", "b"].into_iter().cycle();
        let entries = positions.iter().flat_map(|position| [*position; 2]).zip(texts).enumerate();
        let sign = |(n, (position, text)): (usize, (RunPosition, &str))| {
            let text = if seq == 0 { ["a", "b", "c", "d"][n] } else { text };
            who.sign_at(None, None, position, (EPOCH, 1_000_000 + seq * 1_000), text)
        };
        levels.push(entries.map(sign).collect());
    }
    levels.concat()
}

pub(super) fn held(log: &TestLog) -> BTreeSet<EntryId> {
    log.inner.iter().map(|entry| entry.id()).collect()
}

#[test]
fn two_nodes_that_were_given_the_same_hold_the_same_whatever_the_order() {
    let tangle = tangle();
    let orders = proptest::sample::subsequence(tangle, 0..14).prop_flat_map(|given| {
        (Just(given.clone()).prop_shuffle(), Just(given).prop_shuffle(), 0_usize..14, any::<u16>())
    });
    proptest!(config(2_000), |((one, other, split, pauses) in orders)| {
        let expected = frozen(&one).0;
        let fill = |order: &[Arc<Entry>]| {
            let mut log = TestLog::new(|_| ());
            for (n, entry) in order.iter().enumerate() {
                log.take(entry);
                if pauses >> n & 1 == 1 {
                    log.pass(Duration::from_secs(3));
                }
            }
            log
        };
        let (whole, again) = (fill(&one), fill(&other));
        prop_assert_eq!(&held(&whole), &expected);
        prop_assert_eq!(&held(&again), &expected);
        // What is not held makes no difference, also if it comes again.
        let mut again = again;
        one.iter().for_each(|entry| _ = again.take(entry));
        prop_assert_eq!(&held(&again), &expected);
        // The same holds if each is given a part, and they exchange what they hold of it, unless there is a hole that
        // neither can fill: of a number below it, each has a version of its own then, and nothing tells.
        let numbers: BTreeSet<_> = one.iter().map(|entry| entry.seq()).collect();
        if !numbers.iter().copied().eq(0..numbers.len() as u64) {
            return Ok(());
        }
        let (first, second) = one.split_at(split.min(one.len()));
        let (mut first, mut second) = (fill(first), fill(second));
        exchange(&mut first, &mut second);
        prop_assert_eq!(&held(&first), &expected);
        prop_assert_eq!(&held(&second), &expected);
    });
}
