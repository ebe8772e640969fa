//! Network namespaces of the tests' own. Only root can make them, on Linux.

use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, thread};

/// A namespace, which is deleted in the end, with its devices.
pub(crate) struct Namespace {
    name: String,
}

impl Namespace {
    /// A namespace with a loopback device. An error is what is missing.
    pub(crate) fn create() -> Result<Self, String> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        if cfg!(not(target_os = "linux")) {
            return Err("it needs Linux".to_owned());
        }
        require_tools(&["ip"])?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let namespace = Self { name: format!("chat-{}-{number}", process::id()) };
        run("ip", &["netns", "add", &namespace.name])?;
        namespace.up("lo")?;
        Ok(namespace)
    }

    /// Its name, as `ip netns` lists it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Runs `ip` on what is in this namespace.
    pub(crate) fn ip(&self, args: &[&str]) -> Result<(), String> {
        run("ip", &[&["-n", &self.name], args].concat())
    }

    /// Gives a device this address, in a network of 256 addresses.
    pub(crate) fn add_addr(&self, addr: Ipv4Addr, device: &str) -> Result<(), String> {
        self.ip(&["addr", "add", &format!("{addr}/24"), "dev", device])
    }

    /// Makes a device carry packets.
    pub(crate) fn up(&self, device: &str) -> Result<(), String> {
        self.ip(&["link", "set", device, "up"])
    }

    /// Does this in the namespace, where the threads and processes stay that it starts.
    ///
    /// # Panics
    /// When `work` panics.
    #[track_caller]
    pub(crate) fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let namespace = fs::File::open(Path::new("/run/netns").join(&self.name)).expect("a namespace");
        let work = || {
            move_into(&namespace);
            work()
        };
        let done = thread::scope(|scope| scope.spawn(work).join());
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // It may not have been made.
        let _ = run("ip", &["netns", "del", &self.name]);
    }
}

/// What a test may need that not every machine has.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Need {
    /// Network namespaces.
    Namespaces,
    /// Network namespaces with TUN devices.
    Devices,
}

impl Need {
    /// What was made. `None` if it could not be made, which is said, unless it is required.
    ///
    /// # Panics
    /// When it is required.
    #[track_caller]
    pub(crate) fn or_not_run<T>(self, made: Result<T, String>) -> Option<T> {
        made.inspect_err(|why| self.not_run(why)).ok()
    }

    /// Says that a test cannot run, unless what it needs is required.
    ///
    /// # Panics
    /// When it is.
    #[track_caller]
    pub(crate) fn not_run(self, why: &str) {
        let (variable, what) = match self {
            Self::Namespaces => ("CHAT_REQUIRE_NETNS", "network namespaces"),
            Self::Devices => ("CHAT_REQUIRE_TUN", "network namespaces with TUN devices"),
        };
        let required = env::var_os(variable).is_some_and(|value| !value.is_empty());
        assert!(!required, "{variable} is set, and there are no {what}: {why}");
        // Past the test harness, which keeps what a passed test prints to itself.
        let note = format!("a test with {what} did not run: {why}\n");
        let _ = io::stderr().write_all(note.as_bytes());
    }
}

/// An error names the first of these programs that is not installed.
pub(crate) fn require_tools(tools: &[&str]) -> Result<(), String> {
    let missing = tools.iter().find(|tool| find(tool).is_none());
    missing.map_or(Ok(()), |tool| Err(format!("it needs {tool}")))
}

/// Runs a program to its end. An error is what it says.
pub(crate) fn run(program: &str, args: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(args).output().map_err(|error| format!("{program}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("{program} {}: {said}", args.join(" "))) }
}

/// Moves this thread into a namespace.
#[cfg(target_os = "linux")]
fn move_into(namespace: &fs::File) {
    use rustix::fd::AsFd;
    use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).expect("a namespace");
}

#[cfg(not(target_os = "linux"))]
fn move_into(_: &fs::File) {
    unreachable!("there are no namespaces");
}

/// Where a program is, if it is installed.
fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}
