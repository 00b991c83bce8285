//! A MySQL whose bytes are damaged, that goes away in mid-packet, or that is no MySQL.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::proxy::{Act, Proxy, Speaker};
use super::{
    PATIENCE, equal, fails, filled, is_before, make_table, marked, no_panic, stopped, things,
};
use crate::support::daemon::Daemon;
use crate::support::mysql::{Database, Server};
use crate::support::target::Target;
use crate::support::{eventually, seed};

/// The types of events that every transaction has.
const TABLE_MAP: u8 = 19;
const WRITE_ROWS: u8 = 30;
const XID: u8 = 16;
/// The second event of every stream.
const FORMAT_DESCRIPTION: u8 = 15;

struct Scene {
    database: Database<'static>,
    target: Target,
    proxy: Proxy,
    daemon: Daemon,
}

/// A daemon that has caught up through a proxy.
async fn through_a_proxy(rows: u32) -> Scene {
    let database = filled(Server::shared(), rows).await;
    let target = Target::dynoxide();
    make_table(&target).await;
    let proxy = Proxy::mysql(database.server.port());
    let mut daemon = Daemon::between(proxy.port(), &database.name, &target.endpoint(), &things());
    daemon.set("source", "tls", "\"disabled\"").start();
    daemon.caught_up(PATIENCE).await;
    Scene {
        database,
        target,
        proxy,
        daemon,
    }
}

/// The type of the event that a packet of a binlog stream holds.
fn event_type(packet: &[u8]) -> Option<u8> {
    packet.get(5).copied()
}

/// Damages the next event of this type once.
fn once(
    ty: u8,
    mut change: impl FnMut(&[u8]) -> Vec<u8> + Send + 'static,
) -> impl FnMut(&[u8], bool) -> Act + Send + 'static {
    let mut done = false;
    move |packet, dump| {
        if done || !dump || event_type(packet) != Some(ty) {
            return Act::Pass;
        }
        done = true;
        Act::Replace(change(packet))
    }
}

/// Whatever was damaged: the stream stops there, nothing is written, and without the damage it goes on.
async fn stops_there(scene: &mut Scene, id: u32, what: &str) {
    let before = scene.target.scan_all().await;
    let insert = format!("INSERT INTO things VALUES ({id}, 'after')");
    let mark = marked(&scene.database, &insert).await;
    let status = stopped(&mut scene.daemon).await;
    assert_eq!(
        status["stopped"]["kind"], "event_unreadable",
        "{what}: {status}"
    );
    is_before(&status, &mark);
    let reason = status["stopped"]["reason"].as_str().expect("a reason");
    assert!(reason.contains("event"), "{what}: {reason}");
    assert!(
        !reason.contains("after"),
        "{what}: a row's value in: {reason}"
    );
    assert_eq!(before, scene.target.scan_all().await, "{what}");
    scene.daemon.terminate(Duration::from_secs(10));
    scene.proxy.heal();
    scene.daemon.start();
    scene.daemon.caught_up(PATIENCE).await;
    equal(&scene.database, &scene.target).await;
    no_panic(&scene.daemon);
}

/// CRC32 sees every flipped bit, wherever it is in an event, the header included.
#[tokio::test]
async fn a_flipped_bit_stops_the_stream() {
    let mut random = fastrand::Rng::with_seed(seed());
    let mut scene = through_a_proxy(20).await;
    for (round, ty) in [TABLE_MAP, WRITE_ROWS, XID, WRITE_ROWS]
        .into_iter()
        .enumerate()
    {
        let (place, bit) = (random.f64(), random.u8(0..8));
        let damage = move |packet: &[u8]| {
            let mut packet = packet.to_vec();
            // The first byte is the protocol's: the event begins after it.
            let at = 1 + (place * (packet.len() - 1) as f64) as usize;
            packet[at] ^= 1 << bit;
            packet
        };
        scene.proxy.damage(once(ty, damage));
        let what = format!("bit {bit} at {place:.3} of an event {ty}");
        stops_there(&mut scene, 1000 + round as u32, &what).await;
    }
}

