//! What a node told its user, whom it dialed, and how much it sent.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use proto_core::{Action, Instant, LeaveReason, Name, Notice, PeerInfo, Violation};

use super::Nanos;

/// Of all nodes that have run on one host. Times count from the beginning of the run.
#[derive(Debug, Default)]
pub struct Transcript {
    /// Who said what, in the order of delivery.
    pub heard: Vec<(Name, String)>,
    /// Who came (`None`) and went, and when.
    pub changes: Vec<(Instant, Arc<PeerInfo>, Option<LeaveReason>)>,
    /// Notices.
    pub notices: Vec<Notice>,
    /// Rules that peers broke.
    pub violations: Vec<Violation>,
    /// How often a wait was over.
    pub ready: usize,
    /// Dials, and when they began.
    pub dialed: Vec<(Instant, SocketAddr)>,
    /// Bytes sent.
    pub bytes_sent: u64,
}

impl Transcript {
    pub(super) fn action(&mut self, now: Nanos, action: &Action) {
        let at = instant(now);
        match action {
            Action::RegisterPeer(peer) => self.changes.push((at, peer.clone(), None)),
            Action::UnregisterPeer { peer, reason } => self.changes.push((at, peer.clone(), Some(*reason))),
            Action::Deliver(message) => {
                self.heard.extend(message.texts().map(|text| (message.uname().clone(), text.to_owned())));
            }
            Action::Notice(notice) => self.notices.push(notice.clone()),
            Action::Report { violation, .. } => self.violations.push(*violation),
            Action::Ready => self.ready += 1,
            Action::Dial { addr, .. } => self.dialed.push((at, *addr)),
            Action::SendFrame { bytes, .. } => self.bytes_sent += bytes.len() as u64,
            _ => {}
        }
    }
}

/// The time since the beginning of the run.
pub(super) fn instant(now: Nanos) -> Instant {
    Instant::from_origin(Duration::from_nanos(now))
}
