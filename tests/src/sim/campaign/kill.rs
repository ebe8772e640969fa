//! What is left of the conversation when most nodes vanish at once: the experiment of HyParView (DSN 2007, figure on
//! reliability after failures).

use std::sync::Arc;
use std::time::{Duration, Instant};

use proto_core::{Entry, Outcome};

use super::{Steady, each, shown, table};
use crate::sim::{Dice, HostId, World, nanos};

/// What is measured.
#[derive(Clone, Debug)]
pub struct Options {
    /// The network.
    pub network: Steady,
    /// How many of a hundred nodes are killed.
    pub shares: Vec<u32>,
    /// Of the network.
    pub seed: u64,
    /// How many threads.
    pub jobs: usize,
}

/// When something is said, in seconds after the blow.
const SAID: [u64; 6] = [0, 1, 2, 5, 10, 20];

/// How long is waited for the last.
const WAIT: Duration = Duration::from_secs(40);

/// What became of one message.
#[derive(Clone, Debug)]
pub struct Message {
    /// When it was said, in seconds after the blow.
    pub said: u64,
    /// Which share of the survivors had shown it after one second, and after 15.
    pub reached: [f64; 2],
    /// Seconds until all survivors had; none if they had not in the end.
    pub all: Option<f64>,
}

/// Kills a share of a network, and lets survivors speak.
pub fn measure(options: &Options, share: u32) -> Vec<Message> {
    let mut world = options.network.build(options.seed);
    let mut dice = Dice::new(u64::from(share));
    let mut hosts = world.live();
    dice.shuffle(&mut hosts);
    let killed = hosts.len() * share as usize / 100;
    for host in &hosts[..killed] {
        world.stop(*host, true);
    }
    let survivors = &hosts[killed..];
    let blow = world.now();
    let mut entries = Vec::new();
    for said in SAID {
        world.run_to(blow + nanos(Duration::from_secs(said)));
        entries.extend(speak(&mut world, survivors, &mut dice).map(|entry| (said, entry)));
    }
    world.run_for(WAIT);
    entries.iter().map(|(said, entry)| judge(&world, survivors, *said, entry)).collect()
}

fn speak(world: &mut World, survivors: &[HostId], dice: &mut Dice) -> Option<Arc<Entry>> {
    let host = *dice.pick(survivors)?;
    let Ok(Outcome::Said(entries)) = world.say(host, "is anybody left?") else { return None };
    entries.into_iter().next()
}

fn judge(world: &World, survivors: &[HostId], said: u64, entry: &Entry) -> Message {
    let spread = world.probes.meter.as_ref().and_then(|meter| meter.spread(entry));
    let times = || spread.into_iter().flat_map(|spread| spread.shown.values().map(|at| at - spread.said));
    let others = survivors.len().saturating_sub(1).max(1) as f64;
    let within = |time: Duration| times().filter(|passed| *passed <= nanos(time)).count() as f64 / others;
    let reached = [1, 15].map(|seconds| within(Duration::from_secs(seconds)));
    let last = spread.and_then(|spread| spread.time_to_reach(survivors.len().saturating_sub(1)));
    Message { said, reached, all: last.map(|time| time as f64 / 1e9) }
}

/// Measures, and says how it went.
pub fn run(options: &Options) -> String {
    let mut rows = Vec::new();
    let start = Instant::now();
    each(
        options.jobs,
        &options.shares,
        |share| measure(options, *share),
        |share, messages| {
            eprintln!("{share} % after {} s: {messages:?}", start.elapsed().as_secs());
            let mut row = vec![format!("{share} %")];
            for message in &messages {
                let percent = message.reached.map(|share| format!("{:.2}", share * 100.0)).join(" / ");
                row.push(format!("{percent} / {}", shown(message.all, 1)));
            }
            rows.push((*share, row));
        },
    );
    rows.sort();
    let heads: Vec<_> = SAID.iter().map(|said| format!("said after {said} s")).collect();
    let mut head = vec!["killed"];
    head.extend(heads.iter().map(String::as_str));
    let rows: Vec<_> = rows.into_iter().map(|(_, row)| row).collect();
    table(&head, &rows)
        + "\nEach: % of the survivors that had shown it after 1 s / after 15 s / seconds until all had.\n"
}
