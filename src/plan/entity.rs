//! One entity: its attributes resolved in the order in which they need each other, and its key.

use std::collections::HashMap;

use super::join;
use super::model::{Piece, SourceId, Sql, Transform, ValueSource};
use super::scope::{Cx, Mode, Scope};
use super::sql::subplace;
use super::suggest;
use super::types::{self, Shape};
use crate::contract::diagnostic::Place;
use crate::contract::format::{FormatError, parse_date_format, parse_number_format};
use crate::contract::model::{Attribute, AttributeType, Entity, Scalar, Text, Transformation};
use crate::contract::template::{self, TemplatePiece};
use crate::schema::ColumnType;

/// How far an attribute has been resolved.
#[derive(Clone)]
#[expect(
    clippy::large_enum_variant,
    reason = "one for each attribute while a contract is compiled"
)]
enum State {
    New,
    /// Being resolved: meeting it again is a circle.
    Busy,
    Done(Option<ValueSource>),
}

/// Templates that name each other more deeply than this are no contract that a person maintains.
const MOST_DEPTH: usize = 32;
/// Parts of a template after those that it names have been put in.
const MOST_PIECES: usize = 256;

pub(super) struct EntityCompiler<'e, 'x, 'a, 'd> {
    pub cx: &'x mut Cx<'a, 'd>,
    pub entity: &'e Entity,
    pub driving: SourceId,
    by_name: HashMap<&'e str, usize>,
    states: Vec<State>,
}

impl<'e, 'x, 'a, 'd> EntityCompiler<'e, 'x, 'a, 'd> {
    /// Resolves all attributes; what is wrong with them is reported.
    pub fn new(cx: &'x mut Cx<'a, 'd>, entity: &'e Entity, driving: SourceId) -> Self {
        let mut by_name = HashMap::new();
        for (index, attribute) in entity.attributes.iter().enumerate() {
            if by_name
                .insert(attribute.name.value.as_str(), index)
                .is_some()
            {
                cx.d.error(
                    "duplicate-attribute",
                    &attribute.name.place,
                    "the attribute is declared twice",
                );
            }
        }
        let states = vec![State::New; entity.attributes.len()];
        let mut compiler = Self {
            cx,
            entity,
            driving,
            by_name,
            states,
        };
        for index in 0..entity.attributes.len() {
            compiler.attribute(index, 0);
        }
        compiler
    }

    /// The attribute of this name.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// What was resolved for an attribute; `None` where something is wrong with it.
    pub fn value(&self, index: usize) -> Option<&ValueSource> {
        match &self.states[index] {
            State::Done(value) => value.as_ref(),
            _ => None,
        }
    }

    /// The entity's filter.
    pub fn filter(&mut self) -> Option<Sql> {
        let text = self.entity.filter.as_ref()?;
        join::expression(self.cx, &Scope::driving(self.driving), text, Mode::Driving)
    }

    fn attribute(&mut self, index: usize, depth: usize) -> Option<ValueSource> {
        match &self.states[index] {
            State::Done(value) => return value.clone(),
            State::Busy => return None,
            State::New => {}
        }
        self.states[index] = State::Busy;
        let attribute = &self.entity.attributes[index];
        let value = self.compile(attribute, depth);
        if let Some(value) = &value {
            self.check(attribute, value);
        }
        self.states[index] = State::Done(value.clone());
        value
    }

    fn compile(&mut self, attribute: &'e Attribute, depth: usize) -> Option<ValueSource> {
        if let Some(transformation) = &attribute.transformation {
            match &transformation.value {
                Transformation::Static(scalar) => {
                    return Some(ValueSource::Static(scalar.value.clone()));
                }
                Transformation::Template(text) => {
                    self.own_row(attribute)?;
                    if attribute.join.is_some() || attribute.calculation.is_some() {
                        self.cx.d.warn_help(
                            "value-replaced",
                            &text.place,
                            "the template replaces the result of the join or calculation",
                            "remove one of the two",
                        );
                    }
                    return self.template(text, Some(&attribute.name.value), depth);
                }
                _ => {}
            }
        }
        let input = self.base(attribute, depth)?;
        let Some(transformation) = &attribute.transformation else {
            return Some(input);
        };
        let by = self.transform(&transformation.value)?;
        if let Some(finding) = types::applies(&by, self.shape(&input)) {
            let place = match &transformation.value {
                Transformation::DateFormat { format: text, .. }
                | Transformation::NumberFormat(text) => &text.place,
                Transformation::BinaryFormat(format) => &format.place,
                _ => &transformation.place,
            };
            self.report(&finding, place);
        }
        Some(ValueSource::Transformed {
            input: Box::new(input),
            by,
        })
    }

