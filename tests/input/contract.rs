//! Files that are no contracts: refused quickly, in bounded memory, with the reason.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{Daemon, fails, things};

const MB: usize = 1 << 20;
/// Largest file that is read at all.
const LIMIT: usize = 64 * MB;

fn daemon() -> Daemon {
    Daemon::between(9, "shop", "embedded", &things())
}

/// Runs `check --offline` on this contract; its text and the most memory that it had.
fn check(daemon: &mut Daemon) -> (Option<i32>, String, u64) {
    // Writes the settings; what it says is not of interest here.
    let _ = daemon.command(&["status"]);
    let out = daemon.path().join("out");
    let file = std::fs::File::create(&out).expect("a file");
    let mut child = Command::new(env!("CARGO_BIN_EXE_penstock"))
        .args(["check", "--offline", "--config"])
        .arg(daemon.path().join("penstock.toml"))
        .stdin(Stdio::null())
        .stdout(file.try_clone().expect("the file"))
        .stderr(file)
        .spawn()
        .expect("penstock can be run");
    let (begin, mut most) = (Instant::now(), 0);
    let code = loop {
        most = most.max(peak(child.id()));
        if let Some(status) = child.try_wait().expect("its status") {
            break status.code();
        }
        assert!(
            begin.elapsed() < Duration::from_secs(30),
            "it takes too long"
        );
        std::thread::sleep(Duration::from_millis(2));
    };
    let text = std::fs::read(&out).expect("its answer");
    (code, String::from_utf8_lossy(&text).into_owned(), most)
}

/// The most memory that a process has had, in bytes.
fn peak(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

fn fill(path: &Path, pattern: &[u8], size: usize) {
    let block = pattern.repeat(MB.div_ceil(pattern.len()));
    let mut file = std::fs::File::create(path).expect("the contract");
    let mut left = size;
    while left > 0 {
        let part = left.min(block.len());
        file.write_all(&block[..part]).expect("the contract");
        left -= part;
    }
}

#[test]
fn large_nonsense_is_refused_quickly_and_in_bounded_memory() {
    let mut daemon = daemon();
    let path = daemon.path().join("contract.json");
    let attribute = br#"{"name":"a","type":"S","source_table":"t","source_column":"c"},"#;
    for (what, start, pattern) in [
        ("brackets", &b""[..], &b"["[..]),
        ("objects", b"", b"{\"a\":"),
        ("zeros", b"", b"\0"),
        ("letters", b"", b"nonsense "),
        ("a string without end", b"\"", b"a\\n"),
        ("bytes that are no text", b"", b"\xff\xfe\x80"),
        ("digits", b"", b"7"),
        ("numbers", b"[", b"1,"),
        ("empty tables", b"{\"tables\":[", b"{},"),
        (
            "attributes",
            b"{\"tables\":[{\"table\":\"T\",\"attributes\":[",
            attribute,
        ),
        ("quotes", b"{", b"\"\":\"\","),
    ] {
        for size in [100 * MB, LIMIT - MB] {
            fill(&path, pattern, size);
            let mut file = std::fs::OpenOptions::new()
                .write(true)
                .open(&path)
                .expect("it");
            file.write_all(start).expect("the contract");
            drop(file);
            let begin = Instant::now();
            let (code, text, most) = check(&mut daemon);
            println!(
                "{what}: {size} bytes, {:?}, {} MB",
                begin.elapsed(),
                most >> 20
            );
            let short: String = text.chars().take(600).collect();
            assert_eq!(code, Some(2), "{what}: {short}");
            assert!(text.contains("error"), "{what}: {short}");
            assert!(!text.contains("panicked"), "{what}: {text}");
            assert!(
                text.len() < 100_000,
                "{what}: {} bytes of messages",
                text.len()
            );
            assert!(begin.elapsed() < Duration::from_secs(15), "{what}");
            assert!(most < 500 << 20, "{what}: {} MB", most >> 20);
            if size > LIMIT {
                assert!(text.contains("100 MB"), "{what}: {short}");
            }
        }
    }
}

#[test]
fn small_nonsense_is_told_for_what_it_is() {
    let mut daemon = daemon();
    let path = daemon.path().join("contract.json");
    for (content, words) in [
        (&b""[..], &["contract.json", "empty"][..]),
        (b"   \n", &["contract.json", "empty"]),
        (b"\0", &["contract.json"]),
        (b"{\"tables\": [\0]}", &["contract.json:1:13"]),
        (b"\xff\xfe{\0}\0", &["contract.json", "UTF-8"]),
        (b"{\"tables\": []}", &["no tables"]),
        (b"{\"tables\": null}", &["tables"]),
        (b"null", &["contract.json"]),
        (b"7", &["contract.json"]),
        (b"<html>", &["contract.json:1:1"]),
        (b"{\"tables\": [{}]}", &["contract.json"]),
        (b"{\"tables\": [{\"table\": \"T", &["contract.json:1:"]),
    ] {
        std::fs::write(&path, content).expect("the contract");
        for command in [
            &["check", "--offline"][..],
            &["explain", "--offline"],
            &["run"],
        ] {
            fails(&mut daemon, command, 2, words);
        }
    }
}

#[test]
fn what_is_no_file_is_not_read() {
    let mut daemon = daemon();
    let pipe = daemon.path().join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status();
    assert!(made.is_ok_and(|status| status.success()));
    for (path, word) in [
        ("/nowhere/contract.json", "No such file"),
        (".", "is a directory"),
        ("/dev/zero", "is not a file"),
        ("pipe", "is not a file"),
        ("contract.json/x", "Not a directory"),
    ] {
        daemon.set("contract", "path", &format!("\"{path}\""));
        for command in [&["check", "--offline"][..], &["check"], &["run"]] {
            fails(&mut daemon, command, 2, &[word, "[contract] path"]);
        }
    }
}
