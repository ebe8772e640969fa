//! How connections end, and what that means for the peer.

use super::link::{Link, Phase};
use super::{Conns, DialOutcome, Event, LostLink, encode};
use crate::model::{ConnId, Cx, Instant, LeaveReason, NodeId, PeerInfo, Version};
use crate::wire::{ByeCode, Frame};

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Send `BYE` to a version 2 peer, flush, and close.
    Bye(ByeCode),
    /// Drop it at once.
    Abort,
    /// The driver reports that it is gone.
    Gone,
}

impl Conns {
    /// Ends a connection, and reports what follows for its peer.
    pub(super) fn end(&mut self, cx: &mut Cx, conn: ConnId, ending: Ending, reason: LeaveReason) {
        let Some(link) = self.table.get_mut(conn) else { return };
        // Without a seal that was asked for, nothing can be written.
        let ending = if ending == Ending::Gone || link.channel.is_open() { ending } else { Ending::Abort };
        let phase = link.phase;
        let closing = matches!(phase, Phase::Closing { .. });
        if let Ending::Bye(code) = ending {
            if closing {
                return;
            }
            send_bye(link, cx, code);
        }
        let held = link.held_back.take();
        if phase == Phase::Linked
            && let (Some(hold), Some(node_id)) = (held, link.node_id())
        {
            self.deliver_all(node_id, hold.into_texts());
        }
        if ending == Ending::Abort {
            self.events.push_back(Event::Abort(conn));
        }
        self.handshakes.forget(conn);
        self.events.push_back(Event::Ended(conn));
        let gone = if matches!(ending, Ending::Bye(_)) { None } else { self.table.remove(conn) };
        if closing {
            return;
        }
        let Some(link) = gone.as_ref().or_else(|| self.table.get(conn)) else { return };
        let bye = link.bye.or(match ending {
            Ending::Bye(code) => Some(code),
            Ending::Abort | Ending::Gone => None,
        });
        let duplicate = link.duplicate;
        match phase {
            Phase::Greeting | Phase::Claiming { .. } => {
                if let Some(reached) = self.reached_by_claim(link, phase, bye) {
                    return self.events.push_back(reached);
                }
                let events = not_linked(link, cx, ending, bye);
                self.events.extend(events.into_iter().flatten());
                // On a sealed connection, no version 1 node has read anything.
                let failed = link.dialed.filter(|_| link.node_id().is_none() && !link.channel.is_sealed());
                if let Some(dialed) = failed {
                    self.may_be_forgotten_at(dialed.addr);
                }
            }
            Phase::Linked => {
                let lost = link.node_id().map(|node_id| lost(conn, node_id, link, cx, bye, reason));
                if let Some(lost) = lost {
                    self.link_lost(cx, lost);
                }
            }
            Phase::Leaving { .. } => {
                if let Some(duplicate) = duplicate {
                    self.release_held_back(cx, duplicate);
                }
            }
            Phase::Closing { .. } => {}
        }
    }

    /// A dial of this node to this address ended without a `JOIN` of the peer. A version 1 node there has read our
    /// `JOIN`. It forgets this node with that connection, even if there is another one, or will be.
    fn may_be_forgotten_at(&mut self, addr: SocketAddr) {
        let forgets = |info: &PeerInfo| info.version == Version::V1 && info.listen_addr == Some(addr);
        let peers = self.roster.iter().filter(|peer| forgets(&peer.info));
        let forgetful: Vec<_> = peers.map(|peer| Event::MayForget(peer.info.node_id)).collect();
        if forgetful.is_empty() {
            self.events.push_back(Event::DialedInVain(addr));
        }
        self.events.extend(forgetful);
    }

    /// The peer took this node for another one with its key, though it is linked to this one: there was no proof in time that
    /// both connections lead to one node (SPEC 4.3).
    fn reached_by_claim(&self, link: &Link, phase: Phase, bye: Option<ByeCode>) -> Option<Event> {
        let claims =
            matches!(phase, Phase::Claiming { .. }) && link.bye.is_some() && bye == Some(ByeCode::Taken);
        let node_id = link.node_id().filter(|node_id| claims && self.active(*node_id).is_some())?;
        Some(Event::Reached { dialed: link.dialed?, node_id })
    }

