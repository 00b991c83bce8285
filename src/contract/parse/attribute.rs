//! Attributes: one value source each.

use super::limits::Names;
use super::read::{At, Fields, Input, head};
use super::table::blank;
use crate::contract::json::{Value, clip};
use crate::contract::model::{
    Attribute, AttributeType, Construction, Join, Scalar, Spanned, Table, TableKind, Text,
    Transformation,
};
use crate::contract::spec;
use crate::contract::template;

impl<'t> Input<'t> {
    pub fn attributes(&mut self, fields: &Fields<'t>, needed: bool) -> Vec<Attribute> {
        let elements = self.elements(fields, "attributes").unwrap_or_default();
        if elements.is_empty()
            && let Some(list) = fields.get("attributes")
        {
            if needed {
                self.found.error_help(
                    "empty-list",
                    &list.place(),
                    "the table has no attributes",
                    "write at least the key attributes",
                );
                return Vec::new();
            }
            self.found.warn_help(
                "empty-list",
                &list.place(),
                "the entity has no attributes besides its keys",
                "write its attributes, if it is to have any",
            );
        }
        let mut names = Names::new("attribute", "duplicate-attribute");
        let mut attributes = Vec::new();
        for element in &elements {
            let attribute = self.attribute(element);
            if let Some(attribute) = &attribute {
                names.add(self, &attribute.name);
            }
            self.incomplete |= attribute.is_none();
            attributes.extend(attribute);
        }
        attributes
    }

    fn attribute(&mut self, at: &At<'t>) -> Option<Attribute> {
        let fields = self.fields(at, &spec::ATTRIBUTE, None)?;
        let name = self.text(&fields, "name");
        if let Some(name) = &name {
            self.check_attribute_name(name);
        }
        let ty = self
            .word(&fields, "type")
            .and_then(|word| self.attribute_type(word));
        let source_table = self.text(&fields, "source_table");
        let columns = self.list(&fields, "source_column");
        let unreadable = columns.is_none() && fields.has("source_column");
        let join = fields.get("join").map(|at| (at.clone(), self.join(at)));
        let calculation = fields
            .get("calculation")
            .map(|at| (at.clone(), self.calculation(at)));
        let transformation = fields
            .get("transformation")
            .map(|at| (at.clone(), self.transformation(at)));
        let denormalized = self.bool(&fields, "denormalized").unwrap_or(false);
        self.documentation(&fields, &["justification"]);
        let broken = unreadable
            || matches!(join, Some((_, None)))
            || matches!(calculation, Some((_, None)))
            || matches!(transformation, Some((_, None)));
        if broken {
            return None;
        }
        // The columns of one whose name or type is wrong can still be looked up; its table is broken.
        let complete = name.is_some() && ty.is_some();
        self.incomplete |= !complete;
        let attribute = Attribute {
            place: fields.place(),
            name: name.unwrap_or_else(|| blank(&fields)),
            ty: ty.unwrap_or_else(|| Spanned {
                value: AttributeType::S,
                place: fields.place(),
            }),
            source_table,
            source_columns: columns.unwrap_or_default(),
            join: spanned(join),
            calculation: spanned(calculation),
            transformation: spanned(transformation),
            denormalized,
        };
        match complete {
            true => self.value_source(attribute),
            false => (!attribute.source_columns.is_empty()).then_some(attribute),
        }
    }

    fn attribute_type(&mut self, word: Spanned<&'static str>) -> Option<Spanned<AttributeType>> {
        let value = match word.value {
            "S" => AttributeType::S,
            "N" => AttributeType::N,
            "B" => AttributeType::B,
            "SS" => AttributeType::SS,
            "NS" => AttributeType::NS,
            "BS" => AttributeType::BS,
            "M" => AttributeType::M,
            "L" => AttributeType::L,
            "BOOL" => AttributeType::Bool,
            "NULL" => AttributeType::Null,
            _ => return None,
        };
        Some(Spanned {
            value,
            place: word.place,
        })
    }

