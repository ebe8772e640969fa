//! The public items of a crate: where they are, and what a line says of each.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rustdoc_types::{Attribute, Crate, Id, Item, ItemEnum, StructKind, Trait, Use, VariantKind};

use super::Listing;
use super::impls;
use super::types::{Writer, value};

/// A line for each item.
pub(super) fn lines(documented: &Crate) -> Result<Listing, String> {
    let places = Places::of(documented)?;
    let writer = Writer { documented, names: places.names };
    let mut lines = Lines { writer: &writer, found: places.lines };
    for (&id, name) in &writer.names {
        if let Some(item) = documented.index.get(&Id(id)) {
            lines.item(name, item)?;
        }
    }
    let mut found = lines.found;
    found.extend(impls::lines(&writer)?);
    Ok(found)
}

/// Where a user finds the items.
struct Places<'a> {
    documented: &'a Crate,
    /// The shortest path of each, and among those the first.
    names: BTreeMap<u32, String>,
    /// Lines for other paths to the same items, and to those of other crates.
    lines: Listing,
    queue: VecDeque<(Id, String)>,
    opened: BTreeSet<(u32, String)>,
}

impl<'a> Places<'a> {
    fn of(documented: &'a Crate) -> Result<Self, String> {
        let mut places = Self {
            documented,
            names: BTreeMap::new(),
            lines: BTreeSet::new(),
            queue: VecDeque::new(),
            opened: BTreeSet::new(),
        };
        places.queue.push_back((documented.root, String::new()));
        while let Some((id, path)) = places.queue.pop_front() {
            places.module(id, &path)?;
        }
        Ok(places)
    }

    fn module(&mut self, id: Id, path: &str) -> Result<(), String> {
        let ItemEnum::Module(module) = &self.item(id)?.inner else { return Ok(()) };
        if self.opened.insert((id.0, path.to_owned())) {
            let mut children = module.items.clone();
            children.sort_by_key(|child| self.documented.index.get(child).and_then(|item| item.name.clone()));
            for child in children {
                self.child(child, path)?;
            }
        }
        Ok(())
    }

    fn child(&mut self, id: Id, path: &str) -> Result<(), String> {
        let item = self.item(id)?;
        match &item.inner {
            ItemEnum::Use(import) => self.import(import, path),
            ItemEnum::Impl(_) => Ok(()),
            _ => {
                let name = item.name.as_deref().ok_or("a public item has no name")?;
                self.place(id, join(path, name));
                Ok(())
            }
        }
    }

    fn import(&mut self, import: &Use, path: &str) -> Result<(), String> {
        let target =
            import.id.filter(|id| self.documented.index.get(id).is_some_and(|item| item.crate_id == 0));
        match target {
            Some(id) if import.is_glob && matches!(self.item(id)?.inner, ItemEnum::Module(_)) => {
                self.module(id, path)
            }
            Some(id) if !import.is_glob => {
                self.place(id, join(path, &import.name));
                Ok(())
            }
            _ => {
                let name = if import.is_glob { "*" } else { &import.name };
                self.lines.insert(format!("{} use {}", join(path, name), import.source));
                Ok(())
            }
        }
    }

    fn place(&mut self, id: Id, path: String) {
        if let Some(first) = self.names.get(&id.0) {
            if *first != path {
                self.lines.insert(format!("{path} use {first}"));
            }
            return;
        }
        self.names.insert(id.0, path.clone());
        self.queue.push_back((id, path));
    }

    fn item(&self, id: Id) -> Result<&'a Item, String> {
        item(self.documented, id)
    }
}

pub(super) fn item(documented: &Crate, id: Id) -> Result<&Item, String> {
    documented.index.get(&id).ok_or_else(|| format!("rustdoc's JSON lacks the item {}", id.0))
}

pub(super) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}::{name}") }
}

pub(super) struct Lines<'a> {
    pub(super) writer: &'a Writer<'a>,
    pub(super) found: Listing,
}

