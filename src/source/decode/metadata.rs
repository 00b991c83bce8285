//! The optional metadata at the end of a table map (`binlog_row_metadata`).

use super::DecodeError;
use super::cursor::Cursor;
use super::wire::{Class, Wire};

/// What the table map says about its columns beyond their types. Per-column vectors are as long as the table is wide,
/// or empty where the map does not carry the field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    pub names: Vec<String>,
    /// Whether a numeric column is unsigned; false for the others.
    pub unsigned: Vec<bool>,
    /// Collation ids of CHAR, VARCHAR, TEXT (63 is binary: BINARY, VARBINARY, BLOB) and of ENUM and SET.
    pub collations: Vec<Option<u16>>,
    /// Labels of ENUM and SET columns in the column's character set.
    pub labels: Vec<Option<Vec<Vec<u8>>>>,
    /// 0 is any geometry, 1 POINT, 2 LINESTRING, …
    pub geometry_types: Vec<Option<u8>>,
    /// Floats of a VECTOR.
    pub dimensions: Vec<Option<u32>>,
    pub invisible: Vec<bool>,
    /// In the order in which the server lists it.
    pub primary_key: Vec<KeyPart>,
}

/// A column of the primary key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyPart {
    /// Index among the table's columns.
    pub column: usize,
    /// Characters of the prefix that is indexed; 0 is the whole column.
    pub prefix: usize,
}

impl Metadata {
    pub(super) fn parse(bytes: &[u8], wires: &[Wire]) -> Result<Self, DecodeError> {
        let mut metadata = Metadata::default();
        let mut fields = Cursor::new(bytes, "table map's metadata");
        while !fields.is_empty() {
            let kind = fields.u8()?;
            let field = Cursor::new(fields.packed_bytes()?, "table map's metadata");
            metadata.field(kind, field, wires)?;
        }
        Ok(metadata)
    }

    fn field(&mut self, kind: u8, field: Cursor<'_>, wires: &[Wire]) -> Result<(), DecodeError> {
        // A VECTOR is a blob to the server when it lists collations: it has an entry too (binary).
        let character = |class| matches!(class, Class::Character | Class::Vector);
        let labelled = |class| matches!(class, Class::Enum | Class::Set);
        match kind {
            1 => self.unsigned = signedness(field, wires)?,
            2 => self.default_collations(field, wires, character)?,
            3 => self.each_collation(field, wires, character)?,
            4 => self.names = names(field, wires.len())?,
            5 => self.labels(field, wires, Class::Set)?,
            6 => self.labels(field, wires, Class::Enum)?,
            7 => {
                self.geometry_types = each(field, wires, Class::Geometry, |number| {
                    u8::try_from(number).ok()
                })?
            }
            8 => self.primary_key = key(field, wires.len(), false)?,
            9 => self.primary_key = key(field, wires.len(), true)?,
            10 => self.default_collations(field, wires, labelled)?,
            11 => self.each_collation(field, wires, labelled)?,
            12 => {
                self.invisible = wires
                    .iter()
                    .enumerate()
                    .map(|(index, _)| !bit_from_left(field.rest(), index))
                    .collect();
            }
            13 => {
                self.dimensions = each(field, wires, Class::Vector, |number| {
                    u32::try_from(number).ok()
                })?
            }
            // A field that a later server adds says nothing about how values lie.
            _ => {}
        }
        Ok(())
    }

    /// One collation for all, then the columns (counted among those of the class) that have another.
    fn default_collations(
        &mut self,
        mut field: Cursor<'_>,
        wires: &[Wire],
        of: impl Fn(Class) -> bool,
    ) -> Result<(), DecodeError> {
        let default = collation(&mut field)?;
        let columns = indexes(wires, of);
        self.collations.resize(wires.len(), None);
        for &column in &columns {
            self.set_collation(column, default);
        }
        while !field.is_empty() {
            let nth = field.packed_len()?;
            let other = collation(&mut field)?;
            let column = columns.get(nth);
            let &column = column.ok_or(DecodeError::malformed("a collation of no column"))?;
            self.set_collation(column, other);
        }
        Ok(())
    }

