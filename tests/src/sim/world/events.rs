//! What happens in a world, and what its nodes do about it.

use std::net::SocketAddr;
use std::ops::Range;

use proto_core::{Action, Command, ConnId, DialError, DialId, Input, Node, Notice, Seal};

use super::{DIAL_TIMEOUT, Dialing, Probes, Prompt, World};
use crate::sim::actor::{Happening, Lines, Todo};
use crate::sim::host::{Machine, host_at};
use crate::sim::net::{Arrival, Sent};
use crate::sim::{Event, HostId, Nanos, nanos};

/// Who has not read what was sent to it for so long speaks without knowing it.
const BEHIND: Nanos = 1_000_000_000;

impl World {
    pub(super) fn happen(&mut self, event: Event) {
        if let Some((index, until)) = self.sleeper(event) {
            self.hosts[index as usize].wake_at.take_if(|_| matches!(event, Event::Wake { .. }));
            self.queue.push(until, event);
            return;
        }
        match event {
            Event::Arrive { conn } => self.arrive(conn),
            Event::Flushed { conn } => {
                if let Some(index) = self.net.host(conn) {
                    self.input(index, Input::flushed(conn));
                }
            }
            Event::Written { conn, bytes } => {
                if let Some(index) = self.net.host(conn) {
                    match self.seals.as_mut().map_or(bytes, |seals| seals.taken(conn, bytes)) {
                        0 => {}
                        plain => self.input(index, Input::written(conn, plain)),
                    }
                }
            }
            Event::GiveUp { conn } => self.closed(conn, false),
            Event::Knock { dial } => self.knock(dial),
            Event::Answered { dial } => self.answered(dial),
            Event::Wake { host } => {
                let planned = self.hosts[host as usize].wake_at;
                if planned.is_some_and(|at| at <= self.now) {
                    self.hosts[host as usize].wake_at = None;
                    self.wake(host);
                }
            }
            Event::Commit { host, run } => self.commit(host, run),
            Event::Read { host, run } => self.read(host, run),
            Event::Mend { host, run } => self.mend(host, run),
            Event::Awake { host } => {
                let state = &mut self.hosts[host as usize];
                state.asleep_until = None;
                let stood = state.stands_since.take().map_or(0, |since| self.now - since);
                state.origin += stood;
                let unix_ms = state.clock.unix_ms(self.now);
                self.input(host, Input::wall_clock(unix_ms));
            }
        }
    }

    /// The host that sleeps through this event, and until when.
    fn sleeper(&self, event: Event) -> Option<(HostId, Nanos)> {
        let index = match event {
            Event::Arrive { conn }
            | Event::Flushed { conn }
            | Event::Written { conn, .. }
            | Event::GiveUp { conn } => self.net.host(conn)?,
            Event::Answered { dial } => self.dials.get(dial as usize)?.as_ref()?.host,
            Event::Knock { dial } => host_at(self.dials.get(dial as usize)?.as_ref()?.to, &self.hosts)?,
            Event::Wake { host }
            | Event::Commit { host, .. }
            | Event::Read { host, .. }
            | Event::Mend { host, .. } => host,
            Event::Awake { .. } => return None,
        };
        self.hosts[index as usize].asleep_until.map(|until| (index, until))
    }

    fn wake(&mut self, index: HostId) {
        let host = &self.hosts[index as usize];
        match &host.machine {
            Machine::Off => {}
            Machine::Actor(_) => self.tell(index, Happening::Woken),
            Machine::Node(node) => {
                let due = node.poll_timeout().is_some_and(|(at, _)| at <= host.local(self.now));
                if due || self.probes.tamper.is_some() {
                    self.input(index, Input::Timeout);
                } else {
                    self.plan_wake(index);
                }
            }
        }
    }

