//! Ports that stay a test's own, also while nobody listens there.

use std::collections::BTreeMap;
use std::fs::{File, create_dir_all};
use std::net::{Ipv4Addr, TcpStream};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// Below the range that systems give to outgoing connections, so that none of these takes a port while its node is
/// down for a moment.
const RANGE: Range<u16> = 10_000..30_000;

/// From a node's port to its API's.
pub const API: u16 = 100;

/// The locks on the ports that this process holds, until it ends.
static RESERVED: Mutex<BTreeMap<u16, File>> = Mutex::new(BTreeMap::new());

/// A port that is free and whose API port is, and that no other test on this machine gets while this one runs.
///
/// # Panics
/// When there is none.
pub fn reserve() -> u16 {
    let mut reserved = RESERVED.lock().unwrap_or_else(PoisonError::into_inner);
    let start =
        RANGE.start + (std::process::id().wrapping_mul(211) % u32::from(RANGE.end - RANGE.start)) as u16;
    let ports = (start..RANGE.end).chain(RANGE.start..start);
    let mut ports = ports.filter(|port| port % (2 * API) < API);
    let taken = ports.find_map(|port| Some((port, lock(port, &reserved)?)));
    let (port, file) = taken.expect("a free port");
    reserved.insert(port, file);
    port
}

/// The sockets of this machine on a port, as the kernel lists them: who took it?
pub fn users(port: u16) -> String {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let port = format!(":{port:04X} ");
    table.lines().filter(|line| line.contains(&port)).fold(String::new(), |lines, line| lines + line + "\n")
}

/// Two different tests never hold the same file's lock, in this process or another.
fn lock(port: u16, reserved: &BTreeMap<u16, File>) -> Option<File> {
    if reserved.contains_key(&port) {
        return None;
    }
    let folder = std::env::temp_dir().join("chat-test-ports");
    create_dir_all(&folder).expect("a folder for locks");
    let file = File::create(folder.join(port.to_string())).expect("a file to lock");
    file.try_lock().ok()?;
    // Not by listening there: a process that another thread starts at this moment would have a copy of the listener.
    let free = |port| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err();
    (free(port) && free(port + API)).then_some(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_given_out_twice() {
        let first = reserve();
        let second = reserve();
        assert_ne!(first, second);
        assert_ne!(first + API, second);
        let _listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, first)).unwrap();
        assert!(!users(first).is_empty() || cfg!(not(target_os = "linux")));
    }
}
