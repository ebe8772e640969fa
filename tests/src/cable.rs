//! Two network namespaces joined by a cable, and a packet capture on it. Only root can make them, on Linux.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::journal::{Journal, SOON, eventually};
use crate::namespace::{Namespace, Need, require_tools};
use crate::process::read_lines;

/// The addresses of the two ends.
pub const ENDS: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 77, 0, 1), Ipv4Addr::new(10, 77, 0, 2)];

/// Two namespaces and the cable.
pub struct Cable {
    ends: [Namespace; 2],
}

impl Cable {
    /// The namespaces and the cable. `None` if this process cannot make or watch them, unless `CHAT_REQUIRE_NETNS` is set.
    ///
    /// # Panics
    /// When they are required.
    #[track_caller]
    pub fn lay() -> Option<Self> {
        Need::Namespaces.or_not_run(Self::try_lay())
    }

    fn try_lay() -> Result<Self, String> {
        require_tools(&["dumpcap", "tshark", "openssl"])?;
        let ends = [Namespace::create()?, Namespace::create()?];
        ends[0].ip(&[
            "link",
            "add",
            "cable",
            "type",
            "veth",
            "peer",
            "name",
            "cable",
            "netns",
            ends[1].name(),
        ])?;
        for (end, addr) in ends.iter().zip(ENDS) {
            end.add_addr(addr, "cable")?;
            end.up("cable")?;
        }
        Ok(Self { ends })
    }

    /// Does this in the namespace at one end, where the threads and processes stay that it starts.
    ///
    /// # Panics
    /// When `work` panics.
    #[track_caller]
    pub fn at<T: Send>(&self, end: usize, work: impl FnOnce() -> T + Send) -> T {
        self.ends[end].enter(work)
    }

    /// Gives the second end so many further addresses, and returns them.
    ///
    /// # Panics
    /// When the system does not let it.
    pub fn add_addresses(&self, count: u8) -> Vec<Ipv4Addr> {
        let addrs: Vec<_> = (0..count).map(|n| Ipv4Addr::new(10, 77, 0, 100 + n)).collect();
        for addr in &addrs {
            self.ends[1].add_addr(*addr, "cable").expect("an address");
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
