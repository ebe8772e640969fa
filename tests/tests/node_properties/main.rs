//! What holds of a node whatever happens to it, in whatever order, cut and timed however.

mod said;
mod watch;

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use proto_core::{Action, ConnId, Input, Instant};
use tests::fuzz::peers::{self, PEERS, keys};
use tests::sim::hostile::{PERIOD_MS, rank};

use said::{EPOCH_MS, Said, said, step};
use watch::{Step, Watch};

/// Bytes per connection and everything else in order: what is left when it is forgotten how chunks were cut.
fn joined(actions: &[Action]) -> (Vec<&Action>, BTreeMap<ConnId, Vec<u8>>) {
    let mut rest = Vec::new();
    let mut bytes: BTreeMap<ConnId, Vec<u8>> = BTreeMap::new();
    for action in actions {
        match action {
            Action::SendFrame { conn, bytes: chunk } => bytes.entry(*conn).or_default().extend(chunk),
            other => rest.push(other),
        }
    }
    (rest, bytes)
}

fn readable(action: &Action) -> String {
    match action {
        Action::SendFrame { conn, bytes } => format!("{conn:?}: {}", String::from_utf8_lossy(bytes)),
        other => format!("{other:?}"),
    }
}

fn run(steps: &[Step]) -> Watch {
    let mut watch = Watch::new();
    for step in steps {
        watch.step(step);
    }
    watch.drain();
    watch
}

/// What proves the key of a peer that has one, after it has greeted.
fn greeting(watch: &mut Watch, conn: ConnId, peer: Option<usize>) -> Vec<u8> {
    let Some(peer) = peer else { return Vec::new() };
    watch.greet(conn, peer);
    watch.bytes(conn, &[Said::Proof])
}

/// Of a node and its neighbour the one that ranks first by the specification is the root.
#[test]
fn the_lower_rank_is_the_root() {
    let period = EPOCH_MS / PERIOD_MS;
    for peer in 0..PEERS {
        let mut watch = Watch::new();
        watch.step(&Step::Link { host: 2, peer });
        let claim = peers::tree(keys(peer), period, 1, 0, None);
        watch.step(&Step::Receive { pick: 0, said: vec![Said::Bytes(claim)] });
        let believed = watch.node.status().tree.root == Some(keys(peer).node_id());
        let first = rank(period, &keys(peer).key()) < rank(period, &watch.node.key());
        assert_eq!(believed, first, "peer {peer}");
    }
}

