//! A chat node on Tokio.
//!
//! ```no_run
//! use driver_tokio::{ChatText, Config, Event, Message, Origin, Plaintext, new_identity};
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let config = Config::builder("Echo".parse()?).plaintext(Plaintext::Loopback).presence(true).build()?;
//!     let peers = vec!["127.0.0.1:8080".parse()?];
//!     let node = driver_tokio::start("127.0.0.1:0".parse()?, new_identity()?, config, peers)?;
//!     while let Ok(events) = node.events.recv().await {
//!         for event in events {
//!             match event {
//!                 Event::Joined(peer) => println!("{} joined", peer.uname),
//!                 // What was said before this node came needs no answer.
//!                 Event::Message(Message::Entry { marks, .. }) if marks.history => {}
//!                 Event::Message(message) => {
//!                     let echo = |text| ChatText::new(format!("{} said {text}", message.uname()));
//!                     let echoes = message.texts().map(echo).collect::<Result<_, _>>()?;
//!                     node.handle.say(echoes, Origin::TERMINAL).await?;
//!                 }
//!                 _ => {}
//!             }
//!         }
//!     }
//!     Ok(())
//! }
//! ```

#[cfg(feature = "app")]
mod app;
mod runtime;

use std::net::SocketAddr;

pub use driver_common::{
    DataDir, DataError, Event, Handle, Me, Origin, RequestError, Said, SayError, StartError, Started,
    new_identity,
};
pub use proto_core::{
    ChatText, Config, ConfigBuilder, Entry, Identity, Marks, Message, Name, Notice, PeerAddr, PeerTarget,
    Plaintext,
};
pub use runtime::{Tokio, TokioListener, TokioStream};

/// Starts a node on the current runtime. It listens on `bind`, where port 0 means any free port, and dials each of
/// `peers` until it is linked. Its identity comes from [`new_identity`] or from a [`DataDir`].
///
/// [`Config::new`] alone makes a node that seals no connection, and so reaches only nodes that admit that; that does not say
/// that it is here; and that keeps nothing. [`ConfigBuilder`] turns these on.
pub fn start(
    bind: SocketAddr,
    identity: Identity,
    config: Config,
    peers: Vec<PeerTarget>,
) -> Result<Started, StartError> {
    let runtime = Tokio::current().map_err(|error| StartError::Runtime(error.into()))?;
    driver_common::start(&runtime, driver_common::net::listen(bind)?, identity, config, peers)
}
