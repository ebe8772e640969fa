//! Whether nodes agree on forked runs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proto_core::{Entry, EntryId, Node, RunId};

use crate::sim::{HostId, World};

/// While somebody may still fork runs, how long ago the last entry of a run has to be dated, so that it has come to
/// everybody: some come by a reconciliation alone, and much later where the author says more than its rate allows.
const QUIET: Duration = Duration::from_secs(120);

/// Whether these nodes hold the same of the runs that are forked as any of them knows, as far as they have evicted
/// nothing.
pub(super) fn same_forks(world: &World, hosts: &[HostId]) -> Result<(), String> {
    let nodes = hosts.iter().filter_map(|host| Some((*host, world.host(*host).node()?)));
    let whole: Vec<_> = nodes.filter(|(_, node)| node.stats().entries_evicted == 0).collect();
    let actors = world.hosts().iter().any(|host| host.is_up() && host.node().is_none());
    let quiet = if actors { world.unix_ms().saturating_sub(QUIET.as_millis() as u64) } else { u64::MAX };
    let views: Vec<_> = whole.iter().map(|(host, node)| (*host, runs(world, node))).collect();
    for (host, view) in &views {
        for (run, held) in view.iter().filter(|(_, held)| is_forked(held)) {
            if views.iter().filter_map(|(_, other)| other.get(run)).flatten().any(|entry| entry.at() > quiet)
            {
                continue;
            }
            let unlike = views.iter().find(|(_, other)| other.get(run).map(ids) != Some(ids(held)));
            if let Some((other, theirs)) = unlike {
                let (author, epoch) = (run.key.node_id().short(), run.epoch);
                let (ours, theirs) = (listed(held), theirs.get(run).map(listed).unwrap_or_default());
                return Err(format!(
                    "of the forked run {author}/{epoch} host {host} holds {ours}, and host {other} {theirs}"
                ));
            }
        }
    }
    Ok(())
}

/// What a node holds, by run, each in the order of its numbers. Nobody asks for numbers that are further below the last one of
/// a run than a window may hold entries (SPEC 9.7.11): who was told of them holds them. With stores, it is the last two entries, which
/// prove a fork: what a node lacks below its window it asks for when it may, and nobody may have it then (SPEC 23.5).
fn runs<'a>(world: &World, node: &'a Node) -> BTreeMap<RunId, Vec<&'a Entry>> {
    let mut runs: BTreeMap<RunId, Vec<&Entry>> = BTreeMap::new();
    for entry in node.entries() {
        runs.entry(entry.run().clone()).or_default().push(entry);
    }
    let most = node.config().limits().chat.log_entries as u64;
    for run in runs.values_mut() {
        run.sort_by_key(|entry| (entry.seq(), entry.id()));
        let last = run.last().map_or(0, |entry| entry.seq());
        run.retain(|entry| last - entry.seq() < most);
        if world.has_stores() {
            run.drain(..run.len().saturating_sub(2));
        }
    }
    runs
}

/// The last entries of a run, by number and the start of the id.
fn listed(run: &Vec<&Entry>) -> String {
    let last = run.iter().skip(run.len().saturating_sub(4));
    let last: Vec<_> = last.map(|entry| format!("{} {:.6}", entry.seq(), entry.id().to_string())).collect();
    format!("{} entries [.., {}]", run.len(), last.join(", "))
}

fn ids(run: &Vec<&Entry>) -> BTreeSet<EntryId> {
    run.iter().map(|entry| entry.id()).collect()
}

/// Whether two of these have one number, or one does not name the one with the number before.
fn is_forked(run: &[&Entry]) -> bool {
    run.windows(2).any(|pair| {
        let [one, next] = pair else { return false };
        next.seq() == one.seq() || next.seq() == one.seq() + 1 && next.prev() != Some(one.id())
    })
}
