//! Executes what the user entered at the prompt.

use futures_lite::future::block_on;
use proto_core::{LinkStatus, PeerAddr, Status, Version};

use super::input::{HELP, UserInput};
use super::render::{self, counted};
use super::speaker::Speaker;
use super::visible::visible;
use crate::{Origin, RequestError, members, messages};

impl Speaker {
    /// Executes the input and shows the result.
    pub(crate) fn run(&self, input: UserInput) {
        let result = match input {
            // The prompt itself handles the end.
            UserInput::Nothing | UserInput::Quit => Ok(()),
            UserInput::Say(texts) => {
                // If the node has stopped, the process ends anyway.
                block_on(self.say(texts));
                Ok(())
            }
            UserInput::Who => block_on(self.who()),
            UserInput::Peers => block_on(self.handle.status()).map(|status| self.list(&status)),
            UserInput::Status => block_on(self.handle.status()).map(|status| {
                render::status(&status).iter().for_each(|line| self.notify(line));
            }),
            UserInput::Connect(addr) => block_on(self.handle.connect(addr.clone()))
                .map(|()| self.notify(&format!("connecting to {addr}"))),
            UserInput::Disconnect(addr) => self.disconnect(&addr),
            UserInput::Nick(name) => block_on(self.handle.rename(name.clone())).map(|()| {
                self.notify(&format!("you are now {name}"));
                self.people.roster().rename_own(name);
            }),
            UserInput::Mute(None) => {
                self.list_muted();
                Ok(())
            }
            UserInput::Mute(Some(who)) => {
                self.mute(&who);
                Ok(())
            }
            UserInput::Unmute(who) => {
                self.unmute(&who);
                Ok(())
            }
            UserInput::Show => {
                self.show_folded();
                Ok(())
            }
            UserInput::Help => {
                HELP.iter().for_each(|line| self.notify(line));
                Ok(())
            }
            UserInput::Invalid(error) => {
                self.warn(&error);
                Ok(())
            }
        };
        match result {
            Ok(()) | Err(RequestError::Stopped) => {}
            Err(error) => self.warn(&error.to_string()),
        }
    }

    fn disconnect(&self, addr: &PeerAddr) -> Result<(), RequestError> {
        let before = block_on(self.handle.status())?;
        block_on(self.handle.disconnect(addr.clone()))?;
        let linked = before.targets.iter().any(|target| target.addr == *addr && target.linked().is_some());
        self.notify(&if linked {
            format!("{addr} is dialed no more; the link with it lasts until one side closes it")
        } else {
            format!("{addr} is dialed no more")
        });
        Ok(())
    }

    fn mute(&self, who: &str) {
        let found = self.people.roster().find(who);
        let told = found.and_then(|(node_id, name)| {
            let stored = proto_core::Name::cut(&name).ok_or_else(|| "that name is empty".to_owned())?;
            let done = block_on(self.handle.mute(node_id, stored, Origin::TERMINAL));
            done.map_err(|error| error.to_string())?;
            Ok(format!("{name} ({}) is muted; /unmute {name} undoes it", node_id.short()))
        });
        match told {
            Ok(told) => self.notify(&told),
            Err(why) => self.warn(&format!("/mute: {why}")),
        }
    }

    fn unmute(&self, who: &str) {
        let muted = self.handle.mutes().list();
        let is_meant = |(node_id, name): &&(proto_core::NodeId, proto_core::Name)| {
            name.as_str() == who || node_id.short().to_string() == who || node_id.to_string() == who
        };
        let mut meant = muted.iter().filter(is_meant);
        match (meant.next(), meant.next()) {
            (None, _) => self.warn(&format!("/unmute: {who} is not muted; /mute lists who is")),
            (Some((node_id, name)), None) => match block_on(self.handle.unmute(*node_id, Origin::TERMINAL)) {
                Ok(()) => self.notify(&format!("{name} ({}) is no longer muted", node_id.short())),
                Err(error) => self.warn(&format!("/unmute: {error}")),
            },
            (Some(_), Some(_)) => {
                self.warn(&format!("/unmute: several people called {who} are muted: use the id"));
            }
        }
    }

    fn list_muted(&self) {
        let muted = self.handle.mutes().list();
        self.notify(if muted.is_empty() { "nobody is muted" } else { "muted:" });
        for (node_id, name) in muted {
            self.notify(&format!("  {}  {name}", node_id.short()));
        }
    }

    fn show_folded(&self) {
        let style = self.notices.style();
        let hidden = self.folds.as_ref().map(|folds| folds.take_hidden(style)).unwrap_or_default();
        if hidden.is_empty() {
            return self.notify("nothing is folded");
        }
        self.notices.show(&hidden);
    }

    async fn who(&self) -> Result<(), RequestError> {
        let people = members::all(&self.handle).await?;
        let here = people.iter().filter(|person| person.is_here()).count();
        // This user is one of them.
        self.notify(&format!("{} here:", counted(here + 1, "person is", "people are")));
        let now = crate::clock::unix_ms();
        for person in people {
            let id = person.id.short();
            self.notify(&format!("  {id}  {}{}", visible(&person.name), render::presence(&person, now)));
        }
        Ok(())
    }

    fn list(&self, status: &Status) {
        self.list_links(&status.links);
        for target in status.targets.iter().filter(|target| target.linked().is_none()) {
            self.notify(&format!("  {}", messages::target(target)));
        }
    }

    fn list_links(&self, links: &[LinkStatus]) {
        self.notify(&match links.len() {
            0 => "no peers are connected".to_owned(),
            1 => "1 peer is connected:".to_owned(),
            count => format!("{count} peers are connected:"),
        });
        for LinkStatus { peer, state, .. } in links {
            let addr = peer.listen_addr.unwrap_or(peer.remote_addr);
            let version = match (peer.version, peer.key) {
                (Version::V1, _) => "  (version 1, unsigned)",
                (_, None) => "  (unsigned)",
                (_, Some(_)) => "",
            };
            let sealed = if peer.sealed { "  (sealed)" } else { "" };
            let (id, name) = (peer.node_id.short(), visible(peer.uname.as_str()));
            self.notify(&format!("  {id}  {addr}  {name}{version}{sealed}{}", render::state(*state)));
        }
    }
}
