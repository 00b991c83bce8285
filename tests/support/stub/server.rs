//! The HTTP side: requests in, faults drawn, answers out.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::faults::Fate;
use super::store::{Refusal, Write};
use super::{Shared, State};

type Answer = io::Result<Response<Full<Bytes>>>;

pub async fn serve(
    listener: std::net::TcpListener,
    shared: Arc<Shared>,
    mut stopped: oneshot::Receiver<()>,
) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("listener");
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(_) => continue,
            },
            _ = &mut stopped => return,
        };
        let _ = stream.set_nodelay(true);
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(request, Arc::clone(&shared)));
            // An error is a connection that we or the client dropped.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(request: Request<Incoming>, shared: Arc<Shared>) -> Answer {
    let operation = request
        .headers()
        .get("x-amz-target")
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.strip_prefix("DynamoDB_20120810."))
        .unwrap_or_default()
        .to_owned();
    let body = request
        .into_body()
        .collect()
        .await
        .map_err(io::Error::other)?
        .to_bytes();
    let (fate, latency, slow_by) = {
        let mut state = shared.lock();
        let State {
            faults, rng, store, ..
        } = &mut *state;
        store.seen.requests += 1;
        if let Some(code) = &faults.refuse {
            return refusal(code, "refused by the stub");
        }
        if let Some(status) = faults.page {
            return page(status);
        }
        (faults.draw(rng), faults.latency, faults.slow_by)
    };
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    let is_write = matches!(
        operation.as_str(),
        "BatchWriteItem" | "PutItem" | "DeleteItem"
    );
    match fate {
        Fate::Html => {
            return page(200);
        }
        Fate::BadGateway => return page(503),
        Fate::Serve { slow } if slow => tokio::time::sleep(slow_by).await,
        _ => {}
    }
    if shared.fast && is_write {
        return fast(fate, &body, &shared);
    }
    let Ok(request) = serde_json::from_slice::<Value>(&body) else {
        return refusal("SerializationException", "not JSON");
    };
    if is_write {
        write(&operation, &request, fate, shared).await
    } else {
        read(&operation, &request, fate, &shared)
    }
}

/// Says yes and looks only for ids, and for a partial answer.
fn fast(fate: Fate, body: &[u8], shared: &Shared) -> Answer {
    match fate {
        Fate::Throttle => throttled(),
        Fate::Reset | Fate::Lost | Fate::Late(_) => Err(io::ErrorKind::ConnectionReset.into()),
        Fate::Internal { .. } => internal(),
        Fate::Partial => {
            let Ok(request) = serde_json::from_slice::<Value>(body) else {
                return refusal("SerializationException", "not JSON");
            };
            let mut items = request["RequestItems"].clone();
            for requests in items
                .as_object_mut()
                .into_iter()
                .flat_map(|o| o.values_mut())
            {
                if let Some(requests) = requests.as_array_mut() {
                    requests.truncate(requests.len().div_ceil(2));
                }
            }
            ok(&json!({"UnprocessedItems": items}))
        }
        _ => {
            shared.lock().ids.note(body);
            respond(200, Bytes::from_static(br#"{"UnprocessedItems":{}}"#))
        }
    }
}

async fn write(operation: &str, request: &Value, fate: Fate, shared: Arc<Shared>) -> Answer {
    let writes = {
        let mut state = shared.lock();
        let State { faults, store, .. } = &mut *state;
        let marker = faults.invalid.as_deref();
        let checked = match operation {
            "BatchWriteItem" => store.batch(request, marker),
            _ => store.single(request, marker).map(|write| vec![write]),
        };
        match checked {
            Ok(writes) => {
                store.begin(&writes);
                writes
            }
            Err((code, message)) => return refusal(code, &message),
        }
    };
    // So that requests for one key can be seen to overlap.
    tokio::task::yield_now().await;
    let answer = carry_out(operation, &writes, fate, &shared);
    shared.lock().store.end(&writes);
    answer
}

fn carry_out(operation: &str, writes: &[Write], fate: Fate, shared: &Arc<Shared>) -> Answer {
    let apply = |writes: &[Write]| shared.lock().store.apply(writes);
    match fate {
        Fate::Throttle => throttled(),
        Fate::Reset => Err(io::ErrorKind::ConnectionReset.into()),
        Fate::Lost => {
            apply(writes);
            Err(io::ErrorKind::ConnectionReset.into())
        }
        Fate::Late(by) => {
            apply_late(writes.to_vec(), by, Arc::clone(shared));
            Err(io::ErrorKind::ConnectionReset.into())
        }
        Fate::Internal { applied } => {
            if applied {
                apply(writes);
            }
            internal()
        }
        Fate::Partial if operation == "BatchWriteItem" && writes.len() > 1 => {
            let (done, left) = writes.split_at(writes.len() / 2);
            apply(done);
            let mut items = json!({});
            for write in left {
                let table = &mut items[&write.table];
                match table.as_array_mut() {
                    Some(requests) => requests.push(write.request.clone()),
                    None => *table = json!([write.request]),
                }
            }
            ok(&json!({"UnprocessedItems": items}))
        }
        _ => {
            apply(writes);
            match operation {
                "BatchWriteItem" => ok(&json!({"UnprocessedItems": {}})),
                _ => ok(&json!({})),
            }
        }
    }
}

fn apply_late(writes: Vec<Write>, by: Duration, shared: Arc<Shared>) {
    tokio::spawn(async move {
        tokio::time::sleep(by).await;
        shared.lock().store.apply(&writes);
    });
}

fn read(operation: &str, request: &Value, fate: Fate, shared: &Shared) -> Answer {
    match fate {
        Fate::Throttle => return throttled(),
        Fate::Reset | Fate::Lost | Fate::Late(_) => {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Fate::Internal { .. } => return internal(),
        _ => {}
    }
    let mut state = shared.lock();
    let store = &mut state.store;
    let answer: Result<Value, Refusal> = match operation {
        "CreateTable" => store.create(request),
        "UpdateTable" => store.update(request),
        "DescribeTable" => store.describe(request),
        "ListTables" => Ok(store.list()),
        "GetItem" => store.get(request),
        "BatchGetItem" => store.batch_get(request),
        "Scan" => store.scan(request),
        _ => Err(("UnknownOperationException", operation.to_owned())),
    };
    match answer {
        Ok(value) => ok(&value),
        Err((code, message)) => refusal(code, &message),
    }
}

fn throttled() -> Answer {
    refusal(
        "ProvisionedThroughputExceededException",
        "The level of configured provisioned throughput for the table was exceeded",
    )
}

fn internal() -> Answer {
    let body = json!({"__type": "com.amazonaws.dynamodb.v20120810#InternalServerError", "message": "Internal server error"});
    respond(500, body.to_string().into())
}

fn refusal(code: &str, message: &str) -> Answer {
    let ty = format!("com.amazonaws.dynamodb.v20120810#{code}");
    respond(
        400,
        json!({"__type": ty, "message": message}).to_string().into(),
    )
}

fn page(status: u16) -> Answer {
    Response::builder()
        .status(status)
        .header("content-type", "text/html")
        .body(Full::new(Bytes::from_static(
            b"<html><body>A page</body></html>",
        )))
        .map_err(io::Error::other)
}

fn ok(value: &Value) -> Answer {
    respond(200, value.to_string().into())
}

fn respond(status: u16, body: Bytes) -> Answer {
    Response::builder()
        .status(status)
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amzn-requestid", "STUB")
        .body(Full::new(body))
        .map_err(io::Error::other)
}
