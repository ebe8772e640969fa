//! The prompt: line editing with rustyline on its own thread, and output that does not break the edited line.
//!
//! While a line is edited, only rustyline may write to the terminal. Lines to print wait at the [`Gate`], and are drawn
//! in front of the prompt when rustyline draws it. Its external printer neither keeps the order of lines nor reports
//! what it has drawn, so it only triggers drawing.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use async_channel::Sender;
use rustix::termios::tcgetpgrp;
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::MemHistory;
use rustyline::validate::Validator;
use rustyline::{
    Cmd, ColorMode, ConditionalEventHandler, Config, Editor, Event, EventContext, EventHandler,
    ExternalPrinter, Helper, KeyCode, KeyEvent, Modifiers, Movement, RepeatCount,
};

use super::completion::{Completion, complete};
use super::input::UserInput;
use super::notices::{Gravity, Notices};
use super::people::People;
use super::speaker::Speaker;
use super::stdio::Stdout;
use crate::mutes::Mutes;

/// A line editor on the terminal.
pub(crate) struct LineEditor {
    editor: Editor<LinesAbove, MemHistory>,
    gate: Arc<Gate>,
    suspended: Suspended,
}

/// The line that was edited when the user pressed Ctrl-Z, before and behind the cursor.
type Suspended = Arc<Mutex<Option<(String, String)>>>;

const PROMPT: &str = "> ";

/// The number of inputs in the history.
const HISTORY: usize = 1000;

/// Creates an editor, and a device that prints above the edited line. Fails if the terminal does not support it.
pub(crate) fn open() -> rustyline::Result<(LineEditor, Screen<impl ExternalPrinter + Send + 'static>)> {
    // Rustyline calls `LinesAbove` for the prompt only if colours are enabled.
    let config = Config::builder().color_mode(ColorMode::Forced).auto_add_history(true);
    let config = config.max_history_size(HISTORY)?.build();
    let history = MemHistory::with_config(&config);
    let mut editor = Editor::with_history(config, history)?;
    editor.bind_sequence(KeyEvent::ctrl('C'), EventHandler::Conditional(Box::new(ClearOrLeave)));
    let suspended = Suspended::default();
    let suspend = EventHandler::Conditional(Box::new(Suspend(suspended.clone())));
    editor.bind_sequence(KeyEvent::ctrl('Z'), suspend);
    let printer = editor.create_external_printer()?;
    let gate = Arc::new(Gate::default());
    editor.set_helper(Some(LinesAbove { gate: gate.clone(), drawn: Mutex::default() }));
    let screen = Screen { printer, gate: gate.clone(), unfinished: Vec::new() };
    Ok((LineEditor { editor, gate, suspended }, screen))
}

impl LineEditor {
    pub(crate) fn gate(&self) -> Arc<Gate> {
        self.gate.clone()
    }

    /// Reads inputs and passes them to `handle`, at most one ahead, until the user wants to leave. Then notifies
    /// `quit`. Both run on their own threads.
    pub(crate) fn start(
        mut self,
        quit: Sender<()>,
        tab: CompleteAtTab,
        mut handle: impl FnMut(UserInput) + Send + 'static,
    ) -> io::Result<()> {
        self.editor
            .bind_sequence(KeyEvent(KeyCode::Tab, Modifiers::NONE), EventHandler::Conditional(Box::new(tab)));
        let (entered, inputs) = async_channel::bounded(1);
        thread::Builder::new().name("commands".to_owned()).spawn(move || {
            while let Ok(input) = inputs.recv_blocking() {
                handle(input);
            }
        })?;
        thread::Builder::new().name("prompt".to_owned()).spawn(move || {
            let leaves = self.read(&entered);
            if leaves {
                // If the channel is full, the user has asked before.
                let _ = quit.try_send(());
            }
        })?;
        Ok(())
    }

    /// Returns true if the user wants to leave, false if the terminal is gone.
    fn read(mut self, entered: &Sender<UserInput>) -> bool {
        self.gate.begin();
        let mut begun = (String::new(), String::new());
        let leaves = loop {
            let entered_line = self.editor.readline_with_initial(PROMPT, (&begun.0, &begun.1));
            let suspended = self.suspended.lock().unwrap_or_else(PoisonError::into_inner).take();
            let suspends = suspended.is_some();
            begun = suspended.unwrap_or_default();
            self.gate.drawing_done();
            match entered_line {
                Err(ReadlineError::Interrupted) if suspends => {
                    self.gate.pause();
                    stop_until_foreground();
                    self.gate.begin();
                }
                Ok(line) => match UserInput::parse(self.gate.remembered(PROMPT, &line)) {
                    UserInput::Nothing => {}
                    UserInput::Quit => break true,
                    entry => {
                        if entered.send_blocking(entry).is_err() {
                            break false;
                        }
                    }
                },
                Err(ReadlineError::Interrupted | ReadlineError::Eof) => break true,
                Err(ReadlineError::Signal(_)) => {}
                Err(error) => {
                    tracing::warn!(%error, "the terminal can no longer be read");
                    break false;
                }
            }
        };
        // Wakes a screen that waits for rustyline to take a request.
        drop(self.editor);
        self.gate.close();
        leaves
    }
}

