//! A chat node on smol.
