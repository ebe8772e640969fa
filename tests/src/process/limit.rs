//! Nodes that are short of what the system gives: file descriptors and threads.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Pid, Resource, geteuid, getrlimit};

use super::Driver;
use crate::binary;

/// What a node has too little of from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// It may have so many file descriptors open.
    Descriptors(u64),
    /// Its user may have so many threads. Needs [`limits_bind`].
    Threads(u64),
}

impl Limit {
    /// A command that runs a driver's binary under this limit.
    pub(super) fn command(self, driver: Driver, home: &Path) -> Command {
        let mut shell = Command::new("/bin/sh");
        let (ulimit, binary) = match self {
            Self::Descriptors(most) => (format!("ulimit -n {most}"), binary::path(driver.name())),
            // Shells differ in the flag's name.
            Self::Threads(most) => (
                format!("{{ ulimit -u {most} 2>/dev/null || ulimit -p {most}; }}"),
                unprivileged_binary(driver, home),
            ),
        };
        shell.arg("-c").arg(format!("{ulimit} && exec \"$0\" \"$@\"")).arg(binary);
        if matches!(self, Self::Threads(_)) {
            unprivileged(&mut shell);
        }
        shell
    }
}

/// The user that nodes run as where a limit does not bind the user of this test.
const NOBODY: u32 = 65_534;

/// Whether a node can be run as a user whom the limit on threads binds. It does not bind root, so root has to be
/// allowed to become another user.
pub fn limits_bind() -> bool {
    let mut shell = Command::new("/bin/sh");
    unprivileged(shell.args(["-c", "exit 0"]));
    shell.status().is_ok_and(|status| status.success())
}

/// The binary where that user can run it: in its home folder, which becomes its own.
///
/// # Panics
/// When it cannot be put there.
pub fn unprivileged_binary(driver: Driver, home: &Path) -> PathBuf {
    let binary = binary::path(driver.name());
    if !geteuid().is_root() {
        return binary;
    }
    let copy = home.join(driver.name());
    // In a process of its own: a child that another thread starts meanwhile would inherit a copy that is open for writing,
    // and no such file can be run.
    let copied = Command::new("cp").args([&binary, &copy]).status().expect("cp starts");
    assert!(copied.success(), "{} cannot be copied", binary.display());
    chown(home, Some(NOBODY), Some(NOBODY)).expect("another owner");
    copy
}

/// Has a command run as a user whom limits bind.
pub fn unprivileged(command: &mut Command) {
    if geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
}

/// Whether a process may start threads from now on.
///
/// # Panics
/// When its limit cannot be set.
#[cfg(target_os = "linux")]
pub fn allow_threads(process: Pid, allowed: bool) {
    let most = match getrlimit(Resource::Nproc).current {
        _ if !allowed => "0".to_owned(),
        Some(most) => most.to_string(),
        None => "unlimited".to_owned(),
    };
    // A user may set the limits of its own processes alone, and root may lack the right to set those of others.
    let mut prlimit = Command::new("prlimit");
    prlimit.arg(format!("--pid={}", process.as_raw_nonzero())).arg(format!("--nproc={most}:"));
    unprivileged(&mut prlimit);
    assert!(prlimit.status().expect("prlimit starts").success(), "{prlimit:?}");
}
