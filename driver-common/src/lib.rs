//! What a node shows and keeps, on any runtime.

pub mod api;
pub mod app;
mod clock;
mod event;
mod handle;
pub mod hub;
pub mod net;
mod node;
pub mod options;
pub mod runtime;
pub mod terminal;

pub use clock::Clock;
pub use event::Event;
pub use handle::{Handle, Me, Origin, RequestError, SayError};
pub use node::{StartError, Started, start};
