//! Joins.

use super::read::{At, Fields, Input};
use crate::contract::model::{Construction, Hop, Join, ToOneKind};
use crate::contract::spec;

impl<'t> Input<'t> {
    pub fn join(&mut self, at: &At<'t>) -> Option<Join> {
        let before = self.found.error_count();
        let (kind, fields) = self.tagged(at, &spec::JOIN)?;
        let join = match kind {
            "foreign-key" => self.matching_row(&fields, ToOneKind::ForeignKey),
            "lookup-table" => self.matching_row(&fields, ToOneKind::LookupTable),
            "multi-column" => self.matching_row(&fields, ToOneKind::MultiColumn),
            "self-join" => self.self_join(&fields),
            "conditional" => self.conditional(&fields),
            "chain" => self.chain(&fields),
            _ => self.json(&fields),
        };
        join.filter(|_| self.found.error_count() == before)
    }

    fn matching_row(&mut self, fields: &Fields<'t>, kind: ToOneKind) -> Option<Join> {
        let target_table = self.text(fields, "target_table");
        let conditions = match kind {
            ToOneKind::MultiColumn => self.list(fields, "join_conditions"),
            ToOneKind::ForeignKey | ToOneKind::LookupTable => {
                self.text(fields, "join_condition").map(|c| vec![c])
            }
        };
        let select_column = self.text(fields, "select_column");
        Some(Join::ToOne {
            kind,
            target_table: target_table?,
            conditions: conditions?,
            select_column: select_column?,
        })
    }

    fn self_join(&mut self, fields: &Fields<'t>) -> Option<Join> {
        let alias = self.text(fields, "join_alias");
        let target_table = self.text(fields, "target_table");
        let condition = self.text(fields, "join_condition");
        let select_column = self.text(fields, "select_column");
        let null_value = self.scalar(fields, "null_value");
        Some(Join::SelfJoin {
            alias: alias?,
            target_table,
            condition: condition?,
            select_column: select_column?,
            null_value,
        })
    }

    fn conditional(&mut self, fields: &Fields<'t>) -> Option<Join> {
        let condition = self.text(fields, "condition");
        let target_table = self.text(fields, "target_table");
        let join_condition = self.text(fields, "join_condition");
        let select_column = self.text(fields, "select_column");
        let else_value = self.scalar(fields, "else_value");
        Some(Join::Conditional {
            condition: condition?,
            target_table: target_table?,
            join_condition: join_condition?,
            select_column: select_column?,
            else_value,
        })
    }

    fn chain(&mut self, fields: &Fields<'t>) -> Option<Join> {
        let separator = self.text(fields, "chain_separator");
        let elements = self.elements(fields, "joins")?;
        let hops: Vec<Option<Hop>> = elements.iter().map(|at| self.hop(at)).collect();
        let hops: Vec<Hop> = hops.into_iter().collect::<Option<_>>()?;
        let Some(last) = hops.last() else {
            if let Some(list) = fields.get("joins") {
                self.found.error_help(
                    "empty-list",
                    &list.place(),
                    "the chain has no hops",
                    "write at least one",
                );
            }
            return None;
        };
        let selected = match separator {
            Some(_) => hops.iter().any(|h| h.select_column.is_some()),
            None => last.select_column.is_some(),
        };
        if !selected {
            self.found.error_help(
                "missing-field",
                &last.place,
                "the chain gives no value: its last hop has no `select_column`",
                "write the column that is the value",
            );
            return None;
        }
        Some(Join::Chain { hops, separator })
    }

    fn hop(&mut self, at: &At<'t>) -> Option<Hop> {
        let fields = self.fields(at, &spec::HOP, None)?;
        let target_table = self.text(&fields, "target_table");
        let condition = self.text(&fields, "join_condition");
        let select_column = self.text(&fields, "select_column");
        Some(Hop {
            place: fields.place(),
            target_table: target_table?,
            condition: condition?,
            select_column,
        })
    }

    fn json(&mut self, fields: &Fields<'t>) -> Option<Join> {
        let target_table = self.text(fields, "target_table");
        let condition = self.text(fields, "join_condition");
        let construction = fields
            .get("construction")
            .and_then(|at| self.construction(at));
        Some(Join::Json {
            target_table: target_table?,
            condition: condition?,
            construction: construction?,
        })
    }

    fn construction(&mut self, at: &At<'t>) -> Option<Construction> {
        let fields = self.fields(at, &spec::CONSTRUCTION, None)?;
        let kind = self.word(&fields, "type");
        let select_columns = self.sql_map(&fields, "select_columns");
        let order_by = self.text(&fields, "order_by");
        let limit = self.count(&fields, "limit");
        let array = kind?.value == "array";
        if let (false, Some(limit)) = (array, limit.as_ref().filter(|l| l.value != 1)) {
            let message = "`limit` says nothing for an object, which is made of one row";
            self.found.warn_help(
                "unused-field",
                &limit.place,
                message,
                "remove it, or write \"type\": \"array\"",
            );
        }
        Some(Construction {
            place: fields.place(),
            array,
            select_columns: select_columns?,
            order_by,
            limit,
        })
    }
}
