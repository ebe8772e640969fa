//! How often each entry arrives at a node, and over how many links: the measures of Plumtree (SRDS 2007), which others
//! print for their networks too.

use std::sync::Arc;
use std::time::{Duration, Instant};

use proto_core::{Entry, Outcome};

use super::{Steady, each, mean, mean_degree, shown, table};
use crate::sim::measure::{Frames, Meter};
use crate::sim::{Dice, World, nanos};

/// What is measured.
#[derive(Clone, Debug)]
pub struct Options {
    /// The network.
    pub network: Steady,
    /// Somebody else speaks in each round.
    pub random_senders: bool,
    /// How many rounds.
    pub rounds: u32,
    /// How many networks.
    pub seeds: u64,
    /// How many threads.
    pub jobs: usize,
}

/// What came out of one network.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// Copies that a node received of an entry, less one; the mean of the rounds.
    pub redundancy: f64,
    /// Links on the longest way of a first arrival, likewise.
    pub last_hop: f64,
    /// Seconds until the last node showed it, likewise; of the rounds in which all did.
    pub last_shown: Option<f64>,
    /// Rounds in which a node did not show it within the round.
    pub incomplete: u32,
    /// Control frames and bytes that a node received each second while nothing was said.
    pub idle: (f64, f64),
    /// The same while something was said each round.
    pub busy: (f64, f64),
    /// Links of a node.
    pub degree: f64,
    /// Frames that arrived while something was said, by their kind.
    pub frames: Frames,
}

/// How long a round lasts.
const ROUND: Duration = Duration::from_secs(5);

/// How long nothing is said before the first round.
const IDLE: Duration = Duration::from_secs(30);

/// Measures one network.
pub fn measure(options: &Options, seed: u64) -> Measured {
    let mut world = options.network.build(seed);
    let mut dice = Dice::new(!seed);
    let nodes = world.live().len();
    take_frames(&mut world);
    world.run_for(IDLE);
    let mut measured = Measured {
        idle: per_node_second(&take_frames(&mut world), nodes, IDLE),
        degree: mean_degree(&world),
        ..Measured::default()
    };
    let live = world.live();
    let mut sender = dice.index(live.len());
    let mut rounds = Vec::new();
    for round in 0..options.rounds {
        if options.random_senders {
            sender = dice.index(live.len());
        }
        let said = world.say(live[sender], &format!("round {round}"));
        let entries = if let Ok(Outcome::Said(entries)) = said { entries } else { Vec::new() };
        world.run_for(ROUND);
        rounds.extend(entries);
    }
    measured.frames = take_frames(&mut world);
    measured.busy = per_node_second(&measured.frames, nodes, ROUND * options.rounds);
    summarize(&world, &rounds, nodes, &mut measured);
    measured
}

fn summarize(world: &World, rounds: &[Arc<Entry>], nodes: usize, measured: &mut Measured) {
    let meter = world.probes.meter.as_ref();
    let spreads: Vec<_> = rounds.iter().filter_map(|entry| meter?.spread(entry)).collect();
    measured.redundancy = mean(spreads.iter().map(|spread| spread.redundancy(nodes))).unwrap_or(f64::NAN);
    measured.last_hop = mean(spreads.iter().map(|spread| f64::from(spread.last_hop()))).unwrap_or(f64::NAN);
    let times = spreads.iter().map(|spread| spread.time_to_reach(nodes - 1));
    let in_time: Vec<_> = times.flatten().filter(|time| *time <= nanos(ROUND)).collect();
    measured.incomplete = (spreads.len() - in_time.len()) as u32;
    measured.last_shown = mean(in_time.iter().map(|time| *time as f64 / 1e9));
}

fn take_frames(world: &mut World) -> Frames {
    world.probes.meter.as_mut().map(Meter::take_frames).unwrap_or_default()
}

fn per_node_second(frames: &Frames, nodes: usize, time: Duration) -> (f64, f64) {
    let (frames, bytes) = frames.control();
    let share = nodes as f64 * time.as_secs_f64();
    (frames as f64 / share, bytes as f64 / share)
}

/// Measures some networks, and says how they did.
pub fn run(options: &Options) -> String {
    let seeds: Vec<_> = (0..options.seeds).collect();
    let mut all = Vec::new();
    let start = Instant::now();
    each(
        options.jobs,
        &seeds,
        |seed| measure(options, *seed),
        |seed, measured| {
            let passed = start.elapsed().as_secs();
            eprintln!("seed {seed} after {passed} s: {measured:?}");
            all.push(measured);
        },
    );
    let of = |get: fn(&Measured) -> f64| shown(mean(all.iter().map(get)), 2);
    let row = vec![
        options.network.nodes.to_string(),
        if options.random_senders { "random" } else { "one" }.to_owned(),
        of(|it| it.redundancy),
        of(|it| it.last_hop),
        shown(mean(all.iter().filter_map(|it| it.last_shown)), 2),
        all.iter().map(|it| it.incomplete).sum::<u32>().to_string(),
        format!("{} / {}", of(|it| it.idle.0), of(|it| it.idle.1)),
        format!("{} / {}", of(|it| it.busy.0), of(|it| it.busy.1)),
        of(|it| it.degree),
    ];
    let head = [
        "nodes",
        "sender",
        "redundancy",
        "last hop",
        "last shown, s",
        "rounds not complete",
        "idle: control frames / bytes a node and second",
        "busy",
        "degree",
    ];
    table(&head, &[row])
}
