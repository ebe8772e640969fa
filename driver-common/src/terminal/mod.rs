//! The node's user interface: a prompt on a terminal, or lines on standard input and output.
//!
//! If standard input and output are a terminal that supports line editing, there is a prompt, and everything else
//! appears above it. Otherwise, messages of others go to standard output, one line each, and everything else goes to
//! standard error.

mod arrivals;
mod commands;
mod completion;
mod folds;
mod input;
mod lines;
mod mentions;
mod notices;
mod output;
mod people;
mod piped;
mod printer;
mod prompt;
mod render;
mod speaker;
mod stdio;
mod times;
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

use self::folds::Folds;
use self::notices::{Gravity, Notices};
use self::output::{Bounds, LossReport, Output, not_shown};
use self::people::People;
pub use self::printer::EventPrinter;
use self::printer::Paper;
use self::prompt::{CompleteAtTab, Gate, LineEditor};
use self::render::Style;
use self::speaker::Speaker;
use self::stdio::{Stderr, Stdout};
pub use self::times::{TimeFormat, TimeFormatError};
use self::visible::visible;
use crate::Handle;
use crate::options::{LogFormat, Options, OutputForm};

/// The terminal or the standard streams of this process. Nothing else may use them meanwhile, and there is only one
/// value of this type.
///
/// Its threads never delay the end of the process. Dropping it writes what is queued, for at most half a second, and
/// restores the terminal.
pub struct Terminal {
    /// Messages of others.
    messages: Output,
    /// Notices and everything else.
    notices: Notices,
    /// Logs.
    logs: Output,
    style: Style,
    form: OutputForm,
    times: TimeFormat,
    /// The end of standard input ends the node, once a peer holds all that was said.
    exit_when_done: bool,
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
    /// Takes over the standard streams, and shows the log there. Nothing is read yet.
    pub fn open(options: &Options) -> io::Result<Self> {
        let ends = [rustix::stdio::stdin(), rustix::stdio::stdout()];
        let on_terminal = ends.into_iter().all(rustix::termios::isatty) && options.output == OutputForm::Text;
        let interactive = if on_terminal { Self::open_interactive(options)? } else { None };
        let terminal = match interactive {
            Some(terminal) => terminal,
            None => Self::open_streams(options, on_terminal)?,
        };
        terminal.show_logs(options);
        Ok(terminal)
    }

    /// The streams as they are. Where standard error is no terminal, notices are part of the log.
    fn open_streams(options: &Options, on_terminal: bool) -> io::Result<Self> {
        let style = if on_terminal { Style::Plain } else { Style::Bare };
        let times = if on_terminal { options.time_format.clone() } else { TimeFormat::default() };
        let logs = Output::new(Stderr, Bounds::default(), LossReport::Here(loss_line(options.log_format)))?;
        let err_is_seen = rustix::termios::isatty(rustix::stdio::stderr());
        let notices = if err_is_seen && options.log_format == LogFormat::Text && options.tells_notices() {
            Notices::Screen { output: logs.clone(), style, times: times.clone() }
        } else {
            Notices::Log
        };
        let told = notices.clone();
        let report = move |lost| told.tell(Gravity::Warning, &not_shown(lost));
        let messages = Output::new(Stdout, Bounds::default(), LossReport::Elsewhere(Box::new(report)))?;
        Ok(Self {
            messages,
            notices,
            logs,
            style,
            form: options.output,
            times,
            exit_when_done: options.exit_when_done,
            interactive: None,
            quit: async_channel::bounded(1),
        })
    }

