//! The entries of one input are verified together (SPEC 3.12.6).
//!
//! Lines are handled one by one. When the first new entry of an input is handled, the new entries behind it are read, and all
//! of them verified at once. What follows from a line follows when it is handled, so that it does not matter how a stream was
//! cut. If they do not all hold, each is verified by itself when its line is handled.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::Chat;
use super::budget::Dues;
use crate::model::{
    Cx, EntryError, EntryId, Equation, KeyPoint, Opened, PublicKey, Sealed, Sender, Unverified,
};
use crate::wire::{Chunk, Frame, Line, Parsed, parse};

/// What of one input is still to be handled.
#[derive(Debug)]
pub(crate) struct Lookahead<'b> {
    /// The bytes behind the line that is being handled.
    rest: Chunk<'b>,
    /// The new entries in them that were read, in order.
    /// Each entry, and how many bytes of the input are behind its line.
    candidates: VecDeque<(usize, Candidate<'b>)>,
}

/// What the entries of a batch take once their signatures are found to hold.
#[derive(Debug, Default)]
struct Others {
    dues: Vec<Dues>,
    /// Bytes that are excused from rates.
    excused: u32,
}

/// An entry that was read, and the equation that shows whether its signature holds.
#[derive(Debug)]
pub(super) struct Candidate<'a> {
    entry: Unverified<'a>,
    equation: Equation,
    /// The equation was found to hold.
    holds: bool,
}

impl Candidate<'_> {
    pub(super) fn id(&self) -> EntryId {
        self.entry.id()
    }

    pub(super) fn entry(&self) -> &Unverified<'_> {
        &self.entry
    }
}

impl<'b> Lookahead<'b> {
    /// Of an input of which no line was handled yet.
    pub(crate) const fn new() -> Self {
        Self { rest: Chunk::new(&[]), candidates: VecDeque::new() }
    }

    /// The line before these bytes is handled now.
    pub(crate) fn behind(&mut self, rest: Chunk<'b>) -> &mut Self {
        self.rest = rest;
        self
    }

    /// The entry of the line that is handled now. None: it was not read yet.
    pub(super) fn take(&mut self) -> Option<Candidate<'b>> {
        let behind = self.rest.rest().len();
        // Those before it were known when their lines were handled.
        while self.candidates.front().is_some_and(|(at, _)| *at > behind) {
            self.candidates.pop_front();
        }
        let is_next = self.candidates.front().is_some_and(|(at, _)| *at == behind);
        if is_next { self.candidates.pop_front().map(|(_, candidate)| candidate) } else { None }
    }

    /// Verifies all of them and `first` at once.
    fn verify_with(&mut self, first: &mut Candidate<'_>, seed: &[u8; 32]) {
        let others = self.candidates.iter().map(|(_, candidate)| &candidate.equation);
        let equations: Vec<_> = core::iter::once(&first.equation).chain(others).collect();
        if equations.len() > 1 && Equation::all_hold(&equations, seed) {
            first.holds = true;
            self.candidates.iter_mut().for_each(|(_, candidate)| candidate.holds = true);
        }
    }

    fn contains(&self, id: &EntryId) -> bool {
        self.candidates.iter().any(|(_, candidate)| candidate.id() == *id)
    }

    /// The point of a key, if one of them has that key.
    fn point(&self, key: &PublicKey) -> Option<KeyPoint> {
        let mut keys = self.candidates.iter().rev().map(|(_, candidate)| candidate.equation.key());
        keys.find(|(known, _)| known == key).map(|(_, point)| point)
    }
}

impl Chat {
    /// Verifies a new entry, whose line was not looked ahead at.
    pub(super) fn open(
        &mut self,
        cx: &Cx,
        from: Sender,
        entry: Unverified<'_>,
        ahead: &mut Lookahead<'_>,
    ) -> Result<Opened, EntryError> {
        let mut first = self.candidate(entry, ahead)?;
        if ahead.candidates.is_empty() {
            self.look_ahead(cx, from, &first.entry, ahead);
            ahead.verify_with(&mut first, &self.batch_seed);
        }
        self.accept(cx, first)
    }

