//! The body of an UpdateItem request that makes an item what a put would, and leaves alone what others added to it.
//!
//! Every attribute of the new item is set, and every one that the contract could give the table's items and does not give this
//! one is removed. What the contract does not name stays.

use super::writer::Table;

/// The body; `names` are all attributes that the contract gives items of this table. `None` where `item` is not the JSON object
/// that the view writes.
pub fn update_item(table: &Table, names: &[String], key: &[u8], item: &[u8]) -> Option<Vec<u8>> {
    let members = members(item)?;
    let mut set: Vec<(String, &[u8])> = Vec::with_capacity(members.len());
    for (name, value) in members {
        let name: String = serde_json::from_slice(name).ok()?;
        if !table.is_key(&name) {
            set.push((name, value));
        }
    }
    let gone = names
        .iter()
        .filter(|name| !table.is_key(name) && !set.iter().any(|(there, _)| there == *name));
    let all: Vec<&str> = set
        .iter()
        .map(|(name, _)| name.as_str())
        .chain(gone.map(String::as_str))
        .collect();

    let mut body = Vec::with_capacity(item.len() * 2 + 256);
    body.extend_from_slice(b"{\"TableName\":");
    body.extend_from_slice(table.quoted_name().as_bytes());
    body.extend_from_slice(b",\"Key\":");
    body.extend_from_slice(key);
    if all.is_empty() {
        body.push(b'}');
        return Some(body);
    }
    body.extend_from_slice(b",\"UpdateExpression\":\"");
    let mut expression = String::new();
    for nth in 0..all.len() {
        if nth < set.len() {
            expression.push_str(if nth == 0 { "SET " } else { "," });
            expression.push_str(&format!("#{nth}=:{nth}"));
        } else {
            expression.push_str(if nth == set.len() { " REMOVE " } else { "," });
            expression.push_str(&format!("#{nth}"));
        }
    }
    body.extend_from_slice(expression.trim_start().as_bytes());
    body.extend_from_slice(b"\",\"ExpressionAttributeNames\":{");
    for (nth, name) in all.iter().enumerate() {
        let comma = if nth == 0 { "" } else { "," };
        let quoted = serde_json::to_string(name).ok()?;
        body.extend_from_slice(format!("{comma}\"#{nth}\":{quoted}").as_bytes());
    }
    body.push(b'}');
    if !set.is_empty() {
        body.extend_from_slice(b",\"ExpressionAttributeValues\":{");
        for (nth, (_, value)) in set.iter().enumerate() {
            let comma = if nth == 0 { "" } else { "," };
            body.extend_from_slice(format!("{comma}\":{nth}\":").as_bytes());
            body.extend_from_slice(value);
        }
        body.push(b'}');
    }
    body.push(b'}');
    Some(body)
}

/// The members of a JSON object: each name with its quotes, and its value, as they stand.
fn members(object: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let mut found = Vec::new();
    let mut at = 1;
    if object.first() != Some(&b'{') || object.last() != Some(&b'}') {
        return None;
    }
    while object.get(at) != Some(&b'}') {
        let name_end = string_end(object, at)?;
        if object.get(name_end) != Some(&b':') {
            return None;
        }
        let value = name_end + 1;
        let end = value_end(object, value)?;
        found.push((object.get(at..name_end)?, object.get(value..end)?));
        at = match object.get(end)? {
            b',' => end + 1,
            b'}' => end,
            _ => return None,
        };
    }
    (at + 1 == object.len()).then_some(found)
}

/// Behind the string that begins at `at`.
fn string_end(text: &[u8], at: usize) -> Option<usize> {
    if text.get(at) != Some(&b'"') {
        return None;
    }
    let mut at = at + 1;
    loop {
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// Behind the object or array that begins at `at`.
fn value_end(text: &[u8], at: usize) -> Option<usize> {
    let (mut at, mut depth) = (at, 0_usize);
    loop {
        match text.get(at)? {
            b'"' => at = string_end(text, at)?,
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                at += 1;
            }
            _ => at += 1,
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn body(item: &Value, names: &[&str]) -> Value {
        let table = Table::new("T\"1", "PK", Some("SK"));
        let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        let key = json!({"PK": item["PK"], "SK": item["SK"]}).to_string();
        let body = update_item(&table, &names, key.as_bytes(), item.to_string().as_bytes());
        serde_json::from_slice(&body.expect("a body")).expect("JSON")
    }

    #[test]
    fn what_is_there_is_set_and_what_could_be_is_removed() {
        let item = json!({"PK": {"S": "a"}, "SK": {"N": "1"}, "na\"me": {"S": "x}\\\",{"}, "list": {"L": [{"M": {"a": {"S": "]"}}}]}});
        let body = body(&item, &["PK", "SK", "na\"me", "list", "note"]);
        assert_eq!(body["TableName"], "T\"1");
        assert_eq!(body["Key"], json!({"PK": {"S": "a"}, "SK": {"N": "1"}}));
        assert_eq!(body["UpdateExpression"], "SET #0=:0,#1=:1 REMOVE #2");
        // The test's JSON orders names.
        assert_eq!(
            body["ExpressionAttributeNames"],
            json!({"#0": "list", "#1": "na\"me", "#2": "note"})
        );
        assert_eq!(
            body["ExpressionAttributeValues"],
            json!({":0": item["list"], ":1": item["na\"me"]})
        );
    }

    #[test]
    fn an_item_of_keys_alone_is_made_and_may_lose_attributes() {
        let item = json!({"PK": {"S": "a"}, "SK": {"N": "1"}});
        let made = body(&item, &["PK", "SK"]);
        assert!(made.get("UpdateExpression").is_none(), "{made}");
        let emptied = body(&item, &["PK", "SK", "note"]);
        assert_eq!(emptied["UpdateExpression"], "REMOVE #0");
        assert!(
            emptied.get("ExpressionAttributeValues").is_none(),
            "{emptied}"
        );
    }

    #[test]
    fn what_is_no_object_is_none() {
        for item in [
            "",
            "{",
            "[]",
            r#"{"a":1"#,
            r#"{"a" 1}"#,
            r#"{"a":{}} "#,
            r#"{"a\"#,
            r#"{"a":{]}}"#,
        ] {
            let table = Table::new("T", "PK", None);
            let body = update_item(&table, &[], b"{}", item.as_bytes());
            // Brackets that do not match are the reader's to refuse: nothing is read beyond the end.
            assert!(body.is_none() || item.contains(']'), "{item}");
        }
    }
}
