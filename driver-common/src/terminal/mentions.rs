//! Where a text names somebody.

use std::ops::Range;

/// Where this name stands in a text as a word of its own, whatever the case. Of a long text, the start is looked at.
pub(crate) fn mentions(text: &str, name: &str) -> Vec<Range<usize>> {
    /// In bytes.
    const LOOKED_AT: usize = 4096;
    const MOST: usize = 16;
    let text = &text[..text.floor_char_boundary(LOOKED_AT)];
    let mut found = Vec::new();
    let mut before = None;
    let mut next = 0;
    for (start, char) in text.char_indices() {
        let begins_word = !before.is_some_and(char::is_alphanumeric);
        before = Some(char);
        if start < next || !begins_word {
            continue;
        }
        let Some(len) = matching(&text[start..], name) else { continue };
        if !text[start + len..].starts_with(char::is_alphanumeric) {
            found.push(start..start + len);
            next = start + len;
        }
        if found.len() == MOST {
            break;
        }
    }
    found
}

/// How many bytes of the text's start are this name, whatever the case.
fn matching(text: &str, name: &str) -> Option<usize> {
    let mut rest = text.char_indices();
    let mut end = 0;
    for expected in name.chars() {
        let (at, char) = rest.next()?;
        if char != expected && !char.to_lowercase().eq(expected.to_lowercase()) {
            return None;
        }
        end = at + char.len_utf8();
    }
    (end > 0).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_as_a_word_in_any_case() {
        let found = |text, name| mentions(text, name).into_iter().map(|at| &text[at]).collect::<Vec<_>>();
        assert_eq!(found("bob, BOB: bobby @Bob", "Bob"), ["bob", "BOB", "Bob"]);
        assert_eq!(found("kabob", "Bob"), [""; 0]);
        assert_eq!(found("ZOË Z!", "zoë z"), ["ZOË Z"]);
        assert_eq!(found("", "Bob"), [""; 0]);
        assert_eq!(found("a", ""), [""; 0]);
        assert_eq!(mentions(&"bob ".repeat(10_000), "bob").len(), 16);
        assert!(mentions(&format!("{} bob", "é".repeat(4000)), "bob").is_empty());
    }
}
