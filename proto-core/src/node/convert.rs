//! Translates events and values of the machines into those of the contract.

use crate::contract::{Action, CommandError, LinkRole, LinkState, Notice, TimerKind, Violation};
use core::net::SocketAddr;

use crate::model::{ConnId, Instant, NodeId, Outlet};
use crate::{chat, conns, mesh};

/// A deadline of a machine, with its timer as the contract names it.
pub(super) fn due<T: Into<TimerKind>>((at, timer): (Instant, T)) -> (Instant, TimerKind) {
    (at, timer.into())
}

/// The connection on which a neighbour is sent its frames, as the conversation has to know it.
pub(super) fn outlet(conns: &conns::Conns, peer: NodeId) -> Option<Outlet> {
    let conn = conns.active(peer)?;
    let (queued, heard) = conns.traffic(conn);
    Some(Outlet { conn, queued, heard })
}

/// An event of the connections as an action. None: the node routes it to another machine.
pub(super) fn output(event: conns::Event) -> Option<Action> {
    use conns::Event;
    Some(match event {
        Event::Abort(conn) => Action::Abort { conn },
        Event::AcceptSeal(conn) => Action::AcceptSeal { conn },
        Event::PauseReading(conn) => Action::PauseReading { conn },
        Event::ResumeReading(conn) => Action::ResumeReading { conn },
        Event::Ready => Action::Ready,
        Event::Breach { conn, remote, breach } => Action::Report { conn, remote, violation: breach.into() },
        Event::Updated(peer) => Action::UpdatePeer(peer),
        Event::OtherNetwork(remote) => Action::Notice(Notice::OtherNetwork { remote }),
        _ => return None,
    })
}

/// An event of the mesh as an action. None: the node routes it to another machine.
pub(super) fn request(event: mesh::Event) -> Option<Action> {
    use mesh::Event;
    Some(match event {
        Event::Resolve { dial, host, port } => Action::Resolve { dial, host, port },
        Event::Dial { dial, addr, seal } => Action::Dial { dial, addr, seal },
        Event::WrongKey { target, expected, found, given } => {
            Action::Notice(Notice::WrongKey { target, expected, found, given })
        }
        Event::Cancel(dial) => Action::CancelDial { dial },
        Event::Target { target, notice } => Action::Notice(match notice {
            mesh::TargetNotice::IsSelf => Notice::IsSelf { target },
            mesh::TargetNotice::Failed(mesh::LinkFailure::Dial(reason)) => {
                Notice::Unreachable { target, reason }
            }
            mesh::TargetNotice::Failed(mesh::LinkFailure::NotAChatNode) => Notice::NotAChatNode { target },
            mesh::TargetNotice::Failed(mesh::LinkFailure::TurnedAway(code)) => {
                Notice::TurnedAway { target, code }
            }
        }),
        Event::Trim(_) | Event::SendPeers(..) => return None,
    })
}

/// An event of the conversation as an action. None: the node routes it to another machine.
pub(super) fn said(event: chat::Event) -> Option<Action> {
    Some(match event {
        chat::Event::Store { id, record } => Action::Store { id, record },
        chat::Event::Load { id, wanted, most_bytes } => Action::Load { id, wanted, most_bytes },
        chat::Event::Said { id, entries, stored } => Action::Said { id, entries, stored },
        chat::Event::Ready => Action::Ready,
        chat::Event::Member { member, change } => Action::Member { member, change },
        other => return notice(other),
    })
}

/// An event of the conversation for the user. None: it is not one.
pub(super) fn notice(event: chat::Event) -> Option<Action> {
    Some(Action::Notice(match event {
        chat::Event::Confirmed => return Some(Action::Confirmed),
        chat::Event::CaughtUp { entries } => Notice::CaughtUp { entries },
        chat::Event::Backfill { came, missing, over } => Notice::Backfill { came, missing, over },
        chat::Event::Gap { node_id, uname, missing } => Notice::Gap { node_id, uname, missing },
        chat::Event::NameTaken { node_id, uname, holder } => Notice::NameTaken { node_id, uname, holder },
        chat::Event::KeyShared => Notice::KeyShared,
        chat::Event::ClockOff(chat::Skewed { ahead_ms, clocks }) => Notice::ClockOff { ahead_ms, clocks },
        _ => return None,
    }))
}

/// The report of a frame of the conversation that breaks a rule.
pub(super) fn report(conn: ConnId, remote: SocketAddr, fault: chat::Fault) -> Action {
    Action::Report { conn, remote, violation: fault.into() }
}

impl From<conns::Output> for Action {
    fn from(output: conns::Output) -> Self {
        match output {
            conns::Output::Chunk(conn, bytes) => Self::SendFrame { conn, bytes },
            conns::Output::Close(conn) => Self::Close { conn },
        }
    }
}

impl From<mesh::TargetRefusal> for CommandError {
    fn from(refusal: mesh::TargetRefusal) -> Self {
        match refusal {
            mesh::TargetRefusal::TooMany => Self::TooManyTargets,
            mesh::TargetRefusal::CannotSeal => Self::CannotSeal,
        }
    }
}

