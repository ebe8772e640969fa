//! Which fields of a struct can be seen from where.

use proc_macro2::{Delimiter, TokenTree};

use super::Path;
use super::facts::{Place, What};
use super::tokens::{angles, attribute, is_punct, is_word, line, outside_angles, plain, restriction, trees};

/// The fields of the struct that these tokens begin with, except those that its own module alone can see.
pub(super) fn of_struct(place: &Place, tokens: &[TokenTree]) -> Vec<(usize, What)> {
    let Some(TokenTree::Ident(owner)) = tokens.get(1) else { return Vec::new() };
    let Some(group) = body(&tokens[2..]) else { return Vec::new() };
    let mut fields = Vec::new();
    for (index, field) in declarations(&group).into_iter().enumerate() {
        let mut field = field.as_slice();
        while let Some((length, _)) = attribute(field) {
            field = &field[length..];
        }
        if !field.first().is_some_and(|token| is_word(token, "pub")) {
            continue;
        }
        let restriction = restriction(field);
        let name = match field.get(if restriction.is_some() { 2 } else { 1 }..) {
            Some([TokenTree::Ident(name), colon, after, ..])
                if is_punct(colon, ':') && !is_punct(after, ':') =>
            {
                plain(&name.to_string())
            }
            _ => index.to_string(),
        };
        let reach = reach(place, restriction.as_deref());
        fields.push((line(&field[0]), What::Field { owner: plain(&owner.to_string()), field: name, reach }));
    }
    fields
}

/// What stands in the braces or, of a tuple, in the parentheses.
fn body(tokens: &[TokenTree]) -> Option<Vec<TokenTree>> {
    let outside = outside_angles(tokens);
    let conditions = outside.iter().position(|token| is_word(token, "where")).unwrap_or(outside.len());
    // Behind it stands the next item.
    let end = outside.iter().position(|token| is_punct(token, ';')).unwrap_or(outside.len());
    let group = outside[..end].iter().enumerate().find_map(|(at, token)| match token {
        TokenTree::Group(group) if at < conditions || group.delimiter() == Delimiter::Brace => Some(group),
        _ => None,
    })?;
    Some(trees(group.stream()))
}

/// The declarations between the commas.
fn declarations(tokens: &[TokenTree]) -> Vec<Vec<TokenTree>> {
    let mut declarations = vec![Vec::new()];
    for (token, depth) in tokens.iter().zip(angles(tokens)) {
        match declarations.last_mut() {
            Some(last) if depth > 0 || !is_punct(token, ',') => last.push(token.clone()),
            _ => declarations.push(Vec::new()),
        }
    }
    declarations
}

/// The module that sees a field with this restriction after its `pub`.
fn reach(place: &Place, restriction: Option<&[TokenTree]>) -> Path {
    let words = restriction.into_iter().flatten().filter(|token| matches!(token, TokenTree::Ident(_)));
    let path: Path = words.map(|word| plain(&word.to_string())).filter(|word| word != "in").collect();
    place.absolute(&path).unwrap_or_default()
}
