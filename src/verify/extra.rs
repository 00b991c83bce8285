//! Items that no row explains: the keys that must be there and the keys that are there, joined on disk, part by part.
//!
//! A key is a hash of 128 bits there. What has no equal is only a candidate: rows and items change while this goes on, so that
//! each candidate is judged by its key afterwards.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::judge::Name;
use crate::error::{Error, Kind, Result};
use crate::plan::TargetId;

/// In how many parts the keys are divided: of one part the hashes of one side are held in memory. How many keys there will be is not
/// known before: what the optimizer estimates may be far off.
pub const PARTS: usize = 64;
/// A key is never longer: 2 KB and 1 KB of values with what holds them.
const LONGEST_KEY: u32 = 8 << 10;

/// A key's hash.
pub type Hash = [u8; 16];

/// The parts of both sides.
pub struct Parts {
    directory: PathBuf,
    /// What must be there: hashes.
    expected: Vec<Part>,
    /// What is there: hashes and keys.
    present: Vec<Part>,
}

struct Part {
    file: BufWriter<File>,
    length: u64,
}

/// The hash of a key.
pub fn hash((target, key): (TargetId, &[u8])) -> Hash {
    let mut sha = Sha256::new();
    sha.update(target.0.to_le_bytes());
    sha.update(key);
    let digest = sha.finalize();
    let mut hash = Hash::default();
    hash.copy_from_slice(&digest[..16]);
    hash
}

impl Parts {
    /// Opens the parts of a directory; what lies beyond `lengths` (of what must be there) is cut off.
    pub fn open(directory: &Path, count: usize, lengths: &[u64]) -> Result<Self> {
        let open = |name: String, length: u64| -> Result<Part> {
            let path = directory.join(name);
            let failed = |e| failed(&path, e);
            let mut file = OpenOptions::new()
                .create(true)
                .truncate(false)
                .read(true)
                .write(true)
                .mode(0o600)
                .open(&path)
                .map_err(failed)?;
            if file.metadata().map_err(failed)?.len() < length {
                return Err(failed(std::io::Error::other("it is shorter than it was")));
            }
            file.set_len(length).map_err(failed)?;
            file.seek(SeekFrom::End(0)).map_err(failed)?;
            Ok(Part {
                file: BufWriter::new(file),
                length,
            })
        };
        let mut parts = Self {
            directory: directory.to_owned(),
            expected: Vec::new(),
            present: Vec::new(),
        };
        for n in 0..count.max(1) {
            let length = lengths.get(n).copied().unwrap_or(0);
            parts.expected.push(open(format!("expected.{n}"), length)?);
            parts.present.push(open(format!("present.{n}"), 0)?);
        }
        Ok(parts)
    }

    /// A key that must be there.
    pub fn expect(&mut self, hash: &Hash) -> Result<()> {
        let at = self.part(hash);
        match self.expected.get_mut(at) {
            Some(part) => part.write(&self.directory, &[hash]),
            None => Ok(()),
        }
    }

    /// A key that is there.
    pub fn is_there(&mut self, (target, key): (TargetId, &[u8])) -> Result<()> {
        let hash = hash((target, key));
        let length = u32::try_from(key.len()).unwrap_or(u32::MAX);
        let at = self.part(&hash);
        match self.present.get_mut(at) {
            Some(part) => part.write(
                &self.directory,
                &[&hash, &target.0.to_le_bytes(), &length.to_le_bytes(), key],
            ),
            None => Ok(()),
        }
    }

    /// Hands everything to the system, and tells how long the parts of what must be there are.
    pub fn flush(&mut self) -> Result<Vec<u64>> {
        for part in self.expected.iter_mut().chain(&mut self.present) {
            part.file.flush().map_err(|e| failed(&self.directory, e))?;
        }
        Ok(self.expected.iter().map(|part| part.length).collect())
    }

    pub fn count(&self) -> usize {
        self.expected.len()
    }

