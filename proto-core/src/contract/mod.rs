//! The vocabulary of the interface: what goes into a node, what comes out, and what can be seen of it.

mod action;
mod command;
mod input;
mod notice;
mod stats;
mod status;
mod timer;
mod violation;

pub use crate::model::Capacity;
pub use action::{Action, Message};
pub use command::{Command, CommandError, Outcome};
pub use input::Input;
pub use notice::Notice;
pub use stats::Stats;
pub use status::{
    BookStatus, CapacityStatus, EntriesStatus, GapStatus, LinkRole, LinkState, LinkStatus, Status,
    TargetFailure, TargetState, TargetStatus, TreeStatus,
};
pub use timer::TimerKind;
pub use violation::Violation;
