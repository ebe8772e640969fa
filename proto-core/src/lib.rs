//! A peer-to-peer chat protocol as one pure state machine.
//!
//! [`Node`] is a whole node of the network without a socket, a clock, a thread or a source of randomness. A driver owns
//! those. It tells the node what happens ([`Input`]), passes on what its user wants ([`Command`]), and carries out what
//! the node asks for ([`Action`]):
//!
//! ```
//! use proto_core::{Action, Command, Config, ConnId, Identity, Input, Instant, Node};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let start = std::time::Instant::now();
//! let now = || Instant::from_origin(start.elapsed());
//! // Random, and kept: it is who the node is.
//! let identity = Identity::from_secret(&[42; 32]);
//! let mut node = Node::new(Config::new("Alice".parse()?), identity, [7; 32], now());
//! node.handle_input(now(), Input::wall_clock(1_700_000_000_000));
//! node.command(now(), Command::Connect("127.0.0.1:8080".parse()?))?;
//!
//! let mut turns = 0..3; // for ever, outside an example
//! while turns.next().is_some() {
//!     // 1. Carry out every action, in order.
//!     while let Some(action) = node.poll_action() {
//!         match action {
//!             Action::Dial { dial, addr, .. } => {
//!                 println!("connect to {addr}, then report Connected or DialFailed of {dial:?}");
//!                 node.handle_input(now(), Input::connected(dial, ConnId(1)));
//!             }
//!             Action::SendFrame { conn, bytes } => {
//!                 println!("write {} bytes, then report Flushed of {conn:?}", bytes.len());
//!                 node.handle_input(now(), Input::flushed(conn));
//!             }
//!             Action::Deliver(message) => {
//!                 message.texts().for_each(|text| println!("{}: {text}", message.uname()));
//!             }
//!             other => println!("{other:?}"),
//!         }
//!     }
//!     // 2. Wait for the first of a socket, a command and the one deadline; tell the node; begin again.
//!     let _wake_at = node.poll_timeout();
//!     node.handle_input(now(), Input::received(ConnId(1), b"JOIN|{\"uname\":\"Bob\"}\nMSG|hi\n"));
//! }
//! assert_eq!(node.peers().next().map(|peer| peer.uname.as_str()), Some("Bob"));
//! # Ok(())
//! # }
//! ```
//!
//! What a driver has to keep to:
//! - **Time**: [`Instant`] counts from an origin that the driver picks and never goes back. [`Input::Timeout`] is due
//!   when it reaches [`Node::poll_timeout`]; more of them do no harm.
//! - **Connections** are numbered by the driver, dials by the node. Every connection ends with exactly one
//!   [`Input::Closed`], whoever ended it.
//! - **Output**: one [`Action::SendFrame`] at a time is out on a connection; [`Input::Flushed`] asks for the next. So
//!   the node, not the driver, knows every backlog, and decides what a slow peer costs.
//! - **Order**: any number of inputs between two drains, any interleaving, streams cut anywhere: all legal, all the
//!   same.
//!
//! Three families of error never mix: bytes that cannot be read ([`wire::FrameError`]), a peer that breaks a rule
//! ([`Violation`], an action), and a caller that misuses the node ([`CommandError`], [`ConfigError`]). No input can
//! cause a panic.
//!
//! Inside, `node` takes inputs and events to four machines that do not know each other: `conns` owns the connections,
//! `mesh` decides whom to know and whom to hold, `chat` is what is said, `v1` is what peers without a key take part in.
//! `wire` turns bytes into frames and back, `model` holds values that are legal by themselves, `contract` is the vocabulary
//! above. Without its default feature the crate is `no_std` with `alloc`.

#![forbid(unsafe_code, clippy::disallowed_macros, clippy::disallowed_methods, clippy::disallowed_types)]
#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

mod chat;
mod conns;
mod contract;
mod mesh;
mod model;
mod node;
mod v1;
pub mod wire;

pub use contract::{
    Action, BookStatus, Capacity, CapacityStatus, Command, CommandError, EntriesStatus, GapStatus, Input,
    LinkRole, LinkState, LinkStatus, Message, Notice, Outcome, Stats, Status, TimerKind, TreeStatus,
    Violation,
};
pub use model::{
    ChatLimits, ChatText, ChatTextError, Config, ConfigBuilder, ConfigError, ConnId, ConnLimits, DialError,
    DialId, Draft, Entry, EntryError, EntryId, Identity, Instant, LeaveReason, Limit, Limits, MAX_CHUNK,
    MAX_NUMBER, MAX_RESOLVED, MAX_TEXTS, MAX_TO, Marks, MeshLimits, Name, NameError, NodeId, NodeIdError,
    Origin, PeerAddr, PeerAddrError, PeerInfo, Place, PublicKey, PublicKeyError, Seal, Sealed, Signature,
    V1Limits, Value, Version, Via, WireLimits,
};
pub use node::Node;
