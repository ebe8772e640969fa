//! The rules that a run must not break.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::sim::Nanos;
use crate::sim::trace::moment;

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breach {
    /// When.
    pub at: Nanos,
    /// Of which rule.
    pub rule: Rule,
    /// What exactly.
    pub what: String,
}

impl Breach {
    /// Asserts that it is of this rule and says this.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn assert_is(&self, rule: Rule, text: &str) {
        assert_eq!(self.rule, rule, "{self}");
        assert!(self.what.contains(text), "{self}");
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}: {}", self.rule, moment(self.at), self.what)
    }
}

/// What has to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Rule {
    /// No input makes a node panic.
    NoPanic,
    /// A node shows an entry, and a line of a version 1 node, at most once.
    ShownOnce,
    /// What a node shows was said by the author that it names.
    NotForged,
    /// An author's entries are shown in its order, except those that are marked late.
    InOrder,
    /// Nobody is said to break a rule that honest nodes do not break, whatever befalls them.
    JustlyBlamed,
    /// Queues and lists stay within their bounds.
    Bounded,
    /// A node dials machines that run no node within its budgets, whatever members tell it.
    DialBudget,
    /// A node sleeps until there is something to do.
    Sleeps,
    /// In the end all live nodes are one network.
    OneNetwork,
    /// In the end all live nodes show the same, and all that live ones said.
    SameView,
    /// What was acknowledged as stored is there when the node starts again with its store.
    Durable,
    /// A node says no number of a run twice, also when it starts again with its store.
    NumberedOnce,
    /// Nobody's entries give way to those of an author that holds far more.
    Fair,
    /// In the end nodes list as members those who are there, and nobody else as here.
    Members,
    /// In the end nodes that agree send no entries and ask for none.
    Silent,
    /// In the end version 1 nodes hear the others, and are heard.
    Version1,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoPanic => "a panic",
            Self::ShownOnce => "shown twice",
            Self::NotForged => "forged",
            Self::InOrder => "out of order",
            Self::JustlyBlamed => "blamed for nothing",
            Self::Bounded => "beyond a bound",
            Self::DialBudget => "beyond a budget of dials",
            Self::Sleeps => "does not sleep",
            Self::OneNetwork => "not one network",
            Self::SameView => "not the same view",
            Self::Durable => "lost what was acknowledged",
            Self::NumberedOnce => "a number was used twice",
            Self::Fair => "unfair",
            Self::Members => "not the members",
            Self::Silent => "not silent in agreement",
            Self::Version1 => "a version 1 node is left out",
        })
    }
}
