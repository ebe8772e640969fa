//! A node on a terminal: what is typed, what the screen shows, and how the terminal is left.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::num::NonZero;
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, OptionalActions, Winsize, tcgetattr, tcsetattr, tcsetwinsize};
use tempfile::TempDir;

use crate::binary;
use crate::journal::{SOON, eventually};
use crate::process::{Driver, limit};

/// The size of each screen.
const ROWS: NonZero<u16> = NonZero::new(40).unwrap();
const COLUMNS: NonZero<u16> = NonZero::new(100).unwrap();

/// A node to be started on a terminal, on any free port.
pub struct OnTerminal {
    command: Command,
    home: TempDir,
    api: bool,
    echo: bool,
    read: bool,
}

impl OnTerminal {
    /// A node of this name.
    pub fn new(driver: Driver, uname: &str) -> Self {
        let home = TempDir::new().expect("a home folder");
        Self::of(Command::new(binary::path(driver.name())), home, uname)
    }

    /// A node of this name that runs as a user whom limits bind. Needs [`limit::limits_bind`].
    pub fn unprivileged(driver: Driver, uname: &str) -> Self {
        let home = TempDir::new().expect("a home folder");
        let mut command = Command::new(limit::unprivileged_binary(driver, home.path()));
        limit::unprivileged(&mut command);
        Self::of(command, home, uname)
    }

    /// A shell with job control, where the command `node` starts a node of this name.
    pub fn shell(driver: Driver, uname: &str) -> Self {
        let home = TempDir::new().expect("a home folder");
        let mut command = Command::new("setsid");
        command.args(["--ctty", "bash", "--noprofile", "--rcfile"]).arg(home.path().join("start")).arg("-i");
        // An interactive shell reads this file first.
        let binary = binary::path(driver.name());
        let start = format!("{} --port 0 --no-api --time-format none --uname {uname}", binary.display());
        std::fs::write(home.path().join("start"), format!("PS1='$ '\nnode() {{ {start}; }}\n"))
            .expect("a file");
        command.env_clear().env("HOME", home.path()).env("TERM", "xterm-256color");
        command.env("PATH", "/usr/bin:/bin").env("PS1", "$ ");
        Self { command, home, api: true, echo: true, read: true }
    }

    fn of(mut command: Command, home: TempDir, uname: &str) -> Self {
        command.env_clear().env("HOME", home.path()).env("TERM", "xterm-256color");
        // Most tests compare whole lines.
        command.env("CHAT_TIME_FORMAT", "none").args(["--port", "0", "--uname", uname]);
        Self { command, home, api: false, echo: true, read: true }
    }

    /// With an API, on any free port too.
    pub fn with_api(mut self) -> Self {
        self.api = true;
        self
    }

    /// With these arguments too.
    pub fn args<'a>(mut self, args: impl IntoIterator<Item = &'a str>) -> Self {
        self.command.args(args);
        self
    }

    /// With `--peer`.
    pub fn peer(self, addr: SocketAddr) -> Self {
        self.args(["--peer", &addr.to_string()])
    }

    /// With this in its environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// On a terminal that does not show keys by itself, as it otherwise does while no line is edited.
    pub fn without_echo(mut self) -> Self {
        self.echo = false;
        self
    }

    /// On a terminal that takes nothing once its buffer is full.
    pub fn unread(mut self) -> Self {
        self.read = false;
        self
    }

    /// Starts it.
    ///
    /// # Panics
    /// When there is no terminal to be had, or no such binary.
    pub fn start(mut self) -> Terminal {
        let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&keyboard).expect("a terminal of ours");
        unlockpt(&keyboard).expect("an unlocked terminal");
        let name = ptsname(&keyboard, Vec::new()).expect("its name");
        let name = OsStr::from_bytes(name.as_bytes());
        let line = OpenOptions::new().read(true).write(true).open(name).expect("its other end");
        let size = Winsize { ws_row: ROWS.get(), ws_col: COLUMNS.get(), ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&line, size).expect("a size");
        let mut modes = tcgetattr(&line).expect("its modes");
        modes.local_modes.set(LocalModes::ECHO, self.echo);
        tcsetattr(&line, OptionalActions::Now, &modes).expect("other modes");
        let found = Modes::of(&line);

        if !self.api {
            self.command.arg("--no-api");
        }
        let end = || line.try_clone().expect("a descriptor");
        let child = self.command.stdin(end()).stdout(end()).stderr(end()).spawn().expect("the binary starts");
        let keyboard = File::from(keyboard);
        let screen = Screen::default();
        if self.read {
            screen.read(keyboard.try_clone().expect("a descriptor"));
        }
        Terminal { child, keyboard, line, found, screen, _home: self.home }
    }
}

