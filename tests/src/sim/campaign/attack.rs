//! Many against some: the attacks that the evaluation of gossipsub v1.1 makes (Vyzovitis et al., 2020), as far as they
//! apply, and the root's place taken.
//!
//! A sybil is a node as it is shipped, so that it does all else right, with a filter that drops or changes what it sends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proto_core::{Entry, Outcome};
use serde_json::json;

use super::{Steady, each, shown, table};
use crate::sim::hostile::Keys;
use crate::sim::{Dice, Filter, HostId, Nanos, World, nanos};

/// An attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// All sybils crowd around one node, which is to hear nothing.
    EclipseOne,
    /// All sybils crowd around the one that speaks, which is not to be heard.
    EclipsePublisher,
    /// Sybils everywhere drop what one author says.
    Censor,
    /// Sybils, who drop everything, come before and among the honest ones.
    ColdBoot,
    /// Sybils do all right for a while, and then all at once drop everything.
    CovertFlash,
    /// A sybil whose key ranks first is the root, and all drop everything.
    Root,
}

/// What is measured.
#[derive(Clone, Debug)]
pub struct Options {
    /// The honest nodes.
    pub network: Steady,
    /// How many sybils.
    pub sybils: u32,
    /// What they do.
    pub kinds: Vec<Kind>,
    /// Of the network.
    pub seed: u64,
    /// How many threads.
    pub jobs: usize,
}

/// How many messages are said, one a second.
const MESSAGES: u64 = 60;

/// How long the sybils have to get where they want to be.
const SIEGE: Duration = Duration::from_secs(60);

/// The honest node that is looked at most.
const VICTIM: HostId = 0;

/// What became of the messages of honest nodes.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// How many were said.
    pub said: usize,
    /// How many all honest nodes had shown within six seconds.
    pub in_time: usize,
    /// Of all pairs of a message and an honest node, those that never met.
    pub never: usize,
    /// Seconds until an honest node showed a message: the median, the 99th of a hundred and the longest.
    pub times: [f64; 3],
    /// Of the victim's peers, those that are sybils.
    pub around_victim: (usize, usize),
}

/// Makes one attack.
pub fn measure(options: &Options, kind: Kind) -> Measured {
    let mut dice = Dice::new(options.seed ^ kind as u64);
    let mut siege = Siege::new(options, kind, &mut dice);
    let mut entries = Vec::new();
    let start = siege.world.now();
    for message in 0..MESSAGES {
        siege.world.run_to(start + nanos(Duration::from_secs(message)));
        let speaks_itself = matches!(kind, Kind::EclipsePublisher | Kind::Censor);
        let host = if speaks_itself { VICTIM } else { *dice.pick(&siege.honest).unwrap_or(&VICTIM) };
        if let Ok(Outcome::Said(said)) = siege.world.say(host, &format!("message {message}")) {
            entries.extend(said);
        }
    }
    siege.world.run_for(Duration::from_secs(60));
    siege.judge(&entries)
}

struct Siege {
    world: World,
    honest: Vec<HostId>,
}

impl Siege {
    fn new(options: &Options, kind: Kind, dice: &mut Dice) -> Self {
        let mut siege = if kind == Kind::ColdBoot {
            Self::cold_boot(options, dice)
        } else {
            let world = options.network.build(options.seed);
            let honest = world.live();
            let mut siege = Self { world, honest };
            siege.besiege(options, kind, dice);
            siege
        };
        siege.world.run_for(SIEGE);
        siege
    }

    /// Everybody comes at once; the sybils are four of five.
    fn cold_boot(options: &Options, dice: &mut Dice) -> Self {
        let steady = Steady { nodes: 0, settle: Duration::ZERO, ..options.network.clone() };
        let mut siege = Self { world: steady.build(options.seed), honest: Vec::new() };
        let (honest, sybils) = (options.network.nodes, options.sybils);
        let addrs: Vec<_> = (0..honest + sybils).map(crate::sim::address).collect();
        for host in 0..honest + sybils {
            // The first is honest: somebody has to be known to those who come.
            if u64::from(host) * u64::from(honest) % u64::from(honest + sybils) < u64::from(honest) {
                // Users know each other, not the sybils.
                let host = steady.join_by(&mut siege.world, dice, &siege.honest);
                siege.honest.push(host);
            } else {
                let contact = dice.pick(&siege.honest).copied().unwrap_or(VICTIM);
                siege.sybil(options, vec![contact], Mute::all(&addrs), None);
            }
            siege.world.run_for(Duration::from_millis(10));
        }
        siege
    }

    fn besiege(&mut self, options: &Options, kind: Kind, dice: &mut Dice) {
        let first = self.world.hosts().len() as HostId;
        let addrs: Vec<_> = (first..first + options.sybils).map(crate::sim::address).collect();
        let victim_key = self.world.host(VICTIM).key().to_string();
        let flash = self.world.now() + nanos(SIEGE + Duration::from_millis(u64::from(options.sybils) * 10));
        for index in 0..options.sybils {
            let contacts = match kind {
                Kind::EclipseOne | Kind::EclipsePublisher => vec![VICTIM],
                _ => (0..3).filter_map(|_| dice.pick(&self.honest).copied()).collect(),
            };
            let mute = match kind {
                Kind::Censor => Mute { author: Some(victim_key.clone()), ..Mute::all(&[]) },
                Kind::CovertFlash => Mute { from: flash, ..Mute::all(&[]) },
                _ => Mute::all(&addrs),
            };
            let secret = (kind == Kind::Root && index == 0).then(|| {
                let unix_ms = self.world.unix_ms() + 60_000;
                Keys::secret_of_low_rank(unix_ms, 20_000, dice)
            });
            self.sybil(options, contacts, mute, secret);
            self.world.run_for(Duration::from_millis(10));
        }
    }

