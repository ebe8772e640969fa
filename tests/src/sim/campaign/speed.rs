//! How much simulated time a second of real time is worth.

use std::time::{Duration, Instant};

use super::{Steady, mean_degree, table};
use crate::sim::Dice;

/// Measures a network, idle and with one message a second.
pub fn run(network: &Steady, seed: u64) -> String {
    let start = Instant::now();
    let mut world = network.build(seed);
    world.probes.meter = None;
    let built = (start.elapsed(), world.now());
    let mut dice = Dice::new(seed);
    let live = world.live();
    let mut rows = vec![row("joining", network.nodes, Duration::from_nanos(built.1), built.0, world.events)];
    for (what, talk) in [("idle", false), ("one message a second", true)] {
        const TIME: u32 = 60;
        let (start, before) = (Instant::now(), world.events);
        for second in 0..TIME {
            if talk && let Some(host) = dice.pick(&live) {
                // A message that is refused is not measured, and does no harm.
                let _ = world.say(*host, &format!("second {second}"));
            }
            world.run_for(Duration::from_secs(1));
        }
        let time = Duration::from_secs(u64::from(TIME));
        rows.push(row(what, network.nodes, time, start.elapsed(), world.events - before));
    }
    let head = ["", "simulated, s", "real, s", "node-seconds a second", "events a second"];
    format!("{} nodes, degree {:.1}\n\n{}", network.nodes, mean_degree(&world), table(&head, &rows))
}

fn row(what: &str, nodes: u32, simulated: Duration, real: Duration, events: u64) -> Vec<String> {
    let real = real.as_secs_f64().max(1e-9);
    let simulated = simulated.as_secs_f64();
    vec![
        what.to_owned(),
        format!("{simulated:.0}"),
        format!("{real:.1}"),
        format!("{:.0}", simulated * f64::from(nodes) / real),
        format!("{:.0}", events as f64 / real),
    ]
}
