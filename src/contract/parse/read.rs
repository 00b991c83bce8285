//! Reading an object against its [`Spec`]: fields known and unknown, missing and null, and what they hold.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use super::guess;
use crate::contract::diagnostic::{Diagnostics, Place};
use crate::contract::json::{Node, Value, clip};
use crate::contract::model::Text;
use crate::contract::spec::{Field, Need, Shape, Spec, Tagged, Word};

/// What all parts of the parser share.
pub struct Input<'t> {
    pub text: &'t str,
    pub strict: bool,
    pub found: Diagnostics,
    /// The text had mistakes of syntax; what they broke was reported with them.
    pub misread: bool,
    /// A part of the present table could not be read and is missing from what was built.
    pub incomplete: bool,
}

/// A value and how one gets to it.
#[derive(Clone)]
pub struct At<'t> {
    pub node: &'t Node<'t>,
    pub pointer: String,
}

/// The fields of one object that its spec knows and that are not null.
pub struct Fields<'t> {
    pub spec: &'static Spec,
    pub at: At<'t>,
    known: Vec<(&'static Field, At<'t>)>,
}

impl<'t> At<'t> {
    pub fn place(&self) -> Place {
        self.spot(self.node.span.clone())
    }

    /// A place of another span at this pointer.
    fn spot(&self, span: Range<usize>) -> Place {
        Place {
            span,
            pointer: Arc::from(self.pointer.as_str()),
        }
    }

    pub fn element(&self, index: usize, node: &'t Node<'t>) -> At<'t> {
        At {
            node,
            pointer: format!("{}/{index}", self.pointer),
        }
    }

    pub fn member(&self, key: &str, node: &'t Node<'t>) -> At<'t> {
        let key = key.replace('~', "~0").replace('/', "~1");
        At {
            node,
            pointer: format!("{}/{key}", self.pointer),
        }
    }
}

impl<'t> Fields<'t> {
    pub fn get(&self, name: &str) -> Option<&At<'t>> {
        debug_assert!(
            self.spec.field(name).is_some(),
            "{name} is not in the spec of {}",
            self.spec.name
        );
        self.known
            .iter()
            .find(|(f, _)| f.name == name)
            .map(|(_, at)| at)
    }

    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Where to point at when the object as a whole is meant: its opening bracket, not all of its lines.
    pub fn place(&self) -> Place {
        head(&self.at)
    }

    pub fn shape(&self, name: &str) -> Option<&'static Shape> {
        self.spec.field(name).map(|f| &f.shape)
    }
}

/// The opening bracket of an object or an array; a scalar's whole token.
pub fn head(at: &At) -> Place {
    let span = at.node.span.clone();
    match at.node.value {
        Value::Object(_) | Value::Array(_) => at.spot(span.start..span.start + 1),
        _ => at.spot(span),
    }
}

/// A field and what it is for.
fn explained(field: &Field) -> String {
    format!("`{}`: {}", field.name, field.about)
}

/// A table's list of the other kind.
fn other_list(key: &str) -> Option<&'static str> {
    match key {
        "entities" => Some("attributes"),
        "attributes" => Some("entities"),
        _ => None,
    }
}

pub fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
        Value::Broken => "not JSON",
    }
}

