//! A chat node on smol, or on anything else that can run its tasks: smol's sockets and timers need no executor.
//!
//! ```no_run
//! use driver_smol::{ChatText, Config, Event, Origin, Smol};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let config = Config::new("Echo".parse()?);
//!     let peers = vec!["127.0.0.1:8080".parse()?];
//!     let node = driver_smol::start(&Smol::global(), "127.0.0.1:0".parse()?, config, peers)?;
//!     smol::block_on(async {
//!         while let Ok(events) = node.events.recv().await {
//!             for event in events {
//!                 match event {
//!                     Event::Joined(peer) => println!("{} is here", peer.uname),
//!                     Event::Message { peer, text } => {
//!                         let echo = ChatText::new(format!("{} said {text}", peer.uname))?;
//!                         node.handle.say(vec![echo], Origin::TERMINAL).await?;
//!                     }
//!                     _ => {}
//!                 }
//!             }
//!         }
//!         Ok(())
//!     })
//! }
//! ```

mod runtime;

use std::net::SocketAddr;

pub use driver_common::{Event, Handle, Me, Origin, RequestError, SayError, StartError, Started};
pub use proto_core::{ChatText, Config, Name, PeerAddr};
pub use runtime::{Smol, SmolListener, SmolStream, Task};

/// Starts a node on this runtime: it listens on `bind`, port 0 being any free one, and dials each of `peers` until it is
/// linked.
pub fn start(
    runtime: &Smol,
    bind: SocketAddr,
    config: Config,
    peers: Vec<PeerAddr>,
) -> Result<Started, StartError> {
    driver_common::start(runtime, driver_common::net::listen(bind)?, config, peers)
}
