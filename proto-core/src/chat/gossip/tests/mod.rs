//! Tests of the gossip as a whole: of one node's beliefs, and of whole networks.

mod claims;
mod network;
mod requests;
mod scenarios;
