//! Where notices for the user go: to the screen, or to the log.

use super::output::Output;
use super::render::Style;
use super::times::TimeFormat;
use super::visible::visible;
use crate::clock::unix_ms;
use crate::options::NOTICES;

/// How much a notice matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gravity {
    /// Something happened.
    Info,
    /// Something is wrong.
    Warning,
}

/// Where notices for the user go.
#[derive(Clone)]
pub(crate) enum Notices {
    /// Lines on a terminal.
    Screen { output: Output, style: Style, times: TimeFormat },
    /// The log, where each has a time and a level.
    Log,
}

impl Notices {
    /// Tells the user something, which may have any characters in it.
    pub(crate) fn tell(&self, gravity: Gravity, text: &str) {
        match self {
            Self::Screen { output, style, times } => {
                let mut line = String::new();
                style.push_notice(&mut line, times.show(unix_ms()).as_deref(), &visible(text));
                output.offer(&line);
            }
            Self::Log => match gravity {
                Gravity::Info => tracing::info!(target: NOTICES, "{}", visible(text)),
                Gravity::Warning => tracing::warn!(target: NOTICES, "{}", visible(text)),
            },
        }
    }

    pub(crate) fn style(&self) -> Style {
        match self {
            Self::Screen { style, .. } => *style,
            Self::Log => Style::Bare,
        }
    }

    /// Lines that are shown as they are, where there is a screen. They must not have control characters in them.
    pub(crate) fn show(&self, lines: &str) {
        match self {
            Self::Screen { output, .. } => output.offer(lines),
            Self::Log => lines.lines().for_each(|line| self.tell(Gravity::Info, line)),
        }
    }
}