    /// The value before any transformation.
    fn base(&mut self, attribute: &'e Attribute, depth: usize) -> Option<ValueSource> {
        match (&attribute.join, &attribute.calculation) {
            (Some(_), Some(calculation)) => {
                self.cx.d.error_help(
                    "two-values",
                    &calculation.place,
                    "an attribute has a join or a calculation, not both",
                    "remove one; an aggregate has its own \"target_table\" and condition",
                );
                return None;
            }
            (Some(joined), None) => return join::join(self.cx, self.driving, attribute, joined),
            (None, Some(calculation)) => {
                return join::calculation(self.cx, self.driving, attribute, &calculation.value);
            }
            (None, None) => {}
        }
        self.own_row(attribute)?;
        match attribute.source_columns.as_slice() {
            [one] => self
                .cx
                .sources
                .need(self.driving, &one.value, &one.place, self.cx.d)
                .map(ValueSource::Column),
            [] => self.without_source(attribute, depth),
            several => {
                let parts: Vec<_> = several
                    .iter()
                    .map(|c| {
                        let column = self
                            .cx
                            .sources
                            .need(self.driving, &c.value, &c.place, self.cx.d)
                            .map(ValueSource::Column)?;
                        self.textual(&column, &c.value, &c.place).then_some(column)
                    })
                    .collect();
                Some(ValueSource::Template(joined(
                    parts.into_iter().collect::<Option<Vec<_>>>()?,
                    "#",
                )))
            }
        }
    }

    /// Without a join, an attribute comes from the driving row.
    fn own_row(&mut self, attribute: &Attribute) -> Option<()> {
        let Some(text) = &attribute.source_table else {
            return Some(());
        };
        if text.value == self.entity.source_table.value
            || self.cx.sources.is_named(self.driving, &text.value)
        {
            return Some(());
        }
        let driving = self.cx.sources.name(self.driving).clone();
        let other = self.cx.sources.resolve(text, self.cx.d)?;
        if other == self.driving {
            return Some(());
        }
        self.cx.d.error_help(
            "other-table-without-join",
            &text.place,
            format!("`{}` comes from `{}`, but the item is driven by `{driving}` and nothing says which row is meant", attribute.name.value, text.value),
            format!("add a join, for example \"join\": {{\"type\": \"foreign-key\", \"target_table\": \"{}\", \"join_condition\": …, \"select_column\": …}}", text.value),
        );
        None
    }

    /// No column, no join, nothing: the column of the attribute's own name, or a composite, where there is one.
    fn without_source(&mut self, attribute: &'e Attribute, depth: usize) -> Option<ValueSource> {
        let name = &attribute.name;
        if attribute.ty.value == AttributeType::Null {
            return Some(ValueSource::Static(Scalar::Null));
        }
        if (self.cx.sources.offline() && !name.value.contains('#'))
            || self.cx.sources.has_column(self.driving, &name.value)
        {
            self.cx.d.warn_help(
                "source-column-assumed",
                &name.place,
                format!(
                    "nothing says where `{}` comes from: the column of the same name is taken",
                    name.value
                ),
                format!("add \"source_column\": \"{}\"", name.value),
            );
            return self
                .cx
                .sources
                .need(self.driving, &name.value, &name.place, self.cx.d)
                .map(ValueSource::Column);
        }
        if name.value.contains('#') {
            return self.composite(name, Some(&name.value), depth);
        }
        self.cx.d.error_help(
            "no-source",
            &name.place,
            format!("nothing says where `{}` comes from", name.value),
            "add \"source_column\", a \"transformation\", a \"join\" or a \"calculation\"",
        );
        None
    }

    fn transform(&mut self, transformation: &Transformation) -> Option<Transform> {
        match transformation {
            Transformation::DateFormat {
                format,
                source_format,
            } => {
                let parsed =
                    self.formatted(parse_date_format(&format.value), "date-format", format);
                let source = match source_format {
                    Some(text) => Some(
                        self.formatted(parse_date_format(&text.value), "date-format", text)
                            .map(|_| text.value.clone())?,
                    ),
                    None => None,
                };
                Some(Transform::Date {
                    format: parsed?,
                    source_format: source,
                })
            }
            Transformation::NumberFormat(text) => Some(Transform::Number(self.formatted(
                parse_number_format(&text.value),
                "number-format",
                text,
            )?)),
            Transformation::JsonParse => Some(Transform::JsonParse),
            Transformation::BinaryFormat(format) => Some(Transform::Binary(format.value)),
            Transformation::Template(_) | Transformation::Static(_) => None,
        }
    }

