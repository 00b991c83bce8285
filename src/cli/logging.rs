//! Logs go to stderr: for people on a terminal and in systemd's journal, as JSON lines elsewhere.

use std::fmt;
use std::io::{IsTerminal as _, stderr};
use std::os::unix::fs::MetadataExt as _;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{Format, Full, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::bars;
use crate::terminal;

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Voice {
    /// Tells what it does.
    Daemon,
    /// Tells only what is wrong.
    Command,
    /// The same, between bars that people watch, wherever stderr leads.
    Terminal,
}

/// Starts logging. `PENSTOCK_LOG` says what is logged.
pub(super) fn init(voice: Voice) {
    let default = match voice {
        Voice::Daemon => "info",
        Voice::Command | Voice::Terminal => "warn",
    };
    // sled and the AWS SDK tell at `info` what nobody asked; the embedded DynamoDB warns of each of its refusals, which
    // its client judges and tells itself.
    let quiet = format!("{default},sled=error,aws_config=warn,hyper=warn,dynoxide=error");
    let (filter, complaint) = match std::env::var("PENSTOCK_LOG") {
        Err(_) => (EnvFilter::new(&quiet), None),
        Ok(text) => match EnvFilter::try_new(&text) {
            Ok(filter) => (filter, None),
            Err(e) => (EnvFilter::new(&quiet), Some(e)),
        },
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(terminal::colors(&stderr()))
        .with_writer(|| bars::Stderr);
    // A second subscriber (in tests) changes nothing.
    let _ = if voice == Voice::Terminal || stderr().is_terminal() {
        builder.with_target(false).try_init()
    } else if leads_to_the_journal() {
        builder.event_format(Journal::default()).try_init()
    } else {
        builder.json().flatten_event(true).try_init()
    };
    if let Some(error) = complaint {
        tracing::warn!(%error, "PENSTOCK_LOG is not understood; the default is used");
    }
}

/// Whether stderr is the journal's: systemd says which stream it gave, and it may have been redirected since.
fn leads_to_the_journal() -> bool {
    let Ok(given) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    std::fs::metadata("/proc/self/fd/2")
        .is_ok_and(|stream| given == format!("{}:{}", stream.dev(), stream.ino()))
}

/// A line for people after its priority, which the journal takes off and filters by (`journalctl -p warning`). The time
/// is the journal's.
struct Journal(Format<Full, ()>);

impl Default for Journal {
    fn default() -> Self {
        let format = Format::default().without_time();
        Self(format.with_ansi(false).with_level(false).with_target(false))
    }
}

impl<S, N> FormatEvent<S, N> for Journal
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut text = String::new();
        self.0
            .format_event(context, Writer::new(&mut text), event)?;
        // Each line is an entry of its own there, and what looks like a priority at its beginning is one.
        let text = text.trim_end().replace(['\n', '\r'], " ");
        writeln!(writer, "<{}>{text}", priority(*event.metadata().level()))
    }
}

/// As syslog counts.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_entry_of_the_journal_is_one_line_after_its_priority() {
        let buffer = Buffer::default();
        let out = buffer.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(Level::DEBUG)
            .with_writer(move || out.clone())
            .event_format(Journal::default())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::error!(kind = "store", "no room\n<0>not a priority");
            tracing::info!(phase = "ready", "phase");
            tracing::debug!("more");
        });
        let text = String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap();
        assert_eq!(
            text,
            "<3>no room <0>not a priority kind=\"store\"\n<6>phase phase=\"ready\"\n<7>more\n"
        );
    }
}
