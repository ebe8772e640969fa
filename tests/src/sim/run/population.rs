//! Who takes part in a run, whom they know, and what network they are on.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::time::Duration;

use proto_core::Limits;

use super::Options;
use crate::sim::hostile::Trick;
use crate::sim::{Dice, HostId, Latency, NetConfig, World};

/// What is no honest node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Odd {
    Version1,
    Hostile(Trick),
}

impl fmt::Display for Odd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version1 => f.write_str("version 1"),
            Self::Hostile(trick) => write!(f, "hostile {trick}"),
        }
    }
}

/// Adds version 1 nodes to a third of all networks unless told otherwise, and hostile peers to half of them: one for four honest at most.
pub(super) fn invite(world: &mut World, dice: &mut Dice, options: &Options) -> BTreeMap<HostId, Odd> {
    let honest = world.hosts().len() as u64;
    let mut odd = Vec::new();
    let share = if options.always_version1 { 1.0 } else { 0.33 };
    if options.version1 && dice.chance(share) {
        odd.extend((0..1 + dice.below(2)).map(|_| Odd::Version1));
    }
    if options.hostile && dice.chance(0.5) {
        let count = 1 + dice.below(honest.div_ceil(4));
        odd.extend((0..count).filter_map(|_| dice.pick(&Trick::ALL).copied()).map(Odd::Hostile));
    }
    let mut hosts = BTreeMap::new();
    for kind in odd {
        let host = world.add_host(options.limits.clone());
        world.host_mut(host).honest = false;
        let known = dice.below(honest) as HostId;
        world.host_mut(host).targets = vec![world.host(known).addr];
        hosts.insert(host, kind);
    }
    hosts
}

/// In a third of all runs the nodes have little room, so that they get to its bounds. It is drawn apart from all else: a run
/// with room is the same whether others have any.
pub(super) fn limits(seed: u64, given: &Limits) -> Option<Limits> {
    let mut dice = Dice::new(seed ^ 0x6c69_6d69_7473);
    if !dice.chance(0.33) {
        return None;
    }
    let mut limits = given.clone();
    let mut confine = |limit: &mut usize, least, most| confine(&mut dice, limit, least..most);
    confine(&mut limits.conns.queue, 128 * 1024, 256 * 1024);
    confine(&mut limits.conns.chunk, 4 * 1024, 64 * 1024);
    limits.conns.queue_hard = limits.conns.queue_hard.min(limits.conns.queue * 2);
    confine(&mut limits.conns.pending, 4, 32);
    confine(&mut limits.mesh.book, 16, 128);
    confine(&mut limits.chat.early, 10, 100);
    limits.chat.early_per_author = limits.chat.early_per_author.min(limits.chat.early / 2);
    confine(&mut limits.chat.log_bytes, 8 << 20, 32 << 20);
    confine(&mut limits.chat.parked_bytes, 8 * 1024, 64 * 1024);
    confine(&mut limits.chat.announced_missing, 32, 256);
    limits.chat.announced_missing_per_link =
        limits.chat.announced_missing_per_link.min(limits.chat.announced_missing / 2);
    confine(&mut limits.chat.requested, 4, 64);
    confine(&mut limits.chat.fetching, 32, 256);
    confine(&mut limits.chat.wanted, 16, 128);
    confine(&mut limits.chat.ranges, 1, 4);
    confine(&mut limits.chat.serving, 64, 512);
    confine(&mut limits.chat.served_queue, 16 * 1024, 128 * 1024);
    confine(&mut limits.chat.seen, 100, 1_000);
    // Three quarters of it are more than all honest nodes that ever run.
    confine(&mut limits.chat.members, 200, 400);
    Some(limits)
}

/// The bytes of a log that one author can fill within a run, at the rate that a key is held to.
pub(super) const CROWDED: usize = 512 << 10;

fn confine(dice: &mut Dice, limit: &mut usize, range: Range<usize>) {
    *limit = (range.start + dice.index(range.len())).min(*limit);
}

