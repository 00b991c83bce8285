//! The stream with its decode thread, over breaks and nonsense.

use std::sync::mpsc;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{DATABASE, assembler, connect, executed, options, sql, stream};
use crate::error::{Kind, Result};
use crate::position::GtidSet;
use crate::source::dump::Dump;
use crate::source::options::Options;
use crate::source::transaction::StreamItem;

struct Running {
    cancel: CancellationToken,
    task: tokio::task::JoinHandle<Result<()>>,
    thread: std::thread::JoinHandle<Result<()>>,
    items: mpsc::Receiver<StreamItem>,
    state: watch::Receiver<stream::StreamState>,
}

impl Running {
    async fn stop(self) {
        self.cancel.cancel();
        self.task.await.expect("joined").expect("cancelled");
        self.thread.join().expect("joined").expect("ended");
    }
}

fn start_stream(options: Options, start: GtidSet, table: &str) -> Running {
    let cancel = CancellationToken::new();
    let (task, deliveries, state) = stream::Stream::new(
        options,
        4270,
        start.clone(),
        false,
        stream::Budget {
            bytes: 1 << 20,
            events: 64,
        },
        cancel.clone(),
    );
    let (sender, items) = std::sync::mpsc::channel();
    let mut assembler = assembler(table, start);
    let thread = std::thread::spawn(move || {
        stream::decode(&deliveries, &mut assembler, &mut |item| {
            let _ = sender.send(item);
            Ok(())
        })
    });
    Running {
        cancel,
        task: tokio::spawn(task.run()),
        thread,
        items,
        state,
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a server"]
async fn the_stream_goes_on_after_a_kill_of_its_connection() {
    sql(&[
        "DROP TABLE IF EXISTS killed",
        "CREATE TABLE killed (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(900))",
    ])
    .await;
    let start = executed().await;
    let running = start_stream(options(), start, "killed");
    let mut conn = connect::connect(&options()).await.expect("a connection");
    for round in 0..30 {
        conn.query_drop(format!(
            "INSERT INTO {DATABASE}.killed (v) VALUES (REPEAT('x', 800)), ('y')"
        ))
        .await
        .expect("inserted");
        if round % 6 == 3 {
            let ids: Vec<u64> = conn
                .query("SELECT ID FROM information_schema.PROCESSLIST WHERE COMMAND = 'Binlog Dump GTID'")
                .await
                .expect("rows");
            for id in ids {
                let _ = conn.query_drop(format!("KILL {id}")).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    let goal = executed().await;
    let (mut seen, mut rows, mut commits) = (GtidSet::new(), 0, 0);
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while commits < 30 && std::time::Instant::now() < deadline {
        match running.items.recv_timeout(Duration::from_millis(200)) {
            Ok(StreamItem::Rows { .. }) => rows += 1,
            Ok(StreamItem::Commit { gtid, .. }) => {
                assert!(seen.add(&gtid), "twice: {gtid}");
                assert!(goal.contains(&gtid));
                commits += 1;
            }
            _ => {}
        }
    }
    assert_eq!((commits, rows), (30, 30));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs no server, but time"]
async fn nonsense_is_retried_and_reported() {
    use tokio::io::AsyncWriteExt;
    for junk in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
        &[],
        &[5, 0, 0, 0, 10, 1],
        &[0xFF; 64],
        &[1, 0, 0, 0, 0xFF],
    ] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let port = listener.local_addr().expect("an address").port();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let _ = client.write_all(junk).await;
            }
        });
        let options = Options {
            port,
            connect_timeout: Duration::from_secs(1),
            ..Options::default()
        };
        for error in [
            connect::connect(&options)
                .await
                .map(drop)
                .expect_err("no connection"),
            Dump::start(&options, &GtidSet::new(), 1)
                .await
                .map(drop)
                .expect_err("no dump"),
        ] {
            assert_eq!(error.kind(), Kind::SourceUnavailable, "{junk:?}: {error}");
        }
        let mut running = start_stream(options, GtidSet::new(), "none");
        running
            .state
            .wait_for(|s| matches!(s, stream::StreamState::Waiting { .. }))
            .await
            .expect("a state");
        running.stop().await;
    }
}

/// `PENSTOCK_TEST_RESTART` is the shell command that restarts the server.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a server that it may restart"]
async fn the_stream_goes_on_after_a_restart() {
    let Ok(command) = std::env::var("PENSTOCK_TEST_RESTART") else {
        return;
    };
    sql(&["CREATE TABLE IF NOT EXISTS again (id INT AUTO_INCREMENT PRIMARY KEY)"]).await;
    let mut running = start_stream(options(), executed().await, "again");
    let streaming = |s: &stream::StreamState| matches!(s, stream::StreamState::Streaming { .. });
    sql(&["INSERT INTO again VALUES ()"]).await;
    running.state.wait_for(streaming).await.expect("a state");
    let restarted = tokio::process::Command::new("sh")
        .arg("-c")
        .arg(command)
        .status();
    assert!(restarted.await.expect("restarted").success());
    sql(&["INSERT INTO again VALUES ()"]).await;
    let mut rows = 0;
    while let Ok(item) = running.items.recv_timeout(Duration::from_secs(15)) {
        rows += u32::from(matches!(item, StreamItem::Rows { .. }));
        if rows == 2 {
            break;
        }
    }
    assert_eq!(rows, 2);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a server; prints a rate"]
async fn the_rate_of_the_dump() {
    sql(&[
        "DROP TABLE IF EXISTS rate",
        "CREATE TABLE rate (id INT PRIMARY KEY, v VARCHAR(2000))",
    ])
    .await;
    let start = executed().await;
    sql(&[
        "SET SESSION cte_max_recursion_depth = 400000",
        "INSERT INTO rate WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000) SELECT i, REPEAT('x', 1000) FROM n",
    ])
    .await;
    let goal = executed().await;
    let mut dump = Dump::start(&options(), &start, 4280).await.expect("a dump");
    let mut assembler = assembler("rate", start);
    let (began, mut bytes) = (std::time::Instant::now(), 0);
    while !goal.is_subset(assembler.completed()) {
        let event = dump.next().await.expect("an event");
        bytes += event.len();
        assembler.event(event, &mut |_| Ok(())).expect("understood");
    }
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{bytes} bytes, {:.0} MB/s with frames and checksums",
        bytes as f64 / seconds / 1e6
    );
}
