//! Nodes do what they did when the digests in `tests/digests` were made.

use std::path::Path;
use std::time::Duration;

use proto_core::{Action, ConnId, Limits};
use tests::sim::campaign::digests::{Digests, make};
use tests::sim::digest::Digest;
use tests::sim::{Dice, HostId, NetConfig, Tamper, World};

/// How many seeds of each file are run here. The commands in the files run all of them.
const SEEDS: usize = 7;

fn kept(file: &str) -> Digests {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("digests").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let digests = Digests::read(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
    let seeds = &digests.made_by.seeds;
    assert!(digests.by_seed.keys().copied().eq(seeds.clone()), "{file} has other seeds than its command");
    assert_eq!(digests.by_seed.len(), 100, "{file}");
    // A file that was edited by hand is not what its command writes.
    assert_eq!(digests.to_string(), text, "{file}");
    digests
}

/// Runs some seeds from all over the file.
fn check(file: &str, is_of_its_kind: impl Fn(&Digests) -> bool) {
    let kept = kept(file);
    assert!(is_of_its_kind(&kept), "{file}: {}", kept.made_by);
    let all: Vec<_> = kept.by_seed.keys().copied().collect();
    let seeds: Vec<_> = all.iter().copied().step_by(all.len().div_ceil(SEEDS)).collect();
    assert_eq!(seeds.len(), SEEDS);
    let mut broken = Vec::new();
    let got = make(&seeds, &kept.made_by.networks, &Limits::default(), 2, |seed, outcome| {
        broken.extend(outcome.breach.as_ref().map(|breach| format!("seed {seed}: {breach}")));
        let version1 = outcome.tally.get("version 1").copied().unwrap_or_default();
        assert!(version1 > 0 || !kept.made_by.networks.always_version1, "seed {seed} has no version 1 node");
    });
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    let differences: Vec<_> = kept.differences(&got).into_values().collect();
    assert!(differences.is_empty(), "tests/digests/{file}:\n{}", differences.join("\n"));
}

#[test]
fn networks_under_every_fault() {
    check("faults.txt", |kept| {
        let networks = &kept.made_by.networks;
        !(networks.no_faults || networks.no_hostile || networks.no_version1 || networks.cramped)
    });
}

#[test]
fn networks_with_version_1_nodes() {
    check("version1.txt", |kept| kept.made_by.networks.always_version1);
}

#[test]
fn nodes_with_next_to_no_room() {
    check("cramped.txt", |kept| kept.made_by.networks.cramped);
}

type Change = fn(ConnId, Vec<u8>) -> Vec<(ConnId, Vec<u8>)>;

/// Changes one of the writes of one node, as those see it who watch.
struct Changed {
    host: HostId,
    writes: u64,
    change: Option<(u64, Change)>,
}

impl Tamper for Changed {
    fn action(&mut self, host: HostId, action: Action, seen: &mut Vec<Action>) {
        match action {
            Action::SendFrame { conn, bytes } if host == self.host => {
                let change = self.change.filter(|(number, _)| *number == self.writes);
                let writes = match change {
                    Some((_, change)) => change(conn, bytes),
                    None => vec![(conn, bytes)],
                };
                seen.extend(writes.into_iter().map(|(conn, bytes)| Action::SendFrame { conn, bytes }));
                self.writes += 1;
            }
            other => seen.push(other),
        }
    }
}

/// The digest of three nodes that talk for a while, and how many events there were.
fn talk(change: Option<(u64, Change)>) -> (String, u64) {
    let mut world = World::new(NetConfig::default(), Dice::new(1));
    world.probes.digest = Some(Digest::default());
    world.probes.tamper = Some(Box::new(Changed { host: 1, writes: 0, change }));
    for host in 0..3 {
        world.add_node(Limits::default(), 0..host);
    }
    for host in 0..3 {
        world.run_for(Duration::from_secs(5));
        world.say(host, &format!("a line of host {host}")).unwrap();
    }
    world.run_for(Duration::from_secs(5));
    (world.probes.digest.as_ref().unwrap().hex(), world.events)
}

#[test]
fn one_byte_of_one_node_changes_the_digest() {
    let (unchanged, events) = talk(None);
    assert_eq!(talk(None), (unchanged.clone(), events));
    let changes: [Change; 4] = [
        |_, _| Vec::new(),
        |conn, bytes| vec![(conn, bytes.clone()), (conn, bytes)],
        |conn, bytes| vec![(ConnId(conn.0 + 1), bytes)],
        |conn, mut bytes| {
            *bytes.last_mut().unwrap() ^= 1;
            vec![(conn, bytes)]
        },
    ];
    for number in [0, 1, 5, 20] {
        for change in changes {
            let (digest, same_events) = talk(Some((number, change)));
            assert_eq!(same_events, events, "what is seen is not what is done");
            assert_ne!(digest, unchanged, "write {number}");
        }
    }
}
