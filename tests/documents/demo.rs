//! The demo says where to look, and what it names is there.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use crate::support::http;
use crate::support::mysql::{self, Server};

/// Ends with its owner.
struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_demo_names_can_be_looked_at() {
    let server = Server::start(&mysql::FAST);
    let folder = tempfile::tempdir().expect("a folder");
    let mut demo = Command::new(env!("CARGO_BIN_EXE_penstock"))
        .args(["demo", "--keep", "--seconds", "1", "--mysql"])
        .arg(format!("127.0.0.1:{}", server.port()))
        .arg("--state")
        .arg(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map(Demo)
        .expect("the demo");
    let out = BufReader::new(demo.0.stdout.take().expect("its output"));
    let mut said = Vec::new();
    for line in out.lines() {
        said.push(line.expect("a line").trim().to_owned());
        if said
            .last()
            .is_some_and(|l| l.starts_with("settings and contract"))
        {
            break;
        }
    }
    let line = |end: &str| {
        let found = said.iter().find(|line| line.ends_with(end));
        found.unwrap_or_else(|| panic!("{end}: {said:#?}"))
    };
    // Once, instead of until Ctrl-C.
    let words: Vec<&str> = line(" status --watch").split(' ').collect();
    let (penstock, rest) = words.split_first().expect("a command");
    let status = Command::new(penstock)
        .args(&rest[..rest.len() - 1])
        .output()
        .expect("it can be run");
    let text = String::from_utf8_lossy(&status.stdout);
    assert!(
        status.status.success() && text.contains("ready"),
        "{status:?}"
    );

    let (_, port) = line("/")
        .trim_end_matches('/')
        .rsplit_once(':')
        .expect("an address");
    let page = http::get(port.parse().expect("a port"), "/").await;
    assert_eq!(page.expect("an answer").status, 200);
}
