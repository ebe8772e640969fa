//! What a node keeps on its disk.
//!
//! The node's task asks a [`StoreClient`] to keep and to read entries, and never waits for it. Threads do the work, and wake
//! the task when there is an answer. With the feature `store`, [`Store::open`] is a store in SQLite.

mod channel;
#[cfg(feature = "store")]
mod sqlite;

use std::fmt;
use std::path::PathBuf;
use std::thread::JoinHandle;

use proto_core::{Kept, NodeId};

pub use self::channel::{Answer, Cursor, PageError, Shown, StoreClient, StoreView};
#[cfg(feature = "store")]
pub use self::sqlite::{Retention, StoreError, StoreOptions};

/// An open store.
#[derive(Debug)]
pub struct Store {
    /// What the node is given when it starts.
    pub(crate) kept: Kept,
    pub(crate) client: StoreClient,
    threads: Threads,
    notices: Vec<StoreNotice>,
    mutes: Vec<NodeId>,
}

/// The threads of a store. They end when the node has stopped.
#[derive(Debug)]
pub struct Threads(Vec<JoinHandle<()>>);

impl Store {
    /// What the node is given when it starts.
    pub fn kept(&self) -> &Kept {
        &self.kept
    }

    /// The end of the node's task.
    pub fn client(&self) -> &StoreClient {
        &self.client
    }

    /// What there is to say about the start.
    pub fn notices(&self) -> &[StoreNotice] {
        &self.notices
    }

    /// The nodes of which the user wants to see nothing.
    pub fn mutes(&self) -> &[NodeId] {
        &self.mutes
    }

    /// The same, each with the name that it was last met by, or else the start of its id.
    pub(crate) fn muted_names(&self) -> impl Iterator<Item = (NodeId, proto_core::Name)> {
        self.mutes.iter().map(|node_id| {
            let met = self.kept.memory.names.iter().rev().find(|known| known.key.node_id() == *node_id);
            (
                *node_id,
                met.map_or_else(
                    || proto_core::Name::cut(&node_id.short().to_string()).expect("it is a name"),
                    |known| known.uname.clone(),
                ),
            )
        })
    }

    /// The threads, to wait for their end.
    pub fn take_threads(&mut self) -> Threads {
        Threads(std::mem::take(&mut self.threads.0))
    }

    /// What can be read of it while the node runs.
    pub fn view(&self) -> StoreView {
        self.client.view()
    }
}

impl Threads {
    /// Waits until everything is on the disk. Call this after the node has stopped.
    pub fn wait(self) {
        for thread in self.0 {
            // A panic was reported when it happened.
            let _ = thread.join();
        }
    }
}

/// Why a store cannot write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreProblem {
    /// The disk is full, or the user has used up what the user may have of it.
    NoSpace,
    /// The file, its folder or its disk can only be read.
    ReadOnly,
    /// The disk reports an error.
    Io,
    /// The database is damaged.
    Damaged,
    /// Another program has locked the database.
    Locked,
    /// The file cannot be opened.
    CannotOpen,
    /// SQLite reports another error.
    Other,
}

impl StoreProblem {
    /// Each of them.
    pub const ALL: [Self; 7] =
        [Self::NoSpace, Self::ReadOnly, Self::Io, Self::Damaged, Self::Locked, Self::CannotOpen, Self::Other];

    /// One word for programs.
    pub fn word(self) -> &'static str {
        match self {
            Self::NoSpace => "no_space",
            Self::ReadOnly => "read_only",
            Self::Io => "io",
            Self::Damaged => "damaged",
            Self::Locked => "locked",
            Self::CannotOpen => "cannot_open",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for StoreProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSpace => "there is no space left on the disk",
            Self::ReadOnly => "its file or folder can only be read",
            Self::Io => "the disk reports errors",
            Self::Damaged => "its database is damaged",
            Self::Locked => "another program has locked its database",
            Self::CannotOpen => "its file cannot be opened",
            Self::Other => "the database reports an error",
        })
    }
}

/// Something about the store that the user should know.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreNotice {
    /// Nothing is kept until [`Works`](Self::Works).
    Failed(StoreProblem),
    /// Everything is kept again.
    Works,
    /// The database was damaged. It was renamed, and a new one was begun.
    SetAside {
        /// Its new name.
        file: PathBuf,
    },
    /// Some entries were damaged and were deleted. The node asks for them again.
    Damaged {
        /// How many.
        entries: usize,
    },
}

impl fmt::Display for StoreNotice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(problem) => {
                write!(
                    f,
                    "messages are not being kept: {problem}; the chat goes on, and this node tries again"
                )
            }
            Self::Works => f.write_str("messages are being kept again"),
            Self::SetAside { file } => write!(
                f,
                "the history was damaged: it is now {}, and a new one is filled from your peers",
                file.display()
            ),
            Self::Damaged { entries: 1 } => {
                f.write_str("1 message of the history was damaged, and is asked for again")
            }
            Self::Damaged { entries } => {
                write!(f, "{entries} messages of the history were damaged, and are asked for again")
            }
        }
    }
}

/// The state of a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreStatus {
    /// Why it cannot write. None: it works.
    pub problem: Option<StoreProblem>,
    /// Records that wait to be committed.
    pub waiting: usize,
    /// The size of the database, in bytes.
    pub bytes: u64,
    /// Entries that were stored since the start.
    pub stored: u64,
    /// Commits since the start.
    pub commits: u64,
    /// How often it could not write, since the start.
    pub failures: u64,
    /// Entries that were dropped since the start because they are older than `--keep`, or exceed `--keep-size`.
    pub expired: u64,
}
