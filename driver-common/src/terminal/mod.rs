//! The user's end of a node: the prompt on a terminal, or lines on standard input and output.
//!
//! Where both are terminals there is a prompt, and everything else appears above it. Otherwise, and on terminals that
//! line editing does not know, what others say goes to standard output, one line each, and everything else to standard
//! error.

mod commands;
mod input;
mod lines;
mod output;
mod piped;
mod printer;
mod prompt;
mod render;
mod speaker;
mod stdio;
mod visible;

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
pub use self::printer::EventPrinter;
use self::prompt::{Gate, LineEditor};
use self::render::Style;
use self::speaker::{SharedName, Speaker};
use self::stdio::{Stderr, Stdout};
use self::visible::visible;
use crate::Handle;

/// The terminal or the standard streams of this process, which nobody else may use meanwhile. There is one.
///
/// Its threads never hold up the end of the process. When it is dropped, what waits is written as far as the output
/// takes it within half a second, and the terminal is given back as it was.
pub struct Terminal {
    /// Where what others say goes.
    messages: Output,
    /// Where everything else goes.
    notices: Output,
    /// Where logs go.
    logs: Output,
    style: Style,
    interactive: Option<Interactive>,
    /// Kept, so that only a user can ask to leave.
    quit: (Sender<()>, Receiver<()>),
}

struct Interactive {
    /// Until the prompt starts.
    editor: Option<LineEditor>,
    saved: Arc<SavedTerminal>,
}

/// The terminal, to be given back.
struct SavedTerminal {
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
pub struct Restore(Option<Arc<SavedTerminal>>);

impl Restore {
    /// From now on nothing is edited. Doing it twice does no harm.
    pub fn now(&self) {
        if let Some(saved) = &self.0 {
            saved.restore();
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
        let notices = Output::new(Stderr, Bounds::default(), None)?;
        let messages = Output::new(Stdout, Bounds::default(), Some(notices.clone()))?;
        Ok(Self::new(messages, notices.clone(), notices, style, None))
    }

    /// None on a terminal that line editing does not know.
    fn open_interactive() -> io::Result<Option<Self>> {
        let stdin = rustix::stdio::stdin();
        let (Ok(found), Ok((editor, screen))) = (tcgetattr(stdin), prompt::open()) else {
            return Ok(None);
        };
        let screen = Output::new(screen, Bounds::default(), None)?;
        let logs = if rustix::termios::isatty(rustix::stdio::stderr()) {
            screen.clone()
        } else {
            Output::new(Stderr, Bounds::default(), None)?
        };
        let saved = Arc::new(SavedTerminal { gate: editor.gate(), found });
        let interactive = Interactive { saved, editor: Some(editor) };
        Ok(Some(Self::new(screen.clone(), screen, logs, Style::of_terminal(), Some(interactive))))
    }

    fn new(
        messages: Output,
        notices: Output,
        logs: Output,
        style: Style,
        interactive: Option<Interactive>,
    ) -> Self {
        Self { messages, notices, logs, style, interactive, quit: async_channel::bounded(1) }
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
    pub fn restore(&self) -> Restore {
        Restore(self.interactive.as_ref().map(|interactive| interactive.saved.clone()))
    }

    /// Tells the user something, in one line: on the terminal, or on standard error.
    pub fn notice(&self, text: &str) {
        let mut line = String::new();
        self.style.push_notice(&mut line, &visible(text));
        self.notices.offer(&line);
    }

    /// Begins to read what the user says, and gives what prints a node's events and what tells that the user wants to
    /// leave. Called once.
    pub fn start(&mut self, handle: Handle, uname: Name) -> io::Result<(EventPrinter, Quit)> {
        let shared_name = SharedName::new(uname);
        let speaker = Speaker {
            handle,
            shared_name: shared_name.clone(),
            notices: self.notices.clone(),
            style: self.style,
        };
        let interactive = self.interactive.is_some();
        match &mut self.interactive {
            None => piped::start(speaker)?,
            Some(interactive) => {
                if let Some(editor) = interactive.editor.take() {
                    editor.start(self.quit.0.clone(), move |input| speaker.run(input))?;
                }
            }
        }
        let printer = EventPrinter::new(
            shared_name,
            self.messages.clone(),
            (!interactive).then(|| self.notices.clone()),
            self.style,
        );
        Ok((printer, Quit(self.quit.1.clone())))
    }
}

/// How long the end of the process waits for outputs that move.
const FLUSH_TIME: Duration = Duration::from_millis(500);

impl Drop for Terminal {
    fn drop(&mut self) {
        let end = Instant::now() + FLUSH_TIME;
        for output in [&self.messages, &self.notices, &self.logs] {
            output.flush(end);
        }
        self.restore().now();
    }
}

impl SavedTerminal {
    /// Rustyline cannot be interrupted: while it waits for a key, the terminal is as it needs it.
    fn restore(&self) {
        const BRACKETED_PASTE_OFF: &[u8] = b"\x1b[?2004l";
        let edited = self.gate.close();
        let stdin = rustix::stdio::stdin();
        // From the background that would stop this process, and whoever is in the foreground owns the terminal.
        if tcgetpgrp(stdin).is_ok_and(|foreground| foreground != rustix::process::getpgrp()) {
            return;
        }
        if let Err(error) = tcsetattr(stdin, OptionalActions::Now, &self.found) {
            tracing::debug!(%error, "cannot restore the terminal");
        }
        if edited {
            // On a thread: a terminal that is stopped takes any time.
            let (done, end) = std::sync::mpsc::sync_channel(1);
            let last = move || {
                let _ = Stdout.write_all(BRACKETED_PASTE_OFF).and_then(|()| Stdout.write_all(b"\r\n"));
                let _ = done.send(());
            };
            if thread::Builder::new().spawn(last).is_ok() {
                let _ = end.recv_timeout(Bounds::default().stall_time);
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