/// A node on a terminal; it is killed when dropped.
pub struct Terminal {
    child: Child,
    keyboard: File,
    line: File,
    found: Modes,
    screen: Screen,
    _home: TempDir,
}

impl Terminal {
    /// Where it listens, as it says.
    #[track_caller]
    pub fn addr(&self) -> SocketAddr {
        self.expect("where it listens", |screen| {
            let rest = screen.lines.iter().find_map(|line| line.split_once(" listens on "))?.1;
            rest.split(';').next()?.parse().ok()
        })
    }

    /// Presses keys.
    ///
    /// # Panics
    /// When the terminal is gone.
    pub fn keys(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).expect("a terminal");
    }

    /// Pastes a text into a terminal that marks pastes.
    pub fn paste(&mut self, text: &str) {
        self.keys(&format!("\x1b[200~{}\x1b[201~", text.replace('\n', "\r")));
    }

    /// Waits until `find` finds something on the screen.
    #[track_caller]
    pub fn expect<R>(&self, what: &str, find: impl Fn(&Shown) -> Option<R>) -> R {
        self.screen
            .until(find)
            .unwrap_or_else(|| panic!("waited for {what}; the screen: {:#?}", self.screen.shown()))
    }

    /// Waits for a line on the screen that is exactly this.
    #[track_caller]
    pub fn expect_line(&self, line: &str) {
        self.expect(&format!("{line:?}"), |screen| {
            screen.lines.iter().any(|shown| shown == line).then_some(())
        });
    }

    /// Waits for a prompt with this behind it, below everything else, and the cursor at its end.
    #[track_caller]
    pub fn expect_prompt(&self, typed: &str) {
        let prompt = format!("> {typed}");
        let width = prompt.chars().count();
        self.expect(&format!("{prompt:?} at the end"), |screen| {
            let last = screen.lines.last()?;
            // The screen does not show spaces at the end of a line.
            let row = screen.lines.len() - 1;
            (*last == prompt.trim_end() && screen.cursor == (row, width)).then_some(())
        });
    }

    /// Gives the terminal so many columns.
    pub fn resize(&self, columns: NonZero<u16>) {
        let size = Winsize { ws_row: ROWS.get(), ws_col: columns.get(), ws_xpixel: 0, ws_ypixel: 0 };
        self.screen.lock().parser.screen_mut().set_size(ROWS, columns);
        tcsetwinsize(&self.line, size).expect("a size");
        // It is not the terminal that controls the process.
        self.signal(Signal::WINCH);
    }

    /// What the screen shows now.
    pub fn shown(&self) -> Shown {
        self.screen.shown()
    }

    /// All that was sent to the terminal.
    pub fn sent(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().sent).into_owned()
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// When the process is gone.
    pub fn signal(&self, signal: Signal) {
        rustix::process::kill_process(Pid::from_child(&self.child), signal).expect("the process is there");
    }

    /// Whether it may start threads from now on.
    #[cfg(target_os = "linux")]
    pub fn allow_threads(&self, allowed: bool) {
        limit::allow_threads(Pid::from_child(&self.child), allowed);
    }

    /// Whether the terminal is set up for line editing.
    pub fn is_raw(&self) -> bool {
        !Modes::of(&self.line).local.contains(LocalModes::ICANON)
    }

    /// Waits for the end of the process, and for the terminal to be as it was found: its modes, the cursor at the
    /// start of a line, and pastes not marked.
    #[track_caller]
    pub fn expect_end(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the process ends", SOON, || {
            status = self.child.try_wait().expect("its state");
            status.is_some()
        });
        assert_eq!(Modes::of(&self.line), self.found);
        status.expect("it ended")
    }

    /// Waits until the screen shows that the terminal was given back.
    #[track_caller]
    pub fn expect_given_back(&self) {
        self.expect("a fresh line, and pastes not marked", |screen| {
            (screen.cursor.1 == 0 && !screen.marks_pastes).then_some(())
        });
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A shell's jobs, in the background or stopped, outlive it.
        while let pids @ [_, ..] = &in_session(Pid::from_child(&self.child))[..] {
            for pid in pids {
                let _ = rustix::process::kill_process(*pid, Signal::KILL);
            }
            // What has ended is in the session until its parent has learned of it. That may be the shell.
            let _ = self.child.try_wait();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The processes of the session that this one leads, without those that have ended. None: it leads none.
fn in_session(leader: Pid) -> Vec<Pid> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_member = |pid: &i32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The state, the parent, the group and the session follow the name, which may contain anything.
        let fields = stat.rsplit_once(") ").map(|(_, fields)| fields.split(' ').collect::<Vec<_>>());
        fields.is_some_and(|fields| {
            !["Z", "X"].contains(&fields[0]) && fields[3] == leader.as_raw_nonzero().to_string()
        })
    };
    pids.filter(is_member).filter_map(Pid::from_raw).collect()
}

