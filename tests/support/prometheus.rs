//! A real Prometheus, as scripts/setup unpacks it or as it is installed.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::{eventually, free_port, http, root};

/// The name under which the alerts expect the daemons.
const JOB: &str = "penstock";

/// One that scrapes a port of 127.0.0.1 every second; it ends when this is dropped.
pub struct Prometheus {
    child: Child,
    port: u16,
    _folder: TempDir,
}

/// The path of `prometheus` or `promtool`; `None` (and a word about it) where it is not installed.
pub fn program(name: &str) -> Option<PathBuf> {
    let cache = std::env::var_os("PENSTOCK_CACHE").map(PathBuf::from);
    let cache = cache.or_else(|| {
        let home = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
        Some(home?.join("penstock"))
    });
    let unpacked = cache.map(|cache| cache.join("prometheus/usr/bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .chain(unpacked)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file());
    if found.is_none() {
        super::missing(name, "prometheus");
    }
    found
}

/// `promtool ARGUMENTS`, in the folder of the dashboards.
pub fn promtool(arguments: &[&str]) -> Option<Output> {
    let output = Command::new(program("promtool")?)
        .args(arguments)
        .current_dir(root().join("dashboards"))
        .output();
    Some(output.expect("promtool can be run"))
}

impl Prometheus {
    /// Starts one with these rules; `None` where there is none.
    pub async fn scraping(port: u16, rules: &Path) -> Option<Prometheus> {
        let program = program("prometheus")?;
        let folder = tempfile::tempdir().expect("a temporary directory");
        let settings = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
             rule_files: [{:?}]\n\
             scrape_configs: [{{job_name: {JOB}, static_configs: [{{targets: [\"127.0.0.1:{port}\"]}}]}}]\n",
            rules.display().to_string()
        );
        let config = folder.path().join("prometheus.yml");
        std::fs::write(&config, settings).expect("its settings");
        let listen = free_port();
        let log = File::create(folder.path().join("log")).expect("a log file");
        let child = Command::new(program)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().display()))
            .arg(format!("--web.listen-address=127.0.0.1:{listen}"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the log file"))
            .stderr(log)
            .spawn()
            .expect("Prometheus can be run");
        let prometheus = Prometheus {
            child,
            port: listen,
            _folder: folder,
        };
        eventually("Prometheus serves", Duration::from_secs(60), async || {
            let answer = http::get(listen, "/-/ready").await.ok()?;
            (answer.status == 200).then_some(())
        })
        .await;
        Some(prometheus)
    }

    /// The vector that a query gives now; an error where it is none.
    pub async fn query(&self, query: &str) -> Result<Vec<Value>, String> {
        let path = format!("/api/v1/query?query={}", encoded(query));
        let data = self.data(&path).await?;
        match data["result"].as_array() {
            Some(result) if data["resultType"] == "vector" => Ok(result.clone()),
            _ => Err(format!("no vector: {data}")),
        }
    }

    /// The values of a label, over these series.
    pub async fn label_values(&self, label: &str, series: &str) -> Result<Vec<String>, String> {
        let path = format!("/api/v1/label/{label}/values?match[]={}", encoded(series));
        let data = self.data(&path).await?;
        let values = data.as_array().into_iter().flatten();
        Ok(values
            .filter_map(|value| value.as_str().map(str::to_owned))
            .collect())
    }

    /// The rules that it has loaded: `(name, query, health)`.
    pub async fn rules(&self) -> Vec<(String, String, String)> {
        let data = self.data("/api/v1/rules").await.expect("the rules");
        let groups = data["groups"].as_array().cloned().unwrap_or_default();
        let rules = groups.iter().filter_map(|group| group["rules"].as_array());
        let text = |rule: &Value, key: &str| rule[key].as_str().unwrap_or_default().to_owned();
        rules
            .flatten()
            .map(|rule| {
                (
                    text(rule, "name"),
                    text(rule, "query"),
                    text(rule, "health"),
                )
            })
            .collect()
    }

    async fn data(&self, path: &str) -> Result<Value, String> {
        let answer = http::get(self.port, path).await;
        let answer = answer.and_then(|a| a.json()).map_err(|e| e.to_string())?;
        match answer["status"].as_str() {
            Some("success") => Ok(answer["data"].clone()),
            _ => Err(answer["error"].to_string()),
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// As a part of a URL.
fn encoded(text: &str) -> String {
    let bytes = text.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    });
    bytes.collect()
}
