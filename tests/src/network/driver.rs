//! The driver's part of a network in memory: what happens is reported to the nodes, and what they ask for carried out.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use proto_core::{Action, ConnId, DialError, DialId, Input, Instant, Node, Seal};
use rand_core::Rng;

use super::{Event, Network, Wire};

impl Network {
    pub(super) fn run_to(&mut self, end: Instant, done: impl Fn(&Self) -> bool) -> bool {
        let mut idle = 0;
        loop {
            if done(self) {
                return true;
            }
            let event = self.events.first_key_value().map(|((at, _), _)| *at);
            let timer = self.timers.first().copied();
            let next = [event, timer.map(|(at, _)| at)].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= end) else { return false };
            idle = if next > self.now { 0 } else { idle + 1 };
            assert!(idle < 100_000, "something does not sleep: {timer:?}");
            self.now = next.max(self.now);
            if event == Some(next) {
                let (_, event) = self.events.pop_first().expect("there is one");
                self.happen(event);
            } else if let Some((_, index)) = timer {
                self.input(index, &Input::Timeout);
            }
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Knock { dial, from, to } => {
                let host = self.hosts.iter().position(|host| host.addr == to && host.reachable);
                match host {
                    Some(host) if self.divided.is_some_and(|at| (host < at) != (from < at)) => {}
                    Some(host) => {
                        let remote = SocketAddr::new(self.hosts[from].addr.ip(), 40_000);
                        self.connect(from, host, remote, Some(dial));
                    }
                    None => self.input(from, &Input::dial_failed(dial, DialError::Refused)),
                }
            }
            Event::DialFailed { dial, host, reason } => self.input(host, &Input::dial_failed(dial, reason)),
            Event::Arrive { conn, bytes } => self.arrive(conn, bytes),
            Event::Flushed { conn } => {
                if let Some(wire) = self.wires.get(&conn).filter(|wire| !wire.ended) {
                    self.input(wire.host, &Input::flushed(conn));
                }
            }
            Event::End { conn } => self.end(conn),
        }
    }

    pub(super) fn connect(
        &mut self,
        from: usize,
        to: usize,
        remote: SocketAddr,
        dial: Option<DialId>,
    ) -> ConnId {
        let [near, far] = [0, 1].map(|offset| ConnId(self.next_conn + offset));
        self.next_conn += 2;
        for (conn, host, other) in [(near, from, far), (far, to, near)] {
            let wire = Wire {
                host,
                other,
                arrives: self.now,
                paused: VecDeque::new(),
                is_paused: false,
                ended: false,
                stuck: false,
                lost: false,
            };
            self.wires.insert(conn, wire);
            self.hosts[host].conns.push(conn);
        }
        self.input(to, &Input::accepted(far, remote));
        if let Some(dial) = dial {
            self.input(from, &Input::connected(dial, near));
        }
        near
    }

    fn arrive(&mut self, conn: ConnId, bytes: Vec<u8>) {
        let Some(wire) = self.wires.get_mut(&conn).filter(|wire| !wire.ended) else { return };
        if wire.is_paused {
            wire.paused.push_back(bytes);
            return;
        }
        let index = wire.host;
        if self.hosts[index].node.is_some() {
            self.input(index, &Input::received(conn, &bytes));
        } else {
            self.hosts[index].inbox.entry(conn).or_default().extend(bytes);
        }
    }

    /// An end learns that the connection is over, and so does the other one.
    fn end(&mut self, conn: ConnId) {
        let Some(wire) = self.wires.get_mut(&conn).filter(|wire| !wire.ended) else { return };
        if wire.is_paused && !wire.paused.is_empty() {
            // The end stands behind what is not read yet.
            let at = self.now + Duration::from_millis(10);
            self.end_at(conn, at);
            return;
        }
        wire.ended = true;
        let (index, other, lost) = (wire.host, wire.other, wire.lost);
        self.input(index, &Input::closed(conn));
        if !lost {
            let at = self.now + self.delay();
            self.end_at(other, at);
        }
    }

    pub(super) fn input(&mut self, index: usize, input: &Input<'_>) {
        if let Some(node) = &mut self.hosts[index].node {
            node.handle_input(self.now, input.clone());
            self.carry_out(index);
        }
    }

    pub(super) fn carry_out(&mut self, index: usize) {
        while let Some(action) = self.hosts[index].node.as_mut().and_then(Node::poll_action) {
            self.carry_out_one(index, action);
        }
        let host = &mut self.hosts[index];
        let wakes = host.node.as_ref().and_then(Node::poll_timeout).map(|(at, _)| at);
        let before = std::mem::replace(&mut host.wakes, wakes);
        if before != wakes {
            self.timers.extend(wakes.map(|at| (at, index)));
            if let Some(before) = before {
                self.timers.remove(&(before, index));
            }
        }
    }

    fn carry_out_one(&mut self, index: usize, action: Action) {
        let now = self.now;
        let log = &mut self.hosts[index].log;
        match action {
            Action::RegisterPeer(peer) => log.changes.push((now, peer, None)),
            Action::UnregisterPeer { peer, reason } => log.changes.push((now, peer, Some(reason))),
            Action::UpdatePeer(_) | Action::CancelDial { .. } => {}
            Action::Deliver(message) => {
                log.heard.extend(message.texts().map(|text| (message.uname().clone(), text.to_owned())));
            }
            Action::Notice(notice) => log.notices.push(notice),
            Action::Report { violation, .. } => log.violations.push(violation),
            Action::Ready => log.ready += 1,
            Action::Resolve { dial, .. } => {
                self.schedule(now, Event::DialFailed { dial, host: index, reason: DialError::NotResolved });
            }
            Action::Dial { dial, addr, seal: Seal::Clear } => {
                self.hosts[index].dialed.push((now, addr));
                let at = now + self.delay();
                self.schedule(at, Event::Knock { dial, from: index, to: addr });
            }
            Action::SendFrame { conn, bytes } => {
                self.bytes_sent += bytes.len() as u64;
                let stuck = self
                    .wires
                    .get(&conn)
                    .and_then(|wire| self.wires.get(&wire.other))
                    .is_some_and(|w| w.stuck);
                self.send(conn, bytes);
                if !stuck {
                    let at = now + Duration::from_micros(self.random.next_u64() % 1000);
                    self.schedule(at, Event::Flushed { conn });
                }
            }
            Action::PauseReading { conn } => self.wires.get_mut(&conn).expect("it is open").is_paused = true,
            Action::ResumeReading { conn } => {
                let wire = self.wires.get_mut(&conn).expect("it is open");
                wire.is_paused = false;
                let waiting = std::mem::take(&mut wire.paused);
                for bytes in waiting {
                    self.arrive(conn, bytes);
                }
            }
            Action::Close { conn } => {
                let Some(wire) = self.wires.get(&conn).filter(|wire| !wire.lost) else { return };
                let (other, arrives) = (wire.other, wire.arrives);
                let at = arrives.max(now + self.delay());
                self.end_at(other, at);
            }
            Action::Abort { conn } => {
                self.end_at(conn, now);
                if let Some(other) = self.wires.get(&conn).filter(|wire| !wire.lost).map(|wire| wire.other) {
                    let at = now + self.delay();
                    self.end_at(other, at);
                }
            }
            other => panic!("unknown action: {other:?}"),
        }
    }

    pub(super) fn send(&mut self, conn: ConnId, bytes: Vec<u8>) {
        let delay = self.delay();
        let Some(wire) = self.wires.get_mut(&conn).filter(|wire| !wire.lost) else { return };
        wire.arrives = wire.arrives.max(self.now + delay);
        let (other, at) = (wire.other, wire.arrives);
        if self.split && bytes.len() > 1 {
            let cut = 1 + self.random.next_u64() as usize % (bytes.len() - 1);
            let (head, tail) = bytes.split_at(cut);
            for part in [head, tail] {
                self.schedule(at, Event::Arrive { conn: other, bytes: part.to_vec() });
            }
        } else {
            self.schedule(at, Event::Arrive { conn: other, bytes });
        }
    }

    pub(super) fn end_at(&mut self, conn: ConnId, at: Instant) {
        self.schedule(at, Event::End { conn });
    }

    fn schedule(&mut self, at: Instant, event: Event) {
        self.events.insert((at, self.next_event), event);
        self.next_event += 1;
    }

    pub(super) fn delay(&mut self) -> Duration {
        let (low, high) = self.latency;
        let span = (high - low).as_nanos() as u64 + 1;
        low + Duration::from_nanos(self.random.next_u64() % span)
    }
}
