//! Which nodes could know whom a version 1 node is linked to, and when.
//!
//! Which node tells a version 1 node what others say follows from its `PEERS`. SPEC 10.2 promises that nothing is told
//! twice where each node reads these within a second. A node may not: it has read no `JOIN` on the connection that they
//! come on, or the version 1 node has forgotten it and sends it none. Then the node still tells what was said before it
//! reads the next `PEERS`, even if it gets to know of that later, and another node has told it already.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::RangeInclusive;
use std::sync::Arc;

use proto_core::{ConnId, NodeId};

use super::Checker;
use crate::sim::{HostId, Nanos, address};

/// A node that reads `PEERS` later than this is unaware until it does.
const LATE: Nanos = 1_000_000_000;

/// Two clocks that are right are no further apart.
const CLOCKS: Nanos = 2_000_000_000;

/// What nodes know of the links of one version 1 node.
#[derive(Debug)]
pub(super) struct Links {
    /// The id that it goes by.
    id: NodeId,
    readers: BTreeMap<HostId, Reader>,
    /// Who told it each line.
    tellers: HashMap<Arc<str>, Vec<HostId>>,
}

/// A node that has the version 1 node as a peer, or had.
#[derive(Debug, Default)]
struct Reader {
    here: bool,
    /// When `PEERS` were sent, to whomever, since the newest ones that this node has read.
    unread: VecDeque<Nanos>,
    /// When `PEERS` were sent that do not name it: the version 1 node has forgotten it, and sends it none.
    forgotten: Option<Nanos>,
    /// From when to when it did not know what had been sent.
    lapses: Vec<(Nanos, Nanos)>,
}

impl Links {
    pub(super) fn new(id: NodeId) -> Self {
        Self { id, readers: BTreeMap::new(), tellers: HashMap::new() }
    }

    /// This node has it as a peer from now on.
    pub(super) fn came(&mut self, node: HostId) {
        self.readers.entry(node).or_default().here = true;
    }

    /// This node no longer has it as a peer.
    pub(super) fn left(&mut self, node: HostId, now: Nanos) {
        let Some(reader) = self.readers.get_mut(&node) else { return };
        reader.lapses.extend(reader.lapse(now));
        reader.unread.clear();
        reader.forgotten = None;
        reader.here = false;
    }

    /// It sends `PEERS` to somebody, which name these.
    pub(super) fn sent(&mut self, now: Nanos, names: impl Fn(HostId) -> bool) {
        for (node, reader) in self.readers.iter_mut().filter(|(_, reader)| reader.here) {
            if reader.unread.back() != Some(&now) {
                reader.unread.push_back(now);
            }
            if !names(*node) {
                reader.forgotten.get_or_insert(now);
            }
        }
    }

    /// This node reads `PEERS` that were sent then.
    pub(super) fn read(&mut self, node: HostId, sent: Nanos, now: Nanos) {
        let Some(reader) = self.readers.get_mut(&node) else { return };
        if reader.unread.front().is_some_and(|oldest| *oldest <= sent) {
            reader.lapses.extend(reader.lapse(now));
            reader.unread.retain(|other| *other > sent);
            reader.forgotten = reader.forgotten.filter(|forgotten| *forgotten > sent);
        }
    }

    /// This node told it a line.
    pub(super) fn told(&mut self, line: &Arc<str>, node: HostId) {
        self.tellers.entry(line.clone()).or_default().push(node);
    }

    /// Whether all who told it this line knew of each other when it was said.
    pub(super) fn could_know(&self, line: &Arc<str>, said: RangeInclusive<Nanos>, now: Nanos) -> bool {
        let tellers = self.tellers.get(line).into_iter().flatten();
        !tellers.filter_map(|teller| self.readers.get(teller)).any(|reader| reader.was_unaware(&said, now))
    }
}

impl Checker {
    /// An actor sends these bytes, which arrive at that end of the connection.
    pub(in crate::sim) fn actor_sends(
        &mut self,
        from: HostId,
        now: Nanos,
        bytes: &[u8],
        end: Option<ConnId>,
    ) {
        if bytes.starts_with(b"JOIN|") {
            self.greeted.extend(end);
        } else if bytes.starts_with(b"PEERS|")
            && let Some(links) = self.links.get_mut(&from)
        {
            let text = String::from_utf8_lossy(bytes);
            links.sent(now, |node| text.contains(&format!("\"listen_addr\":\"{}\"", address(node))));
        }
    }

    /// A node reads, at this end of a connection, the last of these bytes, which were sent then.
    pub(in crate::sim) fn node_reads(
        &mut self,
        node: HostId,
        now: Nanos,
        end: ConnId,
        (from, sent): (HostId, Nanos),
        bytes: &[u8],
    ) {
        // What comes before the `JOIN` is skipped (SPEC 2.2).
        if bytes.starts_with(b"PEERS|")
            && let Some(links) = self.links.get_mut(&from).filter(|_| self.greeted.contains(&end))
        {
            links.read(node, sent, now);
        }
    }

