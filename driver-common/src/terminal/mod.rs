//! The node's user interface: a prompt on a terminal, or lines on standard input and output.
//!
//! If standard input and output are a terminal that supports line editing, there is a prompt, and everything else
//! appears above it. Otherwise, messages of others go to standard output, one line each, and everything else goes to
//! standard error.

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

/// The terminal or the standard streams of this process. Nothing else may use them meanwhile, and there is only one
/// value of this type.
///
/// Its threads never delay the end of the process. Dropping it writes what is queued, for at most half a second, and
/// restores the terminal.
pub struct Terminal {
    /// Messages of others.
    messages: Output,
    /// Notices and everything else.
    notices: Output,
    /// Logs.
    logs: Output,
    style: Style,
    interactive: Option<Interactive>,
    /// The sender is stored, so that the channel closes only with the terminal.
    quit: (Sender<()>, Receiver<()>),
}

struct Interactive {
    /// Taken when the prompt starts.
    editor: Option<LineEditor>,
    saved: Arc<SavedTerminal>,
}

/// The state needed to restore the terminal.
struct SavedTerminal {
    gate: Arc<Gate>,
    /// The modes before the program changed them.
    found: Termios,
}

impl fmt::Debug for Terminal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let interactive = self.interactive.is_some();
        f.debug_struct("Terminal").field("interactive", &interactive).finish_non_exhaustive()
    }
}

/// Restores the terminal if the process ends without dropping [`Terminal`].
#[derive(Clone)]
pub struct Restore(Option<Arc<SavedTerminal>>);

impl Restore {
    /// Ends line editing and restores the terminal. It may be called more than once.
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
            // The terminal is gone, but the user did not ask to leave.
            std::future::pending::<()>().await;
        }
    }
}

impl Terminal {
    /// Takes over the standard streams. Nothing is read yet.
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

    /// Returns `None` if the terminal does not support line editing.
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

    /// Sends this process's logs to the terminal or to standard error. The filter has the syntax of [`EnvFilter`].
    pub fn show_logs(&self, filter: &str) {
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new(filter))
            .with_writer(LogWriter(self.logs.clone()))
            .with_ansi(false);
        // If there is a subscriber already, it stays.
        let _ = subscriber.try_init();
    }

    /// Restores the terminal where [`Terminal`] cannot be dropped.
    pub fn restore(&self) -> Restore {
        Restore(self.interactive.as_ref().map(|interactive| interactive.saved.clone()))
    }

    /// Shows the user one line, on the terminal or on standard error.
    pub fn notice(&self, text: &str) {
        self.notifier()(text);
    }

    /// The same for a task in the background.
    pub(crate) fn notifier(&self) -> impl Fn(&str) + Send + 'static {
        let (style, notices) = (self.style, self.notices.clone());
        move |text| {
            let mut line = String::new();
            style.push_notice(&mut line, &visible(text));
            notices.offer(&line);
        }
    }

    /// Starts to read input. Returns the printer of events, and the future that resolves when the user wants to leave.
    /// It may be called once.
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

/// How long the end of the process waits for outputs that make progress.
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
    /// Rustyline cannot be interrupted: while it waits for a key, the terminal stays in raw mode.
    fn restore(&self) {
        const BRACKETED_PASTE_OFF: &[u8] = b"\x1b[?2004l";
        let edited = self.gate.close();
        let stdin = rustix::stdio::stdin();
        // A background process would be stopped by this, and the terminal belongs to the foreground process.
        if tcgetpgrp(stdin).is_ok_and(|foreground| foreground != rustix::process::getpgrp()) {
            return;
        }
        if let Err(error) = tcsetattr(stdin, OptionalActions::Now, &self.found) {
            tracing::debug!(%error, "cannot restore the terminal");
        }
        if edited {
            // On a thread, because writing to a stopped terminal may block.
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

/// Receives log lines. They never wait: lines that do not fit are dropped and counted.
#[derive(Clone)]
struct LogWriter(Output);

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Write for LogWriter {
    /// Writes one event, with its line end.
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