    /// One of a peer's links ended. Either it has another one, or it is no longer linked.
    fn link_lost(&mut self, cx: &mut Cx, lost: LostLink) {
        let Some(parallel) = self.roster.drop_parallel(lost.node_id, lost.conn) else { return };
        if parallel {
            self.events.push_back(Event::MayForget(lost.node_id));
            self.update(cx, lost.node_id);
        } else {
            self.events.push_back(Event::LinkLost(lost));
        }
    }

    /// Removes a peer that lost its link.
    pub(crate) fn unregister(&mut self, node_id: NodeId) -> Option<Arc<PeerInfo>> {
        self.roster.remove(node_id)
    }

    /// All connections, in the order of their numbers.
    pub(crate) fn all(&self) -> Vec<ConnId> {
        self.table.iter().map(|(conn, _)| conn).collect()
    }

    /// Closes a connection because the node is shutting down.
    pub(crate) fn shut_down(&mut self, cx: &mut Cx, conn: ConnId) {
        let has_joined = self.table.get(conn).is_some_and(|link| link.node_id().is_some());
        let ending = if has_joined { Ending::Bye(ByeCode::Shutdown) } else { Ending::Abort };
        self.end(cx, conn, ending, LeaveReason::Stopping);
        let until = cx.now + cx.limits().conns.linger;
        if let Some(Phase::Closing { until: before, .. }) =
            self.table.get_mut(conn).map(|link| &mut link.phase)
        {
            *before = until.min(*before);
        }
    }
}

/// Sends `BYE` on a link and begins to close it.
fn send_bye(link: &mut Link, cx: &Cx, code: ByeCode) {
    let limits = cx.limits();
    let introduced = link.version() == Some(Version::V2) && link.join_sent.is_some();
    if introduced || link.channel.is_sealed() {
        link.push(cx.now, &encode(&Frame::Bye(code, "")), limits);
    }
    link.queue.open_gate();
    // What was queued on a link before another one replaced it is still sent.
    let linger =
        if matches!(link.phase, Phase::Leaving { .. }) { limits.conns.stalled } else { limits.conns.linger };
    link.phase = Phase::Closing { until: cx.now + linger, close_sent: false };
    link.farewell = None;
}

/// What follows from the end of a connection that was never linked. If this node dialed it, the dial failed.
fn not_linked(link: &Link, cx: &Cx, ending: Ending, bye: Option<ByeCode>) -> [Option<Event>; 2] {
    let claimed = link.node_id().filter(|_| link.version() == Some(Version::V1));
    let outcome = match (link.node_id(), link.said_other, ending) {
        (Some(_), ..) => DialOutcome::TurnedAway(bye.unwrap_or(ByeCode::Other)),
        // On a sealed connection, a node that turns this one away sends no `JOIN`.
        (None, ..) if link.bye.is_some() => DialOutcome::TurnedAway(bye.unwrap_or(ByeCode::Other)),
        (None, true, _) => DialOutcome::NotAChatNode,
        (None, false, Ending::Bye(_)) => DialOutcome::Silent,
        (None, false, _) => DialOutcome::Failed,
    };
    let again = dial_again_from(cx, matches!(ending, Ending::Bye(_)));
    let failed = link.dialed.map(|dialed| Event::NotLinked { dialed, outcome, again });
    [claimed.map(Event::MayForget), failed]
}

fn lost(
    conn: ConnId,
    node_id: NodeId,
    link: &Link,
    cx: &Cx,
    bye: Option<ByeCode>,
    reason: LeaveReason,
) -> LostLink {
    LostLink {
        conn,
        node_id,
        remote: link.remote,
        reason,
        bye,
        lasted: link.linked_since.map_or_else(Default::default, |since| cx.now.since(since)),
        again: match bye {
            Some(ByeCode::Taken) => cx.now + cx.limits().mesh.taken_pause,
            _ => dial_again_from(cx, !node_id.is_of_key() && bye.is_some()),
        },
    }
}

/// When a peer whose connection ended may be dialed again. `closed`: this node closed it, so the peer may not have seen
/// the end yet. A version 1 node that has the next connection by then forgets this node upon that end.
fn dial_again_from(cx: &Cx, closed: bool) -> Instant {
    if closed { cx.now + cx.limits().conns.linger } else { cx.now }
}
