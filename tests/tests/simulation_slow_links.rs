//! Links that carry a few kilobits a second: whoever joins over one gets the whole conversation, and is not disconnected.

use std::collections::BTreeMap;
use std::time::Duration;

use proto_core::{Limits, Outcome};

use tests::sim::{Dice, HostId, NetConfig, Transcript, World, address};

const LINES: usize = 1_200;
const NEWCOMER: HostId = 1;

/// How many lines the newcomer was shown.
fn shown(world: &World) -> usize {
    transcripts(world).get(&NEWCOMER).map_or(0, |transcript| transcript.heard.len())
}

/// How often either node lost the other.
fn lost(world: &World) -> usize {
    let changes = transcripts(world).values().flat_map(|transcript| &transcript.changes);
    changes.filter(|(_, _, reason)| reason.is_some()).count()
}

fn transcripts(world: &World) -> &BTreeMap<HostId, Transcript> {
    world.probes.transcripts.as_ref().expect("they are kept")
}

/// Says 1,200 lines, lets a node join over a link of `kbit` kbit/s, and returns how long that takes to show them all. It may
/// take twice as long as the bytes of the lines alone.
fn catch_up(kbit: u64) -> Duration {
    let bandwidth = Some(kbit * 1_000 / 8);
    // More than the drivers let the kernel hold on such a link.
    let config = NetConfig { bandwidth, window: 16 * 1024, ..NetConfig::default() };
    let mut world = World::new(config, Dice::new(kbit));
    world.probes.transcripts = Some(BTreeMap::new());
    for host in 0..2 {
        world.add_host(Limits::default());
        world.host_mut(host).targets = (0..host).map(address).collect();
    }
    world.start(0, true);
    for n in 0..LINES {
        let text = format!("line {n:04} of the backlog, with as many words as people write in one message");
        assert!(matches!(world.say(0, &text), Ok(Outcome::Said(_))), "line {n}");
        world.run_for(Duration::from_millis(200));
    }
    world.start(NEWCOMER, true);
    let begin = world.now();
    // A line takes about 450 bytes on the wire.
    let most = Duration::from_secs(2 * LINES as u64 * 450 * 8 / (kbit * 1_000));
    while shown(&world) < LINES && Duration::from_nanos(world.now() - begin) < most {
        world.run_for(Duration::from_secs(1));
    }
    let took = Duration::from_nanos(world.now() - begin);
    assert_eq!((shown(&world), lost(&world)), (LINES, 0), "{kbit} kbit/s, {took:?}");
    let texts = transcripts(&world)[&NEWCOMER].heard.iter().map(|(_, text)| text);
    assert!(texts.is_sorted_by(|one, next| one < next), "each once, and in order");
    took
}

#[test]
fn a_backlog_comes_over_a_link_of_8_24_or_48_kbit_a_second_and_nobody_is_disconnected() {
    for kbit in [8, 24, 48] {
        let took = catch_up(kbit);
        println!("{LINES} lines at {kbit} kbit/s: {} s", took.as_secs());
    }
}
