//! The smol driver's node under async-std: its sockets and timers need no executor, so its tasks run on any.
//!
//! Two nodes meet, one says something, the other hears it:
//! `cargo run -p driver-smol --example async_std`

use std::error::Error;

use async_std::task;
use driver_smol::{ChatText, Config, Event, Origin, Smol, Started};

fn main() -> Result<(), Box<dyn Error>> {
    let async_std = Smol::with_spawner(|node| drop(task::spawn(node)));
    let alice =
        driver_smol::start(&async_std, "127.0.0.1:0".parse()?, Config::new("Alice".parse()?), vec![])?;
    let peers = vec![alice.local_addr.into()];
    let bob = driver_smol::start(&async_std, "127.0.0.1:0".parse()?, Config::new("Bob".parse()?), peers)?;
    task::block_on(async {
        until(&bob, |event| matches!(event, Event::Joined(_))).await?;
        bob.handle.say(vec![ChatText::new("hello from async-std")?], Origin::TERMINAL).await?;
        let heard = until(&alice, |event| matches!(event, Event::Message { .. })).await?;
        if let Event::Message { peer, text } = heard {
            println!("{}: {text}", peer.uname);
        }
        alice.handle.shutdown().await;
        bob.handle.shutdown().await;
        Ok(())
    })
}

async fn until(node: &Started, is: impl Fn(&Event) -> bool) -> Result<Event, Box<dyn Error>> {
    loop {
        let events = node.events.recv().await?;
        if let Some(event) = events.into_iter().find(&is) {
            return Ok(event);
        }
    }
}
