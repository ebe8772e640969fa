//! What Tab completes: commands at the start of a line, and names.

use super::input::COMMANDS;

/// What becomes of the text before the cursor.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Completion {
    /// This is added to it. What was typed keeps its case.
    Add(String),
    /// It may become each of these.
    Several(Vec<String>),
    Nothing,
}

/// Completes what stands before the cursor. `names` gives the names that begin with a text, whatever the case; `muted` the
/// same of those who are muted.
pub(crate) fn complete(
    before: &str,
    names: impl Fn(&str) -> Vec<String>,
    muted: impl Fn(&str) -> Vec<String>,
) -> Completion {
    let line = before.trim_start();
    if line.contains(['\n', '\r']) {
        return Completion::Nothing;
    }
    if let Some(command) = line.strip_prefix('/') {
        return match command.split_once(' ') {
            None => choose(line, COMMANDS.iter().map(|command| (*command).to_owned())),
            Some(("mute", start)) => choose(start, names(start)),
            Some(("unmute", start)) => choose(start, muted(start)),
            Some(("me", text)) => last_word(text, " ", names),
            Some(_) => Completion::Nothing,
        };
    }
    let end = if line.contains(char::is_whitespace) { " " } else { ": " };
    last_word(line, end, names)
}

fn last_word(text: &str, end: &str, names: impl Fn(&str) -> Vec<String>) -> Completion {
    let start = text
        .rfind(char::is_whitespace)
        .map_or(0, |at| at + text[at..].chars().next().map_or(0, char::len_utf8));
    let word = &text[start..];
    if word.is_empty() {
        return Completion::Nothing;
    }
    let names = names(word);
    match &names[..] {
        [name] => Completion::Add(rest(&format!("{name}{end}"), word)),
        _ => choose(word, names),
    }
}

/// The one candidate, or what all have in common where that is more than what was typed.
fn choose(typed: &str, candidates: impl IntoIterator<Item = String>) -> Completion {
    let start = typed.to_lowercase();
    let mut matching: Vec<_> =
        candidates.into_iter().filter(|candidate| candidate.to_lowercase().starts_with(&start)).collect();
    let chars = typed.chars().count();
    match &matching[..] {
        [] => Completion::Nothing,
        [one] => Completion::Add(rest(one, typed)),
        [first, rest @ ..] => {
            let common =
                |other: &String| first.chars().zip(other.chars()).take_while(|(a, b)| a == b).count();
            let common = rest.iter().map(common).min().unwrap_or(0);
            if common > chars {
                return Completion::Add(first.chars().take(common).skip(chars).collect());
            }
            matching.iter_mut().for_each(|candidate| *candidate = candidate.trim_end().to_owned());
            Completion::Several(matching)
        }
    }
}

/// What is left of a candidate behind what was typed.
fn rest(candidate: &str, typed: &str) -> String {
    candidate.chars().skip(typed.chars().count()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(before: &str) -> Completion {
        let from = |names: &[&str], start: &str| {
            let names = names.iter().filter(|name| name.to_lowercase().starts_with(&start.to_lowercase()));
            names.map(|name| (*name).to_owned()).collect::<Vec<_>>()
        };
        let names = |start: &str| from(&["Alice", "Alicia", "Bob", "Zoë Z"], start);
        complete(before, names, |start| from(&["Mallory"], start))
    }

    fn add(text: &str) -> Completion {
        Completion::Add(text.to_owned())
    }

    #[test]
    fn names_are_completed_with_what_follows_them() {
        assert_eq!(of("b"), add("ob: "));
        assert_eq!(of("hi b"), add("ob "));
        assert_eq!(of("zoë"), add(" Z: "));
        assert_eq!(of("al"), add("ic"));
        let several = Completion::Several(vec!["Alice".to_owned(), "Alicia".to_owned()]);
        assert_eq!(of("alic"), several);
        assert_eq!(of("\u{3000}b"), add("ob: "));
        for nothing in ["", "hi ", "x", "one\nb"] {
            assert_eq!(of(nothing), Completion::Nothing, "{nothing:?}");
        }
    }

    #[test]
    fn commands_and_their_arguments_are_completed() {
        assert_eq!(of("/st"), add("atus"));
        assert_eq!(of(" /un"), add("mute "));
        assert!(matches!(of("/m"), Completion::Several(several) if several == ["/me", "/mute"]));
        assert_eq!(of("/mute b"), add("ob"));
        assert_eq!(of("/mute Zoë "), add("Z"));
        assert_eq!(of("/unmute "), add("Mallory"));
        assert_eq!(of("/me hugs b"), add("ob "));
        assert_eq!(of("/connect b"), Completion::Nothing);
        assert_eq!(of("//b"), Completion::Nothing);
    }
}
