//! What a disk may have after a loss of power: all that was synced, and any part of the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::shim::{Log, Op};

/// The unit that a disk writes as a whole, in bytes.
const SECTOR: usize = 512;

/// Random numbers (splitmix64).
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap()
    }
}

/// A disk, as it is written.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    /// What is certainly there.
    durable: BTreeMap<String, Vec<u8>>,
    /// Files whose names are certainly there.
    named: BTreeSet<String>,
    /// What happened to each file since it was synced.
    pending: BTreeMap<String, Vec<Op>>,
    /// How much of the log was taken.
    taken: usize,
}

impl Disk {
    /// All files of a folder are there.
    pub(super) fn of(folder: &Path) -> Self {
        let mut disk = Self::default();
        for file in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let name = file.file_name().into_string().unwrap();
            disk.durable.insert(name.clone(), fs::read(file.path()).unwrap());
            disk.named.insert(name);
        }
        disk
    }

    /// Takes the log up to this position.
    pub(super) fn advance(&mut self, log: &Log, position: usize) {
        for (name, op) in &log.ops[self.taken..position] {
            match op {
                Op::Sync if name.is_empty() => {
                    self.named.extend(self.pending.keys().cloned());
                    self.named.extend(self.durable.keys().cloned());
                }
                Op::Sync => {
                    let file = self.durable.entry(name.clone()).or_default();
                    for op in self.pending.remove(name).unwrap_or_default() {
                        apply(file, &op);
                    }
                }
                other => self.pending.entry(name.clone()).or_default().push(other.clone()),
            }
        }
        self.taken = position;
    }

    /// Writes what may be on the disk if the power is lost now. The index of a write-ahead log is in memory alone.
    pub(super) fn image(&self, random: &mut Random, folder: &Path) {
        let names: BTreeSet<_> = self.durable.keys().chain(self.pending.keys()).collect();
        for name in names.into_iter().filter(|name| !name.ends_with("-shm")) {
            if !self.named.contains(name) && random.below(2) == 0 {
                continue;
            }
            let mut file = self.durable.get(name).cloned().unwrap_or_default();
            let mut ops: Vec<_> = self.pending.get(name).into_iter().flatten().collect();
            // The disk writes in an order of its own.
            for index in (1..ops.len()).rev() {
                ops.swap(index, random.below(index + 1));
            }
            let keep = random.below(101);
            for op in ops {
                if random.below(100) < keep {
                    apply(&mut file, &torn(op, random));
                }
            }
            fs::write(folder.join(name), file).unwrap();
        }
    }
}

fn apply(file: &mut Vec<u8>, op: &Op) {
    match op {
        Op::Write { offset, bytes } => {
            let start = usize::try_from(*offset).unwrap();
            if file.len() < start + bytes.len() {
                file.resize(start + bytes.len(), 0);
            }
            file[start..start + bytes.len()].copy_from_slice(bytes);
        }
        Op::Truncate { length } => file.resize(usize::try_from(*length).unwrap(), 0),
        Op::Sync => {}
    }
}

/// Each fourth write is torn at a sector.
fn torn(op: &Op, random: &mut Random) -> Op {
    match op {
        Op::Write { offset, bytes } if random.below(4) == 0 => {
            let sectors = bytes.len() / SECTOR;
            let kept = random.below(sectors + 1) * SECTOR;
            if random.below(2) == 0 {
                Op::Write { offset: *offset, bytes: bytes[..kept].to_vec() }
            } else {
                Op::Write { offset: offset + kept as u64, bytes: bytes[kept..].to_vec() }
            }
        }
        other => other.clone(),
    }
}
