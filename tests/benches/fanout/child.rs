//! The processes of a bench: this binary again, in another role.

use std::env;
use std::io::{BufRead, BufReader, Write, stdin, stdout};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

use crate::latency::Bare;
use crate::{Kind, bare, latency, library};

/// A process in a role. It says lines and is told lines; it ends when it is dropped.
pub(crate) struct Role {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// Runs the role that the arguments name, if they do.
pub(crate) fn run(args: &[String]) -> bool {
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["role", "bare-receiver", messages] => bare::receive(messages.parse().unwrap()),
        ["role", "bare-speaker", messages, ref addrs @ ..] => bare::speak(messages.parse().unwrap(), addrs),
        ["role", "receiver", kind, messages, ref addrs @ ..] => {
            library::receive(Kind::named(kind), messages.parse().unwrap(), addrs);
        }
        ["role", "speaker", kind, messages, ref addrs @ ..] => {
            library::speak(Kind::named(kind), messages.parse().unwrap(), addrs);
        }
        ["role", "bare-hearer", bare] => latency::hear_bare(Bare::named(bare)),
        ["role", "bare-caller", gap, bare, ref addrs @ ..] => {
            latency::call_bare(gap, Bare::named(bare), addrs);
        }
        ["role", "hearer", kind, ref addrs @ ..] => latency::hear(Kind::named(kind), addrs),
        ["role", "caller", gap, kind, ref addrs @ ..] => latency::call(gap, Kind::named(kind), addrs),
        _ => return false,
    }
    true
}

impl Role {
    pub(crate) fn start(name: &str, args: impl IntoIterator<Item = String>) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["role", name]).args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, input, output }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line that it says.
    pub(crate) fn hear(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert!(line.ends_with('\n'), "a process of the bench ended");
        line.trim_end().to_owned()
    }

    pub(crate) fn tell(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// In a role: says a line to the bench.
pub(crate) fn say(line: &str) {
    let mut stdout = stdout().lock();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).unwrap();
}

/// In a role: waits for a line from the bench.
pub(crate) fn wait() {
    stdin().lock().read_line(&mut String::new()).unwrap();
}

/// The CPU time that a process has had, with that of its threads that have ended.
pub(crate) fn cpu(pid: u32) -> Duration {
    let pid = Pid::from_raw(pid.try_into().unwrap());
    clock_gettime(clock_getcpuclockid(pid).unwrap()).unwrap().into()
}
