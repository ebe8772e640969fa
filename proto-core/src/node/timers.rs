//! What time brings.

use super::Node;
use super::links::Ending;
use crate::link::{Link, Opener};
use crate::wire::ByeCode;
use crate::{Action, ConnId, DialError, LeaveReason, TimerKind, Version, Violation};

impl Node {
    pub(super) fn timeout(&mut self) {
        while let Some(dial) = self.mesh.overdue(self.now) {
            self.actions.push_back(Action::CancelDial { dial });
            self.dial_failed(dial, DialError::TimedOut);
        }
        while let Some((at, conn)) = self.deadlines.first().copied()
            && at <= self.now
        {
            let kind = self.links.get(&conn).and_then(|link| link.deadline(&self.config.limits));
            let Some((_, kind)) = kind else { break };
            self.link_timer(conn, kind);
            self.regulate(conn);
            self.touch(conn);
        }
        // Last: a link that took another's place just now brings a neighbour.
        self.entries_timeout();
    }

    /// Each of these changes the link so that it wants something else, or nothing, from now on.
    fn link_timer(&mut self, conn: ConnId, kind: TimerKind) {
        match kind {
            TimerKind::Greet => self.greet(conn),
            TimerKind::FirstByte | TimerKind::Greeting => {
                if self.links.get(&conn).is_some_and(|link| link.opener == Opener::Peer) {
                    self.report(conn, Violation::NoGreeting);
                }
                self.end(conn, Ending::Bye(ByeCode::Violation), LeaveReason::Silent);
            }
            TimerKind::Settle => {
                if let Some(link) = self.links.get_mut(&conn) {
                    link.queue.open_gate();
                }
            }
            TimerKind::Idle => self.keep_alive(conn),
            TimerKind::Dead => {
                self.counted.silent += 1;
                self.end(conn, Ending::Abort, LeaveReason::Silent);
            }
            TimerKind::Claim => self.claim_is_due(conn),
            TimerKind::Handover => self.release(conn),
            TimerKind::Farewell => self.end(conn, Ending::Bye(ByeCode::Shutdown), LeaveReason::Bye),
            TimerKind::Linger => self.end(conn, Ending::Abort, LeaveReason::Closed),
            TimerKind::Stalled => self.cut_slow(conn, LeaveReason::Slow),
            // Regulated by the caller.
            TimerKind::Resume => {}
            TimerKind::Pace
            | TimerKind::Dial
            | TimerKind::Upkeep
            | TimerKind::Connect
            | TimerKind::Log
            | TimerKind::Lines
            | TimerKind::Links
            | TimerKind::Tree
            | TimerKind::Announce
            | TimerKind::Graft
            | TimerKind::Reconcile => {}
        }
    }

    fn keep_alive(&mut self, conn: ConnId) {
        let token = self.fresh_token();
        if self.links.get(&conn).and_then(Link::version) == Some(Version::V2) {
            self.ping(conn, token);
        } else {
            self.send(conn, b"\n");
        }
    }
}