    fn sybil(&mut self, options: &Options, contacts: Vec<HostId>, mute: Mute, secret: Option<[u8; 32]>) {
        // It bears with the other sybils, and with all that befalls it.
        let limits = options.network.limits.clone().with(|limits| limits.chat.syncs_ignored = usize::MAX);
        let host = self.world.add_host(limits);
        let mut targets: Vec<_> = contacts.into_iter().map(|contact| self.world.host(contact).addr).collect();
        targets.sort_unstable();
        targets.dedup();
        self.world.host_mut(host).targets = targets;
        if let Some(secret) = secret {
            self.world.host_mut(host).set_secret(secret);
        }
        self.world.corrupt(host, Box::new(mute));
        self.world.start(host, true);
    }

    fn judge(&self, entries: &[Arc<Entry>]) -> Measured {
        let mut measured = Measured { said: entries.len(), ..Measured::default() };
        let mut times = Vec::new();
        for entry in entries {
            let Some(spread) = self.world.probes.meter.as_ref().and_then(|meter| meter.spread(entry)) else {
                continue;
            };
            let others = self.honest.iter().filter(|host| **host != spread.author);
            let took: Vec<_> =
                others.map(|host| spread.shown.get(host).map(|at| (at - spread.said) as f64 / 1e9)).collect();
            measured.never += took.iter().filter(|time| time.is_none()).count();
            measured.in_time += usize::from(took.iter().all(|time| time.is_some_and(|time| time <= 6.0)));
            times.extend(took.into_iter().flatten());
        }
        times.sort_by(f64::total_cmp);
        let at = |share: usize| times.get(times.len().saturating_sub(1) * share / 100).copied();
        measured.times = [50, 99, 100].map(|share| at(share).unwrap_or(f64::NAN));
        if let Some(node) = self.world.host(VICTIM).node() {
            let honest: Vec<_> = self.honest.iter().map(|host| self.world.host(*host).key()).collect();
            let sybils = node.peers().filter(|peer| peer.key.is_none_or(|key| !honest.contains(&key)));
            measured.around_victim = (sybils.count(), node.peers().count());
        }
        measured
    }
}

/// Keeps a node's mouth shut.
struct Mute {
    /// Only what this author says, whose key is written so.
    author: Option<String>,
    /// Not before that.
    from: Nanos,
    /// What `PEERS` is replaced by.
    peers: Option<Vec<u8>>,
}

impl Mute {
    /// Drops everything, and tells of these alone.
    fn all(addrs: &[SocketAddr]) -> Self {
        let records = addrs.iter().step_by((addrs.len() / 32).max(1)).take(32).map(|addr| {
            json!({"listen_addr": addr, "node_id": null, "uname": "sybil", "remote_addr": addr}).to_string()
        });
        let records: Vec<_> = records.collect();
        let peers = (!records.is_empty()).then(|| format!("PEERS|{}\n", records.join(";")).into_bytes());
        Self { author: None, from: 0, peers }
    }
}

impl Filter for Mute {
    fn outgoing(&mut self, now: Nanos, line: &[u8], out: &mut Vec<u8>) {
        let is = |kind: &[u8]| line.starts_with(kind);
        let muted = match &self.author {
            _ if now < self.from => false,
            // What is announced and never comes is worse than what is not announced.
            Some(author) => is(b"CHAT|") && memchr::memmem::find(line, author.as_bytes()).is_some(),
            None => is(b"CHAT|") || is(b"IHAVE|") || is(b"SYNC|"),
        };
        match &self.peers {
            Some(peers) if is(b"PEERS|") => out.extend_from_slice(peers),
            _ if muted => {}
            _ => out.extend_from_slice(line),
        }
    }
}

/// Makes attacks, and says how they went.
pub fn run(options: &Options) -> String {
    let mut rows = Vec::new();
    let start = Instant::now();
    each(
        options.jobs,
        &options.kinds,
        |kind| measure(options, *kind),
        |kind, measured| {
            eprintln!("{kind:?} after {} s: {measured:?}", start.elapsed().as_secs());
            let [median, most, last] = measured.times.map(|time| shown(Some(time), 2));
            rows.push(vec![
                format!("{kind:?}"),
                format!("{} of {}", measured.in_time, measured.said),
                measured.never.to_string(),
                format!("{median} / {most} / {last}"),
                format!("{} of {}", measured.around_victim.0, measured.around_victim.1),
            ]);
        },
    );
    rows.sort();
    let head = [
        "attack",
        "messages at all honest nodes within 6 s",
        "never arrived, message by node",
        "seconds: median / 99 % / longest",
        "sybils around the victim",
    ];
    table(&head, &rows)
}
