//! The user's end of a node: the prompt on a terminal, or lines on standard input and output.
//!
//! Where both are terminals there is a prompt, and everything else appears above it. Otherwise, and on terminals that
//! line editing does not know, what others say goes to standard output, one line each, and everything else to standard
//! error.

mod commands;
mod entry;
mod lines;
mod output;
mod piped;
mod prompt;
mod render;
mod sink;
mod stdio;
mod visible;
mod voice;

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use async_channel::{Receiver, Sender};
use proto_core::Name;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use self::output::{Bounds, Output};
use self::prompt::{Editing, Gate};
use self::render::Style;
pub use self::sink::Sink;
use self::stdio::{Stderr, Stdout};
use self::visible::visible;
use self::voice::{Common, Voice};
use crate::Handle;

/// The terminal or the standard streams of this process, which nobody else may use meanwhile. There is one.
///
/// Its threads never hold up the end of the process. When it is dropped, what waits is written as far as the output
/// takes it within half a second, and the terminal is given back as it was.
pub struct Terminal {
    /// Where what others say goes.
    said: Output,
    /// Where everything else goes.
    aside: Output,
    /// Where logs go.
    logs: Output,
    style: Style,
    interactive: Option<Interactive>,
    /// Kept, so that only a user can ask to leave.
    quit: (Sender<()>, Receiver<()>),
}

struct Interactive {
    /// Until the prompt starts.
    editing: Option<Editing>,
    borrowed: Arc<Borrowed>,
}

/// The terminal, to be given back.
struct Borrowed {
    gate: Arc<Gate>,
    /// As it was found.
    found: Termios,
}

impl fmt::Debug for Terminal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let interactive = self.interactive.is_some();
        f.debug_struct("Terminal").field("interactive", &interactive).finish_non_exhaustive()
    }
}

/// Gives the terminal back as it was, where the process ends without dropping [`Terminal`].
#[derive(Clone)]
pub struct GiveBack(Option<Arc<Borrowed>>);

impl GiveBack {
    /// From now on nothing is edited. Doing it twice does no harm.
    pub fn now(&self) {
        if let Some(borrowed) = &self.0 {
            borrowed.give_back();
        }
    }
}

/// Resolves when the user wants to leave.
#[derive(Clone, Debug)]
pub struct Quit(Receiver<()>);

impl Quit {
    /// Waits until the user wants to leave.
    pub async fn asked(&self) {
        if self.0.recv().await.is_err() {
            // The terminal is gone, which is no wish.
            std::future::pending::<()>().await;
        }
    }
}

impl Terminal {
    /// Takes the standard streams. Nothing is read yet.
    pub fn open() -> io::Result<Self> {
        let ends = [rustix::stdio::stdin(), rustix::stdio::stdout()];
        let on_terminal = ends.into_iter().all(rustix::termios::isatty);
        if on_terminal && let Some(terminal) = Self::open_interactive()? {
            return Ok(terminal);
        }
        let style = if on_terminal { Style::Plain } else { Style::Bare };
        let aside = Output::new(Stderr, Bounds::default(), None)?;
        let said = Output::new(Stdout, Bounds::default(), Some(aside.clone()))?;
        Ok(Self::new(said, aside.clone(), aside, style, None))
    }

    /// None on a terminal that line editing does not know.
    fn open_interactive() -> io::Result<Option<Self>> {
        let stdin = rustix::stdio::stdin();
        let (Ok(found), Ok((editing, screen))) = (tcgetattr(stdin), prompt::open()) else {
            return Ok(None);
        };
        let screen = Output::new(screen, Bounds::default(), None)?;
        let logs = if rustix::termios::isatty(rustix::stdio::stderr()) {
            screen.clone()
        } else {
            Output::new(Stderr, Bounds::default(), None)?
        };
        let borrowed = Arc::new(Borrowed { gate: editing.gate(), found });
        let interactive = Interactive { borrowed, editing: Some(editing) };
        Ok(Some(Self::new(screen.clone(), screen, logs, Style::of_terminal(), Some(interactive))))
    }

