//! What systemd is told (`sd_notify(3)`): readiness, a line of state, signs of life, the end.
//!
//! The protocol is a datagram of `KEY=VALUE` lines to the socket that `NOTIFY_SOCKET` names.

use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use super::Status;
use crate::phase::Phase;

/// The service manager that started this process.
#[derive(Debug)]
pub struct Notify {
    socket: UnixDatagram,
    address: SocketAddr,
    /// Without a sign of life for so long the process is ended and started again.
    pub watchdog: Option<Duration>,
}

impl Notify {
    /// From the environment; `None` where nobody wants to be told.
    pub fn from_environment() -> Option<Self> {
        let variable = |name| std::env::var(name).ok();
        let pid_is_ours = match variable("WATCHDOG_PID") {
            Some(pid) => pid == std::process::id().to_string(),
            None => true,
        };
        let watchdog = variable("WATCHDOG_USEC")
            .filter(|_| pid_is_ours)
            .and_then(|text| text.parse().ok())
            .filter(|micros| *micros > 0)
            .map(Duration::from_micros);
        match Self::to(&variable("NOTIFY_SOCKET")?, watchdog) {
            Ok(notify) => Some(notify),
            Err(error) => {
                tracing::warn!(%error, "NOTIFY_SOCKET cannot be used: the service manager is told nothing");
                None
            }
        }
    }

    /// To a socket by its path, or by its abstract name after an `@`.
    ///
    /// # Errors
    /// Where that is no name of a socket.
    pub fn to(name: &str, watchdog: Option<Duration>) -> io::Result<Self> {
        let address = match name.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(name)?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            address,
            watchdog,
        })
    }

    /// The daemon serves.
    pub fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={status}"));
    }

    /// What `systemctl status` shows; one line.
    pub fn status(&self, status: &str) {
        self.send(&format!("STATUS={status}"));
    }

    /// A sign of life.
    pub fn alive(&self) {
        self.send("WATCHDOG=1");
    }

    /// The daemon ends, for good.
    pub fn stopping(&self, status: &str) {
        self.send(&format!("STOPPING=1\nSTATUS={status}"));
    }

    fn send(&self, message: &str) {
        if let Err(error) = self.socket.send_to_addr(message.as_bytes(), &self.address) {
            tracing::debug!(%error, "the service manager was not told");
        }
    }
}

/// Where the daemon stands, in one line without row values.
pub fn line(status: &Status) -> String {
    let mut parts = vec![status.phase.to_string()];
    if status.phase == Phase::Snapshot {
        let rows: u64 = status.snapshot.iter().map(|t| t.rows).sum();
        let estimated: u64 = status.snapshot.iter().map(|t| t.estimated_rows).sum();
        parts.push(format!("{rows} of about {} rows", estimated.max(rows)));
    }
    if let Some(stopped) = &status.stopped {
        parts.push(format!("{}: {}", stopped.kind, stopped.reason));
        parts.push(stopped.remedy.clone());
    } else {
        parts.push(match status.lag_seconds.apply {
            Some(lag) => format!("{lag:.1} s behind"),
            None => "lag unknown".to_owned(),
        });
    }
    if status.dead_letters > 0 {
        parts.push(format!("dead letters: {}", status.dead_letters));
    }
    parts.extend(status.trouble.iter().cloned());
    parts.join("; ").replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::{LagSeconds, Stopped};

    #[test]
    fn the_socket_may_have_a_path_or_an_abstract_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let name = format!("penstock-notify-{}", std::process::id());
        let abstract_name = SocketAddr::from_abstract_name(&name).unwrap();
        for (socket, address) in [
            (UnixDatagram::bind(&path), path.display().to_string()),
            (UnixDatagram::bind_addr(&abstract_name), format!("@{name}")),
        ] {
            let socket = socket.unwrap();
            let notify = Notify::to(&address, None).unwrap();
            notify.ready("ready");
            notify.alive();
            notify.stopping("draining");
            let mut buffer = [0; 100];
            for expected in [
                "READY=1\nSTATUS=ready",
                "WATCHDOG=1",
                "STOPPING=1\nSTATUS=draining",
            ] {
                let length = socket.recv(&mut buffer).unwrap();
                assert_eq!(std::str::from_utf8(&buffer[..length]).unwrap(), expected);
            }
        }
        assert!(Notify::to(&"x".repeat(200), None).is_err());
    }

    #[test]
    fn the_line_says_phase_lag_and_what_is_wrong() {
        let mut status = crate::admin::tests::status(Phase::Ready, Some(0.04));
        status.dead_letters = 0;
        assert_eq!(line(&status), "ready; 0.0 s behind");
        status.lag_seconds = LagSeconds::default();
        status.trouble = vec!["MySQL is\naway".to_owned()];
        assert_eq!(line(&status), "ready; lag unknown; MySQL is away");
        status.phase = Phase::Stopped;
        status.dead_letters = 2;
        status.trouble.clear();
        status.stopped = Some(Stopped {
            kind: "store".to_owned(),
            reason: "no room".to_owned(),
            remedy: "make some".to_owned(),
        });
        assert_eq!(
            line(&status),
            "stopped; store: no room; make some; dead letters: 2"
        );
    }
}