    fn arrive(&mut self, conn: ConnId) {
        while let Some(index) = self.net.host(conn) {
            let sent = self.net.next_sent(conn);
            let Some(arrival) = self.net.take(&mut self.queue, self.now, conn) else { return };
            match arrival {
                Arrival::End => return self.closed(conn, true),
                // A connection that is being closed is read to its end, for nobody.
                Arrival::Bytes(..) if self.net.is_finished(conn) => {}
                Arrival::Bytes(bytes, range) => {
                    let sent = self.net.peer(conn).zip(sent);
                    if !self.unseal(index, conn, &bytes[range.clone()], sent) {
                        self.read_plain(index, conn, &bytes, range, sent);
                    }
                }
            }
        }
    }

    /// What runs on a host reads a part of what was sent to it.
    pub(super) fn read_plain(
        &mut self,
        index: HostId,
        conn: ConnId,
        bytes: &[u8],
        range: Range<usize>,
        sent: Option<(HostId, Nanos)>,
    ) {
        if let (Some(meter), Some(peer)) = (&mut self.probes.meter, self.net.peer(conn)) {
            meter.received(peer, index, conn, &bytes[range.clone()]);
        }
        if let Machine::Actor(_) = self.hosts[index as usize].machine {
            return self.tell(index, Happening::Received(conn, &bytes[range]));
        }
        if let (Some(check), Some(from)) = (&mut self.probes.check, sent)
            && bytes.ends_with(b"\n")
        {
            check.node_reads(index, self.now, conn, from, bytes);
        }
        self.input(index, Input::received(conn, &bytes[range]));
    }

    /// The connection is over for the host at this end.
    pub(super) fn closed(&mut self, conn: ConnId, word: bool) {
        let Some(index) = self.net.host(conn) else { return };
        let unanswered = self.seals.as_mut().and_then(|seals| seals.forget(conn));
        self.forget(index, conn, word);
        if let Some(dial) = unanswered {
            return self.input(index, Input::dial_failed(dial, DialError::NotSealed));
        }
        match self.hosts[index as usize].machine {
            Machine::Actor(_) => self.tell(index, Happening::Closed(conn)),
            _ => self.input(index, Input::closed(conn)),
        }
    }

    /// Takes an end of a connection away; false where there is none.
    pub(super) fn forget(&mut self, index: HostId, conn: ConnId, word: bool) -> bool {
        self.seals.iter_mut().for_each(|seals| _ = seals.forget(conn));
        let host = &mut self.hosts[index as usize];
        let Some(position) = host.conns.iter().position(|other| *other == conn) else { return false };
        host.conns.swap_remove(position);
        if let Some((_, lines)) = &mut host.filter {
            lines.remove(&conn);
        }
        self.net.forget(&mut self.queue, self.now, conn, word);
        if let Some(meter) = &mut self.probes.meter {
            meter.closed(conn);
        }
        true
    }

    fn dial(&mut self, index: HostId, dial: Option<DialId>, to: SocketAddr, seal: Seal) {
        let run = self.hosts[index as usize].runs;
        let slot = self.free_dials.pop().unwrap_or_else(|| {
            self.dials.push(None);
            self.dials.len() as u32 - 1
        });
        let result = Err(DialError::TimedOut);
        self.dials[slot as usize] = Some(Dialing { host: index, run, dial, to, seal, result });
        let target = host_at(to, &self.hosts);
        let reaches = target.filter(|target| {
            !self.hosts[*target as usize].dark
                && !self.net.blocks(index, *target)
                && !self.net.blocks(*target, index)
        });
        match reaches {
            Some(target) => {
                let at = self.now + self.net.delay(index, target);
                self.queue.push(at, Event::Knock { dial: slot });
            }
            None => self.queue.push(self.now + nanos(DIAL_TIMEOUT), Event::Answered { dial: slot }),
        }
    }

