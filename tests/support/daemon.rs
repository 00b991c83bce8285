//! The daemon as its users run it: the binary, a settings file, a state directory; killed and started again at will.

use std::fmt::Write as _;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::mysql::Database;
use super::target::Target;
use super::{eventually, free_port, http};

/// One installation of penstock: settings, contract and state, and the process while it runs.
pub struct Daemon {
    folder: TempDir,
    port: u16,
    /// `(section, key, value as TOML)`; later ones replace earlier ones.
    settings: Vec<(String, String, String)>,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    runs: u32,
    child: Option<Child>,
}

impl Daemon {
    /// From a database to a target by a contract (its JSON text). Nothing runs yet.
    pub fn new(source: &Database<'_>, target: &Target, contract: &str) -> Daemon {
        Self::between(
            source.server.port(),
            &source.name,
            &target.endpoint(),
            contract,
        )
    }

    /// The same by port, database and endpoint, for proxies and stubs.
    pub fn between(mysql_port: u16, database: &str, endpoint: &str, contract: &str) -> Daemon {
        let folder = tempfile::Builder::new()
            .prefix("penstock-")
            .tempdir()
            .expect("a temporary directory");
        std::fs::write(folder.path().join("contract.json"), contract).expect("the contract");
        let mut daemon = Daemon {
            folder,
            port: 0,
            settings: Vec::new(),
            arguments: Vec::new(),
            environment: Vec::new(),
            runs: 0,
            child: None,
        };
        let text = |text: &str| Value::from(text).to_string();
        daemon
            .set("source", "host", &text("127.0.0.1"))
            .set("source", "port", &mysql_port.to_string())
            .set("source", "user", &text("root"))
            .set("source", "database", &text(database))
            .set("source", "tls", &text("preferred"))
            .set(
                "source",
                "server_id",
                &fastrand::u32(100_000..u32::MAX).to_string(),
            )
            .set("target", "endpoint", &text(endpoint))
            .set("target", "region", &text("us-east-1"))
            // Any port that is free: commands run beside each other.
            .set("metrics", "listen", &text("127.0.0.1:0"))
            .set("contract", "path", &text("contract.json"))
            .set("state", "path", &text("state"));
        daemon
    }

    /// Sets a key of the settings, its value as TOML. Holds from the next start on.
    pub fn set(&mut self, section: &str, key: &str, value: &str) -> &mut Daemon {
        self.settings
            .retain(|(s, k, _)| (s.as_str(), k.as_str()) != (section, key));
        self.settings
            .push((section.into(), key.into(), value.into()));
        self
    }

    /// Takes a key out of the settings. Holds from the next start on.
    pub fn without(&mut self, section: &str, key: &str) -> &mut Daemon {
        self.settings
            .retain(|(s, k, _)| (s.as_str(), k.as_str()) != (section, key));
        self
    }

    /// More arguments of `penstock run`. Hold from the next start on.
    pub fn run_arguments(&mut self, arguments: &[&str]) -> &mut Daemon {
        self.arguments = arguments.iter().map(|&a| a.to_owned()).collect();
        self
    }

