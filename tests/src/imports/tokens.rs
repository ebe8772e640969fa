//! Rust's grammar, as far as the check needs it.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// How many tokens `#![…]` is.
pub(super) const INNER: usize = 3;

pub(super) fn trees(stream: TokenStream) -> Vec<TokenTree> {
    stream.into_iter().collect()
}

pub(super) fn line(token: &TokenTree) -> usize {
    token.span().start().line
}

pub(super) fn is_punct(token: &TokenTree, character: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == character)
}

pub(super) fn is_word(token: &TokenTree, word: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if *ident == word)
}

fn is_group(token: &TokenTree, delimiter: Delimiter) -> bool {
    matches!(token, TokenTree::Group(group) if group.delimiter() == delimiter)
}

/// A name without `r#`.
pub(super) fn plain(name: &str) -> String {
    name.trim_start_matches("r#").to_owned()
}

/// Whether `::` stands before the token at `at`.
pub(super) fn follows_colons(tokens: &[TokenTree], at: usize) -> bool {
    at >= 2 && tokens[at - 2..at].iter().all(|token| is_punct(token, ':'))
}

/// The attribute that these tokens begin with: how many of them it is, and what stands in its brackets.
pub(super) fn attribute(tokens: &[TokenTree]) -> Option<(usize, Vec<TokenTree>)> {
    let content = |token: &TokenTree| match token {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Bracket => Some(trees(group.stream())),
        _ => None,
    };
    match tokens {
        [hash, bang, group, ..] if is_punct(hash, '#') && is_punct(bang, '!') => {
            Some((INNER, content(group)?))
        }
        [hash, group, ..] if is_punct(hash, '#') => Some((2, content(group)?)),
        _ => None,
    }
}

/// Whether this attribute is a `cfg` that holds in tests alone.
pub(super) fn is_test(attribute: &[TokenTree]) -> bool {
    match attribute {
        [cfg, TokenTree::Group(condition)] if is_word(cfg, "cfg") => needs_test(&trees(condition.stream())),
        _ => false,
    }
}

fn needs_test(condition: &[TokenTree]) -> bool {
    let parts = |token: &TokenTree| match token {
        TokenTree::Group(group) => trees(group.stream()),
        _ => Vec::new(),
    };
    let split = |tokens: &[TokenTree]| -> Vec<bool> {
        let parts = tokens.split(|token| is_punct(token, ','));
        parts.filter(|part| !part.is_empty()).map(needs_test).collect()
    };
    match condition {
        [word] => is_word(word, "test"),
        [word, group] if is_word(word, "all") => split(&parts(group)).contains(&true),
        [word, group] if is_word(word, "any") => !split(&parts(group)).contains(&false),
        _ => false,
    }
}

/// How many tokens the item, statement, field or arm is that stands after an attribute.
pub(super) fn item(tokens: &[TokenTree]) -> usize {
    let mut start = 0;
    while let Some((length, _)) = attribute(&tokens[start..]) {
        start += length;
    }
    if tokens.get(start).is_some_and(|token| is_word(token, "pub")) {
        start += if restriction(&tokens[start..]).is_some() { 2 } else { 1 };
    }
    let is_next = |at: usize, words: &[&str]| {
        tokens.get(start + at).is_some_and(|token| words.iter().any(|word| is_word(token, word)))
    };
    let is_value = is_next(0, &["use", "static", "type", "let"])
        || is_next(0, &["const"]) && !is_next(1, &["fn", "unsafe", "async", "extern"])
        || is_next(0, &["extern"]) && is_next(1, &["crate"]);
    let is_item =
        is_next(0, &["fn", "mod", "struct", "enum", "union", "trait", "impl", "unsafe", "async", "const"])
            || is_next(0, &["extern", "macro_rules"]);
    let ends = |token: &TokenTree| {
        is_punct(token, ';')
            || !is_value && is_group(token, Delimiter::Brace)
            || !is_value && !is_item && is_punct(token, ',')
    };
    tokens[start..].iter().position(ends).map_or(tokens.len(), |end| start + end + 1)
}

/// What restricts the `pub` that these tokens begin with: `crate`, `super`, `in crate::mesh`.
pub(super) fn restriction(tokens: &[TokenTree]) -> Option<Vec<TokenTree>> {
    match tokens.get(1)? {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis => {
            let content = trees(group.stream());
            let first = content.first()?;
            ["crate", "super", "self", "in"].iter().any(|word| is_word(first, word)).then_some(content)
        }
        _ => None,
    }
}

/// Whether `impl` at this place begins an item, and no type.
pub(super) fn begins_item(tokens: &[TokenTree], at: usize) -> bool {
    let Some(before) = at.checked_sub(1).map(|before| &tokens[before]) else { return true };
    is_punct(before, ';')
        || is_group(before, Delimiter::Brace)
        || is_group(before, Delimiter::Bracket)
        || is_word(before, "unsafe")
}

/// The name of the type of the `impl` that these tokens begin with.
pub(super) fn implementor(tokens: &[TokenTree]) -> Option<String> {
    let body = tokens.iter().position(|token| is_group(token, Delimiter::Brace))?;
    let outside = outside_angles(&tokens[1..body]);
    let header = outside.split(|token| is_word(token, "where")).next()?;
    let of_type = header.rsplit(|token| is_word(token, "for")).next()?;
    let name = of_type.iter().rfind(|token| matches!(token, TokenTree::Ident(_)))?;
    Some(plain(&name.to_string()))
}

/// The tokens that are not between `<` and `>`.
pub(super) fn outside_angles(tokens: &[TokenTree]) -> Vec<&TokenTree> {
    tokens.iter().zip(angles(tokens)).filter(|(_, depth)| *depth == 0).map(|(token, _)| token).collect()
}

/// Between how many `<` and `>` each token stands; they themselves are within.
pub(super) fn angles(tokens: &[TokenTree]) -> Vec<usize> {
    let mut depth = 0_usize;
    let mut depths = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let is_arrow = at > 0 && is_punct(&tokens[at - 1], '-');
        let closes = is_punct(token, '>') && !is_arrow;
        if is_punct(token, '<') {
            depth += 1;
        }
        depths.push(depth);
        if closes {
            depth = depth.saturating_sub(1);
        }
    }
    depths
}
