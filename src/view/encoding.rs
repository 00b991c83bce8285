use crate::change::{Row, Value};
pub fn encode(_row: &Row<'_>, _slots: &[usize], _out: &mut Vec<u8>) { todo!() }
pub fn decode<'b>(_bytes: &'b [u8], _slots: &[usize], _width: usize) -> Option<Row<'b>> { todo!() }
pub fn encode_key_value(_value: &Value<'_>, _out: &mut Vec<u8>) { todo!() }
