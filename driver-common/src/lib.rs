//! What a node shows and keeps, on any runtime.

#[cfg(feature = "app")]
pub mod api;
#[cfg(feature = "app")]
pub mod app;
#[cfg(feature = "app")]
pub mod broadcast;
mod clock;
mod data;
mod event;
mod handle;
#[cfg(feature = "app")]
mod messages;
pub mod net;
mod node;
#[cfg(feature = "app")]
pub mod options;
mod resolve;
pub mod runtime;
#[cfg(feature = "app")]
pub mod terminal;

pub use clock::Clock;
pub use data::{DataDir, DataError, new_identity};
pub use event::Event;
pub use handle::{Handle, Me, Origin, RequestError, SayError};
pub use node::{StartError, Started, start};
