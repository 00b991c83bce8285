//! DynamoDB for tests: the embedded implementation in a thread of the test, or one of another make as a process.

use std::io;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::items::{self, Items, Tables};
use super::{eventually, free_port, http, script};

/// A DynamoDB on a port of 127.0.0.1; it ends when this is dropped.
pub struct Target {
    port: u16,
    _life: Life,
}

/// What keeps it running.
enum Life {
    Thread(
        #[expect(dead_code, reason = "dropping it stops the thread")]
        tokio::sync::oneshot::Sender<()>,
    ),
    Process {
        child: Child,
        input: Option<ChildStdin>,
    },
}

impl Drop for Life {
    fn drop(&mut self) {
        if let Life::Process { child, input } = self {
            drop(input.take());
            let _ = child.wait();
        }
    }
}

impl Target {
    /// dynoxide, in memory, on a thread with a runtime of its own.
    pub fn dynoxide() -> Target {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("its address").port();
        listener
            .set_nonblocking(true)
            .expect("a non-blocking socket");
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async move {
                let database = dynoxide::Database::memory().expect("a database in memory");
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                tokio::select! {
                    () = dynoxide::server::serve_on(listener, database) => {}
                    _ = stopped => {}
                }
            });
        });
        Target {
            port,
            _life: Life::Thread(stop),
        }
    }

    /// dynalite, by scripts/dynalite.
    pub async fn dynalite() -> Target {
        let port = free_port();
        let mut child = Command::new(script("dynalite"))
            .args([&port.to_string(), "--until-eof"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("scripts/dynalite can be run");
        let input = child.stdin.take();
        let target = Target {
            port,
            _life: Life::Process { child, input },
        };
        eventually("dynalite answers", Duration::from_secs(180), async || {
            target.table_names().await.ok()
        })
        .await;
        target
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// One operation (`ListTables`, …) with its JSON; an error says what DynamoDB answered.
    pub async fn call(&self, operation: &str, request: &Value) -> io::Result<Value> {
        // The servers of the tests look at the form of a signature, not at what it signs.
        let headers = format!(
            "Content-Type: application/x-amz-json-1.0\r\n\
             X-Amz-Target: DynamoDB_20120810.{operation}\r\n\
             X-Amz-Date: 20200101T000000Z\r\n\
             Authorization: AWS4-HMAC-SHA256 Credential=test/20200101/us-east-1/dynamodb/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature=0\r\n"
        );
        let response = http::post(self.port, "/", &headers, request.to_string().as_bytes()).await?;
        if response.status != 200 {
            let text = response.text();
            return Err(io::Error::other(format!(
                "{operation}: {} {text}",
                response.status
            )));
        }
        response.json()
    }

    pub async fn table_names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        let mut request = json!({});
        loop {
            let answer = self.call("ListTables", &request).await?;
            let page = answer["TableNames"].as_array().into_iter().flatten();
            names.extend(page.filter_map(Value::as_str).map(str::to_owned));
            match &answer["LastEvaluatedTableName"] {
                Value::Null => return Ok(names),
                last => request = json!({ "ExclusiveStartTableName": last }),
            }
        }
    }

    /// Makes a table with keys of the given types: `[("PK", "S"), ("SK", "N")]`.
    pub async fn create_table(&self, name: &str, keys: &[(&str, &str)]) -> io::Result<()> {
        let schema: Vec<_> = keys
            .iter()
            .zip(["HASH", "RANGE"])
            .map(|((key, _), role)| json!({ "AttributeName": key, "KeyType": role }))
            .collect();
        let definitions: Vec<_> = keys
            .iter()
            .map(|(key, kind)| json!({ "AttributeName": key, "AttributeType": kind }))
            .collect();
        let request = json!({
            "TableName": name, "KeySchema": schema, "AttributeDefinitions": definitions,
            "BillingMode": "PAY_PER_REQUEST",
        });
        self.call("CreateTable", &request).await?;
        let description = json!({ "TableName": name });
        eventually("the table is active", Duration::from_secs(10), async || {
            let answer = self.call("DescribeTable", &description).await.ok()?;
            (answer["Table"]["TableStatus"] == "ACTIVE").then_some(())
        })
        .await;
        Ok(())
    }

    /// Puts an item given in DynamoDB's JSON.
    pub async fn put(&self, table: &str, item: Value) -> io::Result<()> {
        let request = json!({ "TableName": table, "Item": item });
        self.call("PutItem", &request).await.map(drop)
    }

    /// Every item of every table.
    pub async fn scan_all(&self) -> Tables {
        let mut tables = Tables::new();
        for name in self.table_names().await.expect("the list of tables") {
            let items = self.scan(&name).await.expect("a scan");
            tables.insert(name, items);
        }
        tables
    }

    /// Every item of one table.
    pub async fn scan(&self, table: &str) -> io::Result<Items> {
        let description = self
            .call("DescribeTable", &json!({ "TableName": table }))
            .await?;
        let mut keys: Vec<_> = description["Table"]["KeySchema"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|key| {
                let name = key["AttributeName"].as_str()?.to_owned();
                Some((key["KeyType"] != "HASH", name))
            })
            .collect();
        keys.sort();
        let keys: Vec<_> = keys.into_iter().map(|(_, name)| name).collect();
        let mut found = Items::new();
        let mut request = json!({ "TableName": table, "ConsistentRead": true });
        loop {
            let answer = self.call("Scan", &request).await?;
            for item in answer["Items"].as_array().into_iter().flatten() {
                let item = item
                    .as_object()
                    .ok_or_else(|| io::Error::other("not an item"))?;
                let (key, item) = items::canonical(item, &keys);
                if found.insert(key.clone(), item).is_some() {
                    return Err(io::Error::other(format!("{table} has {key} twice")));
                }
            }
            match &answer["LastEvaluatedKey"] {
                Value::Null => return Ok(found),
                last => request["ExclusiveStartKey"] = last.clone(),
            }
        }
    }
}