    fn formatted<T>(
        &mut self,
        parsed: Result<T, FormatError>,
        code: &'static str,
        text: &Text,
    ) -> Option<T> {
        let report = |e: FormatError| {
            self.cx
                .d
                .error_help(code, &subplace(text, e.offset, 1), e.message, e.help)
        };
        parsed.map_err(report).ok()
    }

    /// `a#b#c`: the named attributes or columns, joined by `#`.
    pub fn composite(
        &mut self,
        name: &Text,
        own: Option<&str>,
        depth: usize,
    ) -> Option<ValueSource> {
        let mut parts = Vec::new();
        let mut offset = 0;
        let mut complete = true;
        for part in name.value.split('#') {
            let place = subplace(name, offset, part.len());
            offset += part.len() + 1;
            if part.is_empty() {
                self.cx.d.error_help(
                    "empty-part",
                    &place,
                    format!("`{}` has an empty part", name.value),
                    "name an attribute on both sides of each `#`",
                );
                complete = false;
                continue;
            }
            match self.named(part, own, &place, depth) {
                Some(value) => parts.push(value),
                None => complete = false,
            }
        }
        if !complete {
            return None;
        }
        self.bounded(joined(parts, "#"), &name.place)
    }

    /// A template's text, its placeholders put in.
    pub fn template(
        &mut self,
        text: &Text,
        own: Option<&str>,
        depth: usize,
    ) -> Option<ValueSource> {
        let pieces = match template::parse(&text.value) {
            Ok(pieces) => pieces,
            Err(error) => {
                let place = subplace(text, error.offset, 1);
                self.cx
                    .d
                    .error_help("template-syntax", &place, error.message, error.help);
                return None;
            }
        };
        let mut built = Vec::new();
        let mut complete = true;
        let mut from = 0;
        for piece in pieces {
            match piece {
                TemplatePiece::Literal(literal) => built.push(Piece::Literal(literal)),
                TemplatePiece::Placeholder(name) => {
                    let place = placeholder(text, &name, &mut from);
                    match self.named(&name, own, &place, depth) {
                        Some(ValueSource::Template(inner)) => built.extend(inner),
                        Some(value) => built.push(Piece::Value(value)),
                        None => complete = false,
                    }
                }
            }
        }
        if !complete {
            return None;
        }
        self.bounded(built, &text.place)
    }

    /// The pieces as a value; without any placeholder a constant.
    fn bounded(&mut self, pieces: Vec<Piece>, place: &Place) -> Option<ValueSource> {
        if pieces.len() > MOST_PIECES {
            self.cx.d.error(
                "template-too-large",
                place,
                format!("the template has more than {MOST_PIECES} parts"),
            );
            return None;
        }
        let constant: Option<String> = pieces
            .iter()
            .map(|p| match p {
                Piece::Literal(text) => Some(text.as_str()),
                Piece::Value(_) => None,
            })
            .collect();
        Some(match constant {
            Some(text) => ValueSource::Static(Scalar::String(text)),
            None => ValueSource::Template(pieces),
        })
    }

    /// `{name}`: an attribute of the entity, else a column of the driving table. An attribute's own name inside its
    /// template is the column.
    fn named(
        &mut self,
        name: &str,
        own: Option<&str>,
        place: &Place,
        depth: usize,
    ) -> Option<ValueSource> {
        let attribute = self.find(name).filter(|_| own != Some(name));
        let value = match attribute {
            Some(index) if matches!(self.states[index], State::Busy) => {
                self.cx.d.error_help(
                    "circle",
                    place,
                    format!("`{name}` needs itself, through the templates that name it"),
                    "name the column instead of the attribute in one of them",
                );
                return None;
            }
            Some(_) if depth >= MOST_DEPTH => {
                self.cx.d.error(
                    "template-too-deep",
                    place,
                    format!("templates name each other more than {MOST_DEPTH} deep"),
                );
                return None;
            }
            Some(index) => self.attribute(index, depth + 1)?,
            None => self.column_named(name, place)?,
        };
        self.textual(&value, name, place).then_some(value)
    }