    /// What the entry is, if its signature holds.
    pub(super) fn accept(&mut self, cx: &Cx, candidate: Candidate<'_>) -> Result<Opened, EntryError> {
        let Candidate { entry, equation, holds } = candidate;
        self.counts.verified_together += u64::from(holds);
        self.counts.verified_alone += u64::from(!holds);
        if !holds && !equation.holds() {
            return Err(EntryError::Signature);
        }
        self.known_keys.keep(equation.key(), cx.limits().chat.known_keys);
        Ok(entry.into_verified())
    }

    /// Reads the new entries in the lines behind that of `first`.
    fn look_ahead(&self, cx: &Cx, from: Sender, first: &Unverified<'_>, ahead: &mut Lookahead<'_>) {
        let limits = cx.limits();
        let mut others = Others::default();
        // It was looked at, so there is room for it.
        self.has_room_behind(cx, from, first, &mut others);
        let mut input = ahead.rest;
        let end = input.rest().len().saturating_sub(limits.wire.line);
        while ahead.candidates.len() + 1 < limits.chat.batch
            && let Some(line) = input.take_whole_line(input.rest().len() - end)
        {
            let Some(sealed) = sealed(line) else { continue };
            let id = sealed.id(cx.config.network());
            if id == first.id() || self.is_known(from.peer, &id) || ahead.contains(&id) {
                continue;
            }
            // What is malformed is read again and reported when its line is handled. What may be ignored is not verified.
            if let Ok(entry) = sealed.read(cx.config.network(), id)
                && !self.is_seen(from.peer, &entry)
                && !entry.is_gone()
                && !self.is_untimely(cx, &entry)
                && self.has_room_behind(cx, from, &entry, &mut others)
                && let Ok(candidate) = self.candidate(entry, ahead)
            {
                ahead.candidates.push_back((input.rest().len(), candidate));
            }
        }
    }

    /// Whether there is room for an entry once all others are paid for. Then it is added to them.
    fn has_room_behind(&self, cx: &Cx, from: Sender, entry: &Unverified<'_>, others: &mut Others) -> bool {
        let request = self.gossip.request_to(from.peer, &entry.id());
        let reason = self.reason(cx, from, entry, (request, entry.line_len()));
        let excused = others.excused.saturating_add(reason.excused.unwrap_or(0));
        if from.rated && reason.excused.is_some() && !self.has_excuse(cx, from.at_host(), excused) {
            return false;
        }
        let live = others.dues.iter().filter(|dues| dues.is_live()).count();
        if !self.has_room_for_live(cx, from, entry, u32::try_from(live).unwrap_or(u32::MAX)) {
            return false;
        }
        let dues = self.dues_of(from, entry, reason);
        let is_over = |dues| self.budgets.check(cx.now, dues, &others.dues, cx.limits()).is_err();
        if dues.is_some_and(is_over) {
            return false;
        }
        others.excused = excused;
        others.dues.extend(dues);
        true
    }

    fn candidate<'a>(
        &self,
        entry: Unverified<'a>,
        ahead: &Lookahead<'_>,
    ) -> Result<Candidate<'a>, EntryError> {
        let key = entry.key();
        let point = ahead.point(&key).or_else(|| self.known_keys.point(&key));
        let equation = entry.equation(point.ok_or(EntryError::Content)?).ok_or(EntryError::Signature)?;
        Ok(Candidate { entry, equation, holds: false })
    }
}

/// The entry in a line, if it is a `CHAT`.
fn sealed(line: Line<'_>) -> Option<Sealed<'_>> {
    // Others need not be parsed.
    let line = Some(line).filter(|line| line.as_bytes().starts_with(b"CHAT|"))?;
    match parse(line, 0) {
        Ok(Parsed::Frame(Frame::Chat(sealed))) => Some(sealed),
        _ => None,
    }
}
