//! Disks that report errors, for the real binaries: a small library in the node makes chosen calls fail, as long as a test says.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::binary;
use crate::process::Launch;

/// The source of the library.
const SOURCE: &str = include_str!("faults/disk.c");

/// A kind of call, as the library numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Opens a file.
    Open = 1,
    /// Opens a file to write.
    OpenToWrite = 2,
    /// Reads.
    Read = 4,
    /// Writes.
    Write = 8,
    /// Makes sure that the disk has it.
    Sync = 16,
    /// Sets the length of a file.
    Truncate = 32,
    /// Renames a file; that with the new name is concerned.
    Rename = 64,
    /// Deletes a file.
    Unlink = 128,
    /// Maps a file into memory.
    Map = 256,
    /// Locks a file.
    Lock = 512,
}

/// What a call reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errno {
    /// It is not permitted.
    Access = 13,
    /// There is no memory.
    Memory = 12,
    /// The disk does not work.
    Io = 5,
    /// Too many files are open.
    Files = 24,
    /// The disk is full.
    NoSpace = 28,
    /// The file system can only be read.
    ReadOnly = 30,
    /// There are too many locks.
    Locks = 37,
    /// The user has used up what the user may have.
    Quota = 122,
    /// A write takes half of the bytes. The disk is full after that.
    Short = -1,
}

/// Calls that fail.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Which calls.
    pub calls: &'static [Call],
    /// With files whose names end with this.
    pub end: &'static str,
    /// What they report.
    pub errno: Errno,
    /// How many fail, at most.
    pub times: u32,
}

/// The most rules at once, and the bytes of one.
const RULES: usize = 4;
const RULE: usize = 32;

/// The disk below a folder, as one node sees it. It works at first.
#[derive(Debug)]
pub struct Disk {
    folder: PathBuf,
    control: File,
    home: TempDir,
}

impl Disk {
    /// The disk below this folder.
    ///
    /// # Panics
    /// When the library cannot be compiled.
    pub fn below(folder: &Path) -> Self {
        let home = TempDir::new().expect("a folder");
        let control =
            OpenOptions::new().create_new(true).read(true).write(true).open(home.path().join("rules"));
        let control = control.expect("a file");
        control.set_len((RULES * RULE) as u64).expect("room");
        Self { folder: fs::canonicalize(folder).expect("the folder"), control, home }
    }

    /// A node that has this disk.
    #[must_use]
    pub fn under(&self, launch: Launch) -> Launch {
        let text = |path: &Path| path.to_str().expect("a path of text").to_owned();
        launch
            .env("LD_PRELOAD", &text(library()))
            .env("CHAT_FAULTS", &text(&self.home.path().join("rules")))
            .env("CHAT_FAULTS_FOLDER", &text(&self.folder))
    }

    /// From now on, these calls fail, and no others.
    ///
    /// # Panics
    /// When there are too many rules.
    pub fn fail(&self, rules: &[Rule]) {
        assert!(rules.len() <= RULES);
        self.work();
        for (index, rule) in rules.iter().enumerate() {
            let mut end = [0; 16];
            end[..rule.end.len()].copy_from_slice(rule.end.as_bytes());
            let numbers = [(rule.errno as i32).to_ne_bytes(), rule.times.to_ne_bytes(), 0_u32.to_ne_bytes()];
            let at = (index * RULE) as u64;
            self.write(at + 4, &[&numbers.concat()[..], &end].concat());
            let calls = rule.calls.iter().fold(0, |calls, call| calls | *call as u32);
            // It holds from here on.
            self.write(at, &calls.to_ne_bytes());
        }
    }

    /// No call fails any more.
    pub fn work(&self) {
        (0..RULES).for_each(|index| self.write((index * RULE) as u64, &[0; 4]));
    }

    /// How many calls failed by each of these rules, since [`fail`](Self::fail).
    ///
    /// # Panics
    /// When the file cannot be read.
    pub fn hits(&self, rules: &[Rule]) -> Vec<u32> {
        let hits = |index: usize| {
            let mut hits = [0; 4];
            self.control.read_exact_at(&mut hits, (index * RULE + 12) as u64).expect("a rule");
            u32::from_ne_bytes(hits)
        };
        (0..rules.len()).map(hits).collect()
    }

    fn write(&self, at: u64, bytes: &[u8]) {
        self.control.write_all_at(bytes, at).expect("room");
    }
}

/// The library. It is compiled once.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let library = binary::folder().join("libdiskfaults.so");
        let home = TempDir::new_in(binary::folder()).expect("a folder");
        let (source, draft) = (home.path().join("disk.c"), home.path().join("disk.so"));
        fs::write(&source, SOURCE).expect("room");
        let mut compiler = Command::new("cc");
        compiler
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o"])
            .args([&draft, &source]);
        let status = compiler.arg("-ldl").status().expect("a C compiler: SQLite needs one, too");
        assert!(status.success(), "the library cannot be compiled");
        // Tests that run at once compile the same.
        fs::rename(draft, &library).expect("the folder of the profile");
        library
    })
}
