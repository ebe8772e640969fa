//! What is verified and not kept as an entry of a run.

use alloc::boxed::Box;

use super::{Header, RunPosition, Sealed};

/// An entry of a run whose body is gone: it was deleted, or a relay left it out. Header and signature still prove that
/// something was said there (SPEC 7.10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gone {
    pub(super) header: Header,
    pub(super) position: RunPosition,
}

impl Gone {
    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Where the entry stands in its run.
    pub fn position(&self) -> RunPosition {
        self.position
    }

    /// What stands in the `CHAT` frame.
    pub fn sealed(&self) -> Sealed<'_> {
        self.header.sealed("")
    }
}

/// An entry that is in no run: it is relayed once, and never held (SPEC 7.8.7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    pub(super) header: Header,
    pub(super) body: Box<str>,
}

impl Live {
    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The body. This version knows no kind of it.
    pub fn body(&self) -> &str {
        &self.body
    }

    /// What stands in the `CHAT` frame.
    pub fn sealed(&self) -> Sealed<'_> {
        self.header.sealed(&self.body)
    }
}
