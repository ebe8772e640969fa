//! A node on any async runtime: the task that owns it, its handle and its events. With the feature `app`, also the
//! program: command line, terminal, HTTP API, page and metrics.

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
mod members;
#[cfg(feature = "app")]
mod messages;
mod mutes;
pub mod net;
mod node;
#[cfg(feature = "app")]
pub mod options;
#[cfg(feature = "app")]
mod repeats;
mod resolve;
pub mod runtime;
pub mod store;
#[cfg(feature = "app")]
pub mod terminal;
#[cfg(all(test, feature = "app"))]
mod testing;

pub use clock::Clock;
#[cfg(feature = "app")]
pub use data::{ApiToken, TokenError};
pub use data::{DataDir, DataError, UnsafeFile, new_identity};
pub use event::Event;
pub use handle::{Handle, Me, Origin, RequestError, Said, SayError};
pub use node::{StartError, Started, start, start_with_store};