    fn new(
        said: Output,
        aside: Output,
        logs: Output,
        style: Style,
        interactive: Option<Interactive>,
    ) -> Self {
        Self { said, aside, logs, style, interactive, quit: async_channel::bounded(1) }
    }

    /// Sends this process's logs to where they disturb nothing. The filter is one that [`EnvFilter`] reads.
    pub fn show_logs(&self, filter: &str) {
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new(filter))
            .with_writer(LogWriter(self.logs.clone()))
            .with_ansi(false);
        // A second subscriber is refused, and the first goes on.
        let _ = subscriber.try_init();
    }

    /// What gives the terminal back when [`Terminal`] cannot be dropped.
    pub fn give_back(&self) -> GiveBack {
        GiveBack(self.interactive.as_ref().map(|interactive| interactive.borrowed.clone()))
    }

    /// Tells the user something, in one line: on the terminal, or on standard error.
    pub fn notice(&self, text: &str) {
        let mut line = String::new();
        self.style.push_notice(&mut line, &visible(text));
        self.aside.offer(&line);
    }

    /// Begins to read what the user says, and gives what prints a node's events and what tells that the user wants to
    /// leave. Called once.
    pub fn start(&mut self, handle: Handle, uname: Name) -> io::Result<(Sink, Quit)> {
        let common = Common::new(uname);
        let voice = Voice { handle, common: common.clone(), notices: self.aside.clone(), style: self.style };
        let interactive = self.interactive.is_some();
        match &mut self.interactive {
            None => piped::start(voice)?,
            Some(interactive) => {
                if let Some(editing) = interactive.editing.take() {
                    editing.start(self.quit.0.clone(), move |entry| voice.carry_out(entry))?;
                }
            }
        }
        let sink =
            Sink::new(common, self.said.clone(), (!interactive).then(|| self.aside.clone()), self.style);
        Ok((sink, Quit(self.quit.1.clone())))
    }
}

/// How long the end of the process waits for outputs that move.
const LAST_WORDS: Duration = Duration::from_millis(500);

impl Drop for Terminal {
    fn drop(&mut self) {
        let end = Instant::now() + LAST_WORDS;
        for output in [&self.said, &self.aside, &self.logs] {
            output.flush(end);
        }
        self.give_back().now();
    }
}

impl Borrowed {
    /// Rustyline cannot be interrupted: while it waits for a key, the terminal is as it needs it.
    fn give_back(&self) {
        const BRACKETED_PASTE_OFF: &[u8] = b"\x1b[?2004l";
        let edited = self.gate.close();
        let stdin = rustix::stdio::stdin();
        // From the background that would stop this process, and whoever is in the foreground owns the terminal.
        if tcgetpgrp(stdin).is_ok_and(|foreground| foreground != rustix::process::getpgrp()) {
            return;
        }
        if let Err(error) = tcsetattr(stdin, OptionalActions::Now, &self.found) {
            tracing::debug!(%error, "the terminal cannot be given back");
        }
        if edited {
            // On a thread: a terminal that is stopped takes any time.
            let (done, end) = std::sync::mpsc::sync_channel(1);
            let last = move || {
                let _ = Stdout.write_all(BRACKETED_PASTE_OFF).and_then(|()| Stdout.write_all(b"\r\n"));
                let _ = done.send(());
            };
            if thread::Builder::new().spawn(last).is_ok() {
                let _ = end.recv_timeout(Bounds::default().patience);
            }
        }
    }
}

/// Takes log lines. They never wait; what finds no room is counted.
#[derive(Clone)]
struct LogWriter(Output);

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Write for LogWriter {
    /// One event, with its line end.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let mut line = visible(text.trim_end_matches('\n'));
        line.push('\n');
        self.0.offer(&line);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
