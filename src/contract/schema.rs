//! The JSON Schema of the format (draft 2020-12), for editors; generated from [`spec`].

use serde_json::{Map, Value, json};

use super::spec::{self, Field, Need, Shape, Spec, Tagged};

/// The schema as text, with a newline at the end: what `contracts/migration-contract.schema.json` holds.
pub fn json() -> String {
    let mut definitions = Map::new();
    let contract = object(&spec::CONTRACT, &mut definitions);
    definitions.insert("contract".to_owned(), contract);
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "migrationContract.json",
        "description": spec::CONTRACT.about,
        "anyOf": [
            { "$ref": "#/$defs/contract" },
            {
                "description": "The tables without the object around them.",
                "type": "array", "minItems": 1, "items": { "$ref": "#/$defs/table" }
            }
        ],
        "$defs": definitions,
    });
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}

type Definitions = Map<String, Value>;

fn object(spec: &'static Spec, definitions: &mut Definitions) -> Value {
    let mut properties = Map::new();
    for field in spec.fields {
        properties.insert(field.name.to_owned(), property(field, definitions));
    }
    let required: Vec<&str> = spec
        .fields
        .iter()
        .filter(|f| f.need == Need::Required)
        .map(|f| f.name)
        .collect();
    let mut schema = json!({
        "description": spec.about,
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

fn property(field: &'static Field, definitions: &mut Definitions) -> Value {
    let mut schema = shape(&field.shape, definitions);
    if field.need == Need::Nullable {
        schema = match schema.get("type") {
            Some(Value::String(ty)) => {
                let types = json!([ty, "null"]);
                schema["type"] = types;
                schema
            }
            _ => json!({ "anyOf": [schema, { "type": "null" }] }),
        };
    }
    schema["description"] = json!(field.about);
    schema
}

fn shape(shape: &'static Shape, definitions: &mut Definitions) -> Value {
    let text = || json!({ "type": "string", "minLength": 1 });
    match shape {
        Shape::Name | Shape::Sql | Shape::Template => text(),
        Shape::Text => json!({ "type": "string" }),
        Shape::NameOrNames => {
            json!({ "anyOf": [text(), { "type": "array", "minItems": 1, "items": text() }] })
        }
        Shape::Names | Shape::Sqls => json!({ "type": "array", "minItems": 1, "items": text() }),
        Shape::Word(words) => {
            let choices: Vec<Value> = words
                .iter()
                .map(|(word, about)| json!({ "const": word, "description": about }))
                .collect();
            json!({ "oneOf": choices })
        }
        Shape::Bool => json!({ "type": "boolean" }),
        Shape::Count(least) => json!({ "type": "integer", "minimum": least }),
        Shape::Scalar => json!({ "type": ["string", "number", "boolean", "null"] }),
        Shape::Texts => json!({ "type": "array", "items": { "type": "string" } }),
        Shape::Object(spec) => define(definition_name(spec.name), definitions, |d| object(spec, d)),
        Shape::Objects(spec) => {
            let items = define(definition_name(spec.name), definitions, |d| object(spec, d));
            json!({ "type": "array", "items": items })
        }
        Shape::Tagged(kinds) => define(kinds.name.to_owned(), definitions, |d| tagged(kinds, d)),
        Shape::TaggedList(kinds) => {
            let items = define(kinds.name.to_owned(), definitions, |d| tagged(kinds, d));
            json!({ "type": "array", "minItems": 1, "items": items })
        }
        Shape::SqlMap => {
            json!({ "type": "object", "minProperties": 1, "additionalProperties": text() })
        }
    }
}

/// One alternative for each kind, told apart by the constant in `type`.
fn tagged(kinds: &'static Tagged, definitions: &mut Definitions) -> Value {
    let mut choices = Vec::new();
    for (name, spec) in kinds.kinds {
        let mut schema = object(spec, definitions);
        schema["properties"]["type"] = json!({ "const": name, "description": spec.about });
        let mut required = vec![json!("type")];
        required.extend(schema["required"].as_array().cloned().unwrap_or_default());
        schema["required"] = Value::Array(required);
        choices.push(schema);
    }
    json!({
        "description": kinds.about,
        "type": "object",
        "properties": { "type": { "enum": kinds.kinds.iter().map(|(n, _)| *n).collect::<Vec<_>>() } },
        "required": ["type"],
        "oneOf": choices,
    })
}

fn define(
    name: String,
    definitions: &mut Definitions,
    make: impl FnOnce(&mut Definitions) -> Value,
) -> Value {
    if !definitions.contains_key(&name) {
        let schema = make(definitions);
        definitions.insert(name.clone(), schema);
    }
    json!({ "$ref": format!("#/$defs/{name}") })
}

/// `a GSI` → `gsi`.
fn definition_name(name: &str) -> String {
    let bare = name
        .strip_prefix("an ")
        .or_else(|| name.strip_prefix("a "))
        .unwrap_or(name);
    bare.to_lowercase().replace(' ', "-")
}
