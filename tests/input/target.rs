//! A DynamoDB that answers pages, refuses, or is no longer there.

use std::time::Duration;

use serde_json::{Value, json};

use super::proxy::{Proxy, Speaker};
use super::{
    PATIENCE, equal, fails, filled, is_before, make_table, marked, no_panic, stopped, things,
};
use crate::support::daemon::Daemon;
use crate::support::mysql::{Database, Server};
use crate::support::target::Target;

const PAGE: &str = "<html><head><title>Login</title></head><body>Please log in</body></html>";

fn refusal(code: &str) -> Speaker {
    let body =
        json!({"__type": format!("com.amazonaws.dynamodb.v20120810#{code}"), "message": "no"});
    Speaker::http(
        "400 Bad Request",
        "application/x-amz-json-1.0",
        &body.to_string(),
    )
}

#[tokio::test]
async fn what_is_not_dynamodb_is_told_at_once() {
    let database = filled(Server::shared(), 3).await;
    for (status, content_type, body) in [
        ("200 OK", "text/html", PAGE),
        ("403 Forbidden", "text/html", PAGE),
        ("404 Not Found", "text/plain", "no"),
        ("301 Moved Permanently", "text/html", PAGE),
        ("200 OK", "application/json", "{\"Table\":"),
        ("200 OK", "application/json", "[]"),
        ("200 OK", "application/json", "{}"),
    ] {
        let speaker = Speaker::http(status, content_type, body);
        let mut daemon = Daemon::between(
            database.server.port(),
            &database.name,
            &speaker.endpoint(),
            &things(),
        );
        for command in [
            &["check"][..],
            &["provision"],
            &["provision", "--yes"],
            &["run"],
        ] {
            let text = fails(&mut daemon, command, 1, &["DescribeTable", "DynamoDB"]);
            assert!(text.contains("endpoint"), "{status} {command:?}: {text}");
            assert!(!text.contains("Please log in"), "{status}: {text}");
        }
    }
}

struct Scene {
    database: Database<'static>,
    target: Target,
    proxy: Proxy,
    daemon: Daemon,
}

async fn through_a_proxy() -> Scene {
    let database = filled(Server::shared(), 20).await;
    let target = Target::dynoxide();
    make_table(&target).await;
    let proxy = Proxy::plain(target.port());
    let mut daemon = Daemon::between(
        database.server.port(),
        &database.name,
        &proxy.endpoint(),
        &things(),
    );
    daemon.start();
    daemon.caught_up(PATIENCE).await;
    Scene {
        database,
        target,
        proxy,
        daemon,
    }
}

/// The answer stops the stream with this kind; the position stays; with the right DynamoDB it goes on.
async fn stops(scene: &mut Scene, what: &str, speaker: &Speaker, kind: &str) -> Value {
    let before = scene.target.scan_all().await;
    scene.proxy.redirect(speaker.port);
    let insert = "INSERT INTO things SELECT MAX(id) + 1, 'new' FROM things";
    let mark = marked(&scene.database, insert).await;
    let status = stopped(&mut scene.daemon).await;
    assert_eq!(status["stopped"]["kind"], kind, "{what}: {status}");
    is_before(&status, &mark);
    assert_eq!(status["caught_up"], false, "{what}");
    assert_eq!(before, scene.target.scan_all().await, "{what}");
    scene.daemon.terminate(Duration::from_secs(10));
    scene.proxy.redirect(scene.target.port());
    scene.daemon.start();
    scene.daemon.caught_up(PATIENCE).await;
    equal(&scene.database, &scene.target).await;
    no_panic(&scene.daemon);
    status
}

#[tokio::test]
async fn pages_in_mid_stream_stop_it() {
    let mut scene = through_a_proxy().await;
    for (status, content_type, body) in [
        ("200 OK", "text/html", PAGE),
        ("403 Forbidden", "text/html", PAGE),
        ("200 OK", "application/x-amz-json-1.0", "{\"Unprocessed"),
    ] {
        let speaker = Speaker::http(status, content_type, body);
        let told = stops(&mut scene, status, &speaker, "target_protocol").await;
        let remedy = told["stopped"]["remedy"].as_str().expect("a remedy");
        assert!(remedy.contains("endpoint"), "{status}: {remedy}");
        assert!(!told.to_string().contains("Please log in"), "{told}");
    }
}

#[tokio::test]
async fn refusals_that_only_a_person_can_cure_stop_it() {
    let mut scene = through_a_proxy().await;
    for (code, kind, word) in [
        ("AccessDeniedException", "target_denied", "IAM"),
        ("ExpiredTokenException", "target_denied", "credentials"),
        (
            "UnrecognizedClientException",
            "target_denied",
            "credentials",
        ),
        ("ResourceNotFoundException", "target_table", "provision"),
    ] {
        let told = stops(&mut scene, code, &refusal(code), kind).await;
        let reason = told["stopped"]["reason"].as_str().expect("a reason");
        let remedy = told["stopped"]["remedy"].as_str().expect("a remedy");
        assert!(reason.contains(code), "{reason}");
        assert!(remedy.contains(word), "{code}: {remedy}");
    }
}

#[tokio::test]
async fn a_table_that_is_dropped_stops_it() {
    let mut scene = through_a_proxy().await;
    scene
        .target
        .call("DeleteTable", &json!({"TableName": "Things"}))
        .await
        .expect("a table dropped");
    let mark = marked(&scene.database, "INSERT INTO things VALUES (777, 'x')").await;
    let status = stopped(&mut scene.daemon).await;
    assert_eq!(status["stopped"]["kind"], "target_table", "{status}");
    is_before(&status, &mark);
    let reason = status["stopped"]["reason"].as_str().expect("a reason");
    assert!(reason.contains("ResourceNotFoundException"), "{reason}");
    scene.daemon.terminate(Duration::from_secs(10));
    fails(&mut scene.daemon, &["run"], 1, &["Things", "provision"]);
}

/// What passes by itself is waited for: a proxy's 503, an address where nobody listens, a hung connection.
#[tokio::test]
async fn what_passes_is_waited_for() {
    let mut scene = through_a_proxy().await;
    let busy = Speaker::http("503 Service Unavailable", "text/html", PAGE);
    let gone = crate::support::free_port();
    let throttled = refusal("ThrottlingException");
    for port in [busy.port, gone, throttled.port] {
        scene.proxy.redirect(port);
        let insert = "INSERT INTO things SELECT MAX(id) + 1, 'new' FROM things";
        let mark = marked(&scene.database, insert).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let status = scene.daemon.status().await.expect("a status");
        assert!(status["stopped"].is_null(), "{status}");
        is_before(&status, &mark);
        scene.proxy.redirect(scene.target.port());
        scene.daemon.caught_up(PATIENCE).await;
        equal(&scene.database, &scene.target).await;
    }
    no_panic(&scene.daemon);
}
