//! A chat node on Tokio.

mod runtime;

pub use runtime::{Tokio, TokioListener, TokioStream};
