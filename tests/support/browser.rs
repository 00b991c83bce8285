//! A headless Chromium, where there is one.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A Chromium with a profile of its own.
pub struct Browser {
    program: PathBuf,
    profile: TempDir,
}

impl Browser {
    /// `None` (and a word about it) where none is installed.
    pub fn find() -> Option<Browser> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders: Vec<_> = std::env::split_paths(&path).collect();
        let program = ["chromium", "chromium-browser", "google-chrome"]
            .iter()
            .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
            .find(|file| file.is_file());
        if program.is_none() {
            super::missing("Chromium", "browser");
        }
        Some(Browser {
            program: program?,
            profile: tempfile::tempdir().expect("a profile"),
        })
    }

    /// The page as it stands once it has been loaded and its scripts have run.
    pub fn dom(&self, url: &str, options: &[&str]) -> String {
        let mut all = vec!["--dump-dom"];
        all.extend(options);
        self.run(url, &all)
    }

    /// A picture of it, as PNG.
    pub fn picture(&self, url: &str, options: &[&str]) -> Vec<u8> {
        let file = self.profile.path().join("picture.png");
        let to = format!("--screenshot={}", file.display());
        let mut all = vec![to.as_str()];
        all.extend(options);
        self.run(url, &all);
        std::fs::read(&file).expect("a picture")
    }

    fn run(&self, url: &str, options: &[&str]) -> String {
        let output = Command::new(&self.program)
            // Root has no sandbox, and what is looked at is ours.
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--hide-scrollbars",
            ])
            .args(["--disable-dev-shm-usage", "--timeout=30000"])
            .arg(format!("--user-data-dir={}", self.folder().display()))
            .args(options)
            .arg(url)
            .stdin(Stdio::null())
            .output()
            .expect("Chromium can be run");
        let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{options:?}: {complaints}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn folder(&self) -> &Path {
        self.profile.path()
    }
}
