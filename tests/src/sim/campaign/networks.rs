//! The networks of a campaign as they are given on the command line, and written there again.

use std::fmt;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use clap::Args;
use proto_core::Limits;

use crate::sim::run::Options;

/// All that makes a run what it is, apart from its seed and the limits.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Networks {
    /// Honest nodes, at least and at most.
    #[arg(long, default_value = "3..50", value_parser = inclusive)]
    pub nodes: RangeInclusive<u32>,
    /// How long the chaos lasts, at least and at most, in seconds.
    #[arg(long, default_value = "30..120", value_parser = inclusive)]
    pub chaos: RangeInclusive<u32>,
    /// Nothing goes wrong.
    #[arg(long)]
    pub no_faults: bool,
    /// No hostile peers.
    #[arg(long)]
    pub no_hostile: bool,
    /// A hostile peer does its bad thing of its own accord at most so often: floods take most of the time of a campaign.
    #[arg(long, conflicts_with = "no_hostile")]
    pub acts: Option<u64>,
    /// No version 1 nodes.
    #[arg(long)]
    pub no_version1: bool,
    /// Version 1 nodes in every network, not in a third of them.
    #[arg(long, conflicts_with = "no_version1")]
    pub always_version1: bool,
    /// Nodes have next to no room.
    #[arg(long)]
    pub cramped: bool,
    /// Logs are so small that authors who say much fill them.
    #[arg(long)]
    pub crowded: bool,
    /// Nodes seal their connections with each other in every network, not in half of them.
    #[arg(long)]
    pub sealed: bool,
    /// No connection is sealed.
    #[arg(long, conflicts_with = "sealed")]
    pub clear: bool,
    /// Nodes have stores in every network, not in half of them.
    #[arg(long)]
    pub stores: bool,
    /// No node has a store.
    #[arg(long, conflicts_with = "stores")]
    pub no_stores: bool,
    /// Nodes say that they are here in every network, not in half of them.
    #[arg(long)]
    pub presence: bool,
    /// No node says that it is here.
    #[arg(long, conflicts_with = "presence")]
    pub no_presence: bool,
}

impl Networks {
    /// What such a run is like.
    pub fn options(&self, limits: &Limits) -> Options {
        let seconds = |seconds: &u32| Duration::from_secs(u64::from(*seconds));
        Options {
            nodes: self.nodes.clone(),
            chaos: (seconds(self.chaos.start()), seconds(self.chaos.end())),
            faults: !self.no_faults,
            hostile: !self.no_hostile,
            acts: self.acts,
            version1: !self.no_version1,
            always_version1: self.always_version1,
            cramped: self.cramped,
            crowded: self.crowded,
            sealed: (self.sealed || self.clear).then_some(self.sealed),
            stores: (self.stores || self.no_stores).then_some(self.stores),
            presence: (self.presence || self.no_presence).then_some(self.presence),
            limits: limits.clone(),
            ..Options::default()
        }
    }
}

/// The options of the command line.
impl fmt::Display for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { nodes, chaos, acts, .. } = self;
        write!(f, "--nodes {}..{}", nodes.start(), nodes.end())?;
        write!(f, " --chaos {}..{}", chaos.start(), chaos.end())?;
        if let Some(acts) = acts {
            write!(f, " --acts {acts}")?;
        }
        let flags: [(bool, &str); 12] = [
            (self.no_faults, " --no-faults"),
            (self.no_hostile, " --no-hostile"),
            (self.no_version1, " --no-version1"),
            (self.always_version1, " --always-version1"),
            (self.cramped, " --cramped"),
            (self.crowded, " --crowded"),
            (self.sealed, " --sealed"),
            (self.clear, " --clear"),
            (self.stores, " --stores"),
            (self.no_stores, " --no-stores"),
            (self.presence, " --presence"),
            (self.no_presence, " --no-presence"),
        ];
        flags.into_iter().filter(|(set, _)| *set).try_for_each(|(_, flag)| f.write_str(flag))
    }
}

/// A range of numbers without its end, as in `0..1000`.
pub fn range(text: &str) -> Result<Range<u64>, String> {
    let (start, end) = bounds(text)?;
    Ok(start..end)
}

/// A range of numbers with its end, as in `3..50`.
pub fn inclusive(text: &str) -> Result<RangeInclusive<u32>, String> {
    let (start, end) = bounds(text)?;
    let least = u32::try_from(start).map_err(|error| error.to_string())?;
    let most = u32::try_from(end).map_err(|error| error.to_string())?;
    if least <= most { Ok(least..=most) } else { Err("the first is above the last".to_owned()) }
}

fn bounds(text: &str) -> Result<(u64, u64), String> {
    let (start, end) = text.split_once("..").unwrap_or((text, text));
    let number = |text: &str| text.parse::<u64>().map_err(|error| format!("{text:?}: {error}"));
    Ok((number(start)?, number(end)?))
}
