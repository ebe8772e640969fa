//! What counts against which rate of an author.

use crate::model::Class;

/// Entries of an author that share one rate (SPEC 7.5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Budget {
    /// What is kept.
    Kept,
    /// What the author brings in for peers without a key.
    Lines,
    /// What is in no run.
    Live,
}

impl Budget {
    /// That of the entries of a run of this class.
    pub(super) fn of(class: &Class) -> Self {
        if *class == Class::Line { Self::Lines } else { Self::Kept }
    }
}