    /// The rules of which sources may stand beside which, and which types they make.
    fn value_source(&mut self, mut attribute: Attribute) -> Option<Attribute> {
        let before = self.found.error_count();
        if let (Some(_), Some(calculation)) = (&attribute.join, &attribute.calculation) {
            self.found.error_help(
                "two-sources",
                &calculation.place,
                format!(
                    "`{}` has both a join and a calculation; a value comes from one of them",
                    clip(&attribute.name.value)
                ),
                "remove one of them; an aggregate has its own `target_table` and `join_condition`",
            );
        }
        if let Some(transformation) = attribute.transformation.clone() {
            self.transformation_beside(&mut attribute, &transformation);
            self.transformation_type(&attribute, &transformation);
        }
        if let Some(join) = &attribute.join {
            self.construction_type(&attribute, join);
        }
        self.composite(&attribute);
        (self.found.error_count() == before).then_some(attribute)
    }

    /// A transformation beside a join or a calculation applies to its result; with placeholders it replaces it.
    fn transformation_beside(
        &mut self,
        attribute: &mut Attribute,
        transformation: &Spanned<Transformation>,
    ) {
        let beside = match (&attribute.join, &attribute.calculation) {
            (Some(_), _) => "join",
            (None, Some(_)) => "calculation",
            (None, None) => return self.transformation_alone(attribute, transformation),
        };
        let place = &transformation.place;
        match &transformation.value {
            Transformation::Template(text)
                if template::parse(&text.value).is_ok_and(|p| template::has_placeholder(&p)) =>
            {
                let message = format!(
                    "this text has placeholders and gives the value alone; the {beside} is not used"
                );
                self.found.warn_help(
                    "unused-field",
                    place,
                    message,
                    format!("remove the {beside}, or the transformation"),
                );
                attribute.join = None;
                attribute.calculation = None;
            }
            Transformation::Template(_) | Transformation::Static(_) => {
                let message = format!(
                    "a {beside} and a constant: `{}` cannot have both as its value",
                    clip(&attribute.name.value)
                );
                self.found.error_help(
                    "two-sources",
                    place,
                    message,
                    format!("remove the {beside}, or the transformation"),
                );
            }
            _ => {}
        }
    }

    fn transformation_alone(
        &mut self,
        attribute: &Attribute,
        transformation: &Spanned<Transformation>,
    ) {
        let name = clip(&attribute.name.value);
        match (&transformation.value, attribute.source_columns.first()) {
            (Transformation::Static(_), Some(column)) => {
                let message = format!("`{name}` is static; its `source_column` is not used");
                self.found.warn_help(
                    "unused-field",
                    &column.place,
                    message,
                    "remove `source_column`, or the transformation",
                );
            }
            (Transformation::Template(text), Some(column))
                if template::parse(&text.value).is_ok_and(|p| !template::has_placeholder(&p)) =>
            {
                let message = format!(
                    "the text has no placeholder, so every item has the same `{name}`; `source_column` is not used"
                );
                let help = format!(
                    "write `{{{}}}` where its value belongs, or remove `source_column`",
                    clip(&column.value)
                );
                self.found
                    .warn_help("unused-field", &text.place, message, help);
            }
            (Transformation::Static(_) | Transformation::Template(_), _) => {}
            (_, None) => {
                let message = format!("nothing says which value of `{name}` is transformed");
                self.found.error_help(
                    "no-value",
                    &transformation.place,
                    message,
                    "write `source_column`, or a join or a calculation",
                );
            }
            (_, Some(_)) if attribute.source_columns.len() > 1 => {
                let message = "several source columns make one text, which this transformation does not understand";
                self.found.error_help(
                    "two-meanings",
                    &transformation.place,
                    message,
                    "name one source column, or use a string-format",
                );
            }
            _ => {}
        }
    }