    fn knock(&mut self, slot: u32) {
        let Some(Some(dialing)) = self.dials.get(slot as usize) else { return };
        let (from, to, seal) = (dialing.host, dialing.to, dialing.seal);
        let Some(target) = host_at(to, &self.hosts) else { return };
        let at = self.now + self.net.delay(target, from);
        let host = &self.hosts[target as usize];
        let is_open = host.is_up() && !host.unplugged;
        // Actors cannot seal: they are told nothing of such a dial, and end it.
        let speaks_clear = is_open && seal != Seal::Clear && matches!(host.machine, Machine::Actor(_));
        let ends = (is_open && !speaks_clear).then(|| self.net.open(from, target, self.now, at));
        let error = if speaks_clear { DialError::NotSealed } else { DialError::Refused };
        if let Some(Some(dialing)) = self.dials.get_mut(slot as usize) {
            dialing.result = ends.map_or(Err(error), |[near, _]| Ok(near));
        }
        // Before the listener says anything, which arrives at the same moment at the earliest.
        self.queue.push(at, Event::Answered { dial: slot });
        // Whether the dialing host still runs shows when the answer is there.
        if let Some(ends) = ends {
            self.accept(from, target, ends, slot);
        }
    }

    /// Both hosts have the connection, and the one that was dialed is told.
    pub(super) fn accept(&mut self, from: HostId, target: HostId, [near, far]: [ConnId; 2], dial: u32) {
        self.hosts[from as usize].conns.push(near);
        self.hosts[target as usize].conns.push(far);
        let remote = SocketAddr::new(self.hosts[from as usize].addr.ip(), 40_000 + dial as u16 % 20_000);
        match self.hosts[target as usize].machine {
            Machine::Actor(_) => self.tell(target, Happening::Accepted(far)),
            Machine::Node(_) => {
                self.seals.iter_mut().for_each(|seals| seals.accepted(far));
                self.input(target, Input::accepted(far, remote));
            }
            Machine::Off => self.input(target, Input::accepted(far, remote)),
        }
    }

    fn answered(&mut self, slot: u32) {
        let Some(Dialing { host: index, run, dial, to, seal, result }) =
            self.dials.get_mut(slot as usize).and_then(Option::take)
        else {
            return;
        };
        self.free_dials.push(slot);
        if self.hosts[index as usize].runs != run || !self.hosts[index as usize].is_up() {
            if let Ok(conn) = result {
                self.forget(index, conn, true);
            }
            return;
        }
        match (result, dial) {
            (Ok(conn), Some(dial)) if let Seal::Sealed { expected } = seal => {
                self.shake_hands(index, conn, dial, expected);
            }
            (Ok(conn), Some(dial)) => self.input(index, Input::connected(dial, conn)),
            (Err(reason), Some(dial)) => self.input(index, Input::dial_failed(dial, reason)),
            (Ok(conn), None) => self.tell(index, Happening::Connected(conn, to)),
            (Err(_), None) => self.tell(index, Happening::Refused(to)),
        }
    }

    /// Tells a node what happens, and does what it asks for.
    pub(super) fn input(&mut self, index: HostId, input: Input<'_>) {
        if self.tell_node(index, input) {
            self.settle(index);
        }
    }

    fn tell_node(&mut self, index: HostId, input: Input<'_>) -> bool {
        let host = &mut self.hosts[index as usize];
        let local = host.local(self.now);
        let Machine::Node(node) = &mut host.machine else { return false };
        if let Some((_, recorder)) = self.probes.recorder.as_mut().filter(|(recorded, _)| *recorded == index)
        {
            recorder.input(local, &input);
        }
        if let Some(check) = &mut self.probes.check {
            check.told(index, self.now, &input);
        }
        node.handle_input(local, input);
        true
    }

