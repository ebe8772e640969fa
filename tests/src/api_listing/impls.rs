//! What types have by their impls: methods and constants of their own, and traits.

use std::collections::{BTreeMap, BTreeSet};

use rustdoc_types::{GenericArg, GenericArgs, GenericParamDefKind, Impl, Item, ItemEnum, Path, Type};

use super::Listing;
use super::items::{Lines, item, join};
use super::types::Writer;

/// A line for each member of a type and each trait it has; traits without arguments share one line.
pub(super) fn lines(writer: &Writer<'_>) -> Result<Listing, String> {
    let mut lines = Lines { writer, found: BTreeSet::new() };
    let mut short: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    #[expect(clippy::disallowed_methods, reason = "the lines are put in order afterwards")]
    let items: Vec<&Item> = writer.documented.index.values().filter(|item| item.crate_id == 0).collect();
    for item in items {
        let ItemEnum::Impl(of) = &item.inner else { continue };
        // Every type has the blanket impls, and nearly every one the auto traits: only a missing one is listed.
        if of.blanket_impl.is_some() || of.is_synthetic && !of.is_negative {
            continue;
        }
        let Some(path) = &of.trait_ else {
            members(&mut lines, of)?;
            continue;
        };
        let name = a_trait(writer, of, path)?;
        // What the compiler alone writes and reads.
        if name == "core::marker::StructuralPartialEq" {
            continue;
        }
        let (params, conditions) = (params(writer, of), writer.conditions(&of.generics));
        if name.contains('<') || !params.is_empty() || !conditions.is_empty() {
            let unsafety = if of.is_unsafe { "unsafe " } else { "" };
            lines
                .found
                .insert(format!("{} {unsafety}impl{params} {name}{conditions}", implementor(writer, of)));
        } else {
            short.entry(implementor(writer, of)).or_default().insert(name);
        }
    }
    let mut found = lines.found;
    found.extend(
        short
            .into_iter()
            .map(|(of, traits)| format!("{of} impl {}", traits.into_iter().collect::<Vec<_>>().join(", "))),
    );
    Ok(found)
}

/// Methods, constants and types of an impl without a trait.
fn members(lines: &mut Lines<'_>, of: &Impl) -> Result<(), String> {
    let writer = lines.writer;
    let Some(name) = (match &of.for_ {
        Type::ResolvedPath(path) => writer.names.get(&path.id.0),
        _ => None,
    }) else {
        return Ok(());
    };
    let mut own = Lines { writer, found: BTreeSet::new() };
    for &id in &of.items {
        let member = item(writer.documented, id)?;
        own.item(&join(name, member.name.as_deref().unwrap_or("_")), member)?;
    }
    let (params, conditions) = (params(writer, of), writer.conditions(&of.generics));
    let implementor = implementor(writer, of);
    // Members that only some instances of the type have: say which.
    let rest = if implementor == *name && params.is_empty() && conditions.is_empty() {
        String::new()
    } else {
        format!(" in impl{params} {implementor}{conditions}")
    };
    lines.found.extend(own.found.into_iter().map(|line| line + &rest));
    Ok(())
}

/// The trait with its arguments and types: `TryFrom<String, Error = NameError>`.
fn a_trait(writer: &Writer<'_>, of: &Impl, path: &Path) -> Result<String, String> {
    let mut types = Vec::new();
    for &id in &of.items {
        let member = item(writer.documented, id)?;
        if let (ItemEnum::AssocType { type_: Some(of), .. }, Some(name)) = (&member.inner, &member.name) {
            types.push(format!("{name} = {}", writer.of(of)));
        }
    }
    let name = if only_lifetimes(path) { writer.name(path.id, &path.path) } else { writer.path(path) };
    let name = format!("{}{name}", if of.is_negative { "!" } else { "" });
    types.sort();
    Ok(match (types.join(", "), name.strip_suffix('>')) {
        (types, _) if types.is_empty() => name,
        (types, Some(open)) => format!("{open}, {types}>"),
        (types, None) => format!("{name}<{types}>"),
    })
}

/// The parameters of an impl, but for mere lifetimes.
fn params(writer: &Writer<'_>, of: &Impl) -> String {
    let mere = |kind: &GenericParamDefKind| matches!(kind, GenericParamDefKind::Lifetime { outlives } if outlives.is_empty());
    if of.generics.params.iter().all(|param| mere(&param.kind)) {
        return String::new();
    }
    writer.params(&of.generics.params)
}

/// The type that has the impl.
fn implementor(writer: &Writer<'_>, of: &Impl) -> String {
    match &of.for_ {
        Type::ResolvedPath(path) if only_lifetimes(path) => writer.name(path.id, &path.path),
        other => writer.of(other),
    }
}

/// Whether a path has no arguments but lifetimes of the impl.
fn only_lifetimes(path: &Path) -> bool {
    match path.args.as_deref() {
        Some(GenericArgs::AngleBracketed { args, constraints }) => {
            let tells_nothing =
                |arg: &GenericArg| matches!(arg, GenericArg::Lifetime(name) if name != "'static");
            constraints.is_empty() && args.iter().all(tells_nothing)
        }
        _ => true,
    }
}
