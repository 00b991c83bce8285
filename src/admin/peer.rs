//! Who speaks on the socket: its other end, as the kernel knows it.

use std::fmt;

use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use serde::{Deserialize, Serialize};
use tokio::net::UnixListener;

/// The process at the other end, for the audit log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    pub uid: Option<u32>,
    pub pid: Option<i32>,
    /// The name that belongs to the uid, where this machine knows one.
    pub user: Option<String>,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.user, self.uid) {
            (Some(user), Some(uid)) => write!(f, "{user} (uid {uid})")?,
            (None, Some(uid)) => write!(f, "uid {uid}")?,
            (_, None) => f.write_str("somebody unknown")?,
        }
        match self.pid {
            Some(pid) => write!(f, ", process {pid}"),
            None => Ok(()),
        }
    }
}

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        let Ok(credentials) = stream.io().peer_cred() else {
            return Peer::default();
        };
        let uid = credentials.uid();
        Peer {
            uid: Some(uid),
            pid: credentials.pid(),
            user: std::fs::read_to_string("/etc/passwd")
                .ok()
                .and_then(|passwd| user(&passwd, uid)),
        }
    }
}

/// The name of a uid in the format of `/etc/passwd`.
fn user(passwd: &str, uid: u32) -> Option<String> {
    let uid = uid.to_string();
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uid_has_the_name_that_the_machine_gives_it() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbroken\nana:x:1001:1:,,,:/home/ana:/bin/sh\n";
        assert_eq!(user(passwd, 0).as_deref(), Some("root"));
        assert_eq!(user(passwd, 1001).as_deref(), Some("ana"));
        assert_eq!(user(passwd, 1), None);
    }

    #[test]
    fn it_is_told_in_words() {
        let mut peer = Peer {
            uid: Some(7),
            pid: Some(12),
            user: Some("ana".into()),
        };
        assert_eq!(peer.to_string(), "ana (uid 7), process 12");
        peer.user = None;
        assert_eq!(peer.to_string(), "uid 7, process 12");
        assert_eq!(Peer::default().to_string(), "somebody unknown");
    }
}
