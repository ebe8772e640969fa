//! A network emulator: hosts in namespaces of their own, whose packets are lost, late, slow or stopped on their way. The
//! TCP at both ends is the kernel's. Only root can make it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, ErrorKind, PipeReader, PipeWriter};
use std::net::Ipv4Addr;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tappers::{Interface, Tun};

use crate::namespace::{Namespace, Need};
use crate::sim::Dice;

/// What happens to the packets from one host to another.
#[derive(Clone, Copy, Debug, Default)]
pub struct Path {
    /// The share of packets that is lost, from 0 to 1.
    pub loss: f64,
    /// How long a packet is under way.
    pub delay: Duration,
    /// How many bytes pass in a second. `None`: as many as there are.
    pub rate: Option<u32>,
    /// No packet passes.
    pub cut: bool,
}

/// The hosts and what is between them.
pub struct Emulator {
    hosts: Vec<Namespace>,
    paths: Arc<Mutex<Paths>>,
    /// Closed when the network is to end.
    end: Option<PipeWriter>,
    carrier: Option<JoinHandle<()>>,
}

impl Emulator {
    /// So many hosts, at most 250, with one path in each direction. `None` if this process cannot make them, unless
    /// `CHAT_REQUIRE_TUN` is set.
    ///
    /// # Panics
    /// When they are required.
    #[track_caller]
    pub fn start(hosts: u8, path: Path) -> Option<Self> {
        Need::Devices.or_not_run(Self::try_start(hosts, path))
    }

    fn try_start(hosts: u8, path: Path) -> Result<Self, String> {
        let (mut namespaces, mut devices) = (Vec::new(), Vec::new());
        for host in 0..hosts {
            let namespace = Namespace::create()?;
            devices.push(
                namespace.enter(open_device).map_err(|error| format!("it needs a TUN device: {error}"))?,
            );
            namespace.add_addr(Self::addr(host.into()), DEVICE)?;
            namespace.up(DEVICE)?;
            namespaces.push(namespace);
        }
        let (ended, end) = io::pipe().map_err(|error| error.to_string())?;
        let paths = Arc::new(Mutex::new(Paths::new(devices.len(), path)));
        let carrier = Carrier {
            devices,
            paths: paths.clone(),
            ended,
            under_way: BinaryHeap::new(),
            sent: 0,
            dice: Dice::new(1),
        };
        let carrier = Some(thread::spawn(|| carrier.run()));
        Ok(Self { hosts: namespaces, paths, end: Some(end), carrier })
    }

    /// The address of a host.
    pub fn addr(host: usize) -> Ipv4Addr {
        let last = u8::try_from(host + 1).expect("250 hosts at most");
        let [a, b, c] = NETWORK;
        Ipv4Addr::new(a, b, c, last)
    }

    /// Does this on a host, where the threads and processes stay that it starts.
    ///
    /// # Panics
    /// When `work` panics.
    #[track_caller]
    pub fn at<T: Send>(&self, host: usize, work: impl FnOnce() -> T + Send) -> T {
        self.hosts[host].enter(work)
    }

    /// Changes the paths from and to a host.
    pub fn change_paths_of(&self, host: usize, change: impl Fn(&mut Path)) {
        self.change(|from, to, path| {
            if from == host || to == host {
                change(path);
            }
        });
    }

    /// Cuts these hosts off from all others, or joins them again.
    pub fn cut(&self, hosts: &Range<usize>, cut: bool) {
        self.change(|from, to, path| {
            if hosts.contains(&from) != hosts.contains(&to) {
                path.cut = cut;
            }
        });
    }

    fn change(&self, change: impl Fn(usize, usize, &mut Path)) {
        let mut paths = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
        for from in 0..self.hosts.len() {
            for to in 0..self.hosts.len() {
                change(from, to, &mut paths.between(from, to).path);
            }
        }
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.end = None;
        let carried = self.carrier.take().map(JoinHandle::join);
        assert!(thread::panicking() || matches!(carried, Some(Ok(()))), "packets were no longer carried");
    }
}

/// The name of the device in each namespace.
const DEVICE: &str = "path";
/// What all addresses begin with.
const NETWORK: [u8; 3] = [10, 77, 0];