/// Ctrl-Z stops the process, and not within rustyline: that would stop again in the background, where it cannot set up the
/// terminal.
struct Suspend(Suspended);

impl ConditionalEventHandler for Suspend {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, context: &EventContext<'_>) -> Option<Cmd> {
        let (before, behind) = context.line().split_at_checked(context.pos()).unwrap_or_default();
        let line = (before.to_owned(), behind.to_owned());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(line);
        Some(Cmd::Interrupt)
    }
}

/// Stops this job until the shell continues it. In the background, it runs on without a prompt.
fn stop_until_foreground() {
    // No signal tells that a running job has come to the foreground: SIGCONT also comes with `bg`.
    const LOOK_EVERY: Duration = Duration::from_millis(100);
    // The signal may reach another thread first, and stop this one a moment after the call. The terminal must not be set up
    // before that.
    const STOPPED_AFTER: Duration = Duration::from_millis(300);
    if let Err(error) = rustix::process::kill_current_process_group(rustix::process::Signal::TSTP) {
        tracing::debug!(%error, "this job cannot be stopped");
    }
    let in_background =
        || tcgetpgrp(rustix::stdio::stdin()).is_ok_and(|foreground| foreground != rustix::process::getpgrp());
    let asked = Instant::now();
    while in_background() || asked.elapsed() < STOPPED_AFTER {
        thread::sleep(LOOK_EVERY);
    }
}

/// Ctrl-C clears a line that is not empty. Otherwise it leaves.
struct ClearOrLeave;

impl ConditionalEventHandler for ClearOrLeave {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, context: &EventContext<'_>) -> Option<Cmd> {
        Some(if context.line().is_empty() { Cmd::Interrupt } else { Cmd::Kill(Movement::WholeBuffer) })
    }
}

/// Tab completes commands and names. Where there are several, they are shown above the line. Rustyline's own completion
/// would let no line be drawn until the next key.
pub(crate) struct CompleteAtTab {
    people: Arc<People>,
    mutes: Mutes,
    notices: Notices,
}

impl CompleteAtTab {
    pub(crate) fn new(speaker: &Speaker) -> Self {
        let Speaker { people, handle, notices, .. } = speaker;
        Self { people: people.clone(), mutes: handle.mutes().clone(), notices: notices.clone() }
    }

    fn muted_from(&self, start: &str) -> Vec<String> {
        let start = start.to_lowercase();
        let names = self.mutes.list().into_iter().map(|(_, name)| name.as_str().to_owned());
        names.filter(|name| name.to_lowercase().starts_with(&start)).collect()
    }
}

impl ConditionalEventHandler for CompleteAtTab {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, context: &EventContext<'_>) -> Option<Cmd> {
        let before = context.line().get(..context.pos()).unwrap_or_default();
        let names = |start: &str| self.people.roster().names_from(start);
        match complete(before, names, |start| self.muted_from(start)) {
            Completion::Add(text) => Some(Cmd::Insert(1, text)),
            Completion::Several(several) => {
                self.notices.tell(Gravity::Info, &several.join("  "));
                Some(Cmd::Noop)
            }
            Completion::Nothing => Some(Cmd::Noop),
        }
    }
}

/// Adds the lines to print in front of the prompt. Rustyline asks for the prompt once for each drawing, after it has
/// moved to the start of the old prompt. It places everything else relative to the end of the prompt.
///
/// When the window has another width, rustyline does not know how many rows the edited line takes now: many terminals wrap
/// it anew. It may have erased lines above, so all are drawn again.
struct LinesAbove {
    gate: Arc<Gate>,
    drawn: Mutex<Drawn>,
}

/// What was drawn last.
#[derive(Default)]
struct Drawn {
    columns: u16,
    /// How many characters prompt and line have.
    chars: usize,
}

impl LinesAbove {
    /// Whether the line may take another number of rows in this window than in the one before.
    fn is_wrapped_anew(&self, columns: u16) -> bool {
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut drawn.columns, columns);
        // Wide characters take two columns.
        before != 0 && before != columns && drawn.chars * 2 >= usize::from(before.min(columns))
    }
}

impl Highlighter for LinesAbove {
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _: bool) -> Cow<'b, str> {
        const CLEAR_SCREEN: &str = "\x1b[H\x1b[J";
        let lines = self.gate.drawing();
        let size = rustix::termios::tcgetwinsize(rustix::stdio::stdout()).ok();
        if let Some(size) = size.filter(|size| self.is_wrapped_anew(size.ws_col)) {
            return Cow::Owned(CLEAR_SCREEN.to_owned() + &self.gate.recent(size.ws_row.into()) + prompt);
        }
        if lines.is_empty() { Cow::Borrowed(prompt) } else { Cow::Owned(lines + prompt) }
    }

    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        let chars = PROMPT.len() + line.chars().count();
        self.drawn.lock().unwrap_or_else(PoisonError::into_inner).chars = chars;
        Cow::Borrowed(line)
    }
}

