//! Namespaces in which the system's resolver hangs: its name server takes questions and never answers. Only root can make
//! them, on Linux.

use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};
use std::{fs, thread};

use rustix::thread::{UnshareFlags, unshare_unsafe};
use tempfile::TempDir;

use crate::namespace::{Need, run};

/// What the resolver reads. It waits for 30 s, five times: for longer than any test that does not wait for it.
const FILES: [(&str, &str); 2] = [
    ("/etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:30 attempts:5\n"),
    ("/etc/nsswitch.conf", "hosts: files dns\n"),
];

/// The name server.
pub struct SilentDns(UdpSocket);

impl SilentDns {
    /// Does this where it is the name server: in network and mount namespaces of their own, where the threads and processes
    /// stay that `work` starts. Does nothing if this process cannot make them, unless `CHAT_REQUIRE_NETNS` is set.
    ///
    /// # Panics
    /// When they are required, or when `work` panics.
    #[track_caller]
    pub fn with(work: impl FnOnce(&Self) + Send) {
        let folder = TempDir::new().expect("a folder");
        let work = || Self::enter(folder.path()).map(|server| work(&server));
        match thread::scope(|scope| scope.spawn(work).join()) {
            Ok(Ok(())) => {}
            Ok(Err(why)) => Need::Namespaces.not_run(&why),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    /// Waits until the resolver has asked for names that begin with these labels.
    #[track_caller]
    pub fn expect_questions(&self, labels: &[&str], timeout: Duration) {
        let deadline = Instant::now() + timeout;
        let mut missing = labels.to_vec();
        while !missing.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            let mut packet = [0; 512];
            let limited = (!left.is_zero()).then(|| self.0.set_read_timeout(Some(left)));
            let received = limited.and_then(|limited| limited.and_then(|()| self.0.recv(&mut packet)).ok());
            let Some(count) = received else { panic!("nobody asks for {missing:?}") };
            missing.retain(|label| memchr::memmem::find(&packet[..count], label.as_bytes()).is_none());
        }
    }

    /// Moves this thread into new namespaces. The files in `folder` take the places of the system's there alone.
    fn enter(folder: &Path) -> Result<Self, String> {
        // SAFETY: threads go on sharing their file descriptors.
        unsafe { unshare_unsafe(UnshareFlags::NEWNET | UnshareFlags::NEWNS) }
            .map_err(|error| format!("it needs namespaces: {error}"))?;
        run("mount", &["--make-rprivate", "/"])?;
        for (file, text) in FILES {
            let path = Path::new(file);
            let name = path.file_name().expect("the name of a file");
            let ours = folder.join(name);
            fs::write(&ours, text).map_err(|error| error.to_string())?;
            // Without the file, the resolver does what it says here.
            if path.exists() || name == "resolv.conf" {
                run("mount", &["--bind", ours.to_str().expect("text"), file])?;
            }
        }
        run("ip", &["link", "set", "lo", "up"])?;
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 53)).map_err(|error| error.to_string())?;
        Ok(Self(socket))
    }
}
