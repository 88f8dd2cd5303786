//! Compares a component's functions and types with the contract, and names the field that differs.

use wit_parser::{Function, FunctionKind, Handle, Interface, Resolve, Type, TypeDefKind, TypeId};

/// What differs, and where: `ensure.spec.disks[].bus`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The path from the function.
    pub field: String,
    /// In words.
    pub problem: String,
}

/// Two sets of types that are compared.
pub struct Comparison<'a> {
    contract: &'a Resolve,
    component: &'a Resolve,
    path: Vec<String>,
}

type Verdict = Result<(), Difference>;

/// Which functions must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// An export: all of the contract's.
    All,
    /// An import: what is there must be in the contract.
    Subset,
}

impl<'a> Comparison<'a> {
    /// Compares `component`'s types with `contract`'s.
    #[must_use]
    pub const fn new(contract: &'a Resolve, component: &'a Resolve) -> Self {
        Self {
            contract,
            component,
            path: Vec::new(),
        }
    }

    /// Compares an interface.
    ///
    /// # Errors
    /// The first [`Difference`].
    pub fn interface(&mut self, contract: &Interface, component: &Interface, demand: Demand) -> Verdict {
        if demand == Demand::Subset
            && let Some(name) = component
                .functions
                .keys()
                .find(|name| !contract.functions.contains_key(*name))
        {
            return self.at(plain(name), |this| this.differs("there is no such function"));
        }
        for (name, wanted) in &contract.functions {
            let verdict = match (component.functions.get(name), demand) {
                (Some(got), _) => self.at(plain(name), |this| this.function(wanted, got)),
                (None, Demand::All) => self.at(plain(name), |this| this.differs("it is missing")),
                (None, Demand::Subset) => Ok(()),
            };
            verdict?;
        }
        Ok(())
    }

    fn function(&mut self, contract: &Function, component: &Function) -> Verdict {
        let (wanted, got) = (kind(&contract.kind), kind(&component.kind));
        if wanted != got {
            return self.differs(&format!("it is {got}; the contract has {wanted}"));
        }
        if contract.params.len() != component.params.len() {
            return self.differs(&format!(
                "it takes {} parameters; the contract has {}",
                component.params.len(),
                contract.params.len()
            ));
        }
        for (wanted, got) in contract.params.iter().zip(&component.params) {
            self.at(&wanted.name, |this| {
                this.named(&wanted.name, &got.name, "parameter")
            })?;
            self.at(&wanted.name, |this| this.ty(&wanted.ty, &got.ty))?;
        }
        self.at("(result)", |this| {
            this.optional(contract.result.as_ref(), component.result.as_ref())
        })
    }

    fn optional(&mut self, contract: Option<&Type>, component: Option<&Type>) -> Verdict {
        match (contract, component) {
            (None, None) => Ok(()),
            (Some(wanted), Some(got)) => self.ty(wanted, got),
            (Some(wanted), None) => {
                let wanted = describe(self.contract, wanted);
                self.differs(&format!("nothing is there; the contract has {wanted}"))
            }
            (None, Some(got)) => {
                let got = describe(self.component, got);
                self.differs(&format!("it is {got}; the contract has nothing there"))
            }
        }
    }

    fn ty(&mut self, contract: &Type, component: &Type) -> Verdict {
        let contract = resolved(self.contract, contract);
        let component = resolved(self.component, component);
        match (contract, component) {
            (Type::Id(wanted), Type::Id(got)) => self.definition(wanted, got),
            (wanted, got) if wanted == got => Ok(()),
            (wanted, got) => self.mismatch(&wanted, &got),
        }
    }