    /// Does all that a node asks for.
    pub(super) fn settle(&mut self, index: HostId) {
        loop {
            while let Some(action) = self.hosts[index as usize].node_mut().and_then(Node::poll_action) {
                self.see(index, &action);
                self.carry_out(index, action);
            }
            let Some(prompt) = self.prompt.pop_front() else { break };
            match prompt {
                // Nothing is reported of a connection that is over.
                Prompt::Flushed(conn) | Prompt::Written(conn, _) if self.net.host(conn).is_none() => {}
                Prompt::Flushed(conn) => _ = self.tell_node(index, Input::flushed(conn)),
                Prompt::Written(conn, bytes) => _ = self.tell_node(index, Input::written(conn, bytes)),
                Prompt::Closed(conn) => _ = self.tell_node(index, Input::closed(conn)),
                Prompt::Unresolved(dial) => {
                    let input = Input::dial_failed(dial, DialError::NotResolved);
                    self.tell_node(index, input);
                }
                Prompt::Accepted(addr) => _ = self.command(index, Command::Connect(addr.into())),
            }
        }
        self.plan_wake(index);
        if let Some(check) = &mut self.probes.check
            && let Some(node) = self.hosts[index as usize].node()
        {
            check.settled(index, self.now, node);
        }
    }

    /// Shows an action to those who watch.
    fn see(&mut self, index: HostId, action: &Action) {
        let local = self.hosts[index as usize].local(self.now);
        let Probes { check, meter, digest, recorder, transcripts, tamper } = &mut self.probes;
        if let Some((_, recorder)) = recorder.as_mut().filter(|(recorded, _)| *recorded == index) {
            recorder.action(local, action);
        }
        if let (Action::Deliver(message), Some(meter)) = (action, meter) {
            meter.delivered(self.now, index, message);
        }
        if let Some(transcripts) = transcripts {
            transcripts.entry(index).or_default().action(self.now, action);
        }
        let mut seen = Vec::new();
        let seen = match tamper {
            None => std::slice::from_ref(action),
            Some(tamper) => {
                tamper.action(index, action.clone(), &mut seen);
                &seen
            }
        };
        if let Some(digest) = digest {
            seen.iter().for_each(|action| digest.action(self.now, index, action));
        }
        let Some(check) = check else { return };
        for action in seen {
            check.action(index, self.now, action);
            if let Action::Report { conn, violation, .. } = action
                && let Some(peer) = self.net.peer(*conn).filter(|peer| self.hosts[*peer as usize].is_live())
            {
                check.blamed(index, self.now, peer, *violation);
            }
        }
    }

    fn carry_out(&mut self, index: HostId, action: Action) {
        match action {
            Action::SendFrame { conn, bytes } => self.send(index, conn, bytes),
            Action::Dial { dial, addr, seal } => self.dial(index, Some(dial), addr, seal),
            Action::AcceptSeal { conn } => {
                if !self.accept_seal(index, conn) && self.forget(index, conn, true) {
                    self.prompt.push_back(Prompt::Closed(conn));
                }
            }
            Action::CancelDial { dial } => self.cancel_dial(index, dial),
            Action::Resolve { dial, .. } => self.prompt.push_back(Prompt::Unresolved(dial)),
            Action::PauseReading { conn } => self.net.pause(&mut self.queue, self.now, conn, true),
            Action::ResumeReading { conn } => self.net.pause(&mut self.queue, self.now, conn, false),
            Action::Close { conn } => {
                if let Some(seals) = &mut self.seals {
                    let end = seals.close(conn);
                    self.net.send_quietly(&mut self.queue, self.now, conn, end);
                }
                self.net.finish(&mut self.queue, self.now, conn);
            }
            Action::Abort { conn } => {
                if self.forget(index, conn, true) {
                    self.prompt.push_back(Prompt::Closed(conn));
                }
            }
            Action::Store { .. } | Action::Load { .. } => self.use_store(index, action),
            Action::Notice(Notice::WrongKey { target, given: false, .. }) => {
                self.prompt.push_back(Prompt::Accepted(target));
            }
            Action::Said { .. }
            | Action::RegisterPeer(_)
            | Action::UpdatePeer(_)
            | Action::UnregisterPeer { .. }
            | Action::Deliver(_)
            | Action::Ready
            | Action::Report { .. }
            | Action::Notice(_)
            | Action::Member { .. }
            | Action::Confirmed => {}
            other => panic!("unknown action: {other:?}"),
        }
    }

