//! Prints a node's events.

use std::sync::Arc;

use super::output::Output;
use super::render::{self, Roster, Style};
use super::visible::push_visible;
use super::voice::Common;
use crate::hub::Printer;
use crate::{Event, Origin};

/// Prints a node's events, as fast as the output goes.
pub struct Sink {
    common: Arc<Common>,
    roster: Roster,
    style: Style,
    said: Output,
    /// Where notices go; none: among what is said, and what is said here elsewhere is shown too.
    aside: Option<Output>,
    /// Lines not yet handed over.
    lines: String,
}

impl Printer for Sink {
    /// Waits while the output is full and moves.
    async fn print(&mut self, events: Vec<Event>) {
        self.roster.rename_own(&self.common.uname());
        for event in events {
            self.take(event);
            if self.lines.len() >= PART {
                self.hand_over().await;
            }
        }
        self.hand_over().await;
    }
}

/// Lines are handed over in parts of about so many bytes.
const PART: usize = 64 * 1024;

impl Sink {
    pub(crate) fn new(common: Arc<Common>, said: Output, aside: Option<Output>, style: Style) -> Self {
        let roster = Roster::new(&common.uname());
        Self { common, roster, style, said, aside, lines: String::new() }
    }

    async fn hand_over(&mut self) {
        if !self.lines.is_empty() {
            self.said.write(&self.lines).await;
            self.lines.clear();
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Message { peer, text } if self.aside.is_some() => {
                push_visible(&mut self.lines, peer.uname.as_str());
                self.lines.push_str(": ");
                push_visible(&mut self.lines, &text);
                self.lines.push('\n');
            }
            Event::Message { peer, text } => {
                let label = self.roster.label(&peer);
                self.style.push_said(&mut self.lines, Some(peer.node_id), &label, &text);
            }
            Event::Said { texts, uname, origin } => {
                if self.aside.is_none() && origin != Origin::TERMINAL {
                    let name = super::visible(uname.as_str());
                    for text in texts {
                        self.style.push_said(&mut self.lines, None, &name, text.as_str());
                    }
                }
            }
            Event::Joined(peer) => {
                self.common.not_alone();
                self.roster.note(&peer);
                self.notice(&render::joined(&self.roster.label(&peer)));
            }
            Event::Updated(peer) => {
                let before = self.roster.note(&peer);
                let label = self.roster.label(&peer);
                if let Some(before) =
                    before.filter(|before| *before != super::visible(peer.uname.as_str().trim()))
                {
                    self.notice(&render::renamed(&before, &label));
                }
            }
            Event::Left { peer, reason } => {
                let label = self.roster.label(&peer);
                self.roster.forget(&peer);
                self.notice(&render::left(&label, reason));
            }
            Event::Notice(notice) => self.notice(&render::notice(&notice)),
            // The node logs it.
            Event::Report { .. } => {}
        }
    }

    fn notice(&mut self, text: &str) {
        match &self.aside {
            None => self.style.push_notice(&mut self.lines, text),
            Some(aside) => {
                let mut line = String::new();
                self.style.push_notice(&mut line, text);
                aside.offer(&line);
            }
        }
    }
}
