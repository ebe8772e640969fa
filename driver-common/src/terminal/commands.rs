//! Carries out what was entered at the prompt.

use futures_lite::future::block_on;
use proto_core::{LinkStatus, Version};

use super::entry::{Entry, HELP};
use super::render;
use super::visible::visible;
use super::voice::Voice;
use crate::RequestError;

impl Voice {
    /// Does it and tells the user what came of it.
    pub(crate) fn carry_out(&self, entry: Entry) {
        let result = match entry {
            // The prompt leaves by itself.
            Entry::Nothing | Entry::Quit => Ok(()),
            Entry::Say(texts) => {
                // That the node is gone shows by itself: the process ends.
                block_on(self.say(texts));
                Ok(())
            }
            Entry::Peers => block_on(self.handle.status()).map(|status| self.list(&status.links)),
            Entry::Status => block_on(self.handle.status()).map(|status| {
                render::status(&status).iter().for_each(|line| self.tell(line));
            }),
            Entry::Connect(addr) => {
                block_on(self.handle.connect(addr.clone())).map(|()| self.tell(&format!("dialing {addr}")))
            }
            Entry::Nick(name) => block_on(self.handle.rename(name.clone())).map(|()| {
                self.tell(&format!("you are now {}", visible(name.as_str())));
                self.common.rename(name);
            }),
            Entry::Help => {
                HELP.iter().for_each(|line| self.tell(line));
                Ok(())
            }
            Entry::Wrong(error) => {
                self.tell(&visible(&error));
                Ok(())
            }
        };
        match result {
            Ok(()) | Err(RequestError::Stopped) => {}
            Err(error @ RequestError::TooManyTargets) => self.tell(&error.to_string()),
        }
    }

    fn list(&self, links: &[LinkStatus]) {
        self.tell(&match links.len() {
            0 => "nobody else is here".to_owned(),
            1 => "1 peer is here:".to_owned(),
            count => format!("{count} peers are here:"),
        });
        for LinkStatus { peer, state, .. } in links {
            let addr = peer.listen_addr.unwrap_or(peer.remote_addr);
            let version = match (peer.version, peer.key) {
                (Version::V1, _) => "  (version 1, unsigned)",
                (Version::V2, None) => "  (unsigned)",
                (Version::V2, Some(_)) => "",
            };
            let (id, name) = (peer.node_id.short(), visible(peer.uname.as_str()));
            self.tell(&format!("  {id}  {addr}  {name}{version}{}", render::state(*state)));
        }
    }
}
