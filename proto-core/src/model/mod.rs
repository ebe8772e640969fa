//! Values that are legal by themselves: ids, names, texts, addresses, entries, time, limits.

mod addr;
mod address_class;
mod capacity;
mod census;
mod clock;
mod config;
mod crowd;
mod cx;
mod dial;
mod entry;
mod expected;
mod fifo;
mod identity;
mod ids;
mod json;
mod limits;
mod member;
mod memory;
mod name;
mod network;
mod peer;
mod random;
mod rate;
mod repeated;
mod store;
mod text;
mod time;
mod verify;

pub(crate) use addr::canonical;
pub use addr::{PeerAddr, PeerAddrError};
pub(crate) use address_class::{Reach, host_of, is_loopback, net_of, region_of};
pub use capacity::Capacity;
pub(crate) use capacity::most_charged;
pub(crate) use census::{Census, LinkView, Outlet, PeersSource, Sender, Stage};
pub(crate) use clock::ClockReading;
pub use config::{Config, ConfigBuilder, Plaintext};
pub(crate) use crowd::{Crowd, Largest};
pub(crate) use cx::{Cx, Moment};
pub(crate) use dial::Dialed;
pub use dial::{DialError, MAX_RESOLVED, Seal};
pub(crate) use entry::Unverified;
pub use entry::{
    Class, Draft, Entry, EntryError, EntryId, Gone, Header, Kind, Live, MAX_HEADER, MAX_NUMBER, MAX_TEXTS,
    MAX_TO, Opened, Place, Presence, Room, RoomError, RunId, RunPosition, Sealed, Texts, Via, Word,
};
pub use expected::{Expected, ExpectedError, PeerTarget, PeerTargetError};
pub(crate) use fifo::Fifo;
pub(crate) use identity::Purpose;
pub use identity::{Identity, NodeId, NodeIdError, PublicKey, PublicKeyError, Signature};
pub(crate) use ids::TargetId;
pub use ids::{ConnId, DialId};
pub(crate) use json::{json_len, write_display, write_string};
pub use limits::{
    ChatLimits, ConfigError, ConnLimits, Limit, Limits, MAX_CHUNK, MAX_LINE, MeshLimits, Origin, V1Limits,
    Value, WireLimits,
};
pub use member::{Member, MemberChange, MemberState};
pub use memory::{KnownAddress, KnownName, KnownPin, Memory};
pub use name::{Name, NameError};
pub use network::{NetworkId, NetworkIdError};
pub use peer::{LeaveReason, Marks, PeerInfo, Version};
pub(crate) use random::{below, uniform};
pub(crate) use rate::{FreshBuckets, PeerAtHost, PeerBuckets, TokenBucket, TokenBuckets};
pub use repeated::Repeated;
pub use store::{Kept, KeptRun, LoadId, Loaded, OwnPosition, Record, SayId, StoreChange, StoreId, Wanted};
pub use text::{ChatText, ChatTextError};
pub use time::Instant;
pub(crate) use time::Past;
pub(crate) use verify::{Equation, KeyPoint};
