//! Two nodes find each other and talk, in memory: no socket, no clock, no thread.
//!
//! `cargo run -p proto-core --example in_memory`
#![allow(clippy::disallowed_macros, reason = "an example prints what happens")]

use std::error::Error;

use proto_core::{Action, ChatText, Command, Config, ConnId, Identity, Input, Instant, Node};

/// The one connection, which both ends call by this number.
const CONN: ConnId = ConnId(0);

fn main() -> Result<(), Box<dyn Error>> {
    let mut now = Instant::ORIGIN;
    let mut nodes = [node("Alice", 1, now)?, node("Bob", 2, now)?];
    nodes[1].command(now, Command::Connect("127.0.0.1:8080".parse()?))?;
    let mut heard = 0;
    while heard < 2 {
        let mut actions = nodes.iter_mut().enumerate().map(|(me, node)| (me, node.poll_action()));
        if let Some((me, Some(action))) = actions.find(|(_, action)| action.is_some()) {
            heard += usize::from(matches!(action, Action::Deliver { .. }));
            carry_out(&mut nodes, me, now, action)?;
        } else {
            // Nothing is left to do, so the next thing to happen is the nearest deadline.
            let next = nodes.iter().filter_map(Node::poll_timeout).map(|(at, _)| at).min();
            now = next.ok_or("nothing more will happen")?;
            nodes.iter_mut().for_each(|node| node.handle_input(now, Input::Timeout));
        }
    }
    Ok(())
}

fn node(name: &str, seed: u8, now: Instant) -> Result<Node, Box<dyn Error>> {
    Ok(Node::new(Config::new(name.parse()?), Identity::from_secret(&[seed; 32]), [seed; 32], now))
}

fn carry_out(nodes: &mut [Node; 2], me: usize, now: Instant, action: Action) -> Result<(), Box<dyn Error>> {
    let other = 1 - me;
    match action {
        Action::Dial { dial, addr, .. } => {
            nodes[other].handle_input(now, Input::accepted(CONN, addr));
            nodes[me].handle_input(now, Input::connected(dial, CONN));
        }
        Action::SendFrame { conn, bytes } => {
            nodes[other].handle_input(now, Input::received(conn, &bytes));
            nodes[me].handle_input(now, Input::flushed(conn));
        }
        Action::RegisterPeer(peer) => {
            println!("[{now}] {} is linked to {}", nodes[me].uname(), peer.uname);
            nodes[me].command(now, Command::Say(vec![ChatText::new(format!("Hello, {}!", peer.uname))?]))?;
        }
        Action::Deliver(message) => {
            for text in message.texts() {
                println!("[{now}] {} hears {}: {text}", nodes[me].uname(), message.uname());
            }
        }
        other => println!("[{now}] {}: {other:?}", nodes[me].uname()),
    }
    Ok(())
}