    /// The keys of one part that are there and need not be.
    pub fn candidates(&self, at: usize) -> Result<Candidates> {
        let path = self.directory.join(format!("expected.{at}"));
        let bytes = std::fs::read(&path).map_err(|e| failed(&path, e))?;
        let mut hashes: Vec<Hash> = bytes.as_chunks::<16>().0.to_vec();
        hashes.sort_unstable();
        hashes.dedup();
        let path = self.directory.join(format!("present.{at}"));
        let file = File::open(&path).map_err(|e| failed(&path, e))?;
        Ok(Candidates {
            hashes,
            present: BufReader::with_capacity(1 << 20, file),
            path,
        })
    }

    fn part(&self, hash: &Hash) -> usize {
        let number = u64::from_le_bytes([
            hash[0], hash[1], hash[2], hash[3], hash[4], hash[5], hash[6], hash[7],
        ]);
        usize::try_from(number % self.expected.len().max(1) as u64).unwrap_or(0)
    }
}

impl Part {
    fn write(&mut self, directory: &Path, pieces: &[&[u8]]) -> Result<()> {
        for piece in pieces {
            self.file
                .write_all(piece)
                .map_err(|e| failed(directory, e))?;
            self.length += piece.len() as u64;
        }
        Ok(())
    }
}

/// Keys that are there and need not be.
pub struct Candidates {
    hashes: Vec<Hash>,
    present: BufReader<File>,
    path: PathBuf,
}

impl Candidates {
    /// The next ones, `most` at most; none at the end.
    pub fn take(&mut self, most: usize) -> Result<Vec<Name>> {
        let mut names = Vec::new();
        while names.len() < most {
            let mut head = [0; 22];
            match self.present.read_exact(&mut head) {
                Ok(()) => {}
                Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => break,
                Err(e) => return Err(failed(&self.path, e)),
            }
            let mut hash = Hash::default();
            hash.copy_from_slice(&head[..16]);
            let target = TargetId(u16::from_le_bytes([head[16], head[17]]));
            let length = u32::from_le_bytes([head[18], head[19], head[20], head[21]]);
            let mut key = vec![0; length.min(LONGEST_KEY) as usize];
            self.present
                .read_exact(&mut key)
                .map_err(|e| failed(&self.path, e))?;
            if self.hashes.binary_search(&hash).is_err() {
                names.push((target, key));
            }
        }
        Ok(names)
    }
}

fn failed(path: &Path, error: std::io::Error) -> Error {
    Error::new(
        Kind::Store,
        format!("the comparison's files at {}", path.display()),
    )
    .with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_and_need_not_be_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let key = |n: u32| format!("key {n}").into_bytes();
        let mut parts = Parts::open(directory.path(), 3, &[]).unwrap();
        for n in 0..100 {
            parts.expect(&hash((TargetId(1), &key(n)))).unwrap();
        }
        let lengths = parts.flush().unwrap();
        assert_eq!(lengths.iter().sum::<u64>(), 1600);
        parts.expect(&hash((TargetId(1), &key(500)))).unwrap();
        drop(parts);
        // Killed here: what was written since is cut off.
        let mut parts = Parts::open(directory.path(), 3, &lengths).unwrap();
        for n in (0..50).chain([500]) {
            parts.is_there((TargetId(1), &key(n))).unwrap();
        }
        parts.is_there((TargetId(2), &key(7))).unwrap();
        parts.flush().unwrap();
        let mut found = Vec::new();
        for at in 0..parts.count() {
            let mut candidates = parts.candidates(at).unwrap();
            loop {
                let some = candidates.take(1).unwrap();
                if some.is_empty() {
                    break;
                }
                found.extend(some);
            }
        }
        found.sort();
        assert_eq!(found, [(TargetId(1), key(500)), (TargetId(2), key(7))]);
        drop(parts);
        assert!(Parts::open(directory.path(), 3, &[1 << 30]).is_err());
    }
}
