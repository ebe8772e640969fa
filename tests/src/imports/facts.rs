//! What the sources say that the table is about, read from their tokens.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::source::Sources;
use super::tokens::{
    INNER, attribute, begins_item, follows_colons, implementor, is_punct, is_test, is_word, item, line,
    plain, restriction, trees,
};
use super::{Path, fields};

/// Something that stands somewhere in the sources.
pub(super) struct Fact {
    pub(super) file: String,
    pub(super) line: usize,
    /// The module that it is in.
    pub(super) module: Path,
    /// Whether it is compiled for tests alone.
    pub(super) test: bool,
    pub(super) what: What,
}

pub(super) enum What {
    /// A file begins here.
    File,
    /// A path within the crate is named. The last part is `*` where it is a glob.
    Path(Path),
    /// A type has an `impl`, its own or of a trait.
    Impl(String),
    /// A field is visible beyond its module: in all of `reach`.
    Field { owner: String, field: String, reach: Path },
    /// The reader cannot follow the sources here.
    Wrong(String),
}

impl Fact {
    /// The module below the crate root that it is in; `lib` is the root.
    pub(super) fn unit(&self) -> &str {
        self.module.first().map_or("lib", String::as_str)
    }
}

/// All facts of a crate, from `lib.rs` on.
pub(super) fn read(sources: &Sources) -> Vec<Fact> {
    let mut reader = Reader { sources, facts: Vec::new() };
    let root = Place { file: "lib.rs".to_owned(), folder: String::new(), module: Path::new(), test: false };
    reader.file(&root, "", "lib", 0);
    reader.facts
}

struct Reader<'a> {
    sources: &'a Sources,
    facts: Vec<Fact>,
}

/// Where the reader is.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) file: String,
    /// Where the files of this module's children are: `mesh/book/`.
    folder: String,
    pub(super) module: Path,
    test: bool,
}

impl Place {
    fn child(&self, name: &str) -> Self {
        let mut child = self.clone();
        child.folder = format!("{}{name}/", self.folder);
        child.module.push(name.to_owned());
        child
    }

    /// A path from here as one from the crate root; `None` where it begins with another crate or something in scope.
    pub(super) fn absolute(&self, path: &[String]) -> Option<Path> {
        let (first, mut rest) = path.split_first()?;
        let mut from = match first.as_str() {
            "crate" => Path::new(),
            "self" => self.module.clone(),
            "super" => parent(&self.module),
            _ => return None,
        };
        while rest.first().is_some_and(|part| part == "super") {
            from = parent(&from);
            rest = &rest[1..];
        }
        from.extend_from_slice(rest);
        Some(from)
    }
}

fn parent(module: &[String]) -> Path {
    module.split_last().map_or_else(Path::new, |(_, above)| above.to_vec())
}

