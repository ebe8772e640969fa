//! A peer-to-peer chat protocol as one pure state machine.
#![forbid(unsafe_code)]
#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

mod action;
mod command;
mod config;
mod identity;
mod input;
mod name;
mod time;
mod violation;
pub mod wire;

pub use action::{Action, LeaveReason, Notice, PeerInfo, Version};
pub use command::{ChatText, ChatTextError, Command, CommandError, PeerAddr, PeerAddrError};
pub use config::{Config, ConfigError, Limits};
pub use identity::{NodeId, NodeIdError};
pub use input::{ConnId, DialError, DialId, Input, MAX_RESOLVED, OwnedInput};
pub use name::{Name, NameError};
pub use time::Instant;
pub use violation::Violation;