/// The runs that are tried here get past the greeting, and lead a node to all that follows.
#[test]
fn peers_with_keys_are_listened_to() {
    let mut runner = TestRunner::deterministic();
    let strategy = proptest::collection::vec(step(), 100);
    let mut told = String::new();
    let mut shown = 0;
    for _ in 0..80 {
        let watch = run(&strategy.new_tree(&mut runner).expect("steps").current());
        shown += watch.node.stats().delivered;
        watch.actions.iter().map(readable).for_each(|action| told.push_str(&action));
    }
    assert!(shown > 100, "{shown} texts were shown");
    let frames = ["PROOF|", "CHAT|", "IHAVE|", "GRAFT|", "TREE|", "LINKS|", "SYNC|"];
    let never: Vec<_> = frames.iter().filter(|frame| !told.contains(**frame)).collect();
    assert!(never.is_empty(), "no node says {never:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// No panic, no broken bound, one registration a peer, one chunk a connection, no busy timer: whatever happens,
    /// whenever the actions are drained.
    #[test]
    fn any_interleaving_keeps_the_invariants(steps in proptest::collection::vec(step(), 0..150)) {
        run(&steps);
    }

    #[test]
    fn the_same_inputs_give_the_same_actions(steps in proptest::collection::vec(step(), 0..150)) {
        prop_assert_eq!(run(&steps).actions, run(&steps).actions);
    }

    /// What comes in may be cut anywhere, down to single bytes.
    #[test]
    fn any_chunking_gives_the_same_actions(
        streams in proptest::collection::vec((any::<bool>(), proptest::option::of(0..PEERS), proptest::collection::vec(said(), 1..12)), 1..5),
        cuts in proptest::collection::vec(1usize..50, 1..200),
    ) {
        let mut whole = Watch::new();
        let mut cut = Watch::new();
        let mut sizes = cuts.iter().copied().cycle();
        for (local, peer, stream) in &streams {
            let mut bytes = Vec::new();
            let conn = ConnId(whole.next);
            for watch in [&mut whole, &mut cut] {
                watch.accept(if *local { 2 } else { 1 });
                bytes = greeting(watch, conn, *peer);
                bytes.extend(watch.bytes(conn, stream));
            }
            whole.input(&Input::received(conn, &bytes));
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                let (head, tail) = rest.split_at(sizes.next().unwrap().min(rest.len()));
                cut.input(&Input::received(conn, head));
                rest = tail;
            }
            whole.drain();
            cut.drain();
        }
        prop_assert_eq!(joined(&whole.actions), joined(&cut.actions));
    }

    /// A driver may wake the node whenever it likes, as long as it does when the node wants to be woken.
    #[test]
    fn timeouts_that_nobody_asked_for_change_nothing(steps in proptest::collection::vec(step(), 0..60)) {
        let runs = [false, true].map(|early| {
            let mut watch = Watch::new();
            for step in &steps {
                watch.live(step, early);
            }
            watch.drain();
            watch.actions.iter().map(readable).collect::<Vec<_>>()
        });
        let differ = runs[0].iter().zip(&runs[1]).find(|(one, other)| one != other);
        prop_assert_eq!(differ, None);
        let both = runs[0].len().min(runs[1].len());
        prop_assert_eq!(&runs[0][both..], &runs[1][both..]);
    }

    /// When the actions are drained changes nothing but how bytes are gathered.
    #[test]
    fn draining_later_changes_only_how_bytes_are_gathered(
        peer in proptest::option::of(0..PEERS),
        steps in proptest::collection::vec(said(), 1..30),
    ) {
        // What proves a key takes what the node said before: both runs are told what the first one was.
        let mut bytes: Vec<Vec<u8>> = Vec::new();
        let runs = [true, false].map(|each| {
            let mut watch = Watch::new();
            let conn = watch.accept(2);
            let greeting = greeting(&mut watch, conn, peer);
            watch.input(&Input::received(conn, &greeting));
            for (index, said) in steps.iter().enumerate() {
                if each {
                    bytes.push(watch.bytes(conn, std::slice::from_ref(said)));
                }
                watch.step(&Step::Receive { pick: 0, said: vec![Said::Bytes(bytes[index].clone())] });
                if each {
                    watch.drain();
                }
            }
            for _ in 0..50 {
                watch.drain();
                watch.step(&Step::Flush { pick: 0 });
            }
            watch
        });
        prop_assert_eq!(joined(&runs[0].actions), joined(&runs[1].actions));
    }

    /// A recorded run gives the same actions when it is played again.
    #[test]
    fn a_recording_replays(steps in proptest::collection::vec(
        step().prop_filter("inputs alone are recorded", |step| !matches!(step, Step::Say(_) | Step::Connect(_) | Step::Rename(_))),
        0..100,
    )) {
        let watch = run(&steps);
        let text = serde_json::to_string(&watch.record).unwrap();
        let record: Vec<Option<(Instant, Input<'static>)>> = serde_json::from_str(&text).unwrap();
        let mut node = Watch::new().node;
        let mut actions = Vec::new();
        for entry in &record {
            match entry {
                Some((at, input)) => node.handle_input(*at, input.clone()),
                None => actions.extend(std::iter::from_fn(|| node.poll_action())),
            }
        }
        prop_assert_eq!(watch.actions, actions);
    }
}
