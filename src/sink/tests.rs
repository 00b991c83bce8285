//! The writer, through the pipeline, against servers: the stub with faults, the embedded one, and others by hand.

#[path = "../../tests/support/stub/mod.rs"]
mod stub;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};

use self::stub::{Faults, Stub};
use super::*;
use crate::contract::Place;
use crate::contract::model::{AttributeType, GsiProjection};
use crate::error::Kind;
use crate::pipeline::{
    Action, Batch, Fate, Key, Mutation, Options, Origin, Rejection, Writer, start,
};
use crate::plan::{GsiPlan, KeyAttribute, Mapping, Plan, ProjectionId, TargetId, TargetTable};
use crate::sink::provision::Condition;

const TABLE: &str = "items";

fn key(number: u64) -> Value {
    json!({"PK": {"S": format!("K#{number}")}, "SK": {"N": (number % 7).to_string()}})
}

fn put(number: u64, text: &str) -> Mutation {
    let mut item = key(number);
    item["text"] = json!({"S": text});
    mutation(number, Some(item))
}

fn mutation(number: u64, item: Option<Value>) -> Mutation {
    let action = match item {
        Some(item) => {
            let item = Bytes::from(item.to_string());
            Action::Put {
                size: item.len(),
                item,
            }
        }
        None => Action::Delete,
    };
    Mutation {
        target: TargetId(0),
        key: Key(Bytes::from(key(number).to_string())),
        origin: Origin {
            projection: ProjectionId(0),
            source_key: number.to_string().into(),
        },
        action,
    }
}

async fn writer(url: &str, timeout: Duration) -> DynamoWriter {
    let target = Target {
        endpoint_url: Some(url.to_owned()),
        request_timeout: timeout,
        ..Target::default()
    };
    DynamoWriter::new(
        connect(&target).await,
        vec![Table::new(TABLE, "PK", Some("SK"))],
    )
}

fn stub(faults: Faults) -> Stub {
    let stub = Stub::start(faults);
    stub.create_table(TABLE, &[("PK", "S"), ("SK", "N")]);
    stub
}

fn options() -> Options {
    Options {
        lanes: 4,
        backoff_base: Duration::from_millis(1),
        backoff_cap: Duration::from_millis(10),
        late_after: Duration::from_millis(150),
        ..Options::default()
    }
}

/// Writes random mutations through the pipeline; the rejections, and what the table should hold.
async fn run(
    writer: DynamoWriter,
    seed: u64,
    count: u64,
    keys: u64,
) -> crate::error::Result<(Vec<Rejection>, BTreeMap<String, Value>)> {
    eprintln!("seed {seed}");
    let handle = tokio::runtime::Handle::current();
    let (mut feed, mut progress) = start::<u64>(options(), Arc::new(writer), &handle);
    let feeding = tokio::task::spawn_blocking(move || {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut model = BTreeMap::new();
        let mut sequence = feed.open();
        for version in 0..count {
            let number = rng.u64(0..keys);
            let id = format!("K#{number}|{}", number % 7);
            let write = if rng.u32(0..6) == 0 {
                model.remove(&id);
                mutation(number, None)
            } else {
                let mut item = key(number);
                item["text"] = json!({"S": format!("version {version} of \u{e4}\n\"{number}\"")});
                model.insert(id, item.clone());
                mutation(number, Some(item))
            };
            if feed.push(sequence, write).is_err() {
                break;
            }
            if rng.u32(0..10) == 0 {
                feed.close(sequence, version);
                sequence = feed.open();
            }
        }
        feed.close(sequence, count);
        model
    });
    let mut rejected = Vec::new();
    let mut last = None;
    while let Some(durable) = progress.next().await? {
        rejected.extend(durable.rejected);
        last = durable.completions.last().copied().or(last);
    }
    assert_eq!(last, Some(count));
    Ok((rejected, feeding.await.expect("the feeding thread")))
}