    fn each_collation(
        &mut self,
        mut field: Cursor<'_>,
        wires: &[Wire],
        of: impl Fn(Class) -> bool,
    ) -> Result<(), DecodeError> {
        self.collations.resize(wires.len(), None);
        for column in indexes(wires, of) {
            let id = collation(&mut field)?;
            self.set_collation(column, id);
        }
        Ok(())
    }

    fn set_collation(&mut self, column: usize, id: u16) {
        if let Some(slot) = self.collations.get_mut(column) {
            *slot = Some(id);
        }
    }

    fn labels(
        &mut self,
        mut field: Cursor<'_>,
        wires: &[Wire],
        class: Class,
    ) -> Result<(), DecodeError> {
        self.labels.resize(wires.len(), None);
        for column in indexes(wires, |of| of == class) {
            let count = field.packed_len()?;
            // Each label takes a byte at least: the count is no promise of memory.
            let mut labels = Vec::with_capacity(count.min(field.rest().len()));
            for _ in 0..count {
                labels.push(field.packed_bytes()?.to_vec());
            }
            if let Some(slot) = self.labels.get_mut(column) {
                *slot = Some(labels);
            }
        }
        Ok(())
    }
}

fn indexes(wires: &[Wire], of: impl Fn(Class) -> bool) -> Vec<usize> {
    let columns = wires.iter().enumerate();
    columns
        .filter(|(_, wire)| of(wire.class()))
        .map(|(index, _)| index)
        .collect()
}

fn collation(field: &mut Cursor<'_>) -> Result<u16, DecodeError> {
    u16::try_from(field.packed()?)
        .map_err(|_| DecodeError::malformed("a collation id out of range"))
}

/// Bit `index` of a bitmap that starts with the highest bit of its first byte.
fn bit_from_left(bitmap: &[u8], index: usize) -> bool {
    bitmap
        .get(index / 8)
        .is_some_and(|byte| byte & (0x80 >> (index % 8)) != 0)
}

fn signedness(field: Cursor<'_>, wires: &[Wire]) -> Result<Vec<bool>, DecodeError> {
    let numeric = indexes(wires, |class| class == Class::Numeric);
    if field.rest().len() < numeric.len().div_ceil(8) {
        return Err(DecodeError::truncated("table map's signedness"));
    }
    let mut unsigned = vec![false; wires.len()];
    for (nth, column) in numeric.into_iter().enumerate() {
        if let Some(slot) = unsigned.get_mut(column) {
            *slot = bit_from_left(field.rest(), nth);
        }
    }
    Ok(unsigned)
}

fn names(mut field: Cursor<'_>, columns: usize) -> Result<Vec<String>, DecodeError> {
    let mut names = Vec::with_capacity(columns);
    for _ in 0..columns {
        let name = std::str::from_utf8(field.packed_bytes()?)
            .map_err(|_| DecodeError::malformed("a column name that is not UTF-8"))?;
        names.push(name.to_owned());
    }
    Ok(names)
}

/// A number for each column of a class.
fn each<T: Clone>(
    mut field: Cursor<'_>,
    wires: &[Wire],
    class: Class,
    convert: impl Fn(u64) -> Option<T>,
) -> Result<Vec<Option<T>>, DecodeError> {
    let mut found = vec![None; wires.len()];
    for column in indexes(wires, |of| of == class) {
        if let Some(slot) = found.get_mut(column) {
            *slot = convert(field.packed()?);
        }
    }
    Ok(found)
}

fn key(mut field: Cursor<'_>, columns: usize, prefixed: bool) -> Result<Vec<KeyPart>, DecodeError> {
    let mut parts = Vec::new();
    while !field.is_empty() {
        let column = field.packed_len()?;
        let prefix = if prefixed { field.packed_len()? } else { 0 };
        if column >= columns {
            return Err(DecodeError::malformed("a primary key column out of range"));
        }
        parts.push(KeyPart { column, prefix });
    }
    Ok(parts)
}
