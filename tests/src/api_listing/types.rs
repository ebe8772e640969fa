//! Types, bounds and signatures, as Rust writes them.

use std::collections::BTreeMap;

use rustdoc_types::{
    Abi, AssocItemConstraintKind, Constant, Crate, Function, FunctionHeader, FunctionSignature, GenericArg,
    GenericArgs, GenericBound, GenericParamDef, GenericParamDefKind, Generics, Id, Path, PreciseCapturingArg,
    Term, TraitBoundModifier, Type, WherePredicate,
};

/// What is written without its path, as everybody knows where it comes from.
const KNOWN: [&str; 36] = [
    "alloc::borrow::Cow",
    "alloc::boxed::Box",
    "alloc::string::String",
    "alloc::sync::Arc",
    "alloc::vec::Vec",
    "core::clone::Clone",
    "core::cmp::Eq",
    "core::cmp::Ord",
    "core::cmp::PartialEq",
    "core::cmp::PartialOrd",
    "core::convert::AsRef",
    "core::convert::From",
    "core::convert::Into",
    "core::convert::TryFrom",
    "core::default::Default",
    "core::fmt::Debug",
    "core::fmt::Display",
    "core::hash::Hash",
    "core::iter::traits::collect::IntoIterator",
    "core::iter::traits::double_ended::DoubleEndedIterator",
    "core::iter::traits::exact_size::ExactSizeIterator",
    "core::iter::traits::iterator::Iterator",
    "core::marker::Copy",
    "core::marker::Send",
    "core::marker::Sized",
    "core::marker::Sync",
    "core::net::socket_addr::SocketAddr",
    "core::ops::function::Fn",
    "core::ops::function::FnMut",
    "core::ops::function::FnOnce",
    "core::option::Option",
    "core::result::Result",
    "core::str::traits::FromStr",
    "core::time::Duration",
    "serde_core::de::Deserialize",
    "serde_core::ser::Serialize",
];

/// Writes types with the names that the crate's users know them by.
pub(super) struct Writer<'a> {
    pub(super) documented: &'a Crate,
    /// The path of each public item, without the name of the crate.
    pub(super) names: BTreeMap<u32, String>,
}

