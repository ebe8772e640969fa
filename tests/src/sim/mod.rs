//! A simulator of whole networks: real nodes in virtual time, on a network where everything goes wrong that can.
//!
//! A run is a function of its seed. It drives the public contract of `proto-core` alone: what a driver on sockets does, a
//! [`World`] does with hosts in memory.
//!
//! [`run`](run::run) makes one run of chaos and then calm; what is watched meanwhile is in [`check`].

mod actor;
pub mod campaign;
pub mod check;
pub mod digest;
pub mod faults;
pub mod harness;
mod host;
pub mod hostile;
pub mod measure;
mod net;
mod queue;
mod random;
mod raw_peer;
pub mod run;
pub mod trace;
mod transcript;
pub mod version1;
mod world;

use std::time::Duration;

use proto_core::ConnId;

pub use actor::{Actor, Filter, Happening, Lines, Todo};
pub use host::{Host, Machine, WallClock, address};
pub use net::{Arrival, Latency, Net, NetConfig, Partition, Sent};
pub use queue::Queue;
pub use random::Dice;
pub use raw_peer::RawPeer;
pub use transcript::Transcript;
pub use world::{Probes, Tamper, World};

/// A host, by its index.
pub type HostId = u32;

/// Virtual time since the beginning of the run, in nanoseconds.
pub type Nanos = u64;

/// What is to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Something arrives at this end of a connection.
    Arrive {
        /// The end.
        conn: ConnId,
    },
    /// The operating system has taken what was last sent at this end.
    Flushed {
        /// The end.
        conn: ConnId,
    },
    /// The operating system has taken some bytes of what was last sent at this end.
    Written {
        /// The end.
        conn: ConnId,
        /// How many.
        bytes: usize,
    },
    /// What was sent at this end has not been acknowledged for long.
    GiveUp {
        /// The end.
        conn: ConnId,
    },
    /// A dial reaches the host it is for.
    Knock {
        /// The index of the dial.
        dial: u32,
    },
    /// The answer to a dial is back.
    Answered {
        /// The index of the dial.
        dial: u32,
    },
    /// A host asked to be woken.
    Wake {
        /// The host.
        host: HostId,
    },
    /// A commit of a host's store is over.
    Commit {
        /// The host.
        host: HostId,
        /// Which of its nodes asked for it.
        run: u32,
    },
    /// What a host's node asked its store for was read.
    Read {
        /// The host.
        host: HostId,
        /// Which of its nodes asked for it.
        run: u32,
    },
    /// A host's store can write again.
    Mend {
        /// The host.
        host: HostId,
        /// Which of its nodes found that it could not.
        run: u32,
    },
    /// A host that slept is awake again.
    Awake {
        /// The host.
        host: HostId,
    },
}

/// A time as the simulator counts it.
pub fn nanos(time: Duration) -> Nanos {
    u64::try_from(time.as_nanos()).unwrap_or(Nanos::MAX)
}
