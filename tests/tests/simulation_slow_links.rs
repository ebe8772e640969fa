//! Links that carry a few kilobits a second: whoever joins over one gets the whole conversation, and is not disconnected.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proto_core::{Action, Limits, Message, Outcome};

use tests::sim::{Dice, HostId, NetConfig, Tamper, World, address};

const LINES: usize = 1_200;
const NEWCOMER: HostId = 1;

/// What the newcomer was shown, and how often either node lost the other.
#[derive(Default)]
struct Watch {
    shown: Arc<Mutex<Vec<String>>>,
    lost: Arc<AtomicUsize>,
}

impl Tamper for Watch {
    fn action(&mut self, host: HostId, action: Action, seen: &mut Vec<Action>) {
        match &action {
            Action::Deliver(Message::Entry { entry, .. }) if host == NEWCOMER => {
                self.shown.lock().unwrap().extend(entry.texts().iter().map(|text| text.as_str().to_owned()));
            }
            Action::UnregisterPeer { .. } => _ = self.lost.fetch_add(1, Ordering::Relaxed),
            _ => {}
        }
        seen.push(action);
    }
}

/// Says 1,200 lines, lets a node join over a link of `kbit` kbit/s, and returns how long that takes to show them all. It may
/// take twice as long as the bytes of the lines alone.
fn catch_up(kbit: u64) -> Duration {
    let bandwidth = Some(kbit * 1_000 / 8);
    // More than the drivers let the kernel hold on such a link.
    let config = NetConfig { bandwidth, window: 16 * 1024, ..NetConfig::default() };
    let mut world = World::new(config, Dice::new(kbit));
    let watch = Watch::default();
    let (shown, lost) = (watch.shown.clone(), watch.lost.clone());
    world.probes.tamper = Some(Box::new(watch));
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
    while shown.lock().unwrap().len() < LINES && Duration::from_nanos(world.now() - begin) < most {
        world.run_for(Duration::from_secs(1));
    }
    let shown = shown.lock().unwrap();
    let took = Duration::from_nanos(world.now() - begin);
    assert_eq!((shown.len(), lost.load(Ordering::Relaxed)), (LINES, 0), "{kbit} kbit/s, {took:?}");
    assert!(shown.is_sorted_by(|one, next| one < next), "each once, and in order");
    took
}

#[test]
fn a_backlog_comes_over_a_link_of_8_24_or_48_kbit_a_second_and_nobody_is_disconnected() {
    for kbit in [8, 24, 48] {
        let took = catch_up(kbit);
        println!("{LINES} lines at {kbit} kbit/s: {} s", took.as_secs());
    }
}