fn open_device() -> io::Result<Tun> {
    let mut device = Tun::new_named(Interface::new(DEVICE)?)?;
    device.set_nonblocking(true)?;
    Ok(device)
}

struct Paths {
    hosts: usize,
    all: Vec<Line>,
}

/// A path, and from when on it is free for the next packet.
#[derive(Clone, Copy)]
struct Line {
    path: Path,
    free: Instant,
}

/// What would have to wait for longer on a slow path is lost.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

impl Paths {
    fn new(hosts: usize, path: Path) -> Self {
        Self { hosts, all: vec![Line { path, free: Instant::now() }; hosts * hosts] }
    }

    fn between(&mut self, from: usize, to: usize) -> &mut Line {
        &mut self.all[from * self.hosts + to]
    }
}

impl Line {
    /// When a packet of this length arrives. `None`: it does not.
    fn admit(&mut self, now: Instant, length: usize, dice: &mut Dice) -> Option<Instant> {
        if self.path.cut || dice.chance(self.path.loss) {
            return None;
        }
        let mut sent = now;
        if let Some(rate) = self.path.rate {
            let begun = self.free.max(now);
            if begun - now > LONGEST_WAIT {
                return None;
            }
            sent = begun + Duration::from_secs_f64(length as f64 / f64::from(rate));
            self.free = sent;
        }
        Some(sent + self.path.delay)
    }
}

/// A packet: when it arrives, its number, where, and its bytes. The number keeps packets of one time in order.
type Packet = (Instant, u64, usize, Vec<u8>);

/// Takes packets from the hosts' devices and gives each to the device of its destination in time.
struct Carrier {
    devices: Vec<Tun>,
    paths: Arc<Mutex<Paths>>,
    ended: PipeReader,
    under_way: BinaryHeap<Reverse<Packet>>,
    sent: u64,
    dice: Dice,
}

impl Carrier {
    fn run(mut self) {
        while let Some(readable) = self.wait() {
            for from in readable {
                self.take_from(from);
            }
            self.deliver();
        }
    }

    /// Waits for packets or for the time of the next one. Returns whose packets can be read; `None` at the end.
    fn wait(&self) -> Option<Vec<usize>> {
        let next =
            self.under_way.peek().map(|Reverse((due, ..))| due.saturating_duration_since(Instant::now()));
        let timeout = next.map(|next| Timespec::try_from(next).expect("a few seconds"));
        let mut sources: Vec<_> =
            self.devices.iter().map(|device| PollFd::new(device, PollFlags::IN)).collect();
        sources.push(PollFd::new(&self.ended, PollFlags::IN));
        // A signal ends it early; then nothing can be read.
        let _ = poll(&mut sources, timeout.as_ref());
        let ready = |source: &PollFd| !source.revents().is_empty();
        if sources.last().is_some_and(ready) {
            return None;
        }
        Some(sources.iter().enumerate().filter(|(_, source)| ready(source)).map(|(host, _)| host).collect())
    }

    /// Takes what a host sends.
    fn take_from(&mut self, from: usize) {
        let mut buffer = [0; 2048];
        loop {
            let length = match self.devices[from].recv(&mut buffer) {
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("the device of host {from}: {error}"),
            };
            let packet = &buffer[..length];
            let Some(to) = destination(packet).filter(|to| *to < self.devices.len()) else { continue };
            let mut paths = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(due) = paths.between(from, to).admit(Instant::now(), length, &mut self.dice) {
                self.sent += 1;
                self.under_way.push(Reverse((due, self.sent, to, packet.to_vec())));
            }
        }
    }

    /// Gives the hosts what has arrived by now.
    fn deliver(&mut self) {
        let now = Instant::now();
        while self.under_way.peek().is_some_and(|Reverse((due, ..))| *due <= now) {
            let Some(Reverse((_, _, to, packet))) = self.under_way.pop() else { return };
            // A device whose queue is full loses packets, as others do.
            let _ = self.devices[to].send(&packet);
        }
    }
}

/// The host to which a packet goes. What is not IPv4 is of no use here.
fn destination(packet: &[u8]) -> Option<usize> {
    let addr: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
    let [a, b, c, last] = addr;
    if packet[0] >> 4 != 4 || [a, b, c] != NETWORK {
        return None;
    }
    usize::from(last).checked_sub(1)
}