    fn send(&mut self, index: HostId, conn: ConnId, mut bytes: Vec<u8>) {
        if let Some((filter, lines)) = &mut self.hosts[index as usize].filter {
            let mut out = Vec::with_capacity(bytes.len());
            let now = self.now;
            let lines: &mut Lines = lines.entry(conn).or_default();
            lines.feed(&bytes, |line| filter.outgoing(now, line, &mut out));
            bytes = out;
        }
        let peer = self.net.peer(conn);
        if let Some(check) = &mut self.probes.check {
            if matches!(self.hosts[index as usize].machine, Machine::Actor(_)) {
                check.actor_sends(index, self.now, &bytes, self.net.other(conn));
            } else if let Some(peer) = peer
                && self.net.is_behind(conn, self.now, BEHIND)
            {
                // What a node did not know while it was behind decides what it tells later, too.
                check.speaks_unaware(peer);
            }
        }
        let answers = peer.is_some_and(|peer| self.hosts[peer as usize].is_up());
        let wire = match &mut self.seals {
            Some(seals) => seals.seal(conn, bytes),
            None => bytes,
        };
        let sent = self.net.send(&mut self.queue, self.now, conn, wire, answers);
        let sent = self.sent_plain(conn, sent);
        if matches!(self.hosts[index as usize].machine, Machine::Node(_)) {
            match sent {
                Sent::Taken => self.prompt.push_back(Prompt::Flushed(conn)),
                Sent::Part(bytes) => self.prompt.push_back(Prompt::Written(conn, bytes)),
                Sent::Waiting | Sent::Nowhere => {}
            }
        }
    }

    /// Ends a handshake that takes too long.
    fn cancel_dial(&mut self, index: HostId, dial: DialId) {
        let Some(seals) = &self.seals else { return };
        let conns = &self.hosts[index as usize].conns;
        if let Some(conn) = conns.iter().copied().find(|conn| seals.is_of(*conn, dial)) {
            self.forget(index, conn, true);
        }
    }

    /// Plans to wake a node when it wants to be woken.
    fn plan_wake(&mut self, index: HostId) {
        let host = &self.hosts[index as usize];
        let Machine::Node(node) = &host.machine else { return };
        let mut at = node.poll_timeout().and_then(|(at, _)| host.global(at));
        if let Some(tamper) = &mut self.probes.tamper {
            at = tamper.deadline(index, self.now, at);
        }
        if let Some(at) = at {
            self.wake_at(index, at);
        }
    }

    fn wake_at(&mut self, index: HostId, at: Nanos) {
        let host = &mut self.hosts[index as usize];
        let at = at.max(self.now);
        if host.wake_at.is_none_or(|planned| at < planned) {
            host.wake_at = Some(at);
            self.queue.push(at, Event::Wake { host: index });
        }
    }

    /// Tells an actor what happens, and does what it asks for.
    pub(super) fn tell(&mut self, index: HostId, what: Happening<'_>) {
        let mut todo = Vec::new();
        let from = if let Happening::Received(conn, _) = what { self.net.peer(conn) } else { None };
        let Machine::Actor(actor) = &mut self.hosts[index as usize].machine else { return };
        actor.happen(self.now, what, &mut todo);
        let mut printed = actor.printed();
        if let Some(tamper) = &mut self.probes.tamper {
            tamper.printed(index, &mut printed);
        }
        if let Some(check) = &mut self.probes.check {
            printed.iter().for_each(|line| check.printed(index, self.now, from, line));
        }
        todo.into_iter().for_each(|todo| self.act(index, todo));
    }

    /// Does what an actor wants.
    pub fn act(&mut self, index: HostId, todo: Todo) {
        match todo {
            Todo::Dial(to) => self.dial(index, None, to, Seal::Clear),
            Todo::Send(conn, bytes) => self.send(index, conn, bytes),
            Todo::Pause(conn, paused) => self.net.pause(&mut self.queue, self.now, conn, paused),
            Todo::Close(conn) => self.net.finish(&mut self.queue, self.now, conn),
            Todo::WakeAt(at) => self.wake_at(index, at),
        }
    }
}