    /// Returns `None` if the terminal does not support line editing.
    fn open_interactive(options: &Options) -> io::Result<Option<Self>> {
        let stdin = rustix::stdio::stdin();
        let (Ok(found), Ok((editor, screen))) = (tcgetattr(stdin), prompt::open()) else {
            return Ok(None);
        };
        let screen = Output::new(screen, Bounds::default(), LossReport::Here(not_shown))?;
        let logs = if rustix::termios::isatty(rustix::stdio::stderr()) {
            screen.clone()
        } else {
            Output::new(Stderr, Bounds::default(), LossReport::Here(loss_line(options.log_format)))?
        };
        let saved = Arc::new(SavedTerminal { gate: editor.gate(), found });
        let (style, times) = (Style::of_terminal(), options.time_format.clone());
        Ok(Some(Self {
            messages: screen.clone(),
            notices: Notices::Screen { output: screen, style, times: times.clone() },
            logs,
            style,
            form: OutputForm::Text,
            times,
            exit_when_done: false,
            interactive: Some(Interactive { saved, editor: Some(editor) }),
            quit: async_channel::bounded(1),
        }))
    }

    /// Sends this process's logs to the terminal or to standard error.
    fn show_logs(&self, options: &Options) {
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new(&options.log))
            .with_writer(LogWriter(self.logs.clone()))
            .with_ansi(false);
        // If there is a subscriber already, it stays.
        let _ = match options.log_format {
            LogFormat::Text => subscriber.try_init(),
            LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
        };
    }

    /// Restores the terminal where [`Terminal`] cannot be dropped.
    pub fn restore(&self) -> Restore {
        Restore(self.interactive.as_ref().map(|interactive| interactive.saved.clone()))
    }

    /// Tells the user something, on the terminal or on standard error.
    pub fn notice(&self, text: &str) {
        self.notices.tell(Gravity::Info, text);
    }

    /// Tells the user that something may be wrong.
    pub fn warning(&self, text: &str) {
        self.notices.tell(Gravity::Warning, text);
    }

    /// The same for a task in the background.
    pub(crate) fn notifier(&self) -> impl Fn(&str) + Send + 'static {
        let notices = self.notices.clone();
        move |text| notices.tell(Gravity::Warning, text)
    }

    /// Starts to read input. Returns the printer of events, and the future that resolves when the user wants to leave.
    /// It may be called once.
    pub(crate) fn start(&mut self, handle: Handle, uname: Name) -> io::Result<(EventPrinter, Quit)> {
        let (people, mutes) = (People::new(uname), handle.mutes().clone());
        let folds = self.interactive.is_some().then(Folds::new);
        let speaker =
            Speaker { handle, people: people.clone(), folds: folds.clone(), notices: self.notices.clone() };
        let quit = self.quit.0.clone();
        let interactive = self.interactive.is_some();
        match &mut self.interactive {
            None => {
                self.messages.tell_close(quit.clone());
                piped::watch_output(quit.clone())?;
                piped::start(speaker, self.exit_when_done.then_some(quit))?;
            }
            Some(interactive) => {
                if let Some(editor) = interactive.editor.take() {
                    editor.start(quit, CompleteAtTab::new(&speaker), move |input| speaker.run(input))?;
                }
            }
        }
        if let Some(folds) = &folds {
            let notices = self.notices.clone();
            folds.start(move |told| notices.tell(Gravity::Info, told))?;
        }
        if interactive {
            self.notices.tell(Gravity::Warning, render::ALONE);
        }
        let paper = Paper {
            messages: self.messages.clone(),
            notices: (!interactive).then(|| self.notices.clone()),
            style: self.style,
            form: self.form,
            times: self.times.clone(),
            folds,
        };
        Ok((EventPrinter::new(people, mutes, paper), Quit(self.quit.1.clone())))
    }
}

/// The line of the log that tells how many lines are missing there.
fn loss_line(format: LogFormat) -> fn(u64) -> String {
    match format {
        LogFormat::Text => not_shown,
        LogFormat::Json => |lost| {
            serde_json::json!({ "level": "WARN", "message": not_shown(lost), "target": "chat" }).to_string()
        },
    }
}

/// How long the end of the process waits for outputs that make progress.
const FLUSH_TIME: Duration = Duration::from_millis(500);

impl Drop for Terminal {
    fn drop(&mut self) {
        let end = Instant::now() + FLUSH_TIME;
        for output in [&self.messages, &self.logs] {
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
