//! The public interface of a crate, one line an item, from what rustdoc writes as JSON.
//!
//! A line is a path, what is there, and its signature:
//!
//! ```text
//! Action enum
//! Action impl Clone, Debug, Eq, PartialEq
//! Action::Dial variant {}
//! Action::Dial::addr field PeerAddr
//! Node::poll_action fn(&mut self) -> Option<Action>
//! ```
//!
//! Left out are the impls that every type has, and the auto traits of those that have them.

mod impls;
mod items;
mod types;

use std::collections::{BTreeMap, BTreeSet};

use rustdoc_types::{Crate, FORMAT_VERSION};
use serde::Deserialize;

/// The lines of a listing, in order.
pub type Listing = BTreeSet<String>;

/// What rustdoc wrote of a crate, as lines.
///
/// # Errors
/// When it is in another version of the format than the one read here, or holds what cannot be listed.
pub fn listing(json: &str) -> Result<Listing, String> {
    #[derive(Deserialize)]
    struct Version {
        format_version: u32,
    }
    let Version { format_version } =
        serde_json::from_str(json).map_err(|error| format!("this is not rustdoc's JSON: {error}"))?;
    if format_version != FORMAT_VERSION {
        return Err(format!(
            "rustdoc wrote version {format_version} of its JSON, and version {FORMAT_VERSION} is read here: \
             use the toolchain that .ci/api names, or raise it together with the crate `rustdoc-types`"
        ));
    }
    let documented: Crate =
        serde_json::from_str(json).map_err(|error| format!("rustdoc's JSON cannot be read: {error}"))?;
    items::lines(&documented)
}

/// One listing of several, made with different features of the crate. Each line says which of them it depends on.
///
/// `with` has the listing of each feature alone.
pub fn merged(without_any: &Listing, with: &BTreeMap<String, Listing>, with_all: &Listing) -> Listing {
    let mut lines = BTreeSet::new();
    for line in without_any {
        let mut gone: Vec<String> = with
            .iter()
            .filter(|(_, listing)| !listing.contains(line))
            .map(|(name, _)| name.clone())
            .collect();
        if gone.is_empty() && !with_all.contains(line) {
            gone.push("all features".to_owned());
        }
        lines.insert(labelled(line, "without", &gone));
    }
    let more = with.values().chain([with_all]).flatten().filter(|line| !without_any.contains(*line));
    for line in more {
        let mut names: Vec<String> =
            with.iter().filter(|(_, listing)| listing.contains(line)).map(|(name, _)| name.clone()).collect();
        if names.is_empty() {
            names.push("all features".to_owned());
        }
        lines.insert(labelled(line, "with", &names));
    }
    lines
}

fn labelled(line: &str, how: &str, names: &[String]) -> String {
    if names.is_empty() { line.to_owned() } else { format!("{line} [{how} {}]", names.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::{BTreeMap, Listing, listing, merged};

    fn lines(lines: &[&str]) -> Listing {
        lines.iter().map(|&line| line.to_owned()).collect()
    }

    #[test]
    fn another_version_of_the_format_is_named() {
        let error = listing(r#"{"root":0,"format_version":1}"#).unwrap_err();
        assert!(error.starts_with("rustdoc wrote version 1 of its JSON"), "{error}");
        let error = listing("{}").unwrap_err();
        assert!(error.starts_with("this is not rustdoc's JSON"), "{error}");
    }

    #[test]
    fn a_line_says_which_feature_it_needs() {
        let with = [("a", lines(&["always", "more", "both"])), ("b", lines(&["always", "gone", "both"]))];
        let with: BTreeMap<String, Listing> = with.map(|(name, lines)| (name.to_owned(), lines)).into();
        let merged =
            merged(&lines(&["always", "gone"]), &with, &lines(&["always", "more", "both", "together"]));
        let expected = [
            "always",
            "both [with a, b]",
            "gone [without a]",
            "more [with a]",
            "together [with all features]",
        ];
        assert_eq!(merged, lines(&expected));
    }
}
