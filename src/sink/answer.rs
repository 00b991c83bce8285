//! The answer to a BatchWriteItem: what DynamoDB left unprocessed.

use std::collections::HashMap;

use serde::Deserialize;

/// What nearly every answer is, to the byte.
const ALL_WRITTEN: &[u8] = br#"{"UnprocessedItems":{}}"#;

/// The writes that were not carried out, by table.
#[derive(Debug, Default, PartialEq)]
pub struct Unprocessed {
    pub tables: HashMap<String, Vec<Write>>,
}

/// A write that came back.
#[derive(Debug, PartialEq, Deserialize)]
pub enum Write {
    #[serde(rename = "PutRequest")]
    Put {
        #[serde(rename = "Item")]
        item: HashMap<String, Attribute>,
    },
    #[serde(rename = "DeleteRequest")]
    Delete {
        #[serde(rename = "Key")]
        key: HashMap<String, Attribute>,
    },
}

/// A value as far as it can be part of a key.
#[derive(Debug, PartialEq, Deserialize)]
pub struct Attribute {
    #[serde(rename = "S")]
    pub text: Option<String>,
    #[serde(rename = "N")]
    pub number: Option<String>,
    /// In base64.
    #[serde(rename = "B")]
    pub bytes: Option<String>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "UnprocessedItems")]
    unprocessed: HashMap<String, Vec<Write>>,
}

impl Unprocessed {
    /// `None`: this is no answer to a BatchWriteItem.
    pub fn read(body: &[u8]) -> Option<Self> {
        if body == ALL_WRITTEN {
            return Some(Self::default());
        }
        let answer: Answer = serde_json::from_slice(body).ok()?;
        Some(Self {
            tables: answer.unprocessed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_left_is_read_in_any_spelling() {
        for body in [
            r#"{"UnprocessedItems":{}}"#,
            r#"{ "UnprocessedItems": {}, "ConsumedCapacity": [] }"#,
        ] {
            assert_eq!(
                Unprocessed::read(body.as_bytes()),
                Some(Unprocessed::default()),
                "{body}"
            );
        }
    }

    #[test]
    fn writes_come_back_with_their_keys() {
        let body = br#"{"UnprocessedItems":{"t":[
            {"PutRequest":{"Item":{"PK":{"S":"a"},"n":{"N":"1"},"l":{"L":[{"NULL":true}]},"x":{"M":{"S":{"S":"y"}}}}}},
            {"DeleteRequest":{"Key":{"PK":{"B":"AA=="}}}}]}}"#;
        let read = Unprocessed::read(body).unwrap();
        let writes = &read.tables["t"];
        assert!(
            matches!(&writes[0], Write::Put { item } if item["PK"].text.as_deref() == Some("a") && item.len() == 4)
        );
        assert!(
            matches!(&writes[1], Write::Delete { key } if key["PK"].bytes.as_deref() == Some("AA=="))
        );
    }

    #[test]
    fn what_is_no_answer_is_not_read() {
        for body in [
            "",
            "{}",
            "null",
            "<html></html>",
            r#"{"UnprocessedItems":{"t":[{}]}}"#,
            r#"{"UnprocessedItems":{}} x"#,
        ] {
            assert_eq!(Unprocessed::read(body.as_bytes()), None, "{body}");
        }
    }
}