#[tokio::test]
async fn truncated_and_garbled_events_stop_the_stream() {
    let mut random = fastrand::Rng::with_seed(seed());
    let mut scene = through_a_proxy(20).await;
    type Change = fn(&[u8], &mut fastrand::Rng) -> Vec<u8>;
    let changes: [(&str, Change); 4] = [
        ("its end is missing", |p, r| {
            let most = p.len();
            p[..r.usize(20..most)].to_vec()
        }),
        ("its header only", |p, _| p[..20].to_vec()),
        ("noise", |p, r| {
            let head = p[..6].to_vec();
            head.into_iter()
                .chain((6..p.len()).map(|_| r.u8(..)))
                .collect()
        }),
        ("bytes follow it", |p, r| {
            let more = r.usize(1..200);
            p.iter().copied().chain((0..more).map(|_| 7)).collect()
        }),
    ];
    for (round, (what, change)) in changes.into_iter().enumerate() {
        let mut random = random.fork();
        scene
            .proxy
            .damage(once(WRITE_ROWS, move |packet| change(packet, &mut random)));
        stops_there(&mut scene, 2000 + round as u32, what).await;
    }
}

#[tokio::test]
async fn a_stream_that_breaks_in_mid_packet_is_opened_again() {
    let mut scene = through_a_proxy(20).await;
    let left = Arc::new(AtomicU32::new(4));
    let cuts = Arc::clone(&left);
    scene.proxy.damage(move |packet, dump| {
        let cut = dump && event_type(packet) == Some(WRITE_ROWS);
        if !cut || cuts.load(Ordering::SeqCst) == 0 {
            return Act::Pass;
        }
        // In the packet's header, in the event's header, and in its rows.
        match cuts.fetch_sub(1, Ordering::SeqCst) {
            4 => Act::Cut(2),
            3 => Act::Cut(10),
            _ => Act::Cut(packet.len() / 2),
        }
    });
    scene
        .database
        .run(&[
            "UPDATE things SET v = CONCAT(v, '!')",
            "DELETE FROM things WHERE id = 3",
            "INSERT INTO things VALUES (5000, 'later')",
        ])
        .await;
    scene.daemon.caught_up(PATIENCE).await;
    assert_eq!(left.load(Ordering::SeqCst), 0);
    equal(&scene.database, &scene.target).await;
    no_panic(&scene.daemon);
}

/// Connections of the copy and of the stream end at random, in mid-packet.
#[tokio::test]
async fn a_copy_through_a_failing_network_is_complete() {
    let mut random = fastrand::Rng::with_seed(seed());
    let database = filled(Server::shared(), 5000).await;
    let target = Target::dynoxide();
    make_table(&target).await;
    let proxy = Proxy::mysql(database.server.port());
    let mut daemon = Daemon::between(proxy.port(), &database.name, &target.endpoint(), &things());
    daemon
        .set("source", "tls", "\"disabled\"")
        .set("snapshot", "chunk_rows", "500")
        .start();
    // The start itself asks MySQL, and a start that fails is another matter.
    daemon.reach("it runs", PATIENCE, |_| true).await;
    let cuts = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&cuts);
    proxy.damage(move |packet, _| {
        if counted.load(Ordering::SeqCst) < 12 && random.u32(0..150) == 0 {
            counted.fetch_add(1, Ordering::SeqCst);
            return Act::Cut(random.usize(0..packet.len() + 4));
        }
        Act::Pass
    });
    for round in 0..10 {
        let change = format!("UPDATE things SET v = 'round {round}' WHERE id % 10 = {round}");
        database.run(&[change.as_str()]).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    daemon.caught_up(Duration::from_secs(90)).await;
    println!("{} connections were cut", cuts.load(Ordering::SeqCst));
    equal(&database, &target).await;
    no_panic(&daemon);
}

/// A server that breaks every connection right behind its first events is asked ever less often.
#[tokio::test]
async fn a_stream_that_breaks_at_once_is_asked_for_ever_less_often() {
    let mut scene = through_a_proxy(20).await;
    let breaks = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&breaks);
    scene.proxy.damage(move |packet, dump| {
        if dump && event_type(packet) == Some(FORMAT_DESCRIPTION) {
            counted.fetch_add(1, Ordering::SeqCst);
            return Act::Cut(0);
        }
        Act::Pass
    });
    scene.proxy.cut();
    tokio::time::sleep(Duration::from_secs(10)).await;
    let breaks = breaks.load(Ordering::SeqCst);
    println!("{breaks} connections in 10 s");
    assert!((2..=20).contains(&breaks), "{breaks} connections in 10 s");
    scene.proxy.heal();
    scene.database.run(&["UPDATE things SET v = 'after'"]).await;
    scene.daemon.caught_up(PATIENCE).await;
    equal(&scene.database, &scene.target).await;
    no_panic(&scene.daemon);
}

