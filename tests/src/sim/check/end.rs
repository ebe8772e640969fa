//! What has to hold at the end of a run.

use std::collections::{BTreeMap, BTreeSet};

use proto_core::{EntryId, Node, Place};

use super::{Breach, Checker, Rule, fairness, forks, parts};
use crate::sim::{HostId, World};

impl Checker {
    /// What has to hold at the end, when all has been calm for long enough.
    pub fn end(&self, world: &World) -> Result<(), Breach> {
        let breach = |rule, what| Err(Breach { at: world.now(), rule, what });
        let live = world.live();
        let parts = parts(world, &live);
        if parts.len() > 1 {
            return breach(Rule::OneNetwork, format!("the parts {parts:?} do not know each other"));
        }
        if self.shares {
            self.fair(world, &live).or_else(|what| breach(Rule::Fair, what))?;
        }
        if self.forgiving {
            return Ok(());
        }
        self.same_view(world, &live).or_else(|what| breach(Rule::SameView, what))
    }

    /// Whether no node has dropped what an honest author said for the sake of one that holds far more.
    fn fair(&self, world: &World, live: &[HostId]) -> Result<(), String> {
        for host in live {
            let (Some(node), Some(view)) = (world.host(*host).node(), self.views.get(host)) else { continue };
            let honest = view.conversation.iter().map(|(place, id)| (&place.key, id));
            if let Some((loser, most)) = fairness::robbed(node, honest) {
                let (loser, most) = (loser.node_id().short(), most.node_id().short());
                return Err(format!("host {host} dropped entries of {loser}, while {most} holds far more"));
            }
        }
        Ok(())
    }

    /// Whether all whose clock is right show the same, and what live ones said is in it.
    fn same_view(&self, world: &World, live: &[HostId]) -> Result<(), String> {
        let due = world.unix_ms().saturating_sub(1_000);
        let mut all = BTreeMap::new();
        let right: Vec<_> = live.iter().copied().filter(|host| world.host(*host).clock.is_right()).collect();
        for host in &right {
            all.extend(self.conversation(*host, due));
        }
        for host in live {
            let own = self.views.get(host).into_iter().flat_map(|view| &view.own);
            let mut own = own.filter(|place| place.at <= due && self.is_whole(place));
            if let Some(place) = own.find(|place| !all.contains_key(place)) {
                return Err(format!("nobody whose clock is right shows {} of host {host}", self.name(place)));
            }
        }
        for host in &right {
            let shown: BTreeMap<_, _> = self.conversation(*host, due).collect();
            let mut missing = all.keys().filter(|place| !shown.contains_key(place));
            if let Some(place) = missing.next() {
                let (count, of, name, more) = (shown.len(), all.len(), self.name(place), missing.count());
                return Err(format!("host {host} shows {count} of {of} entries, not {name} and {more} more"));
            }
            if let Some(node) = world.host(*host).node() {
                self.same_window(node, &shown, due).map_err(|what| format!("host {host} {what}"))?;
            }
        }
        forks::same_forks(world, &right)
    }

    /// What a host shows of honest authors, up to a time.
    fn conversation(&self, host: HostId, due: u64) -> impl Iterator<Item = (Place, EntryId)> {
        let view = self.views.get(&host).into_iter().flat_map(|view| &view.conversation);
        view.filter(move |(place, _)| place.at <= due && self.is_whole(place))
            .map(|(place, id)| (*place, *id))
    }

    /// Whether what a node holds is what it has shown; it gives that in the order of the conversation, see [`bounds`].
    fn same_window(&self, node: &Node, shown: &BTreeMap<Place, EntryId>, due: u64) -> Result<(), String> {
        let spoken = node.entries().filter(|entry| entry.via().is_none()).map(|entry| entry.place());
        let honest =
            |place: &Place| place.at <= due && self.keys.contains_key(&place.key) && self.is_whole(place);
        let held: BTreeSet<_> = spoken.filter(honest).collect();
        match shown.keys().find(|place| !held.contains(place)) {
            Some(place) => Err(format!("does not hold {}, which it has shown", self.name(place))),
            None => match held.iter().find(|place| !shown.contains_key(place)) {
                Some(place) => Err(format!("holds {} and has not shown it", self.name(place))),
                None => Ok(()),
            },
        }
    }
}
