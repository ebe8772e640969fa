//! Nodes that agree exchange nothing but reconciliations.

use std::time::Duration;

use super::Run;
use super::population::Odd;
use crate::sim::check::{Breach, Checker, Rule};
use crate::sim::measure::Meter;
use crate::sim::{World, nanos};

/// Until all that was said last has come to everybody, and each neighbour was asked in vain for holes that nobody can fill.
/// A node asks when it reconciles: with a neighbour at random each 30 s (SPEC 9.6.3). So one of eleven is left out for 2 h once
/// in three billion times.
const SETTLED: Duration = Duration::from_secs(7_200);
/// In this time each pair of neighbours reconciles once at least.
const SILENT: Duration = Duration::from_secs(100);

/// Networks of so many hosts keep their links. In larger ones new neighbours are asked for holes that nobody can fill.
const STEADY: usize = 12;

/// Of the runs in which it is looked at, since it takes as long as all else.
const SHARE: f64 = 0.25;

/// Frames about entries.
const WORDS: [&str; 6] = ["CHAT", "IHAVE", "GRAFT", "LACK", "RANGE", "HELD"];

impl Run {
    /// Whether the network falls silent now that nobody says anything. It need not while an attacker is there, or where
    /// clocks were wrong: what is dated ahead comes later.
    pub(super) fn falls_silent(&mut self) -> bool {
        let mut hostile = self.odd.iter().filter(|(_, odd)| **odd != Odd::Version1);
        let attacked = hostile.any(|(host, _)| self.world.host(*host).is_up());
        let few = self.world.hosts().len() <= STEADY;
        let right = self.world.probes.check.as_ref().is_some_and(Checker::clocks_were_right);
        if !few || attacked || !right || !self.dice.chance(SHARE) {
            return true;
        }
        let end = self.world.now() + nanos(SETTLED);
        loop {
            match is_silent(&mut self.world) {
                Ok(()) => break,
                Err(breach) if self.world.now() >= end => {
                    self.breach = Some(breach);
                    return false;
                }
                Err(_) => {}
            }
        }
        self.silent += 1;
        self.world.probes.check.as_ref().is_none_or(|check| !check.has_breach())
    }
}

/// Whether nothing is said about entries for some time.
pub fn is_silent(world: &mut World) -> Result<(), Breach> {
    world.probes.meter = Some(Meter::default());
    world.run_for(SILENT);
    let meter = world.probes.meter.take();
    let kinds = meter.map(|mut meter| meter.take_frames().kinds).unwrap_or_default();
    match kinds.iter().find(|(word, _)| WORDS.contains(&&***word)) {
        None => Ok(()),
        Some((word, (count, _))) => {
            let what = format!("{count} {word} in {} s without a word", SILENT.as_secs());
            Err(Breach { at: world.now(), rule: Rule::Silent, what })
        }
    }
}
