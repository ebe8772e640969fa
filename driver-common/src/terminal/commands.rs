//! Executes what the user entered at the prompt.

use futures_lite::future::block_on;
use proto_core::{LinkStatus, Version};

use super::input::{HELP, UserInput};
use super::render;
use super::speaker::Speaker;
use super::visible::visible;
use crate::RequestError;

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
            UserInput::Peers => block_on(self.handle.status()).map(|status| self.list(&status.links)),
            UserInput::Status => block_on(self.handle.status()).map(|status| {
                render::status(&status).iter().for_each(|line| self.notify(line));
            }),
            UserInput::Connect(addr) => block_on(self.handle.connect(addr.clone()))
                .map(|()| self.notify(&format!("connecting to {addr}"))),
            UserInput::Nick(name) => block_on(self.handle.rename(name.clone())).map(|()| {
                self.notify(&format!("you are now {}", visible(name.as_str())));
                self.shared_name.rename(name);
            }),
            UserInput::Help => {
                HELP.iter().for_each(|line| self.notify(line));
                Ok(())
            }
            UserInput::Invalid(error) => {
                self.notify(&visible(&error));
                Ok(())
            }
        };
        match result {
            Ok(()) | Err(RequestError::Stopped) => {}
            Err(error @ (RequestError::TooManyTargets | RequestError::CannotSeal)) => {
                self.notify(&error.to_string());
            }
        }
    }

    fn list(&self, links: &[LinkStatus]) {
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
