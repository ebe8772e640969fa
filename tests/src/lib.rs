//! Helpers of the tests: nothing here is for use elsewhere.

pub mod api_listing;
pub mod bench;
pub mod binary;
pub mod bounds;
pub mod cable;
#[cfg(target_os = "linux")]
pub mod emulator;
#[cfg(target_os = "linux")]
pub mod faults;
#[cfg(target_os = "linux")]
pub mod flood;
pub mod fuzz;
pub mod heap;
pub mod http;
pub mod imports;
pub mod journal;
pub mod kept;
pub mod kills;
mod namespace;
pub mod other_user;
pub mod ports;
pub mod process;
pub mod proxy;
pub mod pty;
pub mod raw;
pub mod signer;
#[cfg(target_os = "linux")]
pub mod silent_dns;
pub mod sim;
pub mod store;
pub mod talk;
pub mod vectors;
pub mod version1;
pub mod webdriver;
