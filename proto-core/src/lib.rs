//! A peer-to-peer chat protocol as one pure state machine.
#![forbid(unsafe_code)]
#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

mod action;
mod command;
mod config;
mod identity;
mod input;
mod link;
mod mesh;
mod name;
mod node;
mod rate;
mod stats;
mod time;
mod timer;
mod violation;
pub mod wire;

pub use action::{Action, LeaveReason, Notice, PeerInfo, Version};
pub use command::{ChatText, ChatTextError, Command, CommandError, PeerAddr, PeerAddrError};
pub use config::{Config, ConfigError, Limits, MAX_CHUNK};
pub use identity::{NodeId, NodeIdError};
pub use input::{ConnId, DialError, DialId, Input, MAX_RESOLVED, OwnedInput};
pub use name::{Name, NameError};
pub use node::Node;
pub use stats::Stats;
pub use time::Instant;
pub use timer::TimerKind;
pub use violation::Violation;