impl Reader<'_> {
    fn add(&mut self, place: &Place, line: usize, what: What) {
        let (file, module) = (place.file.clone(), place.module.clone());
        self.facts.push(Fact { file, line, module, test: place.test, what });
    }

    /// Reads the file of a module whose name stands at `place`.
    fn file(&mut self, place: &Place, folder: &str, name: &str, line: usize) {
        let Some((file, text)) = self.sources.module(folder, name) else {
            return self.add(place, line, What::Wrong(format!("there is no file for `mod {name}`")));
        };
        let place = Place { file: file.to_owned(), ..place.clone() };
        self.add(&place, 0, What::File);
        match text.parse::<TokenStream>() {
            Ok(stream) => self.tokens(&place, &trees(stream)),
            Err(error) => self.add(&place, 0, What::Wrong(format!("this is not Rust: {error}"))),
        }
    }

    /// Reads tokens of one level: items, statements, or whatever a group holds.
    fn tokens(&mut self, place: &Place, tokens: &[TokenTree]) {
        let mut place = place.clone();
        let mut at = 0;
        while at < tokens.len() {
            at += self.next(&mut place, tokens, at);
        }
    }

    /// Reads what begins at `at`, and says how many tokens that was.
    fn next(&mut self, place: &mut Place, tokens: &[TokenTree], at: usize) -> usize {
        let rest = &tokens[at..];
        let line = line(&rest[0]);
        if let Some((length, content)) = attribute(rest) {
            self.attribute(place, &content);
            if !is_test(&content) {
                return length;
            }
            if length == INNER {
                place.test = true;
                return length;
            }
            let end = length + item(&rest[length..]);
            self.tokens(&Place { test: true, ..place.clone() }, &rest[length..end]);
            return end;
        }
        match &rest[0] {
            TokenTree::Group(group) => self.tokens(place, &trees(group.stream())),
            TokenTree::Ident(_) if follows_colons(tokens, at) => {}
            TokenTree::Ident(ident) => match ident.to_string().as_str() {
                "pub" => return if restriction(rest).is_some() { 2 } else { 1 },
                "use" => return self.imports(place, rest),
                "mod" => return self.module(place, rest),
                "extern" if matches!(rest, [_, a, b, ..] if is_word(a, "crate") && is_word(b, "self")) => {
                    self.add(place, line, What::Path(Path::new()));
                }
                "impl" if begins_item(tokens, at) => {
                    if let Some(name) = implementor(rest) {
                        self.add(place, line, What::Impl(name));
                    }
                }
                "struct" => {
                    for (line, what) in fields::of_struct(place, rest) {
                        self.add(place, line, what);
                    }
                }
                "crate" | "self" | "super" => return self.path(place, rest),
                _ => {}
            },
            TokenTree::Literal(_) => self.text(place, &rest[0]),
            TokenTree::Punct(_) => {}
        }
        1
    }

    /// `mod name;` or `mod name { … }`
    fn module(&mut self, place: &Place, rest: &[TokenTree]) -> usize {
        let [_, TokenTree::Ident(name), body, ..] = rest else { return 1 };
        let name = plain(&name.to_string());
        let child = place.child(&name);
        match body {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                self.tokens(&child, &trees(group.stream()));
            }
            body if is_punct(body, ';') => self.file(&child, &place.folder, &name, line(&rest[0])),
            _ => return 1,
        }
        3
    }

    /// `use …;`
    fn imports(&mut self, place: &Place, rest: &[TokenTree]) -> usize {
        let end = rest.iter().position(|token| is_punct(token, ';')).unwrap_or(rest.len());
        // `use<'a>` is a bound.
        if rest.get(1).is_some_and(|token| is_punct(token, '<')) {
            return 1;
        }
        self.tree(place, Path::new(), &rest[1..end]);
        end
    }

    /// One branch of what a `use` imports.
    fn tree(&mut self, place: &Place, mut path: Path, tokens: &[TokenTree]) {
        let Some(first) = tokens.first() else { return };
        let mut last = line(first);
        for token in tokens {
            match token {
                TokenTree::Group(group) => {
                    for branch in trees(group.stream()).split(|token| is_punct(token, ',')) {
                        self.tree(place, path.clone(), branch);
                    }
                    return;
                }
                TokenTree::Ident(ident) if *ident == "as" => break,
                // `{self}` is the module itself.
                TokenTree::Ident(ident) if *ident == "self" && !path.is_empty() => {}
                TokenTree::Ident(ident) => path.push(plain(&ident.to_string())),
                token if is_punct(token, '*') => path.push("*".to_owned()),
                _ => continue,
            }
            last = line(token);
        }
        if let Some(path) = place.absolute(&path) {
            self.add(place, last, What::Path(path));
        }
    }

    /// `crate::a::b`, and as many tokens as belong to it.
    fn path(&mut self, place: &Place, rest: &[TokenTree]) -> usize {
        let mut parts = vec![rest[0].to_string()];
        let mut length = 1;
        while let [colon, other, TokenTree::Ident(part), ..] = &rest[length..]
            && is_punct(colon, ':')
            && is_punct(other, ':')
        {
            parts.push(plain(&part.to_string()));
            length += 3;
        }
        if let Some(path) = place.absolute(&parts).filter(|_| parts.len() > 1) {
            self.add(place, line(&rest[0]), What::Path(path));
        }
        length
    }

    fn attribute(&mut self, place: &Place, content: &[TokenTree]) {
        match content.first().map(ToString::to_string).as_deref() {
            Some("doc") => {}
            Some("path") => {
                let what = "`#[path]` hides where a module is".to_owned();
                self.add(place, line(&content[0]), What::Wrong(what));
            }
            _ => self.tokens(place, content),
        }
    }

    /// A path in a string: `#[serde(with = "crate::wire::text")]`.
    fn text(&mut self, place: &Place, token: &TokenTree) {
        let text = token.to_string();
        let Some(text) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) else { return };
        let is_path = ["crate::", "self::", "super::"].iter().any(|first| text.starts_with(first));
        if let Some(stream) = is_path.then(|| text.parse::<TokenStream>().ok()).flatten() {
            let before = self.facts.len();
            self.tokens(place, &trees(stream));
            self.facts[before..].iter_mut().for_each(|fact| fact.line = line(token));
        }
    }
}