    /// Of the version 1 node that goes by this id.
    pub(super) fn links_of(&mut self, node_id: NodeId) -> Option<&mut Links> {
        self.links.values_mut().find(|links| links.id == node_id)
    }
}

impl Reader {
    /// The time in which it does not know what was sent, up to now.
    fn lapse(&self, now: Nanos) -> Option<(Nanos, Nanos)> {
        let late = self.unread.front().copied().filter(|oldest| oldest + LATE < now);
        late.into_iter().chain(self.forgotten).min().map(|since| (since, now))
    }

    fn was_unaware(&self, said: &RangeInclusive<Nanos>, now: Nanos) -> bool {
        let mut lapses = self.lapses.iter().copied().chain(self.lapse(now));
        lapses.any(|(from, until)| from <= said.end() + CLOCKS && *said.start() <= until + CLOCKS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Nanos = 1_000_000_000;

    /// Two nodes have it as a peer and have told it a line.
    fn told_by_two() -> (Links, Arc<str>) {
        let (mut links, line) = (Links::new(NodeId::from_bytes([4; 16])), Arc::from("a line"));
        for node in 0..2 {
            links.came(node);
            links.told(&line, node);
        }
        (links, line)
    }

    fn could_know(links: &Links, line: &Arc<str>, said: u64) -> bool {
        links.could_know(line, said * SECOND..=said * SECOND, 100 * SECOND)
    }

    #[test]
    fn who_reads_in_time_knows() {
        let (mut links, line) = told_by_two();
        for time in 0..100 {
            links.sent(time * SECOND, |_| true);
            (0..2).for_each(|node| links.read(node, time * SECOND, (time + 1) * SECOND));
        }
        assert!((0..100).all(|said| could_know(&links, &line, said)));
    }

    #[test]
    fn who_reads_late_does_not_know_what_was_said_until_then_and_nothing_else_is_excused() {
        let (mut links, line) = told_by_two();
        for time in [20, 25, 30] {
            links.sent(time * SECOND, |_| true);
            links.read(0, time * SECOND, time * SECOND);
        }
        // The second reads the last of them alone; an older one that comes behind it changes nothing.
        links.read(1, 30 * SECOND, 40 * SECOND);
        links.read(1, 25 * SECOND, 50 * SECOND);
        for said in 0..100 {
            assert_eq!(could_know(&links, &line, said), !(18..=42).contains(&said), "{said}");
        }
        // A line that the one who was late did not tell.
        let other = Arc::from("another line");
        links.told(&other, 0);
        assert!((0..100).all(|said| could_know(&links, &other, said)));
    }

    #[test]
    fn who_is_forgotten_does_not_know_until_it_reads_again_however_soon() {
        let (mut links, line) = told_by_two();
        links.sent(20 * SECOND, |node| node == 0);
        links.read(0, 20 * SECOND, 20 * SECOND);
        links.sent(20 * SECOND + SECOND / 2, |_| true);
        (0..2).for_each(|node| links.read(node, 20 * SECOND + SECOND / 2, 21 * SECOND));
        for said in 0..100 {
            assert_eq!(could_know(&links, &line, said), !(18..=23).contains(&said), "{said}");
        }
    }

    #[test]
    fn older_peers_do_not_tell_what_newer_ones_say() {
        let (mut links, line) = told_by_two();
        [20, 25].into_iter().for_each(|time| links.sent(time * SECOND, |_| true));
        (0..2).for_each(|node| links.read(node, 20 * SECOND, 20 * SECOND));
        links.read(0, 25 * SECOND, 25 * SECOND);
        assert!(could_know(&links, &line, 22));
        assert!(
            !could_know(&links, &line, 23) && !could_know(&links, &line, 99),
            "one has not read the last"
        );
    }

    #[test]
    fn who_does_not_have_it_as_a_peer_is_not_late() {
        let (mut links, line) = told_by_two();
        links.left(1, 10 * SECOND);
        links.sent(20 * SECOND, |_| true);
        links.read(0, 20 * SECOND, 20 * SECOND);
        links.came(1);
        assert!((0..100).all(|said| could_know(&links, &line, said)));
        // It leaves without having read what came last.
        links.sent(30 * SECOND, |_| true);
        links.read(0, 30 * SECOND, 30 * SECOND);
        links.left(1, 40 * SECOND);
        for said in 0..100 {
            assert_eq!(could_know(&links, &line, said), !(28..=42).contains(&said), "{said}");
        }
    }
}
