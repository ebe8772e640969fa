//! Real binaries of both drivers, alone and mixed, and what they promise: events are awaited, for five times as long as
//! is promised.

mod bad_input;
mod capture;
mod conversation;
#[cfg(target_os = "linux")]
mod disk_faults;
mod filter;
mod floods;
mod history;
mod hostile_frames;
mod identity;
mod life;
mod links;
#[cfg(target_os = "linux")]
mod name_server;
mod network;
mod output;
mod resources;
mod sealed;
mod start;
mod version1;
