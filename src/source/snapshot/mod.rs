//! The snapshot: chunked, watermarked, parallel, resumable, without locks, with the stream running beside it.
//!
//! For each chunk: open a window (the view records what the stream touches), wait until everything that the stream
//! had received is visible, read the rows, read the high watermark, hand both to the view. Nothing is locked and
//! nothing is written to MySQL.

mod bound;
mod progress;
mod reread;
mod width;
mod window;
mod worker;

pub use bound::ChunkKey;
pub use progress::{Assignment, Progress, Work};
pub use reread::{MOST_ROWS, Reading, Wanted, reread, too_much};
pub use window::{Emitted, Opened, RawRow, Request, Window, encode_key};
pub use worker::{Worker, chunk_key, estimated_rows, executed, executed_at, raw};