    fn transformation_type(
        &mut self,
        attribute: &Attribute,
        transformation: &Spanned<Transformation>,
    ) {
        use AttributeType::{B, L, M, N, Null, S};
        let ty = attribute.ty.value;
        let (fits, makes) = match &transformation.value {
            Transformation::JsonParse => (
                matches!(ty, M | L),
                "a map or a list: write \"M\" or \"L\", or leave the transformation out to keep the text",
            ),
            Transformation::BinaryFormat(_) => (
                ty == S,
                "text: write \"S\", or leave the transformation out to keep the bytes (\"B\")",
            ),
            Transformation::DateFormat { .. } | Transformation::NumberFormat(_) => (
                matches!(ty, S | N),
                "text or a number: write \"S\" or \"N\"",
            ),
            Transformation::Template(_) => (matches!(ty, S | N | B), "text: write \"S\""),
            Transformation::Static(value) => match (&value.value, ty) {
                (_, Null) | (Scalar::Null, _) => (true, ""),
                (Scalar::String(s), N) => (
                    s.trim().parse::<f64>().is_ok_and(f64::is_finite),
                    "text that is no number: write \"S\"",
                ),
                (Scalar::String(_), S | B | AttributeType::Bool) => (true, ""),
                (Scalar::Number(_), S | N) => (true, ""),
                (Scalar::Bool(_), S | AttributeType::Bool) => (true, ""),
                _ => (
                    false,
                    "a text, a number, true or false: write \"S\", \"N\" or \"BOOL\", as the value is",
                ),
            },
        };
        if !fits {
            self.found.error_help(
                "type-mismatch",
                &attribute.ty.place,
                "this type does not fit the transformation",
                format!("it makes {makes}"),
            );
        }
    }

    fn construction_type(&mut self, attribute: &Attribute, join: &Spanned<Join>) {
        use AttributeType::{L, M, S};
        // A transformation decides the type itself.
        if attribute.transformation.is_some() {
            return;
        }
        let Join::Json {
            construction: Construction { array, .. },
            ..
        } = &join.value
        else {
            return;
        };
        let (native, kind, word) = if *array {
            (L, "an array", "L")
        } else {
            (M, "an object", "M")
        };
        let ty = attribute.ty.value;
        if ty != native && ty != S {
            let message = format!("the construction makes {kind}, which is not of this type");
            self.found.error_help(
                "type-mismatch",
                &attribute.ty.place,
                message,
                format!("write \"{word}\", or \"S\" for JSON text"),
            );
        }
    }

    /// Several columns are one text.
    fn composite(&mut self, attribute: &Attribute) {
        let alone = attribute.join.is_none()
            && attribute.calculation.is_none()
            && attribute.transformation.is_none();
        if attribute.source_columns.len() < 2 || !alone {
            return;
        }
        if attribute.ty.value != AttributeType::S {
            let message = "several source columns are joined by `#`, which makes a text";
            self.found.error_help(
                "type-mismatch",
                &attribute.ty.place,
                message,
                "write \"S\", or name one source column",
            );
        }
        let mut names = Names::new("source column", "duplicate-column");
        for column in &attribute.source_columns {
            names.add(self, column);
        }
    }

    /// Attributes that say no value: a key's declaration beside its template or composite is dropped, the rest are
    /// errors.
    pub fn drop_keys_without_value(&mut self, table: &mut Table) {
        let multi = matches!(table.kind, TableKind::Multi(_));
        let default = table.pk.is_none() && multi;
        let pk = table
            .pk
            .as_ref()
            .map(|k| k.value.clone())
            .or(default.then(|| "PK".to_owned()));
        let sk = table
            .sk
            .as_ref()
            .map(|k| k.value.clone())
            .or(default.then(|| "SK".to_owned()));
        let index_keys: Vec<String> = table
            .gsis
            .iter()
            .flat_map(|g| [Some(&g.pk), g.sk.as_ref()])
            .flatten()
            .map(|k| k.value.clone())
            .collect();
        let entities = match &mut table.kind {
            TableKind::Single(entity) => std::slice::from_mut(entity),
            TableKind::Multi(entities) => entities.as_mut_slice(),
        };
        for entity in entities {
            let templates = [
                (&pk, entity.pk_template.is_some()),
                (&sk, entity.sk_template.is_some()),
            ];
            let made = |name: &str| {
                let by_template = templates
                    .iter()
                    .any(|(key, made)| *made && key.as_deref() == Some(name));
                let is_key = index_keys.iter().any(|k| k == name)
                    || templates
                        .iter()
                        .any(|(key, _)| key.as_deref() == Some(name));
                by_template || is_key && name.contains('#')
            };
            entity
                .attributes
                .retain(|attribute| self.has_value(attribute, made(&attribute.name.value)));
        }
    }

