//! Tables and items in memory, and what was seen of them.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::{Map, Value, json};

#[derive(Default)]
pub struct Store {
    tables: BTreeMap<String, Table>,
    /// Requests under way, by table and key.
    under_way: HashMap<(String, String), usize>,
    pub seen: Seen,
}

/// Counts over all tables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    pub requests: u64,
    /// Writes that were applied.
    pub writes: u64,
    /// Requests that brought a key while another one for it was under way.
    pub overlaps: u64,
    /// Most items in one batch.
    pub largest_batch: usize,
}

/// A write that was applied: the item, or `None` for a delete.
pub type Recorded = Option<Value>;

struct Table {
    description: Value,
    keys: Vec<(String, String)>,
    items: BTreeMap<String, Value>,
    history: HashMap<String, Vec<Recorded>>,
}

/// One write of a request, checked.
#[derive(Debug, Clone)]
pub struct Write {
    pub table: String,
    pub key: String,
    /// `None` deletes.
    pub item: Option<Value>,
    /// As it came, for UnprocessedItems.
    pub request: Value,
}

/// An error's code and message.
pub type Refusal = (&'static str, String);

impl Store {
    pub fn create_simple(&mut self, name: &str, keys: &[(&str, &str)]) {
        let definitions: Vec<Value> = keys
            .iter()
            .map(|(name, ty)| json!({"AttributeName": name, "AttributeType": ty}))
            .collect();
        let schema: Vec<Value> = keys
            .iter()
            .zip(["HASH", "RANGE"])
            .map(|((name, _), ty)| json!({"AttributeName": name, "KeyType": ty}))
            .collect();
        let request = json!({
            "TableName": name, "KeySchema": schema, "AttributeDefinitions": definitions,
        });
        self.create(&request).expect("a table that can be created");
    }

    pub fn create(&mut self, request: &Value) -> Result<Value, Refusal> {
        let name = text(request, "TableName")?;
        if self.tables.contains_key(&name) {
            return Err((
                "ResourceInUseException",
                format!("Table already exists: {name}"),
            ));
        }
        let types: HashMap<String, String> = list(request, "AttributeDefinitions")
            .iter()
            .map(|d| Ok((text(d, "AttributeName")?, text(d, "AttributeType")?)))
            .collect::<Result<_, Refusal>>()?;
        let mut keys = Vec::new();
        for element in list(request, "KeySchema") {
            let name = text(element, "AttributeName")?;
            let ty = types
                .get(&name)
                .ok_or_else(|| invalid("a key without a type"))?;
            keys.push((name, ty.clone()));
        }
        let mut description = request.clone();
        description["TableStatus"] = json!("ACTIVE");
        if let Some(indexes) = description
            .get_mut("GlobalSecondaryIndexes")
            .and_then(Value::as_array_mut)
        {
            for index in indexes {
                index["IndexStatus"] = json!("ACTIVE");
            }
        }
        let table = Table {
            description: description.clone(),
            keys,
            items: BTreeMap::new(),
            history: HashMap::new(),
        };
        self.tables.insert(name, table);
        Ok(json!({"TableDescription": description}))
    }

    /// Adds an index; nothing else can be updated.
    pub fn update(&mut self, request: &Value) -> Result<Value, Refusal> {
        let name = text(request, "TableName")?;
        let table = self.tables.get_mut(&name).ok_or_else(|| missing(&name))?;
        for update in list(request, "GlobalSecondaryIndexUpdates") {
            let mut index = update
                .get("Create")
                .cloned()
                .ok_or_else(|| invalid("only Create"))?;
            index["IndexStatus"] = json!("ACTIVE");
            append(&mut table.description, "GlobalSecondaryIndexes", index);
        }
        for definition in list(request, "AttributeDefinitions") {
            let known = list(&table.description, "AttributeDefinitions").contains(definition);
            if !known {
                append(
                    &mut table.description,
                    "AttributeDefinitions",
                    definition.clone(),
                );
            }
        }
        Ok(json!({"TableDescription": table.description}))
    }

    pub fn describe(&self, request: &Value) -> Result<Value, Refusal> {
        let name = text(request, "TableName")?;
        let table = self.tables.get(&name).ok_or_else(|| missing(&name))?;
        let mut description = table.description.clone();
        description["ItemCount"] = json!(table.items.len());
        Ok(json!({"Table": description}))
    }

    pub fn list(&self) -> Value {
        json!({"TableNames": self.tables.keys().collect::<Vec<_>>()})
    }

    /// The writes of a BatchWriteItem.
    pub fn batch(&mut self, request: &Value, marker: Option<&str>) -> Result<Vec<Write>, Refusal> {
        let tables = request
            .get("RequestItems")
            .and_then(Value::as_object)
            .ok_or_else(|| invalid("RequestItems is missing"))?;
        let mut writes = Vec::new();
        for (name, requests) in tables {
            for request in requests.as_array().into_iter().flatten() {
                let item = request.get("PutRequest").map(|put| &put["Item"]);
                let key = request.get("DeleteRequest").map(|delete| &delete["Key"]);
                writes.push(self.write(name, item, key, request, marker)?);
            }
        }
        self.seen.largest_batch = self.seen.largest_batch.max(writes.len());
        if writes.is_empty() || writes.len() > 25 {
            return Err(invalid(
                "Too many items requested for the BatchWriteItem call",
            ));
        }
        let distinct: HashSet<_> = writes.iter().map(|w| (&w.table, &w.key)).collect();
        if distinct.len() < writes.len() {
            return Err(invalid("Provided list of item keys contains duplicates"));
        }
        Ok(writes)
    }

    /// The write of a PutItem or a DeleteItem.
    pub fn single(&self, request: &Value, marker: Option<&str>) -> Result<Write, Refusal> {
        let name = text(request, "TableName")?;
        self.write(
            &name,
            request.get("Item"),
            request.get("Key"),
            request,
            marker,
        )
    }

    fn write(
        &self,
        name: &str,
        item: Option<&Value>,
        key: Option<&Value>,
        request: &Value,
        marker: Option<&str>,
    ) -> Result<Write, Refusal> {
        let table = self.tables.get(name).ok_or_else(|| missing(name))?;
        let holder = item
            .or(key)
            .ok_or_else(|| invalid("neither Item nor Key"))?;
        if marker.is_some_and(|marker| holder.to_string().contains(marker)) {
            return Err(invalid("One or more parameter values were invalid"));
        }
        Ok(Write {
            table: name.to_owned(),
            key: table.key(holder, item.is_none())?,
            item: item.cloned(),
            request: request.clone(),
        })
    }

    /// Marks the keys as under way; a key that already is counts as an overlap.
    pub fn begin(&mut self, writes: &[Write]) {
        for write in writes {
            let count = self
                .under_way
                .entry((write.table.clone(), write.key.clone()))
                .or_default();
            *count += 1;
            if *count > 1 {
                self.seen.overlaps += 1;
            }
        }
    }

    pub fn end(&mut self, writes: &[Write]) {
        for write in writes {
            let id = (write.table.clone(), write.key.clone());
            if let Some(count) = self.under_way.get_mut(&id) {
                *count -= 1;
                if *count == 0 {
                    self.under_way.remove(&id);
                }
            }
        }
    }

    pub fn apply(&mut self, writes: &[Write]) {
        for write in writes {
            let Some(table) = self.tables.get_mut(&write.table) else {
                continue;
            };
            self.seen.writes += 1;
            match &write.item {
                Some(item) => table.items.insert(write.key.clone(), item.clone()),
                None => table.items.remove(&write.key),
            };
            let history = table.history.entry(write.key.clone()).or_default();
            history.push(write.item.clone());
        }
    }

    pub fn get(&self, request: &Value) -> Result<Value, Refusal> {
        let name = text(request, "TableName")?;
        let table = self.tables.get(&name).ok_or_else(|| missing(&name))?;
        let key = table.key(&request["Key"], true)?;
        Ok(table
            .items
            .get(&key)
            .map_or_else(|| json!({}), |item| json!({"Item": item})))
    }

    pub fn batch_get(&self, request: &Value) -> Result<Value, Refusal> {
        let mut responses = Map::new();
        for (name, wanted) in request["RequestItems"].as_object().into_iter().flatten() {
            let table = self.tables.get(name).ok_or_else(|| missing(name))?;
            let mut items = Vec::new();
            for key in list(wanted, "Keys") {
                items.extend(table.items.get(&table.key(key, true)?).cloned());
            }
            responses.insert(name.clone(), Value::from(items));
        }
        Ok(json!({"Responses": responses, "UnprocessedKeys": {}}))
    }

    pub fn scan(&self, request: &Value) -> Result<Value, Refusal> {
        let name = text(request, "TableName")?;
        let table = self.tables.get(&name).ok_or_else(|| missing(&name))?;
        let after = match request.get("ExclusiveStartKey").filter(|v| !v.is_null()) {
            Some(key) => Some(table.key(key, true)?),
            None => None,
        };
        let limit = request.get("Limit").and_then(Value::as_u64).unwrap_or(1000);
        let limit = usize::try_from(limit).unwrap_or(1000).max(1);
        let mut rest = table
            .items
            .iter()
            .filter(|(key, _)| after.as_ref().is_none_or(|after| *key > after));
        let page: Vec<&Value> = rest.by_ref().take(limit).map(|(_, item)| item).collect();
        let mut answer = json!({"Items": page, "Count": page.len(), "ScannedCount": page.len()});
        if rest.next().is_some()
            && let Some(last) = page.last()
        {
            let key: Map<String, Value> = table
                .keys
                .iter()
                .map(|(name, _)| (name.clone(), last[name].clone()))
                .collect();
            answer["LastEvaluatedKey"] = Value::from(key);
        }
        Ok(answer)
    }

    pub fn items(&self, table: &str) -> BTreeMap<String, Value> {
        self.tables
            .get(table)
            .map(|t| t.items.clone())
            .unwrap_or_default()
    }

    pub fn history(&self, table: &str, key: &str) -> Vec<Recorded> {
        let table = self.tables.get(table);
        table
            .and_then(|t| t.history.get(key))
            .cloned()
            .unwrap_or_default()
    }
}

impl Table {
    /// The key in canonical form: values joined by `|`.
    fn key(&self, holder: &Value, only: bool) -> Result<String, Refusal> {
        let wrong = || invalid("The provided key element does not match the schema");
        if only
            && holder
                .as_object()
                .is_none_or(|o| o.len() != self.keys.len())
        {
            return Err(wrong());
        }
        let mut parts = Vec::new();
        for (name, ty) in &self.keys {
            let value = holder
                .get(name)
                .and_then(|v| v.get(ty))
                .and_then(Value::as_str);
            let value = value.filter(|v| !v.is_empty()).ok_or_else(wrong)?;
            parts.push(if ty == "N" {
                plain(value)
            } else {
                value.to_owned()
            });
        }
        Ok(parts.join("|"))
    }
}

/// A number without needless zeros; enough for the numbers of tests.
fn plain(number: &str) -> String {
    let number = number.strip_prefix('+').unwrap_or(number);
    if number.contains('.') && !number.contains(['e', 'E']) {
        return number
            .trim_end_matches('0')
            .trim_end_matches('.')
            .to_owned();
    }
    number.to_owned()
}

fn append(object: &mut Value, name: &str, element: Value) {
    match object.get_mut(name).and_then(Value::as_array_mut) {
        Some(elements) => elements.push(element),
        None => object[name] = json!([element]),
    }
}

fn text(request: &Value, name: &str) -> Result<String, Refusal> {
    let value = request.get(name).and_then(Value::as_str);
    value
        .map(str::to_owned)
        .ok_or_else(|| invalid(&format!("{name} is missing")))
}

fn list<'a>(request: &'a Value, name: &str) -> &'a [Value] {
    request
        .get(name)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn invalid(message: &str) -> Refusal {
    ("ValidationException", message.to_owned())
}

fn missing(table: &str) -> Refusal {
    (
        "ResourceNotFoundException",
        format!("Requested resource not found: Table: {table} not found"),
    )
}
