//! Calculations and transformations.

use super::read::{At, Fields, Input};
use crate::contract::format::{FormatError, parse_date_format, parse_number_format};
use crate::contract::model::{
    AggregateOperation, BinaryFormat, Calculation, Scalar, Spanned, Text, Transformation,
};
use crate::contract::spec;

impl<'t> Input<'t> {
    pub fn calculation(&mut self, at: &At<'t>) -> Option<Calculation> {
        let before = self.found.error_count();
        let (kind, fields) = self.tagged(at, &spec::CALCULATION)?;
        let calculation = match self.text(&fields, "expression") {
            Some(expression) => self.expression(&fields, expression),
            None if fields.has("expression") => None,
            None => match kind {
                "aggregate" => self.aggregate(&fields),
                "case" => self.case(&fields),
                "concat" => self.concat(&fields),
                // A date-math without its expression was reported as such.
                _ => None,
            },
        };
        calculation.filter(|_| self.found.error_count() == before)
    }

    /// An expression is the whole value; the kind's own fields beside it would be a second one.
    fn expression(&mut self, fields: &Fields<'t>, expression: Text) -> Option<Calculation> {
        let other = fields
            .spec
            .fields
            .iter()
            .map(|f| f.name)
            .find(|name| *name != "expression" && fields.has(name));
        if let Some(other) = other {
            let message = format!("{} has both `expression` and `{other}`", fields.spec.name);
            self.found.error_help(
                "two-sources",
                &expression.place,
                message,
                format!("remove one of them; `expression` goes without `{other}`"),
            );
            return None;
        }
        Some(Calculation::Expression(expression))
    }

    fn needs(&mut self, fields: &Fields<'t>, name: &str) -> bool {
        if fields.has(name) {
            return true;
        }
        let message = format!("{} has neither `{name}` nor `expression`", fields.spec.name);
        let about = fields.spec.field(name).map_or("", |f| f.about);
        self.found
            .error_help("missing-field", &fields.place(), message, about);
        false
    }

    fn aggregate(&mut self, fields: &Fields<'t>) -> Option<Calculation> {
        for name in ["operation", "target_table", "join_condition"] {
            self.needs(fields, name);
        }
        let operation = self.word(fields, "operation");
        let target_table = self.text(fields, "target_table");
        let condition = self.text(fields, "join_condition");
        let select_column = self.text(fields, "select_column");
        let operation = match operation?.value {
            "SUM" => AggregateOperation::Sum,
            "COUNT" => AggregateOperation::Count,
            "AVG" => AggregateOperation::Avg,
            "MIN" => AggregateOperation::Min,
            _ => AggregateOperation::Max,
        };
        let star = select_column
            .as_ref()
            .is_some_and(|c| c.value == "*" || c.value.ends_with(".*"));
        let counted = operation == AggregateOperation::Count;
        if !counted && (select_column.is_none() || star) {
            let place = select_column.map_or(fields.place(), |c| c.place);
            self.found.error_help(
                "missing-field",
                &place,
                "only COUNT goes without a `select_column`",
                "write the column that is summed, averaged or compared",
            );
            return None;
        }
        Some(Calculation::Aggregate {
            operation,
            target_table: target_table?,
            condition: condition?,
            // COUNT(*) counts rows, as COUNT of nothing in particular does.
            select_column: select_column.filter(|_| !star),
        })
    }

    fn case(&mut self, fields: &Fields<'t>) -> Option<Calculation> {
        if !self.needs(fields, "cases") {
            return None;
        }
        let otherwise = self.scalar(fields, "else");
        let elements = self.elements(fields, "cases")?;
        if elements.is_empty()
            && let Some(list) = fields.get("cases")
        {
            self.found.error_help(
                "empty-list",
                &list.place(),
                "there are no cases",
                "write at least one { \"when\": …, \"then\": … }",
            );
            return None;
        }
        let cases: Vec<Option<(Text, Spanned<Scalar>)>> =
            elements.iter().map(|at| self.one_case(at)).collect();
        Some(Calculation::Case {
            cases: cases.into_iter().collect::<Option<_>>()?,
            otherwise,
        })
    }