impl Completer for LinesAbove {
    type Candidate = String;
}

impl Hinter for LinesAbove {
    type Hint = String;
}

impl Validator for LinesAbove {}
impl Helper for LinesAbove {}

/// Holds lines until somebody may write them to the terminal.
#[derive(Default)]
pub(crate) struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    stage: Stage,
    /// Lines that rustyline is to draw.
    lines: String,
    /// How often rustyline drew, or finished drawing.
    drawn: u64,
    /// The screen is writing, so rustyline must not start.
    written: bool,
    /// The lines that were written last, and what was entered.
    recent: VecDeque<String>,
}

/// The most lines that are drawn again, and the longest one, in bytes.
const RECENT: usize = 200;
const RECENT_LINE: usize = 1024;

/// Who may write to the terminal.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    /// There is no prompt yet. The screen may write.
    #[default]
    Before,
    /// Rustyline may write.
    Prompting,
    /// The prompt has ended. The screen may write.
    Over,
}

impl State {
    fn remember(&mut self, lines: &str) {
        for line in lines.lines().rev().take(RECENT).collect::<Vec<_>>().into_iter().rev() {
            if self.recent.len() >= RECENT {
                self.recent.pop_front();
            }
            // It would ring again.
            let start = line[..line.floor_char_boundary(RECENT_LINE)].replace('\x07', "");
            let styled = if start.len() < line.len() && start.contains('\x1b') { "\x1b[0m" } else { "" };
            self.recent.push_back(start + styled);
        }
    }
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_while(&self, condition: impl FnMut(&mut State) -> bool) -> MutexGuard<'_, State> {
        self.changed.wait_while(self.lock(), condition).unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self) {
        let mut state = self.wait_while(|state| state.written);
        if state.stage == Stage::Before {
            state.stage = Stage::Prompting;
        }
    }

    /// Until [`begin`](Self::begin), rustyline does not write.
    fn pause(&self) {
        let mut state = self.lock();
        if state.stage == Stage::Prompting {
            state.stage = Stage::Before;
        }
        self.changed.notify_all();
    }

    /// What was entered is on the screen, too.
    fn remembered<'l>(&self, prompt: &str, line: &'l str) -> &'l str {
        self.lock().remember(&format!("{prompt}{line}"));
        line
    }

    /// The lines that were written last: so many.
    fn recent(&self, count: usize) -> String {
        let state = self.lock();
        let lines = state.recent.iter().skip(state.recent.len().saturating_sub(count));
        lines.fold(String::new(), |all, line| all + line + "\n")
    }

    /// The lines that rustyline has to draw now.
    fn drawing(&self) -> String {
        let mut state = self.lock();
        state.drawn += 1;
        self.changed.notify_all();
        std::mem::take(&mut state.lines)
    }

    fn drawing_done(&self) {
        self.lock().drawn += 1;
        self.changed.notify_all();
    }

    /// Ends editing. Returns true if there was a prompt.
    pub(crate) fn close(&self) -> bool {
        let mut state = self.lock();
        let before = std::mem::replace(&mut state.stage, Stage::Over);
        self.changed.notify_all();
        before == Stage::Prompting
    }
}

/// The terminal as a device for lines. They appear above the edited line, which stays unchanged.
pub(crate) struct Screen<P> {
    printer: P,
    gate: Arc<Gate>,
    /// The start of an incomplete line.
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
        self.print(String::from_utf8_lossy(&lines).into_owned())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<P: ExternalPrinter> Screen<P> {
    /// Returns when the lines are drawn.
    fn print(&mut self, lines: String) -> io::Result<()> {
        let gate = self.gate.clone();
        let mut state = gate.lock();
        state.remember(&lines);
        state.lines = lines;
        if state.stage == Stage::Prompting {
            drop(state);
            self.request_drawing();
            state = gate.wait_while(|state| !state.lines.is_empty() && state.stage == Stage::Prompting);
            if state.lines.is_empty() {
                // Rustyline took the lines. Its next drawing shows that it has written them.
                let before = state.drawn;
                drop(state);
                self.request_drawing();
                drop(gate.wait_while(|state| state.drawn == before && state.stage == Stage::Prompting));
                return Ok(());
            }
        }
        let lines = std::mem::take(&mut state.lines);
        // The gate is not locked while writing, which may take any time.
        state.written = true;
        drop(state);
        let result = Stdout.write_all(lines.as_bytes());
        gate.lock().written = false;
        gate.changed.notify_all();
        result
    }

    /// Rustyline takes no request between two lines, but it draws when the next one starts.
    fn request_drawing(&mut self) {
        /// Rustyline ends every printed text with a line end. This text moves up one line first.
        const NOTHING: &str = "\x1b[A\n";
        // It fails if the prompt has ended, which the gate reports, too.
        let _ = self.printer.print(NOTHING.to_owned());
    }
}
