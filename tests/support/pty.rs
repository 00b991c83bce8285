//! A command in a pseudo-terminal of its own: `script`, which every Debian has.

use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A terminal of 100 columns and 40 rows, and what runs in it.
pub struct Pty {
    script: Child,
}

/// What a terminal was sent, and the exit status of what ran in it.
pub struct Seen {
    pub text: String,
    pub status: Option<i32>,
}

impl Pty {
    /// Starts the command there; `None` (and a word about it) where there is no `script`.
    pub fn start(command: &Command) -> Option<Pty> {
        if !std::path::Path::new("/usr/bin/script").exists() {
            super::missing("/usr/bin/script", "build");
            return None;
        }
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let words: Vec<String> = words.map(|word| quoted(&word.to_string_lossy())).collect();
        let line = format!("stty cols 100 rows 40; exec {}", words.join(" "));
        let mut script = Command::new("/usr/bin/script");
        script
            .args([
                "--quiet",
                "--return",
                "--flush",
                "--command",
                &line,
                "/dev/null",
            ])
            .env("TERM", "xterm-256color")
            .env("SHELL", "/bin/sh");
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => script.env(name, value),
                None => script.env_remove(name),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            script.current_dir(folder);
        }
        script
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let script = script.spawn().expect("script can be run");
        Some(Pty { script })
    }

    /// Runs the command there to its end.
    pub fn run(command: &Command) -> Option<Seen> {
        Some(Pty::start(command)?.end(Duration::from_secs(180)))
    }

    /// Presses Ctrl-C.
    pub fn interrupt(&mut self) {
        let keys = self.script.stdin.as_mut().expect("its keyboard");
        keys.write_all(b"\x03")
            .and_then(|()| keys.flush())
            .expect("a key");
    }

    /// Waits for its end.
    pub fn end(mut self, patience: Duration) -> Seen {
        let mut out = self.script.stdout.take().expect("its screen");
        let reader = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = out.read_to_end(&mut bytes);
            bytes
        });
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.script.try_wait().expect("its state") {
                break status.code();
            }
            if begun.elapsed() > patience {
                self.script.kill().expect("it can be ended");
                self.script.wait().expect("its end");
                break None;
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        let bytes = reader.join().expect("the reader");
        Seen {
            text: String::from_utf8_lossy(&bytes).into_owned(),
            status,
        }
    }
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// The final letters of the escape sequences in a text: `m` is a colour, `K` and `A` clear and move.
pub fn escapes(text: &str) -> String {
    let mut found = String::new();
    for sequence in text.split('\u{1b}').skip(1) {
        let Some(parameters) = sequence.strip_prefix('[') else {
            found.push('?');
            continue;
        };
        let last = parameters.chars().find(char::is_ascii_alphabetic);
        found.push(last.unwrap_or('?'));
    }
    found
}
