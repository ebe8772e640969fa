//! A node of the smol driver on async-std: smol's sockets and timers need no executor, so the tasks run on any.
//!
//! Two nodes connect, and one receives a message from the other:
//! `cargo run -p driver-smol --example async_std`

use std::error::Error;

use async_std::task;
use driver_smol::{ChatText, Config, Event, Origin, PeerTarget, Smol, Started, new_identity};

fn main() -> Result<(), Box<dyn Error>> {
    let async_std = Smol::with_spawner(|node| drop(task::spawn(node)));
    let alice = start(&async_std, "Alice", vec![])?;
    let bob = start(&async_std, "Bob", vec![alice.local_addr.into()])?;
    task::block_on(async {
        until(&bob, |event| matches!(event, Event::Joined(_))).await?;
        bob.handle.say(vec![ChatText::new("hello from async-std")?], Origin::TERMINAL).await?;
        let heard = until(&alice, |event| matches!(event, Event::Message(_))).await?;
        if let Event::Message(message) = heard {
            message.texts().for_each(|text| println!("{}: {text}", message.uname()));
        }
        alice.handle.shutdown().await;
        bob.handle.shutdown().await;
        Ok(())
    })
}

fn start(runtime: &Smol, uname: &str, peers: Vec<PeerTarget>) -> Result<Started, Box<dyn Error>> {
    let config = Config::new(uname.parse()?);
    Ok(driver_smol::start(runtime, "127.0.0.1:0".parse()?, new_identity()?, config, peers)?)
}

async fn until(node: &Started, is: impl Fn(&Event) -> bool) -> Result<Event, Box<dyn Error>> {
    loop {
        let events = node.events.recv().await?;
        if let Some(event) = events.into_iter().find(&is) {
            return Ok(event);
        }
    }
}