impl Lines<'_> {
    fn add(&mut self, path: &str, item: &Item, what: &str) {
        self.found.insert(format!("{path} {what}{}", attributes(item)));
    }

    /// An item, and all that belongs to it but its impls.
    pub(super) fn item(&mut self, path: &str, item: &Item) -> Result<(), String> {
        let writer = self.writer;
        match &item.inner {
            ItemEnum::Module(_) => self.add(path, item, "mod"),
            ItemEnum::Struct(of) => {
                let (shape, fields) = match &of.kind {
                    StructKind::Unit => (String::new(), Vec::new()),
                    StructKind::Tuple(fields) => tuple(fields),
                    StructKind::Plain { fields, has_stripped_fields } => braces(fields, *has_stripped_fields),
                };
                let generics = writer.params(&of.generics.params);
                self.add(path, item, &format!("struct{generics}{shape}{}", writer.conditions(&of.generics)));
                self.members(path, &fields)?;
            }
            ItemEnum::Union(of) => {
                let (shape, fields) = braces(&of.fields, of.has_stripped_fields);
                let generics = writer.params(&of.generics.params);
                self.add(path, item, &format!("union{generics}{shape}{}", writer.conditions(&of.generics)));
                self.members(path, &fields)?;
            }
            ItemEnum::Enum(of) => {
                let generics = writer.params(&of.generics.params);
                let hidden = if of.has_stripped_variants { " { .. }" } else { "" };
                self.add(path, item, &format!("enum{generics}{hidden}{}", writer.conditions(&of.generics)));
                self.members(path, &of.variants)?;
            }
            ItemEnum::Variant(of) => {
                let (shape, fields) = match &of.kind {
                    VariantKind::Plain => (String::new(), Vec::new()),
                    VariantKind::Tuple(fields) => tuple(fields),
                    VariantKind::Struct { fields, has_stripped_fields } => {
                        braces(fields, *has_stripped_fields)
                    }
                };
                let value = of.discriminant.as_ref().map(|of| format!(" = {}", of.value)).unwrap_or_default();
                self.add(path, item, &format!("variant{shape}{value}"));
                self.members(path, &fields)?;
            }
            ItemEnum::Trait(of) => self.a_trait(path, item, of)?,
            ItemEnum::StructField(of) => self.add(path, item, &format!("field {}", writer.of(of))),
            ItemEnum::Function(of) => self.add(path, item, &writer.function(of)),
            ItemEnum::Constant { type_, const_ } => {
                let (of, value) = (writer.of(type_), value(const_));
                let value = value.strip_suffix(&of).unwrap_or(&value);
                self.add(path, item, &format!("const {of} = {value}"));
            }
            ItemEnum::AssocConst { type_, value } => {
                let value = value.as_ref().map(|value| format!(" = {value}")).unwrap_or_default();
                self.add(path, item, &format!("const {}{value}", writer.of(type_)));
            }
            ItemEnum::AssocType { generics, bounds, type_ } => {
                let bounds =
                    if bounds.is_empty() { String::new() } else { format!(": {}", writer.bounds(bounds)) };
                let of = type_.as_ref().map(|of| format!(" = {}", writer.of(of))).unwrap_or_default();
                let (params, conditions) = (writer.params(&generics.params), writer.conditions(generics));
                self.add(path, item, &format!("type{params}{bounds}{of}{conditions}"));
            }
            ItemEnum::TypeAlias(of) => {
                let (params, conditions) =
                    (writer.params(&of.generics.params), writer.conditions(&of.generics));
                self.add(path, item, &format!("type{params} = {}{conditions}", writer.of(&of.type_)));
            }
            ItemEnum::Static(of) => {
                let mutable = if of.is_mutable { "mut " } else { "" };
                self.add(path, item, &format!("static {mutable}{}", writer.of(&of.type_)));
            }
            ItemEnum::Macro(text) => {
                self.add(
                    path,
                    item,
                    &format!("macro {}", text.split_whitespace().collect::<Vec<_>>().join(" ")),
                );
            }
            ItemEnum::Use(_) | ItemEnum::Impl(_) => {}
            other => return Err(format!("no line is known for {path}, which is {:?}", other.item_kind())),
        }
        Ok(())
    }

    fn a_trait(&mut self, path: &str, item: &Item, of: &Trait) -> Result<(), String> {
        let bounds = if of.bounds.is_empty() {
            String::new()
        } else {
            format!(": {}", self.writer.bounds(&of.bounds))
        };
        let (params, conditions) =
            (self.writer.params(&of.generics.params), self.writer.conditions(&of.generics));
        let dyn_compatible = if of.is_dyn_compatible { "" } else { ", not for dyn" };
        let unsafety = if of.is_unsafe { "unsafe " } else { "" };
        self.add(path, item, &format!("{unsafety}trait{params}{bounds}{conditions}{dyn_compatible}"));
        for &id in &of.items {
            let member = self::item(self.writer.documented, id)?;
            let name = join(path, member.name.as_deref().unwrap_or("_"));
            match &member.inner {
                ItemEnum::Function(function) => {
                    let required = if function.has_body { "provided" } else { "required" };
                    self.add(&name, member, &format!("{required} {}", self.writer.function(function)));
                }
                _ => self.item(&name, member)?,
            }
        }
        Ok(())
    }

    fn members(&mut self, path: &str, ids: &[Id]) -> Result<(), String> {
        for &id in ids {
            let member = item(self.writer.documented, id)?;
            self.item(&join(path, member.name.as_deref().unwrap_or("_")), member)?;
        }
        Ok(())
    }
}

/// How many fields a tuple has, and those that are public.
fn tuple(fields: &[Option<Id>]) -> (String, Vec<Id>) {
    let shown = fields.iter().map(|field| if field.is_some() { "pub" } else { "_" });
    (format!("({})", shown.collect::<Vec<_>>().join(", ")), fields.iter().flatten().copied().collect())
}

fn braces(fields: &[Id], has_private: bool) -> (String, Vec<Id>) {
    (if has_private { " { .. }" } else { " {}" }.to_owned(), fields.to_vec())
}

/// The attributes that a caller has to know of.
fn attributes(item: &Item) -> String {
    let mut known: Vec<String> = item
        .attrs
        .iter()
        .filter_map(|attribute| match attribute {
            Attribute::NonExhaustive => Some(" #[non_exhaustive]".to_owned()),
            Attribute::MustUse { .. } => Some(" #[must_use]".to_owned()),
            Attribute::Repr(repr) => Some(format!(" #[repr({:?}{})]", repr.kind, repr_rest(repr))),
            Attribute::TargetFeature { enable } => Some(format!(" #[target_feature({})]", enable.join(", "))),
            _ => None,
        })
        .collect();
    known.extend(item.deprecation.as_ref().map(|_| " #[deprecated]".to_owned()));
    known.sort();
    known.concat()
}

fn repr_rest(repr: &rustdoc_types::AttributeRepr) -> String {
    let align = repr.align.map(|bytes| format!(", align({bytes})"));
    let packed = repr.packed.map(|bytes| format!(", packed({bytes})"));
    let int = repr.int.as_ref().map(|of| format!(", {of}"));
    align.into_iter().chain(packed).chain(int).collect()
}
