//! Whether another node lives with this node's key (SPEC 4.8).

use core::time::Duration;

use super::{Chat, Event};
use crate::model::{Cx, Fifo, Instant};

/// How long both nodes have to have lived. A node that is started again after a crash hears what it said before, but
/// nothing that is dated so much later.
const LIVED: Duration = Duration::from_secs(120);

/// The most epochs of others with this node's key that are remembered. Only who has the key can fill them.
const EPOCHS: usize = 16;

/// What shows that another node has this node's key.
#[derive(Debug, Default)]
pub(super) struct KeyUse {
    /// When another node first proved the key to this one, on a connection.
    met: Option<Instant>,
    /// Epochs that are not of this node, each with the earliest date heard of it.
    epochs: Fifo<u64, u64>,
    /// The user was told.
    told: bool,
}

impl KeyUse {
    /// An entry of another epoch came, with this node's key and this date. Whether it shows that its author has lived for so
    /// long, at a time when this node had, too.
    fn heard(&mut self, cx: &Cx, epoch: u64, at: u64) -> bool {
        let (Some(began), Some(wall)) = (cx.began(), cx.wall()) else { return false };
        let lived = u64::try_from(LIVED.as_millis()).unwrap_or(u64::MAX);
        let ahead = u64::try_from(cx.limits().chat.ahead.as_millis()).unwrap_or(u64::MAX);
        if at > wall.saturating_add(ahead) {
            // It says nothing of when it was signed.
            return false;
        }
        let first = self.epochs.get(&epoch).map_or(at, |first| at.min(*first));
        self.epochs.insert(epoch, first);
        while self.epochs.len() > EPOCHS {
            self.epochs.pop_first();
        }
        at >= began.saturating_add(lived) && at >= first.saturating_add(lived)
    }

    /// Another node has proven the key to this one.
    fn proven(&mut self, cx: &Cx) -> bool {
        let first = *self.met.get_or_insert(cx.now);
        cx.lived() >= LIVED && cx.now.since(first) >= LIVED
    }
}

impl Chat {
    /// Another node has proven this node's key on a connection.
    pub(crate) fn own_key_proven(&mut self, cx: &Cx) {
        if self.key_use.proven(cx) {
            self.tell_of_shared_key();
        }
    }

    /// An entry with this node's key came that this node does not hold. If it is of a run in which this node signs, others
    /// see a fork there, so this node goes on in other runs.
    pub(super) fn own_key_heard(&mut self, cx: &Cx, epoch: u64, at: u64) {
        if self.own_runs.is_current(epoch) {
            self.own_runs.set_forked();
            // The store may be an older copy, which lacks what an earlier start said.
            let recalled = self.own_runs.was_restored(epoch) && cx.began().is_some_and(|began| at < began);
            if !recalled {
                self.tell_of_shared_key();
            }
        } else if !self.own_runs.was_current(epoch) && self.key_use.heard(cx, epoch, at) {
            self.tell_of_shared_key();
        }
    }

    fn tell_of_shared_key(&mut self) {
        if !core::mem::replace(&mut self.key_use.told, true) {
            self.events.push_back(Event::KeyShared);
        }
    }
}
