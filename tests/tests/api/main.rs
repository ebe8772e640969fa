//! The API of whole nodes, in this process and on both drivers, over real sockets.

mod apart;
mod bounds;
mod guard;
mod malformed;
mod node;
mod others;
mod routes;
mod sockets;
mod strangers;
