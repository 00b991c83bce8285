//! How a text's characters become the bytes of its character set.

use std::collections::HashMap;
use std::sync::Arc;

use super::node::Encoding;
use super::types::charset_of;
use crate::change::charset::Charset;

/// The encoding of a collation's character set; `None` where we can only read it.
pub(super) fn encoding(collation: &str) -> Option<Encoding> {
    let name = charset_of(collation);
    match name {
        "utf8mb4" | "utf8mb3" | "utf8" | "ascii" | "binary" => return Some(Encoding::Utf8),
        "utf16" | "ucs2" => return Some(Encoding::Utf16 { little: false }),
        "utf16le" => return Some(Encoding::Utf16 { little: true }),
        "utf32" => return Some(Encoding::Utf32),
        _ => {}
    }
    let charset = Charset::by_mysql_name(name).filter(|c| c.max_bytes() == 1)?;
    let mut table = HashMap::new();
    for byte in 0..=u8::MAX {
        if let Ok(text) = charset.decode(&[byte])
            && let Some(c) = text.chars().next()
        {
            table.entry(c).or_insert(byte);
        }
    }
    // Two bytes that show as one character could not be told apart.
    (table.len() == 256).then(|| Encoding::Single(Arc::new(table)))
}

impl Encoding {
    pub fn encode(&self, text: &str) -> Vec<u8> {
        match self {
            Encoding::Utf8 => text.as_bytes().to_vec(),
            Encoding::Single(table) => text
                .chars()
                .map(|c| table.get(&c).copied().unwrap_or(b'?'))
                .collect(),
            Encoding::Utf16 { little } => text
                .encode_utf16()
                .flat_map(|unit| {
                    if *little {
                        unit.to_le_bytes()
                    } else {
                        unit.to_be_bytes()
                    }
                })
                .collect(),
            Encoding::Utf32 => text
                .chars()
                .flat_map(|c| u32::from(c).to_be_bytes())
                .collect(),
        }
    }

    /// How many bytes the text has.
    pub fn length(&self, text: &str) -> usize {
        match self {
            Encoding::Utf8 => text.len(),
            Encoding::Single(_) => text.chars().count(),
            Encoding::Utf16 { .. } => text.encode_utf16().count() * 2,
            Encoding::Utf32 => text.chars().count() * 4,
        }
    }
}