impl<'t> Input<'t> {
    /// Opens an object: reports what is no object, fields twice, unknown, null or missing.
    pub fn fields(
        &mut self,
        at: &At<'t>,
        spec: &'static Spec,
        family: Option<&'static Tagged>,
    ) -> Option<Fields<'t>> {
        let Value::Object(members) = &at.node.value else {
            self.wrong_type(at, spec.name, "an object", "write { … } with its fields");
            return None;
        };
        let mut fields = Fields {
            spec,
            at: at.clone(),
            known: Vec::new(),
        };
        let mut unknown = Vec::new();
        let mut seen = HashSet::new();
        for member in members {
            let key = member.key.as_ref();
            let child = at.member(key, &member.value);
            let key_place = child.spot(member.key_span.clone());
            if !seen.insert(key) {
                let message = format!("the field `{}` stands twice in one object", clip(key));
                self.found
                    .error_help("duplicate-field", &key_place, message, "remove one of them");
                continue;
            }
            match spec.field(key) {
                Some(field) => self.known_field(&mut fields, field, child, &key_place),
                None if key == "type" && family.is_some() => {}
                None => unknown.push((key, child, key_place)),
            }
        }
        for (key, child, key_place) in unknown {
            self.unknown_field(&mut fields, family, key, &child, &key_place, &mut seen);
        }
        self.missing_fields(&fields, &seen);
        Some(fields)
    }

    fn known_field(
        &mut self,
        fields: &mut Fields<'t>,
        field: &'static Field,
        child: At<'t>,
        key: &Place,
    ) {
        let null = child.node.value == Value::Null && !matches!(field.shape, Shape::Scalar);
        match field.need {
            _ if !null => fields.known.push((field, child)),
            Need::Nullable => {}
            Need::Required => {
                let message = format!(
                    "`{}` of {} is null, and it is needed",
                    field.name, fields.spec.name
                );
                self.found
                    .error_help("missing-field", key, message, explained(field));
            }
            Need::Wanted | Need::Optional => {
                let message = format!(
                    "`{}` is null, which is taken as if it were not there",
                    field.name
                );
                self.found
                    .warn_help("null-field", key, message, "leave the field out");
            }
        }
    }

    fn unknown_field(
        &mut self,
        fields: &mut Fields<'t>,
        family: Option<&'static Tagged>,
        key: &'t str,
        child: &At<'t>,
        place: &Place,
        seen: &mut HashSet<&'t str>,
    ) {
        let relative =
            family.and_then(|t| t.kinds.iter().find(|(_, spec)| spec.field(key).is_some()));
        let empty = match &child.node.value {
            Value::Null => true,
            Value::Array(elements) => elements.is_empty(),
            _ => false,
        };
        if relative.is_some() && empty {
            return;
        }
        // That a table has both or the wrong one of the two is told where tables are read.
        if let (Some("table"), Some(wanted)) = (family.map(|t| t.name), other_list(key)) {
            seen.insert(wanted);
            return;
        }
        let names = fields
            .spec
            .fields
            .iter()
            .map(|f| f.name)
            .filter(|n| !seen.contains(n));
        // Beyond the limit nothing is shown, and comparing names would be most of the time.
        let shown = self.found.error_count().max(self.found.warning_count()) < Diagnostics::LIMIT;
        let suggestion = shown.then(|| guess::field(key, names)).flatten();
        let missing = suggestion
            .and_then(|s| fields.spec.field(s))
            .filter(|f| f.need == Need::Required);
        if let Some(field) = missing {
            let message = format!(
                "{} needs `{}`, and `{}` is not a field of it",
                fields.spec.name,
                field.name,
                clip(key)
            );
            let mut help = format!("if `{}` is meant, write `{}`", clip(key), field.name);
            if let Some((_, spec)) = relative {
                help = format!("{help}; `{}` belongs to {}", clip(key), spec.name);
            }
            self.found.error_help("missing-field", place, message, help);
            // Reported here; it must not be reported as missing once more.
            seen.insert(field.name);
            return;
        }
        let message = format!(
            "`{}` is not a field of {}; it is ignored",
            clip(key),
            fields.spec.name
        );
        let help = match (relative, suggestion) {
            (Some((_, spec)), _) => format!("it belongs to {}", spec.name),
            (None, Some(s)) => format!("did you mean `{s}`?"),
            (None, None) => {
                let names: Vec<&str> = fields.spec.fields.iter().map(|f| f.name).collect();
                match names.as_slice() {
                    [] => "remove it; there are no fields besides `type`".to_owned(),
                    _ => format!("the fields are {}", names.join(", ")),
                }
            }
        };
        if self.strict {
            self.found.error_help(
                "unknown-field",
                place,
                message.replace("; it is ignored", ""),
                help,
            );
        } else {
            self.found.warn_help("unknown-field", place, message, help);
        }
    }

    fn missing_fields(&mut self, fields: &Fields<'t>, seen: &HashSet<&'t str>) {
        for field in fields.spec.fields.iter().filter(|f| !seen.contains(f.name)) {
            let message = format!("{} has no `{}`", fields.spec.name, field.name);
            match field.need {
                Need::Required => self.found.error_help(
                    "missing-field",
                    &fields.place(),
                    message,
                    explained(field),
                ),
                Need::Wanted => self.found.warn_help(
                    "missing-field",
                    &fields.place(),
                    message,
                    explained(field),
                ),
                Need::Optional | Need::Nullable => {}
            }
        }
    }

    /// Opens an object whose `type` says what it is.
    pub fn tagged(
        &mut self,
        at: &At<'t>,
        family: &'static Tagged,
    ) -> Option<(&'static str, Fields<'t>)> {
        let Value::Object(members) = &at.node.value else {
            self.wrong_type(
                at,
                &format!("a {}", family.name),
                "an object",
                "write { \"type\": …, … }",
            );
            return None;
        };
        let kinds: Vec<Word> = family
            .kinds
            .iter()
            .map(|(name, spec)| (*name, spec.about))
            .collect();
        let written = members.iter().find(|m| m.key == "type");
        let kind = match written {
            Some(m) if m.value.value != Value::Null => {
                let ty = at.member("type", &m.value);
                self.word_of(&ty, &kinds, &format!("type of {}", family.name))?
                    .value
            }
            _ => self.missing_type(at, family, members.iter().map(|m| m.key.as_ref()))?,
        };
        let (kind, spec) = family.kinds.iter().find(|(name, _)| *name == kind)?;
        Some((kind, self.fields(at, spec, Some(family))?))
    }

    fn missing_type<'k>(
        &mut self,
        at: &At<'t>,
        family: &'static Tagged,
        keys: impl Iterator<Item = &'k str> + Clone,
    ) -> Option<&'static str> {
        let place = head(at);
        let has = |name: &str| keys.clone().any(|k| k == name);
        let inferred = match (family.name, has("entities"), has("attributes")) {
            ("table", true, false) => Some("multi-entity"),
            ("table", false, true) => Some("single-entity"),
            _ => None,
        };
        let names: Vec<&str> = family.kinds.iter().map(|(n, _)| *n).collect();
        let message = format!("this {} has no `type`", family.name);
        match inferred {
            Some(kind) => self.found.warn_help(
                "missing-type",
                &place,
                format!("{message}; it is read as {kind}"),
                format!("write \"type\": \"{kind}\""),
            ),
            None => self.found.error_help(
                "missing-type",
                &place,
                message,
                format!("write \"type\": one of {}", names.join(", ")),
            ),
        }
        inferred
    }

    pub fn wrong_type(&mut self, at: &At<'t>, what: &str, wanted: &str, help: &str) {
        if at.node.value == Value::Broken {
            return;
        }
        let message = format!(
            "{what} must be {wanted}, but this is {}",
            kind_of(&at.node.value)
        );
        self.found
            .error_help("wrong-type", &head(at), message, help);
    }

    /// Points into a text at `offset` bytes from its start, as far as its escapes let us know where that is.
    pub fn within(&self, text: &Text, offset: usize) -> Place {
        let span = &text.place.span;
        let raw = self.text.get(span.start + 1..span.end.saturating_sub(1));
        let rest = text.value.get(offset..);
        let (Some(raw), Some(rest)) = (raw, rest) else {
            return text.place.clone();
        };
        if raw != text.value || rest.is_empty() {
            return text.place.clone();
        }
        Place {
            span: span.start + 1 + offset..span.end - 1,
            pointer: text.place.pointer.clone(),
        }
    }
}
