//! How a limit is declared: once, with all that there is to say of it.

use core::time::Duration;

use super::super::Capacity;
use super::Limits;

/// One of the [`Limits`], described.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Limit {
    /// Its group and its field, as in `conns.pending`.
    pub name: &'static str,
    /// What it bounds, in Markdown.
    pub doc: &'static str,
    /// What it counts.
    pub unit: &'static str,
    /// Where the default comes from.
    pub origin: Origin,
    /// The test that measured it, or the reason, if there is one.
    pub why: Option<&'static str>,
    /// The bounded thing that can be filled up to it, if there is one.
    pub capacity: Option<Capacity>,
    pub(super) get: fn(&Limits) -> Value,
    pub(super) rules: &'static [Rule],
}

impl Limit {
    /// What it is in these limits.
    pub fn value(&self, limits: &Limits) -> Value {
        (self.get)(limits)
    }
}

/// Where a default comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// The protocol: others rely on it.
    Spec,
    /// A measurement.
    Measured,
    /// Nothing better than an opinion.
    Guess,
}

/// The value of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Value {
    /// So many, in the limit's unit.
    Number(u64),
    /// So long.
    Time(Duration),
}

impl Value {
    pub(super) fn is_zero(self) -> bool {
        matches!(self, Self::Number(0) | Self::Time(Duration::ZERO))
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Self::Number(number as u64)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<Duration> for Value {
    fn from(time: Duration) -> Self {
        Self::Time(time)
    }
}

/// What a limit has to keep to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rule {
    NonZero,
    /// It is not above this, which is called so.
    AtMost(&'static str, fn(&Limits) -> Value),
}

/// Declares the groups of limits. An entry is
///
/// ```text
/// /// What it bounds.
/// field: type = default, "unit", Origin[: "why"], [rules] [=> Capacity that it bounds];
/// ```
///
/// where a rule is `nonzero`, `at_most(group.field)` or `within("name", |limits| most)`.
macro_rules! declare {
    ($(
        $(#[doc = $group_doc:literal])+
        $group:ident: $Group:ident {
            $(
                $(#[doc = $doc:literal])+
                $field:ident: $type:ty = $default:expr, $unit:literal, $origin:ident $(: $why:literal)?,
                    [$($rule:ident $(($($argument:tt)*))?),*] $(=> $capacity:ident)?;
            )+
        }
    )+) => {
        $(
            $(#[doc = $group_doc])+
            #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
            #[non_exhaustive]
            pub struct $Group {
                $(
                    $(#[doc = $doc])+
                    #[doc = concat!(
                        "\n\nIn ", $unit, ", by default `", stringify!($default), "` (", stringify!($origin), $(": ", $why,)? ")."
                    )]
                    pub $field: $type,
                )+
            }

            impl Default for $Group {
                fn default() -> Self {
                    Self { $($field: $default),+ }
                }
            }
        )+

        /// Every bound of a node, in groups. Each names its unit, its default, and where that comes from.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[non_exhaustive]
        pub struct Limits {
            $(
                $(#[doc = $group_doc])+
                pub $group: $Group,
            )+
        }

        impl Limits {
            /// Each of them, described.
            pub const ALL: &'static [Limit] = &[$($(
                Limit {
                    name: concat!(stringify!($group), ".", stringify!($field)),
                    doc: concat!($($doc, "\n"),+),
                    unit: $unit,
                    origin: Origin::$origin,
                    why: declare!(@option $($why)?),
                    capacity: declare!(@option $(Capacity::$capacity)?),
                    get: |limits| limits.$group.$field.into(),
                    rules: &[$(declare!(@rule $rule $(($($argument)*))?)),*],
                },
            )+)+];

            /// The limit that bounds this capacity, if it is one alone.
            pub(super) fn bound_of(&self, capacity: Capacity) -> Option<usize> {
                match capacity {
                    $($($(Capacity::$capacity => Some(self.$group.$field as usize),)?)+)+
                    _ => None,
                }
            }
        }
    };

    (@option) => { None };
    (@option $value:expr) => { Some($value) };

    (@rule nonzero) => { Rule::NonZero };
    (@rule at_most($group:ident.$field:ident)) => {
        Rule::AtMost(
            concat!(stringify!($group), ".", stringify!($field)),
            |limits| limits.$group.$field.into(),
        )
    };
    (@rule within($name:literal, $most:expr)) => {
        Rule::AtMost($name, |limits| {
            let most: fn(&Limits) -> usize = $most;
            most(limits).into()
        })
    };
}

pub(super) use declare;
