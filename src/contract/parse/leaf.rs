//! What a field holds: texts, lists, words, numbers; the loose forms that have one meaning are taken with a warning.

use super::guess;
use super::read::{At, Fields, Input, head};
use crate::contract::diagnostic::Place;
use crate::contract::json::{Value, clip};
use crate::contract::model::{Scalar, Spanned, Text};
use crate::contract::spec::{Shape, Word};

impl<'t> Input<'t> {
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
                self.found.error_help(
                    "empty-text",
                    &place,
                    format!("{what} is empty"),
                    "write what is meant, or leave the field out where it is optional",
                );
                return None;
            }
            Shape::Template => written.as_ref(),
            Shape::Sql | Shape::Sqls => written.trim(),
            _ => self.trimmed(written, &place, what),
        };
        if value.contains('\0') {
            self.found.error_help(
                "control-character",
                &place,
                format!("{what} holds a zero character"),
                "remove the \\u0000",
            );
            return None;
        }
        Some(Spanned {
            value: value.to_owned(),
            place,
        })
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
                self.found.warn_help(
                    "not-an-array",
                    &at.place(),
                    format!("`{name}` is a list; the text is taken as its only element"),
                    help,
                );
            }
            return Some(vec![one]);
        };
        if elements.is_empty() && !matches!(shape, Shape::Texts) {
            self.found.error_help(
                "empty-list",
                &at.place(),
                format!("`{name}` is an empty list"),
                "write at least one element, or leave the field out where it is optional",
            );
            return None;
        }
        let mut texts = Vec::new();
        for (i, element) in elements.iter().enumerate() {
            texts.push(self.text_at(
                &at.element(i, element),
                shape,
                &format!("an element of `{name}`"),
            ));
        }
        texts.into_iter().collect()
    }

    /// The objects of a list; one object alone is taken as a list of one.
    pub fn elements(&mut self, fields: &Fields<'t>, name: &str) -> Option<Vec<At<'t>>> {
        let at = fields.get(name)?;
        match &at.node.value {
            Value::Array(elements) => Some(
                elements
                    .iter()
                    .enumerate()
                    .map(|(i, e)| at.element(i, e))
                    .collect(),
            ),
            Value::Object(_) => {
                self.found.warn_help(
                    "not-an-array",
                    &head(at),
                    format!("`{name}` is a list; the object is taken as its only element"),
                    "write [ … ] around it",
                );
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
            Shape::Word(words) => {
                let of = fields
                    .spec
                    .name
                    .split_once(' ')
                    .map_or("", |(_, bare)| bare);
                let what = if name == "type" {
                    format!("type of {of}")
                } else {
                    name.to_owned()
                };
                self.word_of(at, words, &what)
            }
            _ => None,
        }
    }

    pub fn word_of(
        &mut self,
        at: &At<'t>,
        words: &[Word],
        what: &str,
    ) -> Option<Spanned<&'static str>> {
        let Value::String(written) = &at.node.value else {
            self.wrong_type(
                at,
                &format!("the {what}"),
                "text",
                "write it in double quotes",
            );
            return None;
        };
        let place = at.place();
        if let Some((word, _)) = words.iter().find(|(w, _)| *w == written.as_ref()) {
            return Some(Spanned { value: word, place });
        }
        let names = || words.iter().map(|(w, _)| *w);
        if let Some(word) = guess::same_word(written, names()) {
            let message = format!("`{}` is read as `{word}`", clip(written));
            self.found
                .warn_help("loose-word", &place, message, format!("write \"{word}\""));
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
            Value::String(s) if s.eq_ignore_ascii_case("true") || s.eq_ignore_ascii_case("yes") => {
                true
            }
            Value::String(s) if s.eq_ignore_ascii_case("false") || s.eq_ignore_ascii_case("no") => {
                false
            }
            Value::Number("1") => true,
            Value::Number("0") => false,
            _ => {
                self.wrong_type(
                    at,
                    &format!("`{name}`"),
                    "true or false",
                    "write true or false, without quotes",
                );
                return None;
            }
        };
        self.found.warn_help(
            "loose-type",
            &at.place(),
            format!("`{name}` is read as {meant}"),
            format!("write {meant}, without quotes"),
        );
        Some(meant)
    }

    /// A whole number; one in quotes is taken with a warning.
    pub fn count(&mut self, fields: &Fields<'t>, name: &str) -> Option<Spanned<u64>> {
        let at = fields.get(name)?;
        let Some(Shape::Count(least)) = fields.shape(name) else {
            return None;
        };
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
                    self.found.warn_help(
                        "loose-type",
                        &at.place(),
                        format!("`{name}` is a number, not text"),
                        format!("write {value}, without quotes"),
                    );
                }
                Some(Spanned {
                    value,
                    place: at.place(),
                })
            }
            _ => {
                self.found.error_help(
                    "wrong-number",
                    &at.place(),
                    format!("`{name}` must be a whole number of at least {least}"),
                    "write it in digits, as 10",
                );
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
                self.wrong_type(
                    at,
                    &format!("`{name}`"),
                    "text, a number, true, false or null",
                    "lists and objects are not values here",
                );
                return None;
            }
        };
        Some(Spanned {
            value,
            place: at.place(),
        })
    }

    /// Fields that nothing reads still hold what the format says; otherwise a warning.
    pub fn documentation(&mut self, fields: &Fields<'t>, names: &[&str]) {
        for name in names {
            let Some(at) = fields.get(name) else { continue };
            let fits = match (fields.shape(name), &at.node.value) {
                (Some(Shape::Texts), Value::Array(elements)) => {
                    elements.iter().all(|e| matches!(e.value, Value::String(_)))
                }
                (Some(Shape::Count(_)), Value::Number(_))
                | (Some(Shape::Text | Shape::Name), Value::String(_)) => true,
                (_, Value::Broken) => true,
                _ => false,
            };
            if !fits {
                let message = format!(
                    "`{name}` is documentation, but not of the form that the format gives it"
                );
                let help = fields.spec.field(name).map_or("", |f| f.about);
                self.found.warn_help("loose-type", &head(at), message, help);
            }
        }
    }
}