/// Runs under faults and compares the end state.
async fn survives(faults: Faults, count: u64) {
    let seed = fastrand::u64(..);
    let stub = stub(Faults { seed, ..faults });
    let writer = writer(&stub.url(), Duration::from_secs(5)).await;
    let (rejected, model) = run(writer, seed, count, 300).await.unwrap();
    // Late requests may still come.
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert!(rejected.is_empty(), "seed {seed}");
    assert_eq!(stub.items(TABLE), model, "seed {seed}");
    let seen = stub.seen();
    assert_eq!(seen.overlaps, 0, "seed {seed}: a key was under way twice");
    assert!(seen.largest_batch <= 25);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn throttles_and_partial_answers_end_with_the_same_items() {
    survives(
        Faults {
            throttle: 0.05,
            partial: 0.2,
            ..Faults::default()
        },
        4000,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_answers_resets_and_breakdowns_end_with_the_same_items() {
    let faults = Faults {
        reset: 0.02,
        lost: 0.02,
        internal: 0.02,
        bad_gateway: 0.02,
        partial: 0.1,
        ..Faults::default()
    };
    survives(faults, 2000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_requests_end_with_the_same_items() {
    let faults = Faults {
        late: 0.05,
        late_by: Duration::from_millis(120),
        ..Faults::default()
    };
    survives(faults, 2000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_request_cannot_bring_an_old_value_back() {
    let stub = stub(Faults {
        late: 1.0,
        late_by: Duration::from_millis(140),
        ..Faults::default()
    });
    let writer = writer(&stub.url(), Duration::from_secs(5)).await;
    let handle = tokio::runtime::Handle::current();
    let (mut feed, mut progress) = start::<u64>(options(), Arc::new(writer), &handle);
    let sequence = feed.open();
    feed.push(sequence, put(1, "old")).unwrap();
    feed.close(sequence, 1);
    tokio::time::sleep(Duration::from_millis(30)).await;
    stub.set_faults(Faults::default());
    let sequence = feed.open();
    feed.push(sequence, put(1, "new")).unwrap();
    feed.close(sequence, 2);
    drop(feed);
    while progress.next().await.unwrap().is_some() {}
    tokio::time::sleep(Duration::from_millis(200)).await;
    let history = stub.history(TABLE, "K#1|1");
    let text = |write: &stub::Recorded| write.as_ref().map(|item| item["text"]["S"].clone());
    let texts: Vec<_> = history.iter().filter_map(text).collect();
    assert!(texts.len() > 2, "no late request came: {texts:?}");
    assert!(
        texts[..texts.len() - 1].iter().all(|t| t == "old"),
        "{texts:?}"
    );
    assert_eq!(texts[texts.len() - 1], "new");
}

#[tokio::test]
async fn a_timeout_leaves_the_outcome_unknown_and_a_refused_connection_does_not() {
    let stub = stub(Faults {
        slow: 1.0,
        slow_by: Duration::from_secs(2),
        ..Faults::default()
    });
    let batch = Batch {
        writes: vec![put(1, "x")],
    };
    let slow = writer(&stub.url(), Duration::from_millis(100)).await;
    let outcome = slow.write(&batch).await.unwrap();
    assert_eq!(outcome.fates, [Fate::Unknown]);
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let nobody = writer(&format!("http://{free}"), Duration::from_secs(1)).await;
    let outcome = nobody.write(&batch).await.unwrap();
    assert_eq!(outcome.fates, [Fate::NotWritten]);
    assert_eq!(outcome.trouble.unwrap().kind(), Kind::TargetUnavailable);
}

#[tokio::test]
async fn one_bad_item_does_not_poison_the_others_and_its_old_item_goes() {
    let stub = stub(Faults::default());
    let writer = writer(&stub.url(), Duration::from_secs(5)).await;
    let before = Batch {
        writes: vec![put(7, "valid once")],
    };
    assert_eq!(writer.write(&before).await.unwrap().fates, [Fate::Written]);
    stub.set_faults(Faults {
        invalid: Some("POISON".into()),
        ..Faults::default()
    });
    let writes = (0..25)
        .map(|n| put(n, if n == 7 { "POISON" } else { "good" }))
        .collect();
    let outcome = writer.write(&Batch { writes }).await.unwrap();
    for (index, fate) in outcome.fates.iter().enumerate() {
        assert_eq!(
            matches!(fate, Fate::Rejected(_)),
            index == 7,
            "{index}: {fate:?}"
        );
    }
    let items = stub.items(TABLE);
    assert_eq!(items.len(), 24);
    assert!(
        !items.contains_key("K#7|0"),
        "the item of a row without a valid item stays"
    );
    assert_eq!(writer.stats().rejected, 1);
}

#[tokio::test]
async fn unprocessed_items_are_found_again_however_they_are_written() {
    let stub = stub(Faults {
        partial: 1.0,
        ..Faults::default()
    });
    let writer = writer(&stub.url(), Duration::from_secs(5)).await;
    let mut writes: Vec<_> = (0..9).map(|n| put(n, "x")).collect();
    writes.push(mutation(20, None));
    let outcome = writer.write(&Batch { writes }).await.unwrap();
    let expected: Vec<_> = (0..10)
        .map(|n| {
            if n < 5 {
                Fate::Written
            } else {
                Fate::NotWritten
            }
        })
        .collect();
    assert_eq!(outcome.fates, expected);
}

#[tokio::test]
async fn answers_that_are_not_dynamodbs_stop_with_a_clear_error() {
    let stub = stub(Faults {
        html: 1.0,
        ..Faults::default()
    });
    let page = writer(&stub.url(), Duration::from_secs(5)).await;
    let batch = Batch {
        writes: vec![put(1, "x")],
    };
    let error = page.write(&batch).await.unwrap_err();
    assert_eq!(error.kind(), Kind::TargetProtocol);
    assert!(error.to_string().contains("text/html"), "{error}");
    stub.set_faults(Faults {
        bad_gateway: 1.0,
        ..Faults::default()
    });
    assert_eq!(page.write(&batch).await.unwrap().fates, [Fate::Unknown]);
    for (code, kind) in [
        ("ResourceNotFoundException", Kind::TargetTable),
        ("AccessDeniedException", Kind::TargetDenied),
        ("ExpiredTokenException", Kind::TargetDenied),
        ("NobodyKnowsException", Kind::TargetProtocol),
    ] {
        stub.set_faults(Faults {
            refuse: Some(code.into()),
            ..Faults::default()
        });
        let error = page.write(&batch).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{code}: {error}");
        assert!(error.to_string().contains(code), "{error}");
    }
}

#[tokio::test]
async fn a_request_that_cannot_be_read_or_is_too_large_stops_and_blames_no_item() {
    let stub = stub(Faults::default());
    let writer = writer(&stub.url(), Duration::from_secs(5)).await;
    let batch = Batch {
        writes: (0..3).map(|n| put(n, "x")).collect(),
    };
    stub.set_faults(Faults {
        refuse: Some("SerializationException".into()),
        ..Faults::default()
    });
    let error = writer.write(&batch).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Internal);
    assert!(
        error.to_string().contains("SerializationException"),
        "{error}"
    );
    stub.set_faults(Faults {
        page: Some(413),
        ..Faults::default()
    });
    let error = writer.write(&batch).await.unwrap_err();
    assert_eq!(error.kind(), Kind::TargetProtocol);
    assert!(error.to_string().contains("413"), "{error}");
    assert!(error.remedy().contains("16 MB"), "{}", error.remedy());
    let stats = writer.stats();
    assert_eq!(
        (stats.requests, stats.rejected),
        (2, 0),
        "an item was tried by itself"
    );
}

#[tokio::test]
async fn a_table_that_is_gone_is_named() {
    let stub = Stub::start(Faults::default());
    let target = Target {
        endpoint_url: Some(stub.url()),
        ..Target::default()
    };
    let tables = ["orders", "users", "other"].map(|name| Table::new(name, "PK", Some("SK")));
    let writer = DynamoWriter::new(connect(&target).await, tables.into());
    let mut writes = vec![put(1, "x")];
    let batch = Batch {
        writes: writes.clone(),
    };
    let error = writer.write(&batch).await.unwrap_err();
    assert_eq!(error.kind(), Kind::TargetTable);
    let text = error.to_string();
    assert!(text.starts_with("table orders: BatchWriteItem"), "{text}");
    writes.push(Mutation {
        target: TargetId(1),
        ..put(2, "x")
    });
    let error = writer.write(&Batch { writes }).await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("one of the tables orders, users: BatchWriteItem"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn provisioning_asks_again_where_an_answer_is_late() {
    let stub = stub(Faults {
        slow: 1.0,
        slow_by: Duration::from_secs(20),
        ..Faults::default()
    });
    let target = Target {
        endpoint_url: Some(stub.url()),
        request_timeout: Duration::from_millis(300),
        ..Target::default()
    };
    let client = connect(&target).await;
    let plan = plan(Vec::new());
    let asking = tokio::spawn(async move { provision::inspect(&client, &plan).await });
    while stub.seen().requests == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stub.set_faults(Faults::default());
    let states = asking.await.unwrap().unwrap();
    assert_eq!(states[0].condition, Condition::Right);
    assert!(stub.seen().requests > 1);
}

fn attribute(name: &str, ty: AttributeType) -> KeyAttribute {
    KeyAttribute {
        name: name.into(),
        ty,
    }
}

fn plan(gsis: Vec<GsiPlan>) -> Plan {
    Plan {
        offline: false,
        stored: Vec::new(),
        indexes: Vec::new(),
        foreign_keys: Vec::new(),
        sources: Vec::new(),
        targets: vec![TargetTable {
            id: TargetId(0),
            name: TABLE.into(),
            pk: attribute("PK", AttributeType::S),
            sk: Some(attribute("SK", AttributeType::N)),
            gsis,
            place: Place {
                span: 0..0,
                pointer: "".into(),
            },
        }],
        projections: Vec::new(),
        settings: Mapping::default(),
        fingerprint: String::new(),
    }
}

fn index(name: &str, ty: AttributeType) -> GsiPlan {
    GsiPlan {
        name: name.into(),
        pk: attribute("text", ty),
        sk: None,
        projection: GsiProjection::All,
    }
}

/// Missing, created, right; an index added; what cannot be made right is named.
async fn provisions(url: &str) {
    let target = Target {
        endpoint_url: Some(url.into()),
        ..Target::default()
    };
    let client = connect(&target).await;
    let wait = Duration::from_secs(20);
    let condition = async |plan: &Plan| {
        let states = provision::inspect(&client, plan).await.unwrap();
        states[0].condition.clone()
    };
    let bare = plan(Vec::new());
    assert_eq!(condition(&bare).await, Condition::Missing);
    let mut told = Vec::new();
    provision::create(&client, &bare, wait, |step| told.push(step.to_owned()))
        .await
        .unwrap();
    assert_eq!(told, ["creating table items"]);
    assert_eq!(condition(&bare).await, Condition::Right);
    let indexed = plan(vec![index("by_text", AttributeType::S)]);
    assert_eq!(
        condition(&indexed).await,
        Condition::LacksIndexes(vec!["by_text".into()])
    );
    provision::create(&client, &indexed, wait, |_| {})
        .await
        .unwrap();
    assert_eq!(condition(&indexed).await, Condition::Right);
    let mut other = plan(vec![index("by_text", AttributeType::N)]);
    other.targets[0].sk = None;
    let Condition::Wrong(differences) = condition(&other).await else {
        panic!("not wrong");
    };
    assert_eq!(differences.len(), 2, "{differences:?}");
    assert!(differences[0].contains("PK (S), SK (N)"), "{differences:?}");
    let error = provision::create(&client, &other, wait, |_| {})
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::TargetTable);
}

/// All items, read back through the SDK, in the stub's form.
async fn items(url: &str) -> BTreeMap<String, String> {
    use aws_sdk_dynamodb::types::AttributeValue;
    let target = Target {
        endpoint_url: Some(url.into()),
        ..Target::default()
    };
    let client = connect(&target).await;
    let mut items = BTreeMap::new();
    let mut start = None;
    loop {
        let request = client.scan().table_name(TABLE).consistent_read(true);
        let page = request.set_exclusive_start_key(start).send().await.unwrap();
        for item in page.items() {
            let (Some(AttributeValue::S(pk)), Some(AttributeValue::N(sk))) =
                (item.get("PK"), item.get("SK"))
            else {
                panic!("an item without its key");
            };
            let text = item["text"].as_s().unwrap().clone();
            items.insert(format!("{pk}|{sk}"), text);
        }
        start = page.last_evaluated_key;
        if start.is_none() {
            return items;
        }
    }
}

async fn takes_what_we_send(url: &str, count: u64) {
    let writer = writer(url, Duration::from_secs(10)).await;
    let started = Instant::now();
    let (rejected, model) = run(writer, fastrand::u64(..), count, count / 2)
        .await
        .unwrap();
    let rate = count as f64 / started.elapsed().as_secs_f64();
    eprintln!("{rate:.0} mutations/s");
    assert!(rejected.is_empty(), "{rejected:?}");
    let texts = |(id, item): (String, Value)| (id, item["text"]["S"].as_str().unwrap().to_owned());
    let model: BTreeMap<String, String> = model.into_iter().map(texts).collect();
    assert_eq!(items(url).await, model);
}

#[tokio::test]
async fn the_stub_is_provisioned() {
    provisions(&Stub::start(Faults::default()).url()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_server_takes_what_we_send_and_keeps_it() {
    let dir = tempfile::tempdir().unwrap();
    let embedded = embedded::start(dir.path(), 0).unwrap();
    provisions(&embedded.endpoint_url()).await;
    takes_what_we_send(&embedded.endpoint_url(), 3000).await;
    let before = items(&embedded.endpoint_url()).await;
    let port = embedded
        .endpoint_url()
        .rsplit_once(':')
        .unwrap()
        .1
        .parse()
        .unwrap();
    assert_eq!(
        embedded::start(dir.path(), port).err().map(|e| e.kind()),
        Some(Kind::Usage)
    );
    embedded.stop();
    let again = embedded::start(dir.path(), 0).unwrap();
    assert_eq!(items(&again.endpoint_url()).await, before);
}

/// Another implementation of the protocol: `PENSTOCK_DYNAMODB_URL` names an empty server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a server in PENSTOCK_DYNAMODB_URL"]
async fn another_server_takes_what_we_send() {
    let url = std::env::var("PENSTOCK_DYNAMODB_URL").unwrap();
    let target = Target {
        endpoint_url: Some(url.clone()),
        ..Target::default()
    };
    let client = connect(&target).await;
    let plan = plan(vec![index("by_text", AttributeType::S)]);
    provision::create(&client, &plan, Duration::from_secs(20), |_| {})
        .await
        .unwrap();
    takes_what_we_send(&url, 3000).await;
}
