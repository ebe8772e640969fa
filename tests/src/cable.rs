//! Two network namespaces joined by a cable, and a packet capture on it. Only root can make them, on Linux.

use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, thread};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::journal::{Journal, SOON, eventually};
use crate::process::read_lines;

/// The addresses of the two ends.
pub const ENDS: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 77, 0, 1), Ipv4Addr::new(10, 77, 0, 2)];

/// Two namespaces, which are deleted in the end, with the cable.
pub struct Cable {
    names: [String; 2],
}

impl Cable {
    /// The namespaces and the cable. `None` if this process cannot make or watch them, unless `CHAT_REQUIRE_NETNS` is set.
    ///
    /// # Panics
    /// When they are required.
    #[track_caller]
    pub fn lay() -> Option<Self> {
        match Self::try_lay() {
            Ok(cable) => Some(cable),
            Err(why) => {
                not_run(&why);
                None
            }
        }
    }

    fn try_lay() -> Result<Self, String> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        if cfg!(not(target_os = "linux")) {
            return Err("it needs Linux".to_owned());
        }
        for tool in ["ip", "dumpcap", "tshark", "openssl"] {
            find(tool).ok_or_else(|| format!("it needs {tool}"))?;
        }
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let cable = Self { names: ["a", "b"].map(|end| format!("chat-{}-{number}-{end}", process::id())) };
        for name in &cable.names {
            ip(&["netns", "add", name])?;
        }
        let [a, b] = &cable.names;
        ip(&["-n", a, "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", b])?;
        for (name, addr) in cable.names.iter().zip(ENDS) {
            ip(&["-n", name, "addr", "add", &format!("{addr}/24"), "dev", "cable"])?;
            for link in ["lo", "cable"] {
                ip(&["-n", name, "link", "set", link, "up"])?;
            }
        }
        Ok(cable)
    }

    /// Does this in the namespace at one end, where the threads and processes stay that it starts.
    ///
    /// # Panics
    /// When `work` panics.
    #[track_caller]
    pub fn at<T: Send>(&self, end: usize, work: impl FnOnce() -> T + Send) -> T {
        let namespace = fs::File::open(Path::new("/run/netns").join(&self.names[end])).expect("a namespace");
        let work = || {
            enter(&namespace);
            work()
        };
        let done = thread::scope(|scope| scope.spawn(work).join());
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Gives the second end so many further addresses, and returns them.
    ///
    /// # Panics
    /// When the system does not let it.
    pub fn add_addresses(&self, count: u8) -> Vec<Ipv4Addr> {
        let addrs: Vec<_> = (0..count).map(|n| Ipv4Addr::new(10, 77, 0, 100 + n)).collect();
        for addr in &addrs {
            ip(&["-n", &self.names[1], "addr", "add", &format!("{addr}/24"), "dev", "cable"])
                .expect("an address");
        }
        addrs
    }

    /// Begins to capture what passes.
    #[track_caller]
    pub fn capture(&self) -> Capture {
        let folder = TempDir::new().expect("a folder");
        let file = folder.path().join("packets.pcapng");
        let mut command = Command::new("dumpcap");
        command.args(["-i", "cable", "-w"]).arg(&file).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut dumpcap = self.at(0, || command.spawn()).expect("dumpcap starts");
        let said = read_lines(dumpcap.stderr.take().expect("a pipe"));
        let capture = Capture { dumpcap, said, file, _folder: folder };
        capture.said.expect_one("the start of the capture", SOON, |line| line.starts_with("File: "));
        capture
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for name in &self.names {
            // It may not have been made.
            let _ = ip(&["netns", "del", name]);
        }
    }
}

/// A capture under way, which ends when it is dropped.
pub struct Capture {
    dumpcap: Child,
    said: Journal<String>,
    file: PathBuf,
    _folder: TempDir,
}

impl Capture {
    /// Waits until these bytes were captured, and ends it: packets take a while to come out of the kernel. Returns the file of
    /// what was captured, and its bytes.
    #[track_caller]
    pub fn end(&mut self, last: &str) -> (&Path, Vec<u8>) {
        eventually("the end of the capture", SOON, || {
            let bytes = fs::read(&self.file).unwrap_or_default();
            memchr::memmem::find(&bytes, last.as_bytes()).is_some()
        });
        kill_process(Pid::from_child(&self.dumpcap), Signal::INT).expect("dumpcap runs");
        assert!(self.said.ended(SOON), "dumpcap does not end");
        self.dumpcap.wait().expect("its end");
        (&self.file, fs::read(&self.file).expect("what was captured"))
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let _ = self.dumpcap.kill();
        let _ = self.dumpcap.wait();
    }
}

/// What `tshark` prints of the fields of those packets that the filter admits, line by line.
#[track_caller]
pub fn dissect(file: &Path, port: u16, filter: &str, field: &str) -> Vec<String> {
    let mut tshark = Command::new("tshark");
    tshark.arg("-r").arg(file).args(["-d", &format!("tcp.port=={port},tls"), "-Y", filter]);
    let output = tshark.args(["-T", "fields", "-e", field]).output().expect("tshark starts");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text").lines().map(str::to_owned).collect()
}

/// Says that a test cannot run, unless `CHAT_REQUIRE_NETNS` is set.
///
/// # Panics
/// When it is.
#[track_caller]
pub(crate) fn not_run(why: &str) {
    let required = env::var_os("CHAT_REQUIRE_NETNS").is_some_and(|value| !value.is_empty());
    assert!(!required, "CHAT_REQUIRE_NETNS is set, and there are no network namespaces: {why}");
    // Past the test harness, which keeps what a passed test prints to itself.
    let note = format!("a test with network namespaces did not run: {why}\n");
    let _ = io::stderr().write_all(note.as_bytes());
}

/// Moves this thread into a namespace.
#[cfg(target_os = "linux")]
fn enter(namespace: &fs::File) {
    use rustix::fd::AsFd;
    use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).expect("a namespace");
}

#[cfg(not(target_os = "linux"))]
fn enter(_: &fs::File) {
    unreachable!("there are no namespaces");
}

/// Where a program is, if it is installed.
fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

fn ip(args: &[&str]) -> Result<(), String> {
    run("ip", args)
}

/// Runs a program to its end. An error is what it says.
pub(crate) fn run(program: &str, args: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(args).output().map_err(|error| format!("{program}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("{program} {}: {said}", args.join(" "))) }
}