impl Writer<'_> {
    pub(super) fn name(&self, id: Id, written: &str) -> String {
        if let Some(name) = self.names.get(&id.0) {
            return name.clone();
        }
        let Some(summary) = self.documented.paths.get(&id) else { return written.to_owned() };
        let full = summary.path.join("::");
        match summary.path.last() {
            Some(last) if KNOWN.contains(&full.as_str()) => last.clone(),
            _ => full,
        }
    }

    pub(super) fn path(&self, path: &Path) -> String {
        let args = path.args.as_ref().map(|args| self.args(args)).unwrap_or_default();
        format!("{}{args}", self.name(path.id, &path.path))
    }

    /// `<'a, T, Item = u8>` or `(A, B) -> C`
    fn args(&self, args: &GenericArgs) -> String {
        match args {
            GenericArgs::AngleBracketed { args, constraints } => {
                let args = args.iter().map(|arg| match arg {
                    GenericArg::Lifetime(name) => name.clone(),
                    GenericArg::Type(of) => self.of(of),
                    GenericArg::Const(constant) => value(constant),
                    GenericArg::Infer => "_".to_owned(),
                });
                let constraints = constraints.iter().map(|constraint| {
                    let args = constraint.args.as_ref().map(|args| self.args(args)).unwrap_or_default();
                    let binding = match &constraint.binding {
                        AssocItemConstraintKind::Equality(term) => format!(" = {}", self.term(term)),
                        AssocItemConstraintKind::Constraint(bounds) => format!(": {}", self.bounds(bounds)),
                    };
                    format!("{}{args}{binding}", constraint.name)
                });
                angled(args.chain(constraints))
            }
            GenericArgs::Parenthesized { inputs, output } => {
                format!("({}){}", self.list(inputs), self.output(output.as_ref()))
            }
            GenericArgs::ReturnTypeNotation => "(..)".to_owned(),
        }
    }

    fn term(&self, term: &Term) -> String {
        match term {
            Term::Type(of) => self.of(of),
            Term::Constant(constant) => value(constant),
        }
    }

    fn list(&self, types: &[Type]) -> String {
        types.iter().map(|of| self.of(of)).collect::<Vec<_>>().join(", ")
    }

    fn output(&self, output: Option<&Type>) -> String {
        output.map(|of| format!(" -> {}", self.of(of))).unwrap_or_default()
    }

    pub(super) fn of(&self, of: &Type) -> String {
        match of {
            Type::ResolvedPath(path) => self.path(path),
            Type::DynTrait(of) => {
                let traits = of
                    .traits
                    .iter()
                    .map(|of| format!("{}{}", self.higher_ranked(&of.generic_params), self.path(&of.trait_)));
                let traits: Vec<String> = traits.chain(of.lifetime.clone()).collect();
                format!("dyn {}", traits.join(" + "))
            }
            Type::Generic(name) | Type::Primitive(name) => {
                if name == "never" {
                    "!".to_owned()
                } else {
                    name.clone()
                }
            }
            Type::FunctionPointer(pointer) => {
                let inputs: Vec<String> = pointer.sig.inputs.iter().map(|(_, of)| self.of(of)).collect();
                let before =
                    format!("{}{}", self.higher_ranked(&pointer.generic_params), header(&pointer.header));
                format!("{before}fn({}){}", inputs.join(", "), self.output(pointer.sig.output.as_ref()))
            }
            Type::Tuple(types) if types.len() == 1 => format!("({},)", self.list(types)),
            Type::Tuple(types) => format!("({})", self.list(types)),
            Type::Slice(of) => format!("[{}]", self.of(of)),
            Type::Array { type_, len } => format!("[{}; {len}]", self.of(type_)),
            Type::Pat { type_, .. } => self.of(type_),
            Type::ImplTrait(bounds) => format!("impl {}", self.bounds(bounds)),
            Type::Infer => "_".to_owned(),
            Type::RawPointer { is_mutable, type_ } => {
                format!("*{} {}", if *is_mutable { "mut" } else { "const" }, self.of(type_))
            }
            Type::BorrowedRef { lifetime, is_mutable, type_ } => {
                let lifetime = lifetime.as_ref().map(|name| format!("{name} ")).unwrap_or_default();
                format!("&{lifetime}{}{}", if *is_mutable { "mut " } else { "" }, self.of(type_))
            }
            Type::QualifiedPath { name, args, self_type, trait_ } => {
                let args = args.as_ref().map(|args| self.args(args)).unwrap_or_default();
                let of = self.of(self_type);
                match trait_ {
                    Some(path) if !path.path.is_empty() => {
                        format!("<{of} as {}>::{name}{args}", self.path(path))
                    }
                    _ => format!("{of}::{name}{args}"),
                }
            }
        }
    }

    pub(super) fn bounds(&self, bounds: &[GenericBound]) -> String {
        let bounds = bounds.iter().map(|bound| match bound {
            GenericBound::TraitBound { trait_, generic_params, modifier } => {
                let modifier = match modifier {
                    TraitBoundModifier::None => "",
                    TraitBoundModifier::Maybe => "?",
                    TraitBoundModifier::MaybeConst => "[const] ",
                };
                format!("{modifier}{}{}", self.higher_ranked(generic_params), self.path(trait_))
            }
            GenericBound::Outlives(lifetime) => lifetime.clone(),
            GenericBound::Use(captured) => {
                let captured = captured.iter().map(|arg| match arg {
                    PreciseCapturingArg::Lifetime(name) | PreciseCapturingArg::Param(name) => name.clone(),
                });
                format!("use<{}>", captured.collect::<Vec<_>>().join(", "))
            }
        });
        bounds.collect::<Vec<_>>().join(" + ")
    }

    fn higher_ranked(&self, params: &[GenericParamDef]) -> String {
        if params.is_empty() { String::new() } else { format!("for{} ", self.params(params)) }
    }

    /// `<'a, T: Debug>`
    pub(super) fn params(&self, params: &[GenericParamDef]) -> String {
        angled(params.iter().filter_map(|param| {
            let name = &param.name;
            match &param.kind {
                GenericParamDefKind::Lifetime { outlives } if outlives.is_empty() => Some(name.clone()),
                GenericParamDefKind::Lifetime { outlives } => {
                    Some(format!("{name}: {}", outlives.join(" + ")))
                }
                // `impl Trait` in the place of an argument's type stands there.
                GenericParamDefKind::Type { is_synthetic: true, .. } => None,
                GenericParamDefKind::Type { bounds, default, .. } => {
                    let bounds =
                        if bounds.is_empty() { String::new() } else { format!(": {}", self.bounds(bounds)) };
                    let default =
                        default.as_ref().map(|of| format!(" = {}", self.of(of))).unwrap_or_default();
                    Some(format!("{name}{bounds}{default}"))
                }
                GenericParamDefKind::Const { type_, default } => {
                    let default = default.as_ref().map(|value| format!(" = {value}")).unwrap_or_default();
                    Some(format!("const {name}: {}{default}", self.of(type_)))
                }
            }
        }))
    }

    /// ` where T: Debug`
    pub(super) fn conditions(&self, generics: &Generics) -> String {
        let conditions = generics.where_predicates.iter().map(|condition| match condition {
            WherePredicate::BoundPredicate { type_, bounds, generic_params } => {
                format!("{}{}: {}", self.higher_ranked(generic_params), self.of(type_), self.bounds(bounds))
            }
            WherePredicate::LifetimePredicate { lifetime, outlives } => {
                format!("{lifetime}: {}", outlives.join(" + "))
            }
            WherePredicate::EqPredicate { lhs, rhs } => format!("{} = {}", self.of(lhs), self.term(rhs)),
        });
        let conditions: Vec<String> = conditions.collect();
        if conditions.is_empty() { String::new() } else { format!(" where {}", conditions.join(", ")) }
    }

    /// `const fn<T>(&self, other: T) -> bool where T: Debug`
    pub(super) fn function(&self, function: &Function) -> String {
        let Function {
            sig: FunctionSignature { inputs, output, is_c_variadic }, generics, header: head, ..
        } = function;
        let inputs = inputs.iter().map(|(name, of)| match (name.as_str(), self.of(of).as_str()) {
            ("self", "Self") => "self".to_owned(),
            ("self", of) if of.starts_with('&') && of.ends_with("Self") => of.replace("Self", "self"),
            (name, of) => format!("{name}: {of}"),
        });
        let inputs: Vec<String> = inputs.chain(is_c_variadic.then(|| "...".to_owned())).collect();
        format!(
            "{}fn{}({}){}{}",
            header(head),
            self.params(&generics.params),
            inputs.join(", "),
            self.output(output.as_ref()),
            self.conditions(generics)
        )
    }
}

fn header(header: &FunctionHeader) -> String {
    let words = [(header.is_const, "const "), (header.is_async, "async "), (header.is_unsafe, "unsafe ")];
    let words: String = words.iter().filter(|(is, _)| *is).map(|(_, word)| *word).collect();
    match &header.abi {
        Abi::Rust => words,
        abi => format!("{words}extern {abi:?} "),
    }
}

pub(super) fn value(constant: &Constant) -> String {
    constant.value.clone().unwrap_or_else(|| constant.expr.clone())
}

/// `<a, b>`, or nothing where there is nothing.
fn angled(parts: impl Iterator<Item = String>) -> String {
    let parts: Vec<String> = parts.collect();
    if parts.is_empty() { String::new() } else { format!("<{}>", parts.join(", ")) }
}