    fn column_named(&mut self, name: &str, place: &Place) -> Option<ValueSource> {
        if let Some(ordinal) = self.cx.sources.column_index(self.driving, name) {
            self.cx
                .sources
                .use_column(self.driving, ordinal, place, self.cx.d);
            return Some(ValueSource::Column(ordinal));
        }
        let table = self.cx.sources.table(self.driving);
        let attributes = self.entity.attributes.iter().map(|a| a.name.value.as_str());
        let known: std::collections::BTreeSet<_> = attributes
            .chain(table.columns.iter().map(|c| c.name.as_str()))
            .collect();
        let message = format!(
            "`{name}` is neither an attribute of the entity nor a column of `{}`",
            table.name
        );
        match suggest::help(name, "known are", known.iter().copied()) {
            Some(help) => self
                .cx
                .d
                .error_help("unknown-placeholder", place, message, help),
            None => self.cx.d.error("unknown-placeholder", place, message),
        }
        None
    }

    /// Whether the value can stand inside text; says why not.
    fn textual(&mut self, value: &ValueSource, name: &str, place: &Place) -> bool {
        let binary = matches!(
            self.shape(value),
            Shape::Column(
                ColumnType::Binary { .. }
                    | ColumnType::Bytes { .. }
                    | ColumnType::Geometry
                    | ColumnType::Vector { .. }
            )
        );
        if binary {
            self.cx.d.error_help(
                "binary-in-text",
                place,
                format!("`{name}` holds bytes, which cannot stand inside text"),
                "make an attribute of it with \"transformation\": {\"type\": \"binary-format\", \"format\": \"hex\"} and name that one here",
            );
        }
        !binary
    }

    fn check(&mut self, attribute: &Attribute, value: &ValueSource) {
        if let Some(finding) = types::fits(attribute.ty.value, self.shape(value)) {
            self.report(&finding, &attribute.ty.place);
        }
        let rounds_away = matches!(
            value,
            ValueSource::Transformed {
                by: Transform::Number(_),
                ..
            }
        );
        if rounds_away && attribute.ty.value == AttributeType::N {
            self.cx.d.warn_help(
                "number-format-lost",
                &attribute.ty.place,
                "DynamoDB keeps numbers without leading and trailing zeros: the format's padding is lost",
                "write S to keep it",
            );
        }
    }

    fn report(&mut self, finding: &types::Finding, place: &Place) {
        match finding.refuse {
            true => self.cx.d.error_help(
                finding.code,
                place,
                finding.message.clone(),
                finding.help.clone(),
            ),
            false => self.cx.d.warn_help(
                finding.code,
                place,
                finding.message.clone(),
                finding.help.clone(),
            ),
        }
    }

    fn shape<'v>(&'v self, value: &'v ValueSource) -> Shape<'v> {
        match value {
            ValueSource::Column(ordinal) => {
                match self.cx.sources.column_type(self.driving, *ordinal) {
                    Some(ty) => Shape::Column(ty),
                    None => Shape::Unknown,
                }
            }
            ValueSource::Static(scalar) => Shape::Constant(scalar),
            ValueSource::Template(pieces) => Shape::Text {
                digits: pieces.iter().all(|p| self.digits(p)) && pieces.len() == 1,
            },
            ValueSource::Transformed { by, .. } => types::shape_after(by),
            ValueSource::Join(plan) => match &plan.construction {
                Some(construction) => Shape::Json {
                    array: Some(construction.array),
                },
                None => Shape::Unknown,
            },
            _ => Shape::Unknown,
        }
    }

    fn digits(&self, piece: &Piece) -> bool {
        match piece {
            Piece::Literal(text) => types::is_number(text),
            Piece::Value(value) => {
                types::fits(AttributeType::N, self.shape(value)).is_none_or(|f| !f.refuse)
            }
        }
    }
}

/// Values with a separator between them, as pieces of a template.
fn joined(values: Vec<ValueSource>, separator: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for value in values {
        if !pieces.is_empty() {
            pieces.push(Piece::Literal(separator.to_string()));
        }
        match value {
            ValueSource::Template(inner) => pieces.extend(inner),
            value => pieces.push(Piece::Value(value)),
        }
    }
    pieces
}

/// The place of the next `{name}` in the text; `from` is where to look for it.
pub(super) fn placeholder(text: &Text, name: &str, from: &mut usize) -> Place {
    let rest = text.value.get(*from..).unwrap_or_default();
    let found = rest
        .match_indices('{')
        .find(|(at, _)| rest[at + 1..].trim_start().starts_with(name));
    match found {
        Some((at, _)) => {
            let length = rest[at..].find('}').map_or(1, |end| end + 1);
            let offset = *from + at;
            *from = offset + length;
            subplace(text, offset, length)
        }
        None => text.place.clone(),
    }
}