    fn one_case(&mut self, at: &At<'t>) -> Option<(Text, Spanned<Scalar>)> {
        let fields = self.fields(at, &spec::CASE, None)?;
        let when = self.text(&fields, "when");
        let then = self.scalar(&fields, "then");
        Some((when?, then?))
    }

    fn concat(&mut self, fields: &Fields<'t>) -> Option<Calculation> {
        let separator = self.text(fields, "separator");
        let parts = match (fields.get("columns"), fields.get("expressions")) {
            (Some(_), Some(expressions)) => {
                let place = super::read::head(expressions);
                self.found.error_help("two-sources", &place, "a concat has `columns` or `expressions`, and their order is unclear where it has both", "write all parts as `expressions`, in their order");
                return None;
            }
            (Some(_), None) => self.list(fields, "columns"),
            (None, Some(_)) => self.list(fields, "expressions"),
            (None, None) => {
                self.needs(fields, "columns");
                return None;
            }
        };
        Some(Calculation::Concat {
            parts: parts?,
            separator,
        })
    }

    pub fn transformation(&mut self, at: &At<'t>) -> Option<Transformation> {
        let before = self.found.error_count();
        let (kind, fields) = self.tagged(at, &spec::TRANSFORMATION)?;
        let transformation = match kind {
            "string-format" => self
                .template(&fields, "format")
                .map(Transformation::Template),
            "template" => self
                .template(&fields, "template")
                .map(Transformation::Template),
            "static" => self.scalar(&fields, "value").map(Transformation::Static),
            "date-format" => self.date_format(&fields),
            "number-format" => self.number_format(&fields),
            "json-parse" => Some(Transformation::JsonParse),
            _ => self.binary_format(&fields),
        };
        transformation.filter(|_| self.found.error_count() == before)
    }

    fn date_format(&mut self, fields: &Fields<'t>) -> Option<Transformation> {
        let format = self.text(fields, "format");
        let source_format = self.text(fields, "source_format");
        if let Some(format) = &format {
            self.check_format(
                "date-format",
                format,
                parse_date_format(&format.value).err(),
            );
        }
        // Generators write the column's type here, which says nothing that the column does not say.
        const TYPES: [&str; 4] = ["timestamp", "datetime", "date", "time"];
        let source_format =
            source_format.filter(|s| !TYPES.contains(&s.value.to_lowercase().as_str()));
        if let Some(source) = &source_format {
            self.check_format(
                "source_format",
                source,
                parse_date_format(&source.value).err(),
            );
        }
        Some(Transformation::DateFormat {
            format: format?,
            source_format,
        })
    }

    fn number_format(&mut self, fields: &Fields<'t>) -> Option<Transformation> {
        let format = self.text(fields, "format")?;
        self.check_format(
            "number-format",
            &format,
            parse_number_format(&format.value).err(),
        );
        Some(Transformation::NumberFormat(format))
    }

    fn binary_format(&mut self, fields: &Fields<'t>) -> Option<Transformation> {
        let word = self.word(fields, "format")?;
        let value = match word.value {
            "base64" => BinaryFormat::Base64,
            "hex" => BinaryFormat::Hex,
            _ => BinaryFormat::Uuid,
        };
        Some(Transformation::BinaryFormat(Spanned {
            value,
            place: word.place,
        }))
    }

    fn check_format(&mut self, code: &'static str, text: &Text, error: Option<FormatError>) {
        if let Some(e) = error {
            let place = self.within(text, e.offset);
            let code = if code == "source_format" {
                "date-format"
            } else {
                code
            };
            self.found.error_help(code, &place, e.message, e.help);
        }
    }
}
