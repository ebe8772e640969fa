//! The prompt: line editing by rustyline on a thread of its own, and printing that does not break the edited line.
//!
//! While a line is edited only rustyline may write to the terminal: lines go to it through its external printer. It
//! takes one at a time, and does not say when it has drawn it; but it asks for the prompt's text each time it draws,
//! and [`Gate`] counts that.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use async_channel::Sender;
use rustyline::error::ReadlineError;
use rustyline::history::MemHistory;
use rustyline::{
    Cmd, ConditionalEventHandler, Config, Editor, Event, EventContext, EventHandler, ExternalPrinter,
    KeyEvent, Movement, Prompt, RepeatCount,
};

use super::entry::Entry;
use super::stdio::Stdout;

/// An editor on the terminal that standard input and output are.
pub(crate) struct Editing {
    editor: Editor<(), MemHistory>,
    gate: Arc<Gate>,
}

/// The prompt. It is as wide as it is long.
const PROMPT: &str = "> ";

/// Entries that the arrow keys bring back.
const HISTORY: usize = 1000;

/// An editor and a device that prints above the edited line. Fails where the terminal cannot do it.
pub(crate) fn open() -> rustyline::Result<(Editing, Screen<impl ExternalPrinter + Send + 'static>)> {
    let config = Config::builder().auto_add_history(true).max_history_size(HISTORY)?.build();
    let history = MemHistory::with_config(&config);
    let mut editor = Editor::with_history(config, history)?;
    editor.bind_sequence(KeyEvent::ctrl('C'), EventHandler::Conditional(Box::new(ClearOrLeave)));
    let printer = editor.create_external_printer()?;
    let gate = Arc::new(Gate::default());
    let screen = Screen { printer, gate: gate.clone(), unfinished: Vec::new() };
    Ok((Editing { editor, gate }, screen))
}

impl Editing {
    pub(crate) fn gate(&self) -> Arc<Gate> {
        self.gate.clone()
    }

    /// Reads entries and hands them to `carry_out`, one ahead at most, until the user wants to leave; then tells
    /// `quit`. Both run on threads of their own.
    pub(crate) fn start(
        self,
        quit: Sender<()>,
        mut carry_out: impl FnMut(Entry) + Send + 'static,
    ) -> io::Result<()> {
        let (entered, entries) = async_channel::bounded(1);
        thread::Builder::new().name("entries".to_owned()).spawn(move || {
            while let Ok(entry) = entries.recv_blocking() {
                carry_out(entry);
            }
        })?;
        thread::Builder::new().name("prompt".to_owned()).spawn(move || {
            let leaves = self.read(&entered);
            if leaves {
                // Full: the user asked before.
                let _ = quit.try_send(());
            }
        })?;
        Ok(())
    }

    /// True when the user wants to leave, false when the terminal is gone.
    fn read(mut self, entered: &Sender<Entry>) -> bool {
        let text = PromptText(self.gate.clone());
        let leaves = loop {
            self.gate.set(Stage::Between);
            match self.editor.readline(&text) {
                Ok(line) => match Entry::parse(&line) {
                    Entry::Nothing => {}
                    Entry::Quit => break true,
                    entry => {
                        self.gate.set(Stage::Between);
                        if entered.send_blocking(entry).is_err() {
                            break false;
                        }
                    }
                },
                Err(ReadlineError::Interrupted | ReadlineError::Eof) => break true,
                Err(ReadlineError::Signal(_)) => {}
                Err(error) => {
                    tracing::warn!(%error, "the terminal cannot be read any more");
                    break false;
                }
            }
        };
        // What rustyline was handed and has not drawn fails then, and is written by the one who handed it.
        drop(self.editor);
        self.gate.set(Stage::Over);
        leaves
    }
}

/// ^C clears a line that is not empty, and leaves otherwise.
struct ClearOrLeave;

impl ConditionalEventHandler for ClearOrLeave {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, context: &EventContext<'_>) -> Option<Cmd> {
        Some(if context.line().is_empty() { Cmd::Interrupt } else { Cmd::Kill(Movement::WholeBuffer) })
    }
}

/// The prompt's text, which tells the gate that rustyline draws.
struct PromptText(Arc<Gate>);

impl Prompt for PromptText {
    fn raw(&self) -> &str {
        self.0.drawing();
        PROMPT
    }
}

/// Who may write to the terminal now.
#[derive(Default)]
pub(crate) struct Gate {
    state: Mutex<Drawn>,
    changed: Condvar,
}

#[derive(Default)]
struct Drawn {
    stage: Stage,
    /// How often rustyline drew.
    times: u64,
    /// Somebody else writes, and rustyline must not begin.
    written: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    /// There is no prompt yet: the screen.
    #[default]
    Before,
    /// Rustyline is about to begin: nobody, for what it was handed last may still be with it.
    Between,
    /// Rustyline.
    Editing,
    /// The prompt is gone for good: the screen.
    Over,
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, Drawn> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, Drawn>) -> MutexGuard<'a, Drawn> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, stage: Stage) {
        let mut state = self.lock();
        while state.written {
            state = self.wait(state);
        }
        if state.stage != Stage::Over {
            state.stage = stage;
        }
        self.changed.notify_all();
    }

    fn drawing(&self) {
        let mut state = self.lock();
        state.times += 1;
        if state.stage != Stage::Over {
            state.stage = Stage::Editing;
        }
        self.changed.notify_all();
    }

    /// No more editing: the terminal is about to be given back. True if a line was being edited.
    pub(crate) fn close(&self) -> bool {
        let mut state = self.lock();
        let before = std::mem::replace(&mut state.stage, Stage::Over);
        self.changed.notify_all();
        matches!(before, Stage::Editing | Stage::Between)
    }
}

/// The terminal as a device for lines: they appear above the line that is edited, which stays as it is.
pub(crate) struct Screen<P> {
    printer: P,
    gate: Arc<Gate>,
    /// The start of a line whose end has not come.
    unfinished: Vec<u8>,
}

impl<P: ExternalPrinter> Write for Screen<P> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n') else {
            self.unfinished.extend_from_slice(bytes);
            return Ok(bytes.len());
        };
        let mut lines = std::mem::take(&mut self.unfinished);
        lines.extend_from_slice(&bytes[..=end]);
        self.unfinished.extend_from_slice(&bytes[end + 1..]);
        self.print(&String::from_utf8_lossy(&lines))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<P: ExternalPrinter> Screen<P> {
    /// Returns when the lines are drawn.
    fn print(&mut self, lines: &str) -> io::Result<()> {
        let gate = self.gate.clone();
        let mut state = gate.lock();
        while state.stage == Stage::Between {
            state = gate.wait(state);
        }
        if state.stage == Stage::Editing {
            let before = state.times;
            drop(state);
            // It fails when the prompt is gone.
            let handed = self.printer.print(lines.to_owned()).is_ok();
            state = gate.lock();
            while handed && state.times == before && state.stage != Stage::Over {
                state = gate.wait(state);
            }
            if state.times > before {
                return Ok(());
            }
            while state.stage != Stage::Over {
                state = gate.wait(state);
            }
        }
        // The gate stays free meanwhile: the terminal may take any time.
        state.written = true;
        drop(state);
        let result = Stdout.write_all(lines.as_bytes());
        gate.lock().written = false;
        gate.changed.notify_all();
        result
    }
}
