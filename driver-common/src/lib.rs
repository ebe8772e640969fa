//! What a node shows and keeps, on any runtime.

pub mod api;
pub mod app;
mod clock;
mod data;
mod event;
mod handle;
pub mod hub;
pub mod net;
mod node;
pub mod options;
pub mod runtime;
pub mod terminal;
mod words;

pub use clock::Clock;
pub use data::{DataDir, DataError, new_identity};
pub use event::Event;
pub use handle::{Handle, Me, Origin, RequestError, SayError};
pub use node::{StartError, Started, start};