    fn definition(&mut self, wanted: TypeId, got: TypeId) -> Verdict {
        let contract = &self.contract.types[wanted];
        let component = &self.component.types[got];
        match (&contract.kind, &component.kind) {
            (TypeDefKind::Record(wanted), TypeDefKind::Record(got)) => {
                let names = |fields: &[wit_parser::Field]| -> Vec<String> {
                    fields.iter().map(|field| field.name.clone()).collect()
                };
                self.members("field", &names(&wanted.fields), &names(&got.fields))?;
                for (wanted, got) in wanted.fields.iter().zip(&got.fields) {
                    self.at(&wanted.name, |this| this.ty(&wanted.ty, &got.ty))?;
                }
                Ok(())
            }
            (TypeDefKind::Variant(wanted), TypeDefKind::Variant(got)) => {
                let names = |cases: &[wit_parser::Case]| -> Vec<String> {
                    cases.iter().map(|case| case.name.clone()).collect()
                };
                self.members("case", &names(&wanted.cases), &names(&got.cases))?;
                for (wanted, got) in wanted.cases.iter().zip(&got.cases) {
                    self.at(&wanted.name, |this| {
                        this.optional(wanted.ty.as_ref(), got.ty.as_ref())
                    })?;
                }
                Ok(())
            }
            (TypeDefKind::Enum(wanted), TypeDefKind::Enum(got)) => {
                let names = |cases: &[wit_parser::EnumCase]| -> Vec<String> {
                    cases.iter().map(|case| case.name.clone()).collect()
                };
                self.members("case", &names(&wanted.cases), &names(&got.cases))
            }
            (TypeDefKind::Tuple(wanted), TypeDefKind::Tuple(got))
                if wanted.types.len() == got.types.len() =>
            {
                for (index, (wanted, got)) in wanted.types.iter().zip(&got.types).enumerate() {
                    self.at(&index.to_string(), |this| this.ty(wanted, got))?;
                }
                Ok(())
            }
            (TypeDefKind::List(wanted), TypeDefKind::List(got)) => self.at("[]", |this| this.ty(wanted, got)),
            (TypeDefKind::Option(wanted), TypeDefKind::Option(got)) => self.ty(wanted, got),
            (TypeDefKind::Result(wanted), TypeDefKind::Result(got)) => {
                self.at("ok", |this| this.optional(wanted.ok.as_ref(), got.ok.as_ref()))?;
                self.at("err", |this| this.optional(wanted.err.as_ref(), got.err.as_ref()))
            }
            (TypeDefKind::Handle(Handle::Own(wanted)), TypeDefKind::Handle(Handle::Own(got)))
            | (TypeDefKind::Handle(Handle::Borrow(wanted)), TypeDefKind::Handle(Handle::Borrow(got))) => {
                self.resource(*wanted, *got)
            }
            (TypeDefKind::Resource, TypeDefKind::Resource) => self.resource(wanted, got),
            _ => self.mismatch(&Type::Id(wanted), &Type::Id(got)),
        }
    }

    fn resource(&self, wanted: TypeId, got: TypeId) -> Verdict {
        let name = |resolve: &Resolve, id: TypeId| match resolved(resolve, &Type::Id(id)) {
            Type::Id(id) => resolve.types[id].name.clone().unwrap_or_default(),
            other => format!("{other:?}"),
        };
        let (wanted, got) = (name(self.contract, wanted), name(self.component, got));
        self.named(&wanted, &got, "resource")
    }

    fn members(&self, what: &str, contract: &[String], component: &[String]) -> Verdict {
        for (index, wanted) in contract.iter().enumerate() {
            match component.get(index) {
                Some(got) if got == wanted => {}
                Some(got) => {
                    return self.differs(&format!(
                        "{what} {} is '{got}'; the contract has '{wanted}'",
                        index + 1
                    ));
                }
                None => return self.differs(&format!("{what} '{wanted}' is missing")),
            }
        }
        match component.get(contract.len()) {
            Some(extra) => self.differs(&format!("{what} '{extra}' is not in the contract")),
            None => Ok(()),
        }
    }

    fn named(&self, contract: &str, component: &str, what: &str) -> Verdict {
        if contract == component {
            return Ok(());
        }
        self.differs(&format!(
            "the {what} is called '{component}'; the contract has '{contract}'"
        ))
    }

    fn mismatch(&self, contract: &Type, component: &Type) -> Verdict {
        let wanted = describe(self.contract, contract);
        let got = describe(self.component, component);
        self.differs(&format!("it is {got}; the contract has {wanted}"))
    }

    fn differs(&self, problem: &str) -> Verdict {
        Err(Difference {
            field: self.path.join(".").replace(".[]", "[]"),
            problem: problem.to_owned(),
        })
    }

    fn at(&mut self, step: &str, compare: impl FnOnce(&mut Self) -> Verdict) -> Verdict {
        self.path.push(step.to_owned());
        let verdict = compare(self);
        self.path.pop();
        verdict
    }
}