    /// A variable of its environment. Holds from the next start on.
    pub fn variable(&mut self, name: &str, value: &str) -> &mut Daemon {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Replaces the contract. Holds from the next start on.
    pub fn contract(&mut self, contract: &str) -> &mut Daemon {
        std::fs::write(self.folder.path().join("contract.json"), contract).expect("the contract");
        self
    }

    /// Where the current run serves HTTP.
    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// `penstock COMMAND` to its end, with the settings of this daemon.
    pub fn command(&mut self, arguments: &[&str]) -> Output {
        self.write_settings();
        let mut command = self.binary();
        command.args(arguments).stdin(Stdio::null());
        command.output().expect("penstock can be run")
    }

    /// The same, and the CPU seconds that it took.
    pub fn command_timed(&mut self, arguments: &[&str]) -> (Output, f64) {
        self.write_settings();
        let binary = self.binary();
        // The shell's last line: user and system time of its children, each as `0m0.123s`.
        let mut command = Command::new("bash");
        command
            .args(["-c", "\"$@\"; code=$?; times >&2; exit $code", "bash"])
            .arg(binary.get_program())
            .args(binary.get_args())
            .args(arguments)
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        let output = command.output().expect("bash can be run");
        let told = String::from_utf8_lossy(&output.stderr);
        let seconds = |text: &str| -> Option<f64> {
            let (minutes, seconds) = text.strip_suffix('s')?.split_once('m')?;
            Some(60.0 * minutes.parse::<f64>().ok()? + seconds.parse::<f64>().ok()?)
        };
        let times = told.lines().last().unwrap_or_default();
        let used: Option<f64> = times.split_whitespace().map(seconds).sum();
        let used = used.unwrap_or_else(|| panic!("no times in {told}"));
        (output, used)
    }

    /// `penstock COMMAND` in the background, with the settings of this daemon.
    pub fn spawn(&mut self, arguments: &[&str]) -> Child {
        self.write_settings();
        let mut command = self.binary();
        command.args(arguments).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("penstock can be run")
    }

    /// `penstock COMMAND`, ready to be run in whatever way, with the settings of this daemon.
    pub fn prepared(&self, arguments: &[&str]) -> Command {
        self.write_settings();
        let mut command = self.binary();
        command.args(arguments);
        command
    }

    /// Starts `penstock run`.
    pub fn start(&mut self) -> &mut Daemon {
        assert!(self.child.is_none(), "the daemon runs already");
        self.port = free_port();
        self.set("metrics", "listen", &format!("\"127.0.0.1:{}\"", self.port));
        self.write_settings();
        self.runs += 1;
        let log = File::create(self.log_file(self.runs)).expect("a log file");
        let child = self
            .binary()
            .arg("run")
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the log file"))
            .stderr(log)
            .spawn()
            .expect("penstock can be run");
        self.child = Some(child);
        self
    }

    fn binary(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_penstock"));
        command
            .arg("--config")
            .arg(self.folder.path().join("penstock.toml"))
            .current_dir(self.folder.path())
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env_remove("AWS_PROFILE")
            .env("RUST_BACKTRACE", "1")
            .env("NO_COLOR", "1")
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    fn write_settings(&self) {
        let mut sections: Vec<_> = self.settings.iter().map(|(section, ..)| section).collect();
        sections.sort();
        sections.dedup();
        let mut toml = String::new();
        for section in sections {
            let _ = writeln!(toml, "[{section}]");
            for (_, key, value) in self.settings.iter().filter(|(s, ..)| s == section) {
                let _ = writeln!(toml, "{key} = {value}");
            }
        }
        let file = self.folder.path().join("penstock.toml");
        // Somebody may be reading it.
        if std::fs::read_to_string(&file).is_ok_and(|now| now == toml) {
            return;
        }
        std::fs::write(file, toml).expect("the settings");
    }

    /// `/status`, or nothing while it does not answer. Panics when the process has ended.
    pub async fn status(&mut self) -> Option<Value> {
        self.assert_running();
        http::get(self.port, "/status").await.ok()?.json().ok()
    }

    /// `/metrics` as text.
    pub async fn metrics(&mut self) -> String {
        self.assert_running();
        match http::get(self.port, "/metrics").await {
            Ok(response) => response.text(),
            Err(error) => panic!("/metrics does not answer: {error}"),
        }
    }

    /// The value of a metric, all its series added up; 0 where it has none.
    pub async fn metric(&mut self, name: &str) -> f64 {
        let text = self.metrics().await;
        text.lines()
            .filter(|line| {
                let rest = line.strip_prefix(name);
                rest.is_some_and(|rest| rest.starts_with([' ', '{']))
            })
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    /// Any path over HTTP: status code and body.
    pub async fn get(&mut self, path: &str) -> http::Response {
        self.assert_running();
        http::get(self.port, path).await.expect("an answer")
    }

    /// Waits until snapshot and stream have caught up with the source as it is now.
    pub async fn caught_up(&mut self, timeout: Duration) {
        self.reach("the daemon has caught up", timeout, |status| {
            status["caught_up"] == true
        })
        .await;
    }

    /// Waits until the daemon is in this phase.
    pub async fn phase(&mut self, phase: &str, timeout: Duration) {
        let what = format!("the phase {phase}");
        self.reach(&what, timeout, |status| status["phase"] == phase)
            .await;
    }

    /// Waits until the daemon is in any other phase.
    pub async fn phase_is_not(&mut self, phase: &str, timeout: Duration) {
        let what = format!("the end of the phase {phase}");
        self.reach(&what, timeout, |status| status["phase"] != phase)
            .await;
    }

    /// Waits until `/status` satisfies a condition.
    pub async fn reach(
        &mut self,
        what: &str,
        timeout: Duration,
        holds: impl Fn(&Value) -> bool,
    ) -> Value {
        eventually(what, timeout, async || {
            self.status().await.filter(|status| holds(status))
        })
        .await
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// `kill -TERM`, and waits; panics when it takes longer than `timeout`.
    pub fn terminate(&mut self, timeout: Duration) -> ExitStatus {
        self.signal("TERM");
        self.ended(timeout)
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let child = self.child.as_ref().expect("a running daemon");
        let pid = child.id().to_string();
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &pid])
            .status();
        assert!(
            sent.is_ok_and(|status| status.success()),
            "kill -{name} {pid}"
        );
    }

    /// Waits until it ends by itself.
    pub fn ended(&mut self, timeout: Duration) -> ExitStatus {
        let begin = Instant::now();
        loop {
            let child = self.child.as_mut().expect("a running daemon");
            if let Some(status) = child.try_wait().expect("its status") {
                self.child = None;
                return status;
            }
            assert!(
                begin.elapsed() < timeout,
                "penstock has not ended within {timeout:?}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// CPU time that it has used, in seconds (user and system; to a hundredth).
    pub fn cpu_seconds(&self) -> f64 {
        let pid = self.child.as_ref().expect("a running daemon").id();
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The name in parentheses may hold spaces: fields are counted after it.
        let fields = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        let ticks: u64 = fields
            .split(' ')
            .skip(11)
            .take(2)
            .filter_map(|ticks| ticks.parse::<u64>().ok())
            .sum();
        ticks as f64 / 100.0
    }

    /// Its resident memory in bytes.
    pub fn resident_bytes(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The most that was ever resident of the current run, in bytes.
    pub fn peak_bytes(&self) -> u64 {
        self.memory("VmHWM:")
    }

    fn memory(&self, line_name: &str) -> u64 {
        let pid = self.child.as_ref().expect("a running daemon").id();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let kilobytes = status
            .lines()
            .find_map(|line| line.strip_prefix(line_name))
            .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        kilobytes.unwrap_or(0) * 1024
    }

    /// What the current run (or the last one) has written.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file(self.runs)).unwrap_or_default()
    }

    /// What all runs have written, for tests of what must never be logged.
    pub fn logs(&self) -> String {
        (1..=self.runs)
            .filter_map(|run| std::fs::read_to_string(self.log_file(run)).ok())
            .collect()
    }

    fn log_file(&self, run: u32) -> PathBuf {
        self.path().join(format!("run-{run}.log"))
    }

    /// The folder of settings, contract, state and logs.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    #[track_caller]
    fn assert_running(&mut self) {
        let child = self.child.as_mut().expect("a running daemon");
        if let Some(status) = child.try_wait().expect("its status") {
            panic!("penstock has ended ({status}):\n{}", self.log());
        }
    }
}

impl Drop for Daemon {
    /// Ends the process; when the test fails, shows the end of its log.
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() && self.runs > 0 {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            let from = lines.len().saturating_sub(60);
            eprintln!("--- the end of penstock's log (run {}) ---", self.runs);
            for line in &lines[from..] {
                eprintln!("{line}");
            }
        }
    }
}
