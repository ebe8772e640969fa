//! Entries that wait: for the first catch-up to end, or for the store.

use std::sync::Arc;

use proto_core::wire::{Frame, RangeQuery};
use proto_core::{Action, Capacity, ChatText, Command, Entry, Input, Kept, KeptRun, LoadId, Loaded};

use crate::entries::{answer, draft_of, text};
use crate::node::{Node, Report, few_tips, full, kept_solo};
use crate::solo::{EPOCH_MS, id, ids};

fn said(count: usize, len: usize) -> Vec<Entry> {
    let texts = [text(len)];
    (0..count).map(|n| draft_of(n % 50, n / 50, EPOCH_MS - 60_000 + n as u64, &texts, &[])).collect()
}

/// The window is small: what is held back has left it.
pub(crate) fn catch_up(report: &mut Report) {
    let limits = few_tips().with(|limits| {
        limits.chat.log_bytes = 128 << 10;
        limits.chat.catch_up_bytes = 1 << 20;
        limits.chat.bodiless = 250;
    });
    let entries = said(1_000, 1);
    let mut node = Node::new(limits.clone(), 1);
    node.skip(limits.chat.reconcile_again);
    node.frame(0, &Frame::Sync(answer(10)));
    node.skip(limits.chat.ask_after);
    // The rest is awaited, so that the catch-up goes on.
    let shown = ids(10 * 1_024..10 * 1_024 + 500);
    for _ in 0..2 {
        shown.chunks(64).for_each(|some| node.frame(0, &Frame::Lack(some.to_vec())));
    }
    node.hold(&[full(Capacity::Bodiless)], report);
    node.check("what a neighbour lacks", report);
    node.fill("the first catch-up", &[full(Capacity::CatchUpBytes)], report, |node| {
        let more = |node: &Node| node.holds(Capacity::CatchUpBytes) < (1 << 20) - 8_192;
        for entry in &entries {
            if more(node) {
                node.take(0, entry);
            }
        }
    });
    node.check("a node that has just come", report);
}

/// Neighbours that ask for what is in the store, and read nothing.
const READERS: usize = 2 * LOADS;
/// For so many at once the store is read. When it has been, the others have their turn.
const LOADS: usize = 4;

/// What the store has: a run of these entries, and runs with the most gaps.
fn kept_runs(entries: &[Entry]) -> Vec<KeptRun> {
    let gaps = |n: usize| {
        let run = draft_of(2_000 + n, 0, EPOCH_MS, &[text(1)], &[]).run().clone();
        let held = (0..500).map(|m| (2 * m + 2, 2 * m + 2)).collect();
        KeptRun::new(run, 1_000, vec![(EPOCH_MS - 100_000, id(n))], held)
    };
    let last = entries.last().unwrap();
    let whole =
        KeptRun::new(last.run().clone(), last.seq(), vec![(last.at(), last.id())], vec![(0, last.seq())]);
    (0..4).map(gaps).chain([whole]).collect()
}

/// All neighbours ask for this run: what the store is asked for then.
fn ask(node: &mut Node, entries: &[Entry]) -> Vec<LoadId> {
    for peer in 0..READERS {
        let query = RangeQuery::new(entries[0].run().clone(), 0, entries.len() as u64 - 1, 1);
        node.solo.frame(peer, &Frame::Range(query.unwrap()));
    }
    let loads = node.solo.actions.iter().filter_map(|action| match action {
        Action::Load { id, .. } => Some(*id),
        _ => None,
    });
    loads.collect()
}

/// The store commits nothing, and has much already.
pub(crate) fn store(report: &mut Report) {
    let limits = few_tips().with(|limits| {
        limits.chat.log_bytes = 128 << 10;
        limits.chat.uncommitted = 1 << 20;
        limits.chat.uncommitted_own = 1 << 20;
        limits.chat.spans = 2_000;
        limits.chat.served_queue = 1;
        limits.chat.loads = LOADS;
    });
    let entries = said(1_200, 1);
    let run: Vec<_> =
        (0..300).map(|n| draft_of(2_100, n, EPOCH_MS - 90_000 + n as u64, &[text(1)], &[])).collect();
    let runs = kept_runs(&run);
    let mut node = Node::start(READERS, || {
        let mut kept = Kept::default();
        kept.runs = runs.clone();
        kept_solo(limits, (true, false), kept)
    });
    node.hold(&[full(Capacity::Spans)], report);
    node.check("spans", report);
    node.fill("what others said and is not committed", &[full(Capacity::Uncommitted)], report, |node| {
        entries.iter().for_each(|entry| node.take(0, entry));
    });
    node.fill("what the user said and is not committed", &[full(Capacity::UncommittedOwn)], report, |node| {
        while node.solo.node.command(node.solo.now, Command::Say(vec![ChatText::new("x").unwrap()])).is_ok() {
            while node.solo.node.poll_action().is_some() {}
        }
    });
    let loads = ask(&mut node, &run);
    node.forget();
    let read = [full(Capacity::LoadedBytes).of_each(LOADS), full(Capacity::Loads)];
    node.fill("what was read and is not sent", &read, report, |node| {
        for load in loads {
            let entries = run.iter().map(|entry| Loaded::Entry(Arc::new(entry.clone())));
            node.solo.input(Input::loaded(load, entries.collect::<Vec<_>>()));
        }
    });
    node.check("a store that is slow", report);
}