/// Nodes that can hold and know next to nothing.
pub(super) fn cramped(seed: u64, given: &Limits) -> Limits {
    let mut dice = Dice::new(seed ^ 0x0063_7261_6d70_6564);
    let mut limits = given.clone();
    let mut confine = |limit: &mut usize, least, most| confine(&mut dice, limit, least..most);
    confine(&mut limits.chat.log_entries, 4, 40);
    confine(&mut limits.chat.log_bytes, limits.wire.line, limits.wire.line * 2);
    confine(&mut limits.chat.evicted, 2, 40);
    confine(&mut limits.chat.floors, 4, 40);
    confine(&mut limits.chat.early, 4, 20);
    limits.chat.early_per_author = limits.chat.early_per_author.min(limits.chat.early / 2);
    confine(&mut limits.chat.authors, 2, 8);
    confine(&mut limits.chat.lanes_per_author, 1, 3);
    confine(&mut limits.chat.epochs_per_author, 1, 3);
    confine(&mut limits.chat.bodiless, 0, 4);
    confine(&mut limits.chat.spared, 0, 8);
    confine(&mut limits.chat.gaps_per_epoch, 1, 4);
    confine(&mut limits.chat.names, 1, 8);
    confine(&mut limits.chat.names_per_author, 1, 2);
    confine(&mut limits.chat.parked_bytes, 2 * 1024, 16 * 1024);
    confine(&mut limits.chat.authors_bytes, 16 * 1024, 32 * 1024);
    confine(&mut limits.chat.seen, 8, 80);
    confine(&mut limits.chat.announced, 2, 16);
    confine(&mut limits.chat.announcers, 1, 3);
    confine(&mut limits.chat.announced_missing, 4, 32);
    limits.chat.announced_missing_per_link =
        limits.chat.announced_missing_per_link.min(limits.chat.announced_missing / 2);
    confine(&mut limits.chat.requested, 1, 8);
    confine(&mut limits.chat.fetching, 4, 32);
    confine(&mut limits.chat.tips_bytes, 8 * 512, 80 * 512);
    confine(&mut limits.chat.tips_per_author, 1, 8);
    confine(&mut limits.chat.wanted, 2, 16);
    confine(&mut limits.chat.ranges, 1, 2);
    confine(&mut limits.chat.serving, 2, 16);
    confine(&mut limits.chat.served_queue, 1_024, 16 * 1024);
    limits.chat.range_first = 1 + seed % 4;
    limits.chat.range_most = limits.chat.range_first * (1 + seed % 3);
    confine(&mut limits.chat.syncs, 1, 2);
    confine(&mut limits.conns.malformed, 2, 8);
    confine(&mut limits.mesh.banned, 1, 3);
    confine(&mut limits.mesh.budgets, 1, 8);
    confine(&mut limits.conns.pending, 2, 8);
    confine(&mut limits.mesh.degree_high, 5, 9);
    confine(&mut limits.conns.slots, limits.mesh.degree_high + 4, limits.mesh.degree_high + 8);
    confine(&mut limits.v1.lines, 2, 20);
    confine(&mut limits.v1.waiting, 1, 6);
    confine(&mut limits.v1.waiting_bytes, 64, 1024);
    confine(&mut limits.v1.linked, 1, 6);
    confine(&mut limits.chat.spans, 4, 64);
    confine(&mut limits.chat.uncommitted, 1_024, 16 * 1_024);
    confine(&mut limits.chat.uncommitted_own, 4 * 1_024, 64 * 1_024);
    confine(&mut limits.chat.loads, 1, 3);
    confine(&mut limits.chat.load_bytes, 512, 4_096);
    confine(&mut limits.chat.members, 4, 40);
    (limits.mesh.degree_target, limits.mesh.degree_low) =
        (limits.mesh.degree_high - 2, limits.mesh.degree_high - 3);
    (limits.mesh.degree_outbound, limits.conns.slots_reserved) = (2, 2);
    limits
}

pub(super) fn net_config(dice: &mut Dice) -> NetConfig {
    let ms = Duration::from_millis;
    let latency = match dice.below(3) {
        0 => Latency::Constant(ms(dice.below(100))),
        1 => Latency::Uniform(ms(1), ms(2 + dice.below(200))),
        _ => Latency::Exponential(ms(1 + dice.below(100))),
    };
    let sometimes = |dice: &mut Dice, share: f64| dice.chance(share).then(|| dice.share());
    NetConfig {
        latency,
        jitter: sometimes(dice, 0.5).map_or(Duration::ZERO, |share| ms(50).mul_f64(share)),
        split: sometimes(dice, 0.5).map_or(0.0, |share| share / 2.0),
        window: (16 * 1024) << dice.below(5),
        flush: sometimes(dice, 0.5).map(|share| ms(5).mul_f64(share)),
        bandwidth: sometimes(dice, 0.3).map(|share| 20_000 + (share * 400_000.0) as u64),
        ..NetConfig::default()
    }
}

/// Users tell their nodes whom to dial: all the first, each the one before, or each one of those before.
pub(super) fn introduce(world: &mut World, dice: &mut Dice) {
    let style = dice.below(3);
    for host in 1..world.hosts().len() as HostId {
        let known = match style {
            0 => 0,
            1 => host - 1,
            _ => dice.below(u64::from(host)) as HostId,
        };
        world.host_mut(host).targets = vec![world.host(known).addr];
    }
}
