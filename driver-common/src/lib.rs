//! What a node shows and keeps, on any runtime.

#[cfg(feature = "app")]
pub mod api;
#[cfg(feature = "app")]
pub mod app;
mod clock;
mod data;
mod event;
mod handle;
#[cfg(feature = "app")]
pub mod hub;
pub mod net;
mod node;
#[cfg(feature = "app")]
pub mod options;
mod resolve;
pub mod runtime;
#[cfg(feature = "app")]
pub mod terminal;
#[cfg(feature = "app")]
mod words;

pub use clock::Clock;
pub use data::{DataDir, DataError, new_identity};
pub use event::Event;
pub use handle::{Handle, Me, Origin, RequestError, SayError};
pub use node::{StartError, Started, start};