impl From<conns::Refusal> for CommandError {
    fn from(refusal: conns::Refusal) -> Self {
        match refusal {
            conns::Refusal::Busy => Self::Busy,
            conns::Refusal::TooMuch => Self::TooMuch,
        }
    }
}

impl From<conns::DialOutcome> for mesh::LinkFailure {
    fn from(outcome: conns::DialOutcome) -> Self {
        match outcome {
            conns::DialOutcome::Failed => Self::Dial(crate::model::DialError::Other),
            conns::DialOutcome::Silent => Self::Dial(crate::model::DialError::TimedOut),
            conns::DialOutcome::NotAChatNode => Self::NotAChatNode,
            conns::DialOutcome::TurnedAway(code) => Self::TurnedAway(code),
        }
    }
}

impl From<&conns::LostLink> for mesh::Disconnect {
    fn from(lost: &conns::LostLink) -> Self {
        Self {
            node_id: lost.node_id,
            ip: lost.remote.ip(),
            redial_after: lost.again,
            lasted: lost.lasted,
            full: lost.is_full(),
            taken: lost.is_taken(),
            violation: lost.is_violation(),
        }
    }
}

impl From<conns::Breach> for Violation {
    fn from(breach: conns::Breach) -> Self {
        use conns::Breach;
        match breach {
            Breach::Malformed(error) => Self::Malformed(error),
            Breach::TooManyMalformed => Self::TooManyMalformed,
            Breach::LineTooLong => Self::LineTooLong,
            Breach::BeforeJoin => Self::BeforeJoin,
            Breach::NoGreeting => Self::NoGreeting,
            Breach::UnreadableGreeting(error) => Self::UnreadableGreeting(error),
            Breach::Banned => Self::Banned,
            Breach::ClaimsOurId => Self::ClaimsOurId,
            Breach::ClaimsPeersId => Self::ClaimsPeersId,
            Breach::NotItsKeysId => Self::NotItsKeysId,
            Breach::FalseProof => Self::FalseProof,
            Breach::BeforeProof => Self::BeforeProof,
            Breach::SecondId => Self::SecondId,
            Breach::InClear => Self::InClear,
            Breach::NotTheConnectionsKey => Self::NotTheConnectionsKey,
        }
    }
}

impl From<chat::Fault> for Violation {
    fn from(fault: chat::Fault) -> Self {
        match fault {
            chat::Fault::Entry(error) => Self::Entry(error),
            chat::Fault::Tree => Self::FalseTree,
            chat::Fault::Sync => Self::Sync,
            chat::Fault::SyncsIgnored => Self::SyncsIgnored,
        }
    }
}

impl From<conns::Health> for LinkState {
    fn from(health: conns::Health) -> Self {
        match health {
            conns::Health::Linked => Self::Linked,
            conns::Health::Silent => Self::Silent,
            conns::Health::Slow => Self::Slow,
        }
    }
}

impl From<chat::Role> for LinkRole {
    fn from(role: chat::Role) -> Self {
        match role {
            chat::Role::Parent => Self::Parent,
            chat::Role::Child => Self::Child,
            chat::Role::Announce => Self::Announce,
        }
    }
}

impl From<Option<conns::LinkTimer>> for TimerKind {
    fn from(timer: Option<conns::LinkTimer>) -> Self {
        use conns::LinkTimer;
        let Some(timer) = timer else { return Self::Pace };
        match timer {
            LinkTimer::Greet => Self::Greet,
            LinkTimer::FirstByte => Self::FirstByte,
            LinkTimer::Greeting => Self::Greeting,
            LinkTimer::Settle => Self::Settle,
            LinkTimer::Idle => Self::Idle,
            LinkTimer::Silent => Self::Silent,
            LinkTimer::Dead => Self::Dead,
            LinkTimer::Claim => Self::Claim,
            LinkTimer::Handover => Self::Handover,
            LinkTimer::Farewell => Self::Farewell,
            LinkTimer::Linger => Self::Linger,
            LinkTimer::Stalled => Self::Stalled,
            LinkTimer::Resume => Self::Resume,
            LinkTimer::Seal => Self::Seal,
        }
    }
}

impl From<mesh::Timer> for TimerKind {
    fn from(timer: mesh::Timer) -> Self {
        match timer {
            mesh::Timer::Dial => Self::Dial,
            mesh::Timer::Maintenance => Self::Maintenance,
            mesh::Timer::Connect => Self::Connect,
        }
    }
}

impl From<chat::Timer> for TimerKind {
    fn from(timer: chat::Timer) -> Self {
        match timer {
            chat::Timer::Log => Self::Log,
            chat::Timer::Links => Self::Links,
            chat::Timer::Tree => Self::Tree,
            chat::Timer::Announce => Self::Announce,
            chat::Timer::Graft => Self::Graft,
            chat::Timer::Reconcile => Self::Reconcile,
            chat::Timer::Presence => Self::Presence,
        }
    }
}