/// How a terminal is set up.
#[derive(Debug, PartialEq, Eq)]
struct Modes {
    input: u32,
    output: u32,
    control: u32,
    local: LocalModes,
}

impl Modes {
    fn of(line: &File) -> Self {
        let modes = tcgetattr(line).expect("a terminal");
        Self {
            input: modes.input_modes.bits(),
            output: modes.output_modes.bits(),
            control: modes.control_modes.bits(),
            local: modes.local_modes,
        }
    }
}

/// What a screen shows.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Its lines, without spaces at their ends and without empty lines after them.
    pub lines: Vec<String>,
    /// The cursor's row and column.
    pub cursor: (usize, usize),
    /// Whether pastes are marked.
    pub marks_pastes: bool,
    /// Whether anything was ever in colour or bold.
    pub styled: bool,
}

#[derive(Clone, Default)]
struct Screen(Arc<(Mutex<Emulator>, Condvar)>);

struct Emulator {
    parser: vt100::Parser,
    sent: Vec<u8>,
    ended: bool,
}

impl Default for Emulator {
    fn default() -> Self {
        Self { parser: vt100::Parser::new(ROWS, COLUMNS, 0), sent: Vec::new(), ended: false }
    }
}

impl Screen {
    fn read(&self, mut from: File) {
        let screen = self.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = from.read(&mut buffer) {
                let mut emulator = screen.lock();
                emulator.parser.process(&buffer[..read]);
                emulator.sent.extend_from_slice(&buffer[..read]);
                screen.0.1.notify_all();
            }
            screen.lock().ended = true;
            screen.0.1.notify_all();
        });
    }

    fn lock(&self) -> MutexGuard<'_, Emulator> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shown(&self) -> Shown {
        self.lock().shown()
    }

    fn until<R>(&self, find: impl Fn(&Shown) -> Option<R>) -> Option<R> {
        let deadline = Instant::now() + SOON;
        let mut emulator = self.lock();
        loop {
            if let Some(found) = find(&emulator.shown()) {
                return Some(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if emulator.ended || left == Duration::ZERO {
                return None;
            }
            emulator = self.0.1.wait_timeout(emulator, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Emulator {
    fn shown(&self) -> Shown {
        let screen = self.parser.screen();
        let mut lines: Vec<_> =
            screen.rows(0, screen.size().1.get()).map(|line| line.trim_end().to_owned()).collect();
        let end = lines.iter().rposition(|line| !line.is_empty()).map_or(0, |last| last + 1);
        lines.truncate(end);
        let (row, column) = screen.cursor_position();
        let styled = self.sent.windows(4).any(|bytes| bytes.starts_with(b"\x1b[1;") || bytes == b"\x1b[2m");
        Shown { lines, cursor: (row.into(), column.into()), marks_pastes: screen.bracketed_paste(), styled }
    }
}
