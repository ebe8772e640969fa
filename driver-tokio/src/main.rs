//! A chat node on tokio.

fn main() {}
