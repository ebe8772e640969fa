//! A peer-to-peer chat protocol as one pure state machine.
//!
//! [`Node`] is a whole node of the network, without sockets, clocks, threads or random sources. A driver owns those. The
//! driver reports what happens ([`Input`]), passes on what its user wants ([`Command`]), and does what the node asks for
//! ([`Action`]):
//!
//! ```
//! use proto_core::{Action, Command, Config, ConnId, Identity, Input, Instant, Node};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let start = std::time::Instant::now();
//! let now = || Instant::from_origin(start.elapsed());
//! // Draw it once from a secure random source, and store it: the node's id follows from it.
//! let identity = Identity::from_secret(&[42; 32]);
//! let mut node = Node::new(Config::new("Alice".parse()?), identity, [7; 32], now());
//! node.handle_input(now(), Input::wall_clock(1_700_000_000_000));
//! node.command(now(), Command::Connect("127.0.0.1:8080".parse()?))?;
//!
//! let mut turns = 0..3; // A driver loops for ever.
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
//! The rules for a driver:
//! - **Time**: [`Instant`] counts from an origin that the driver chooses, and never goes back. [`Input::Timeout`] is due
//!   when it reaches [`Node::poll_timeout`]. Further timeouts do no harm.
//! - **Wall clock**: report [`Input::WallClock`] first, and again when it and `now` have drifted apart by half a second.
//! - **Connections** are numbered by the driver, dials by the node. Each connection ends with exactly one
//!   [`Input::Closed`], whichever side ended it.
//! - **Output**: each connection has one [`Action::SendFrame`] under way at a time. The next one follows
//!   [`Input::Flushed`]. Report a partial write by [`Input::Written`], which shows that bytes leave. So the node knows how much
//!   waits for each peer, and decides what to do about slow ones.
//! - **Seal**: with [`ConfigBuilder::plaintext`], each [`Action::Dial`] says how the connection is secured, and one that was
//!   accepted and begins with a handshake is reported by [`Input::Sealing`]. Without it, all connections are in clear.
//! - **Store**: with [`ConfigBuilder::store`], the node asks to keep and to read entries by [`Action::Store`] and
//!   [`Action::Load`], and never waits. [`Node::restore`] begins with what was kept.
//! - **Order**: a driver may report any number of inputs before it polls actions, in any order of connections, and may
//!   cut streams anywhere. The result is the same.
//!
//! There are three kinds of errors. Bytes that cannot be read are a [`wire::FrameError`]. A rule that a peer breaks is a
//! [`Violation`], which an action reports. A mistake of the caller is a [`CommandError`] or a [`ConfigError`]. No input
//! causes a panic.
//!
//! Inside, `node` routes inputs and events to four machines that do not know each other. `conns` owns the connections.
//! `mesh` decides which nodes to know and which to link with. `chat` is the conversation. `v1` serves peers without a
//! key. `wire` reads and writes frames, `model` has the values that all use, and `contract` is the interface above.
//! Without its default features, `seal` and `std`, the crate is `no_std` with `alloc`.

#![forbid(unsafe_code, clippy::disallowed_macros, clippy::disallowed_methods, clippy::disallowed_types)]
#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

mod chat;
mod conns;
mod contract;
mod mesh;
mod model;
mod node;
#[cfg(feature = "seal")]
pub mod seal;
mod v1;
pub mod wire;

pub use contract::{
    Action, BookStatus, Capacity, CapacityStatus, Command, CommandError, EntriesStatus, GapStatus, Input,
    LinkRole, LinkState, LinkStatus, Message, Notice, Outcome, Stats, Status, TargetFailure, TargetState,
    TargetStatus, TimerKind, TreeStatus, Violation,
};
pub use model::{
    ChatLimits, ChatText, ChatTextError, Class, Config, ConfigBuilder, ConfigError, ConnId, ConnLimits,
    DialError, DialId, Draft, Entry, EntryError, EntryId, Expected, ExpectedError, Gone, Header, Identity,
    Instant, Kept, KeptRun, Kind, KnownAddress, KnownName, KnownPin, LeaveReason, Limit, Limits, Live,
    LoadId, Loaded, MAX_CHUNK, MAX_HEADER, MAX_NUMBER, MAX_RESOLVED, MAX_TEXTS, MAX_TO, Marks, Member,
    MemberChange, MemberState, Memory, MeshLimits, Name, NameError, NetworkId, NetworkIdError, NodeId,
    NodeIdError, Opened, Origin, OwnPosition, PeerAddr, PeerAddrError, PeerInfo, PeerTarget, PeerTargetError,
    Place, Plaintext, Presence, PublicKey, PublicKeyError, Record, Repeated, Room, RoomError, RunId,
    RunPosition, SayId, Seal, Sealed, Signature, StoreChange, StoreId, Texts, V1Limits, Value, Version, Via,
    Wanted, WireLimits, Word,
};
pub use node::Node;