/// `[method]endpoint.send` as `endpoint.send`.
fn plain(function: &str) -> &str {
    function.rsplit(']').next().unwrap_or(function)
}

/// Follows aliases.
fn resolved(resolve: &Resolve, ty: &Type) -> Type {
    let mut ty = *ty;
    while let Type::Id(id) = ty {
        match &resolve.types[id].kind {
            TypeDefKind::Type(inner) => ty = *inner,
            _ => break,
        }
    }
    ty
}

fn describe(resolve: &Resolve, ty: &Type) -> String {
    match resolved(resolve, ty) {
        Type::Id(id) => {
            let definition = &resolve.types[id];
            let kind = definition.kind.as_str();
            match (&definition.name, &definition.kind) {
                (Some(name), _) => format!("{kind} {name}"),
                (None, TypeDefKind::List(inner)) => format!("list<{}>", describe(resolve, inner)),
                (None, TypeDefKind::Option(inner)) => format!("option<{}>", describe(resolve, inner)),
                (None, TypeDefKind::Handle(Handle::Own(inner) | Handle::Borrow(inner))) => {
                    format!("{kind}<{}>", describe(resolve, &Type::Id(*inner)))
                }
                (None, _) => kind.to_owned(),
            }
        }
        primitive => format!("{primitive:?}").to_lowercase(),
    }
}

const fn kind(kind: &FunctionKind) -> &'static str {
    match kind {
        FunctionKind::Freestanding => "a function",
        FunctionKind::Method(_) => "a method",
        FunctionKind::Static(_) => "a static function",
        FunctionKind::Constructor(_) => "a constructor",
        FunctionKind::AsyncFreestanding => "an async function",
        FunctionKind::AsyncMethod(_) => "an async method",
        FunctionKind::AsyncStatic(_) => "an async static function",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares the interface `i` of two texts.
    fn difference(contract: &str, component: &str) -> Option<(String, String)> {
        let parse = |text: &str| {
            let mut resolve = Resolve::new();
            resolve
                .push_source(
                    "test.wit",
                    &format!("package test:test;\ninterface i {{ {text} }}"),
                )
                .unwrap();
            resolve
        };
        let (contract, component) = (parse(contract), parse(component));
        let interface = |resolve: &Resolve| resolve.interfaces.iter().next().unwrap().1.clone();
        Comparison::new(&contract, &component)
            .interface(&interface(&contract), &interface(&component), Demand::All)
            .err()
            .map(|difference| (difference.field, difference.problem))
    }

    #[test]
    fn the_field_that_differs_is_named_by_its_path() {
        let contract = "record d { bus: u16, tags: list<string> } record s { disks: list<d> } ensure: func(spec: s) -> result<u8, string>;";
        assert_eq!(difference(contract, contract), None);
        let field = |text: &str| difference(contract, text).map(|(field, _)| field);
        assert_eq!(
            field(&contract.replace("bus: u16", "bus: u32")).as_deref(),
            Some("ensure.spec.disks[].bus")
        );
        assert_eq!(
            field(&contract.replace("list<string>", "list<u8>")).as_deref(),
            Some("ensure.spec.disks[].tags[]")
        );
        assert_eq!(
            field(&contract.replace("result<u8, string>", "result<u8>")).as_deref(),
            Some("ensure.(result).err")
        );
        assert_eq!(
            field(&contract.replace("ensure", "ensured")).as_deref(),
            Some("ensure")
        );
    }

    #[test]
    fn a_missing_a_surplus_and_a_renamed_member_are_told_apart() {
        let contract = "record r { a: u8, b: u8 } variant v { x, y(u8) } f: func(r: r, v: v);";
        let problem = |from: &str, to: &str| difference(contract, &contract.replace(from, to)).unwrap().1;
        assert_eq!(problem("a: u8, b: u8", "a: u8"), "field 'b' is missing");
        assert_eq!(
            problem("b: u8", "b: u8, c: u8"),
            "field 'c' is not in the contract"
        );
        assert_eq!(problem("b: u8", "z: u8"), "field 2 is 'z'; the contract has 'b'");
        assert_eq!(problem("y(u8)", "y"), "nothing is there; the contract has u8");
    }
}
