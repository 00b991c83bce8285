//! Reading an object against its [`Spec`]: fields known and unknown, missing and null, and what they hold.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use super::guess;
use crate::contract::diagnostic::{Diagnostics, Place};
use crate::contract::json::{Node, Value, clip};
use crate::contract::model::{Scalar, Spanned, Text};
use crate::contract::spec::{Field, Need, Shape, Spec, Tagged, Word};

/// What all parts of the parser share.
pub struct Input<'t> {
    pub text: &'t str,
    pub strict: bool,
    pub found: Diagnostics,
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
        Place { span, pointer: Arc::from(self.pointer.as_str()) }
    }

    pub fn element(&self, index: usize, node: &'t Node<'t>) -> At<'t> {
        At { node, pointer: format!("{}/{index}", self.pointer) }
    }

    pub fn member(&self, key: &str, node: &'t Node<'t>) -> At<'t> {
        let key = key.replace('~', "~0").replace('/', "~1");
        At { node, pointer: format!("{}/{key}", self.pointer) }
    }
}

impl<'t> Fields<'t> {
    pub fn get(&self, name: &str) -> Option<&At<'t>> {
        debug_assert!(self.spec.field(name).is_some(), "{name} is not in the spec of {}", self.spec.name);
        self.known.iter().find(|(f, _)| f.name == name).map(|(_, at)| at)
    }

    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Where to point at when the object as a whole is meant: its opening bracket, not all of its lines.
    pub fn place(&self) -> Place {
        head(&self.at)
    }

    fn shape(&self, name: &str) -> Option<&'static Shape> {
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
    pub fn fields(&mut self, at: &At<'t>, spec: &'static Spec, family: Option<&'static Tagged>) -> Option<Fields<'t>> {
        let Value::Object(members) = &at.node.value else {
            self.wrong_type(at, spec.name, "an object", "write { … } with its fields");
            return None;
        };
        let mut fields = Fields { spec, at: at.clone(), known: Vec::new() };
        let mut unknown = Vec::new();
        let mut seen = HashSet::new();
        for member in members {
            let key = member.key.as_ref();
            let child = at.member(key, &member.value);
            let key_place = child.spot(member.key_span.clone());
            if !seen.insert(key) {
                let message = format!("the field `{}` stands twice in one object", clip(key));
                self.found.error_help("duplicate-field", &key_place, message, "remove one of them");
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

    fn known_field(&mut self, fields: &mut Fields<'t>, field: &'static Field, child: At<'t>, key: &Place) {
        let null = child.node.value == Value::Null && !matches!(field.shape, Shape::Scalar);
        match field.need {
            _ if !null => fields.known.push((field, child)),
            Need::Nullable => {}
            Need::Required => {
                let message = format!("`{}` of {} is null, and it is needed", field.name, fields.spec.name);
                self.found.error_help("missing-field", key, message, field.about);
            }
            Need::Wanted | Need::Optional => {
                let message = format!("`{}` is null, which is taken as if it were not there", field.name);
                self.found.warn_help("null-field", key, message, "leave the field out");
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
        let relative = family.and_then(|t| t.kinds.iter().find(|(_, spec)| spec.field(key).is_some()));
        let empty = match &child.node.value {
            Value::Null => true,
            Value::Array(elements) => elements.is_empty(),
            _ => false,
        };
        if relative.is_some() && empty {
            return;
        }
        let names = fields.spec.fields.iter().map(|f| f.name).filter(|n| !seen.contains(n));
        let suggestion = guess::field(key, names);
        let missing = suggestion.and_then(|s| fields.spec.field(s)).filter(|f| f.need == Need::Required);
        if let Some(field) = missing {
            let message = format!("{} needs `{}`, and `{}` is not a field of it", fields.spec.name, field.name, clip(key));
            let help = format!("if `{}` is meant, write `{}`", clip(key), field.name);
            self.found.error_help("missing-field", place, message, help);
            // Reported here; it must not be reported as missing once more.
            seen.insert(field.name);
            return;
        }
        let message = format!("`{}` is not a field of {}; it is ignored", clip(key), fields.spec.name);
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
            self.found.error_help("unknown-field", place, message.replace("; it is ignored", ""), help);
        } else {
            self.found.warn_help("unknown-field", place, message, help);
        }
    }

    fn missing_fields(&mut self, fields: &Fields<'t>, seen: &HashSet<&'t str>) {
        for field in fields.spec.fields.iter().filter(|f| !seen.contains(f.name)) {
            let message = format!("{} has no `{}`", fields.spec.name, field.name);
            match field.need {
                Need::Required => self.found.error_help("missing-field", &fields.place(), message, field.about),
                Need::Wanted => self.found.warn_help("missing-field", &fields.place(), message, field.about),
                Need::Optional | Need::Nullable => {}
            }
        }
    }

    /// Opens an object whose `type` says what it is.
    pub fn tagged(&mut self, at: &At<'t>, family: &'static Tagged) -> Option<(&'static str, Fields<'t>)> {
        let Value::Object(members) = &at.node.value else {
            self.wrong_type(at, &format!("a {}", family.name), "an object", "write { \"type\": …, … }");
            return None;
        };
        let kinds: Vec<Word> = family.kinds.iter().map(|(name, spec)| (*name, spec.about)).collect();
        let written = members.iter().find(|m| m.key == "type");
        let kind = match written {
            Some(m) if m.value.value != Value::Null => {
                let ty = at.member("type", &m.value);
                self.word_of(&ty, &kinds, &format!("type of {}", family.name))?.value
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
            Some(kind) => self.found.warn_help("missing-type", &place, format!("{message}; it is read as {kind}"), format!("write \"type\": \"{kind}\"")),
            None => self.found.error_help("missing-type", &place, message, format!("write \"type\": one of {}", names.join(", "))),
        }
        inferred
    }

    /// Text of a field, by the rules of its shape.
    pub fn text(&mut self, fields: &Fields<'t>, name: &str) -> Option<Text> {
        let at = fields.get(name)?;
        let shape = fields.shape(name)?;
        self.text_at(at, shape, &format!("`{name}`"))
    }

    /// The text that stands here. `what` begins the messages.
    pub fn text_at(&mut self, at: &At<'t>, shape: &Shape, what: &str) -> Option<Text> {
        let Value::String(written) = &at.node.value else {
            self.wrong_type(at, what, "text", "write it in double quotes");
            return None;
        };
        let place = at.place();
        let value = match shape {
            Shape::Text | Shape::Texts => written.as_ref(),
            _ if written.trim().is_empty() => {
                self.found.error_help("empty-text", &place, format!("{what} is empty"), "write what is meant, or leave the field out where it is optional");
                return None;
            }
            Shape::Template => written.as_ref(),
            Shape::Sql | Shape::Sqls => written.trim(),
            _ => self.trimmed(written, &place, what),
        };
        if value.contains('\0') {
            self.found.error_help("control-character", &place, format!("{what} holds a zero character"), "remove the \\u0000");
            return None;
        }
        Some(Spanned { value: value.to_owned(), place })
    }

    fn trimmed<'s>(&mut self, written: &'s str, place: &Place, what: &str) -> &'s str {
        let value = written.trim();
        if value.len() != written.len() {
            self.found.warn_help(
                "white-space",
                place,
                format!("{what} has white space around it, which is left out"),
                format!("write \"{}\"", clip(value)),
            );
        }
        value
    }

    /// A list of texts; one text alone is taken as a list of one.
    pub fn list(&mut self, fields: &Fields<'t>, name: &str) -> Option<Vec<Text>> {
        let at = fields.get(name)?;
        let shape = fields.shape(name)?;
        let Value::Array(elements) = &at.node.value else {
            let one = self.text_at(at, shape, &format!("`{name}`"))?;
            if !matches!(shape, Shape::NameOrNames) {
                let help = format!("write [\"{}\"]", clip(&one.value));
                self.found.warn_help("not-an-array", &at.place(), format!("`{name}` is a list; the text is taken as its only element"), help);
            }
            return Some(vec![one]);
        };
        if elements.is_empty() && !matches!(shape, Shape::Texts) {
            self.found.error_help("empty-list", &at.place(), format!("`{name}` is an empty list"), "write at least one element, or leave the field out where it is optional");
            return None;
        }
        let mut texts = Vec::new();
        for (i, element) in elements.iter().enumerate() {
            texts.push(self.text_at(&at.element(i, element), shape, &format!("an element of `{name}`")));
        }
        texts.into_iter().collect()
    }

    /// The objects of a list; one object alone is taken as a list of one.
    pub fn elements(&mut self, fields: &Fields<'t>, name: &str) -> Option<Vec<At<'t>>> {
        let at = fields.get(name)?;
        match &at.node.value {
            Value::Array(elements) => Some(elements.iter().enumerate().map(|(i, e)| at.element(i, e)).collect()),
            Value::Object(_) => {
                self.found.warn_help("not-an-array", &head(at), format!("`{name}` is a list; the object is taken as its only element"), "write [ … ] around it");
                Some(vec![at.clone()])
            }
            _ => {
                self.wrong_type(at, &format!("`{name}`"), "an array", "write [ … ]");
                None
            }
        }
    }

    /// A word of the field's closed list.
    pub fn word(&mut self, fields: &Fields<'t>, name: &str) -> Option<Spanned<&'static str>> {
        let at = fields.get(name)?;
        match fields.shape(name)? {
            Shape::Word(words) => self.word_of(at, words, name),
            _ => None,
        }
    }

    fn word_of(&mut self, at: &At<'t>, words: &[Word], what: &str) -> Option<Spanned<&'static str>> {
        let Value::String(written) = &at.node.value else {
            self.wrong_type(at, &format!("the {what}"), "text", "write it in double quotes");
            return None;
        };
        let place = at.place();
        if let Some((word, _)) = words.iter().find(|(w, _)| *w == written.as_ref()) {
            return Some(Spanned { value: word, place });
        }
        let names = || words.iter().map(|(w, _)| *w);
        if let Some(word) = guess::same_word(written, names()) {
            let message = format!("`{}` is read as `{word}`", clip(written));
            self.found.warn_help("loose-word", &place, message, format!("write \"{word}\""));
            return Some(Spanned { value: word, place });
        }
        let message = format!("`{}` is no {what}", clip(written));
        let all = names().collect::<Vec<_>>().join(", ");
        let help = match guess::word(written, names()) {
            Some(word) => format!("did you mean \"{word}\"? There are {all}"),
            None => format!("write one of {all}"),
        };
        self.found.error_help("unknown-word", &place, message, help);
        None
    }

    /// True or false; the words and 0/1 are taken with a warning.
    pub fn bool(&mut self, fields: &Fields<'t>, name: &str) -> Option<bool> {
        let at = fields.get(name)?;
        let meant = match &at.node.value {
            Value::Bool(b) => return Some(*b),
            Value::String(s) if s.eq_ignore_ascii_case("true") || s.eq_ignore_ascii_case("yes") => true,
            Value::String(s) if s.eq_ignore_ascii_case("false") || s.eq_ignore_ascii_case("no") => false,
            Value::Number("1") => true,
            Value::Number("0") => false,
            _ => {
                self.wrong_type(at, &format!("`{name}`"), "true or false", "write true or false, without quotes");
                return None;
            }
        };
        self.found.warn_help("loose-type", &at.place(), format!("`{name}` is read as {meant}"), format!("write {meant}, without quotes"));
        Some(meant)
    }

    /// A whole number; one in quotes is taken with a warning.
    pub fn count(&mut self, fields: &Fields<'t>, name: &str) -> Option<Spanned<u64>> {
        let at = fields.get(name)?;
        let Some(Shape::Count(least)) = fields.shape(name) else { return None };
        let (raw, quoted) = match &at.node.value {
            Value::Number(raw) => (*raw, false),
            Value::String(s) => (s.trim(), true),
            _ => {
                self.wrong_type(at, &format!("`{name}`"), "a whole number", "write digits");
                return None;
            }
        };
        // 5.0 is 5: generators that know only floating point write it so.
        let whole = raw.strip_suffix(".0").unwrap_or(raw);
        match whole.parse::<u64>() {
            Ok(value) if value >= *least => {
                if quoted {
                    self.found.warn_help("loose-type", &at.place(), format!("`{name}` is a number, not text"), format!("write {value}, without quotes"));
                }
                Some(Spanned { value, place: at.place() })
            }
            _ => {
                self.found.error_help("wrong-number", &at.place(), format!("`{name}` is a whole number of at least {least}"), "write digits only");
                None
            }
        }
    }

    /// A JSON scalar, null included.
    pub fn scalar(&mut self, fields: &Fields<'t>, name: &str) -> Option<Spanned<Scalar>> {
        let at = fields.get(name)?;
        let value = match &at.node.value {
            Value::Null => Scalar::Null,
            Value::Bool(b) => Scalar::Bool(*b),
            Value::Number(raw) => Scalar::Number((*raw).to_owned()),
            Value::String(s) => Scalar::String(s.to_string()),
            _ => {
                self.wrong_type(at, &format!("`{name}`"), "text, a number, true, false or null", "lists and objects are not values here");
                return None;
            }
        };
        Some(Spanned { value, place: at.place() })
    }

    /// Fields that nothing reads still hold what the format says; otherwise a warning.
    pub fn documentation(&mut self, fields: &Fields<'t>, names: &[&str]) {
        for name in names {
            let Some(at) = fields.get(name) else { continue };
            let fits = match (fields.shape(name), &at.node.value) {
                (Some(Shape::Texts), Value::Array(elements)) => elements.iter().all(|e| matches!(e.value, Value::String(_))),
                (Some(Shape::Count(_)), Value::Number(_)) | (Some(Shape::Text | Shape::Name), Value::String(_)) => true,
                (_, Value::Broken) => true,
                _ => false,
            };
            if !fits {
                let message = format!("`{name}` is documentation, but not of the form that the format gives it");
                let help = fields.spec.field(name).map_or("", |f| f.about);
                self.found.warn_help("loose-type", &head(at), message, help);
            }
        }
    }

    pub fn wrong_type(&mut self, at: &At<'t>, what: &str, wanted: &str, help: &str) {
        if at.node.value == Value::Broken {
            return;
        }
        let message = format!("{what} must be {wanted}, but this is {}", kind_of(&at.node.value));
        self.found.error_help("wrong-type", &head(at), message, help);
    }

    /// Points into a text at `offset` bytes from its start, as far as its escapes let us know where that is.
    pub fn within(&self, text: &Text, offset: usize) -> Place {
        let span = &text.place.span;
        let raw = self.text.get(span.start + 1..span.end.saturating_sub(1));
        let rest = text.value.get(offset..);
        let (Some(raw), Some(rest)) = (raw, rest) else { return text.place.clone() };
        if raw != text.value || rest.is_empty() {
            return text.place.clone();
        }
        Place {
            span: span.start + 1 + offset..span.end - 1,
            pointer: text.place.pointer.clone(),
        }
    }
}
