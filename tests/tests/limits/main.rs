//! Each limit of a node at one below, at and one above it, and each time just before and at it, with what it counts.
//!
//! Which test is whose, and which limits have none, stands in [`table`]; limits of parts that cannot be seen from outside
//! are tested beside those parts.

mod config;
mod dials;
mod entries;
mod gossip;
mod links;
mod mesh;
mod queues;
mod rates;
mod solo;
mod spec;
mod table;
mod times;