    fn has_value(&mut self, attribute: &Attribute, made_by_key: bool) -> bool {
        let name = clip(&attribute.name.value);
        let sourced = !attribute.source_columns.is_empty()
            || attribute.join.is_some()
            || attribute.calculation.is_some()
            || attribute.transformation.is_some()
            || attribute.ty.value == AttributeType::Null;
        if sourced {
            return true;
        }
        if made_by_key && attribute.ty.value == AttributeType::S {
            let message = format!(
                "`{name}` says no value of its own; the key's template or composite gives it"
            );
            self.found.warn_help(
                "unused-field",
                &attribute.place,
                message,
                "remove the attribute from the list",
            );
            return false;
        }
        let message = format!("nothing says where the value of `{name}` comes from");
        self.found.error_help("no-value", &attribute.place, message, format!("write \"source_column\": \"{name}\" (or the column's name), a join, a calculation or a transformation"));
        true
    }

    /// Output key → SQL expression; a list of column names is taken as keys that are called like their columns.
    pub fn sql_map(&mut self, fields: &Fields<'t>, name: &str) -> Option<Vec<(Text, Text)>> {
        let at = fields.get(name)?;
        let pairs: Vec<Option<(Text, Text)>> = match &at.node.value {
            Value::Object(members) => {
                let mut keys = Names::new("key", "duplicate-field");
                let mut pairs = Vec::new();
                for member in members {
                    let value = at.member(&member.key, &member.value);
                    let mut place = value.place();
                    place.span = member.key_span.clone();
                    let key = Text {
                        value: member.key.to_string(),
                        place,
                    };
                    keys.add(self, &key);
                    let expression = self.text_at(
                        &value,
                        &spec::Shape::Sql,
                        &format!("the expression of `{}`", clip(&member.key)),
                    );
                    pairs.push(expression.map(|e| (key, e)));
                }
                pairs
            }
            Value::Array(elements) => {
                let pairs = elements
                    .iter()
                    .enumerate()
                    .map(|(i, e)| self.column_as_pair(&at.element(i, e)))
                    .collect();
                self.found.warn_help(
                    "not-an-object",
                    &head(at),
                    format!("`{name}` is an object; each column is taken under its own name"),
                    "write { \"key\": \"table.column\", … }",
                );
                pairs
            }
            _ => {
                self.wrong_type(
                    at,
                    &format!("`{name}`"),
                    "an object",
                    "write { \"key\": \"table.column\", … }",
                );
                return None;
            }
        };
        if pairs.is_empty() {
            self.found.error_help(
                "empty-list",
                &at.place(),
                format!("`{name}` names nothing"),
                "write { \"key\": \"table.column\", … }",
            );
            return None;
        }
        pairs.into_iter().collect()
    }

    fn column_as_pair(&mut self, at: &At<'t>) -> Option<(Text, Text)> {
        let expression = self.text_at(at, &spec::Shape::Sql, "a column")?;
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '.');
        if !expression.value.chars().all(plain) {
            self.found.error_help(
                "two-meanings",
                &expression.place,
                "an expression in a list has no name in the object that is built",
                "write { \"key\": \"expression\", … } instead of the list",
            );
            return None;
        }
        let name = expression
            .value
            .rsplit('.')
            .next()
            .unwrap_or_default()
            .to_owned();
        let key = Text {
            value: name,
            place: expression.place.clone(),
        };
        Some((key, expression))
    }
}

/// A part with the place of its opening bracket.
fn spanned<T>(part: Option<(At<'_>, Option<T>)>) -> Option<Spanned<T>> {
    let (at, value) = part?;
    Some(Spanned {
        value: value?,
        place: head(&at),
    })
}
