//! What a node shows and keeps, on any runtime.

pub mod options;
