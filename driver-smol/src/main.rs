//! A chat node on smol.

fn main() {}