/// What is not MySQL is named as that, in bounded time.
#[tokio::test]
async fn nonsense_on_the_port_is_told() {
    let mut random = fastrand::Rng::with_seed(seed());
    let page = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n".to_vec();
    let noise: Vec<u8> = (0..5000).map(|_| random.u8(..)).collect();
    let mut greeting = vec![0x4a, 0, 0, 0, 10];
    greeting.extend(b"9.7.4\0");
    greeting.extend((0..60).map(|_| random.u8(..)));
    let error = b"\x17\0\0\0\xff\x10\x04Too many connections".to_vec();
    for (what, says, hangs_up, words) in [
        ("a web server", page, false, &["127.0.0.1"][..]),
        ("noise", noise, true, &["127.0.0.1"]),
        ("nothing", Vec::new(), true, &["127.0.0.1"]),
        ("a garbled greeting", greeting, true, &["127.0.0.1"]),
        ("silence", Vec::new(), false, &["no connection", "10 s"]),
        (
            "half a header",
            b"\xff\xff".to_vec(),
            false,
            &["no connection"],
        ),
        ("an error", error, true, &["1040", "max_connections"]),
    ] {
        let speaker = Speaker::start(says, hangs_up);
        let mut daemon = Daemon::between(speaker.port, "shop", "http://127.0.0.1:9", &things());
        let slow = words[0] == "no connection";
        for tls in ["disabled", "required"] {
            if slow && tls == "required" {
                continue;
            }
            daemon.set("source", "tls", &format!("\"{tls}\""));
            let begin = Instant::now();
            let text = fails(&mut daemon, &["run"], 1, words);
            assert!(text.contains("help: "), "{what}: {text}");
            assert!(begin.elapsed() < Duration::from_secs(25), "{what}");
        }
        if !slow {
            fails(&mut daemon, &["check"], 1, &["MySQL", "error: "]);
        }
    }
}

/// The server numbers its tables anew when it opens them anew.
#[tokio::test]
async fn a_table_that_the_server_opens_anew_goes_on() {
    let mut scene = through_a_proxy(20).await;
    for round in 0..3 {
        let update = format!("UPDATE things SET v = 'round {round}'");
        scene
            .database
            .run(&[update.as_str(), "FLUSH TABLES things"])
            .await;
        scene.daemon.caught_up(PATIENCE).await;
    }
    equal(&scene.database, &scene.target).await;
}

/// The address of a running daemon's MySQL begins to lead to something else, and comes back.
#[tokio::test]
async fn a_mysql_that_turns_into_something_else_is_waited_for() {
    let mut scene = through_a_proxy(20).await;
    let page = Speaker::http("200 OK", "text/html", "<html>");
    let noise = Speaker::start((0..2000).map(|n| (n * 7 % 256) as u8).collect(), true);
    for port in [page.port, noise.port] {
        scene.proxy.redirect(port);
        let insert = "INSERT INTO things SELECT MAX(id) + 1, 'meanwhile' FROM things";
        let mark = marked(&scene.database, insert).await;
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let status = scene.daemon.status().await.expect("a status");
        assert!(status["stopped"].is_null(), "{status}");
        is_before(&status, &mark);
        assert_eq!(status["caught_up"], false);
    }
    scene.proxy.redirect(scene.database.server.port());
    scene.daemon.caught_up(PATIENCE).await;
    equal(&scene.database, &scene.target).await;
    no_panic(&scene.daemon);
}

/// The server itself is killed in the middle of a large transaction's events, and comes back.
#[tokio::test]
async fn a_server_that_crashes_is_waited_for() {
    let server = Server::start(&[]);
    let database = filled(&server, 2000).await;
    let target = Target::dynoxide();
    make_table(&target).await;
    let mut daemon = Daemon::new(&database, &target, &things());
    daemon.start();
    daemon.caught_up(PATIENCE).await;
    database
        .run(&["UPDATE things SET v = REPEAT('z', 200)"])
        .await;
    server.stop(true);
    eventually("the daemon notices", PATIENCE, async || {
        daemon
            .log()
            .contains("the binlog stream broke")
            .then_some(())
    })
    .await;
    server.start_again(&[]);
    database.run(&["DELETE FROM things WHERE id % 2 = 0"]).await;
    daemon.caught_up(PATIENCE).await;
    equal(&database, &target).await;
    no_panic(&daemon);
}
