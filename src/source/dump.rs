//! The binlog stream: our own client of the replication protocol.
//!
//! The query client opens compressed transactions as a whole before it gives them away; here each event travels
//! as the server sent it, so that a transaction of any size can be opened piece by piece.

use std::time::Duration;

use bytes::{Buf, Bytes};
use mysql_common::packets::{
    BinlogDumpFlags, ComBinlogDumpGtid, ComRegisterSlave, GnoInterval, Sid, Tag,
};
use mysql_common::proto::MySerialize;

use super::options::Options;
use super::wire::{ServerError, Wire};
use super::{auth, connect};
use crate::error::{Error, Kind, Result};
use crate::position::{self, GtidSet};

/// A running dump.
pub struct Dump {
    wire: Wire,
    options: Options,
}

impl Dump {
    /// Connects and asks for everything that is not in `set`. The server may find out only later that it cannot
    /// give it (purged, another lineage): then [`Dump::next`] fails.
    pub async fn start(options: &Options, set: &GtidSet, server_id: u32) -> Result<Dump> {
        let (mut wire, greeting) = auth::login(options).await?;
        if let Some(error) = auth::not_mysql(options, &greeting) {
            return Err(error);
        }
        auth::execute(options, &mut wire, &session(options, server_id)).await?;
        register(options, &mut wire, server_id).await?;
        wire.set_timeout(options.read_timeout);
        wire.command(&request(set, server_id)?).await?;
        Ok(Dump {
            wire,
            options: options.clone(),
        })
    }

    /// The next event, whole, its checksum included. Fails when the server ends the stream, is silent beyond the
    /// read timeout, or goes away in the middle.
    pub async fn next(&mut self) -> Result<Bytes> {
        let mut packet = self.wire.read().await?;
        match packet.first() {
            Some(0x00) => {
                packet.advance(1);
                Ok(packet)
            }
            Some(0xFF) => Err(match ServerError::parse(&packet) {
                Some(e) => connect::refused(&self.options, e.code, &e.message),
                None => self.wire.nonsense("its error cannot be read"),
            }),
            Some(0xFE) if packet.len() < 9 => Err(Error::new(
                Kind::SourceUnavailable,
                format!(
                    "MySQL at {} ended the binlog stream",
                    self.options.address()
                ),
            )),
            _ => Err(self
                .wire
                .nonsense("a packet of its binlog stream is unknown")),
        }
    }
}

/// What a replica tells the server before it registers. The variables' old names go first: each is known to some
/// versions, and an unknown user variable does no harm.
fn session(options: &Options, server_id: u32) -> String {
    let heartbeat = (options.read_timeout / 3)
        .max(Duration::from_millis(100))
        .as_nanos();
    let uuid = replica_uuid(options, server_id);
    format!(
        "SET @master_binlog_checksum = 'CRC32', @source_binlog_checksum = 'CRC32', \
         @master_heartbeat_period = {heartbeat}, @source_heartbeat_period = {heartbeat}, \
         @slave_uuid = '{uuid}', @replica_uuid = '{uuid}', \
         SESSION net_write_timeout = 3600, SESSION wait_timeout = 28800"
    )
}

/// The UUID that we show as a replica: it follows from the `server_id`, so that a restarted daemon replaces its
/// own stale dump thread on the server.
fn replica_uuid(options: &Options, server_id: u32) -> String {
    use sha2::{Digest, Sha256};
    let text = format!("penstock\0{server_id}\0{}", options.user);
    let digest: [u8; 32] = Sha256::digest(text.as_bytes()).into();
    let mut uuid = [0; 16];
    uuid.copy_from_slice(&digest[..16]);
    position::format_uuid(&uuid)
}

async fn register(options: &Options, wire: &mut Wire, server_id: u32) -> Result<()> {
    let mut command = Vec::new();
    ComRegisterSlave::new(server_id)
        .with_hostname(&b"penstock"[..])
        .serialize(&mut command);
    wire.command(&command).await?;
    auth::expect_ok(options, wire).await
}

fn request(set: &GtidSet, server_id: u32) -> Result<Vec<u8>> {
    let mut sids: Vec<Sid<'static>> = Vec::new();
    let mut last = None;
    for (uuid, tag, interval) in set.iter() {
        if last != Some((uuid, tag)) {
            let mut sid = Sid::new(*uuid);
            if let Some(tag) = tag {
                let tag = Tag::new(tag.as_str().to_owned())
                    .map_err(|e| Error::new(Kind::Internal, "a GTID tag").with_source(e))?;
                sid = sid.with_tag(tag);
            }
            sids.push(sid);
            last = Some((uuid, tag));
        }
        if let Some(sid) = sids.pop() {
            let interval = GnoInterval::new(interval.start, interval.end + 1);
            sids.push(sid.with_interval(interval));
        }
    }
    let mut command = Vec::new();
    ComBinlogDumpGtid::new(server_id)
        .with_pos(4)
        // Known to servers since 8.0.26 as USE_HEARTBEAT_EVENT_V2: positions in 64 bits.
        .with_flags(BinlogDumpFlags::BINLOG_THROUGH_POSITION)
        .with_sids(sids)
        .serialize(&mut command);
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_holds_the_set() {
        let a = "11111111-1111-1111-1111-111111111111";
        let empty = request(&GtidSet::new(), 7).expect("a request");
        assert_eq!(empty.first(), Some(&0x1E));
        let plain: GtidSet = format!("{a}:1-5:9").parse().expect("a set");
        let plain = request(&plain, 7).expect("a request");
        // One source: its UUID, two intervals, their ends excluded.
        assert_eq!(plain.len(), empty.len() + 16 + 8 + 32);
        assert_eq!(plain[plain.len() - 16..plain.len() - 8], 9u64.to_le_bytes());
        assert_eq!(plain[plain.len() - 8..], 10u64.to_le_bytes());
        let tagged: GtidSet = format!("{a}:1-5:tag:9").parse().expect("a set");
        let tagged = request(&tagged, 7).expect("a request");
        assert_eq!(tagged.len(), empty.len() + 2 * (16 + 1 + 8 + 16) + 3);
    }
}
