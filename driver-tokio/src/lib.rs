//! A chat node on Tokio.
