//! Handles the calls from the node's handles.

use std::task::{Context, Poll};

use futures_lite::Stream as _;
use proto_core::{Command, CommandError, Input, Name, NodeId, Outcome};

use super::NodeTask;
use super::store::StoreLink;
use crate::handle::{Request, Say};
use crate::runtime::Runtime;
use crate::{Event, Me, Origin, RequestError, Said, SayError};

/// The maximum number of calls handled in a turn.
const CALLS: usize = 64;

impl<R: Runtime> NodeTask<R> {
    /// Ready when there is a call to handle.
    pub(super) fn poll_calls(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut called = false;
        if self.request.is_none() && !self.handles_dropped {
            match self.requests.as_mut().poll_next(cx) {
                Poll::Ready(Some(request)) => self.request = Some(request),
                Poll::Ready(None) => self.handles_dropped = true,
                Poll::Pending => {}
            }
            called |= self.request.is_some() || self.handles_dropped;
        }
        if self.say.is_none()
            && let Poll::Ready(Some(say)) = self.says.as_mut().poll_next(cx)
        {
            self.say = Some(say);
        }
        called |= self.say.is_some() && self.can_say();
        if called { Poll::Ready(()) } else { Poll::Pending }
    }

    pub(super) fn take_calls(&mut self) {
        if self.handles_dropped {
            self.stop();
        }
        for _ in 0..CALLS {
            let Some(request) = self.request.take().or_else(|| self.requests.try_recv().ok()) else { break };
            self.answer(request);
        }
        for _ in 0..CALLS {
            let Some(say) = self.next_say() else { break };
            self.say(say);
        }
    }

    /// The next message that can be sent now.
    fn next_say(&mut self) -> Option<Say> {
        if !self.can_say() {
            return None;
        }
        self.say.take().or_else(|| self.says.try_recv().ok())
    }

    fn can_say(&self) -> bool {
        !self.busy && self.events.accepts_own() && self.store.as_ref().is_none_or(StoreLink::can_say)
    }

    // Replies fail if the caller has gone, which is ignored.
    fn answer(&mut self, request: Request) {
        match request {
            Request::TrySay(say) => self.try_say(say),
            Request::Connect { target, reply } => {
                let result = self.node.command(self.now, Command::Connect(target));
                let _ = reply.try_send(result.map(drop).map_err(Into::into));
            }
            Request::Disconnect { addr, reply } => {
                let result = self.node.command(self.now, Command::Disconnect(addr));
                let _ = reply.try_send(result.map(drop).map_err(Into::into));
            }
            Request::Confirm { reply } => {
                // It fails if the node is stopping. Then the reply is dropped at the end.
                let _ = self.node.command(self.now, Command::Confirm);
                self.confirms.retain(|waiting| !waiting.is_closed());
                self.confirms.push(reply);
            }
            Request::Advertise { addr, reply } => {
                let result = self.node.command(self.now, Command::Advertise(addr));
                if result.is_ok() {
                    self.listen_addr = addr;
                }
                let _ = reply.try_send(result.map(drop).map_err(Into::into));
            }
            Request::Rename { name, reply } => {
                let result = self.node.command(self.now, Command::Rename(name));
                let _ = reply.try_send(result.map(drop).map_err(Into::into));
            }
            Request::Mute { node_id, uname, origin, reply } => {
                let _ = reply.try_send(self.mute(node_id, uname, origin));
            }
            Request::Me { reply } => {
                let _ = reply.try_send(Me {
                    node_id: self.node.id(),
                    uname: self.node.uname().clone(),
                    listen_addr: self.listen_addr,
                    key: self.node.key(),
                    started: self.started,
                });
            }
            Request::Status { reply } => {
                // Updates the state of silent links before it is reported.
                self.node.handle_input(self.now, Input::Timeout);
                let _ = reply.try_send(Box::new(self.node.status()));
            }
            Request::Members { reply } => {
                let _ = reply.try_send(self.node.members().cloned().collect());
            }
            Request::Shutdown { done } => {
                self.stop();
                self.stopping.iter_mut().for_each(|asked| asked.push(done.clone()));
            }
        }
    }

    /// Without a name it is no longer muted.
    fn mute(&mut self, node_id: NodeId, uname: Option<Name>, origin: Origin) -> Result<(), RequestError> {
        let muted = uname.is_some();
        let uname = match uname {
            Some(_) if node_id == self.node.id() => return Err(RequestError::Oneself),
            Some(uname) => {
                self.mutes.mute(node_id, uname.clone()).map_err(|_| RequestError::TooManyMutes)?;
                uname
            }
            None => self.mutes.unmute(node_id).ok_or(RequestError::NotMuted)?,
        };
        self.events.push(Event::Mute { node_id, uname, muted, origin });
        Ok(())
    }

    fn try_say(&mut self, say: Say) {
        // Messages that wait are sent first.
        if !self.can_say() || self.say.is_some() || !self.says.is_empty() {
            let _ = say.reply.try_send(Err(SayError::Busy));
            return;
        }
        if let Err((say, error)) = self.say_now(say) {
            let _ = say.reply.try_send(Err(error.into()));
        }
    }

    fn say(&mut self, say: Say) {
        match self.say_now(say) {
            Ok(()) => {}
            Err((say, CommandError::Busy)) => {
                self.busy = true;
                self.say = Some(say);
            }
            Err((say, error)) => {
                let _ = say.reply.try_send(Err(error.into()));
            }
        }
    }

    fn say_now(&mut self, say: Say) -> Result<(), (Say, CommandError)> {
        let entries = match self.node.command(self.now, Command::Say(say.texts.clone())) {
            Ok(Outcome::Said(entries)) => entries,
            Ok(Outcome::Saying(id)) => {
                if let Some(store) = &mut self.store {
                    store.saying(id, say);
                }
                return Ok(());
            }
            Ok(_) => Vec::new(),
            Err(error) => return Err((say, error)),
        };
        let _ = say.reply.try_send(Ok(Said { entries: entries.clone(), stored: false }));
        self.events.push(Event::Said { entries, origin: say.origin });
        Ok(())
    }

    fn stop(&mut self) {
        if self.stopping.is_some() {
            return;
        }
        // It fails only if the node is already stopping.
        let _ = self.node.command(self.now, Command::Shutdown);
        self.stopping = Some(Vec::new());
        self.acceptor = None;
        self.say = None;
        self.busy = false;
    }
}
