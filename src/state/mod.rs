//! The state of joins on disk: ordered maps, committed together with the checkpoint that they belong to.
//!
//! One thread (the view) reads and writes by a [`Writer`]; what it puts belongs to a sequence (a transaction of the stream, a chunk
//! of the snapshot) and stays in an overlay in memory. Another thread calls [`Store::commit`] when everything up
//! to a sequence is durable in the target: exactly the changes of those sequences and the checkpoint
//! become durable, all or nothing, and newer versions stay in memory. After a crash the same sequences come again over
//! the same state.
//!
//! What does not fit into the overlay's budget goes to a scratch store on disk, oldest first, so that a read looks at memory, then
//! scratch, then base, and finds the newest version. A commit that concerns the scratch cannot be one batch:
//! the scratch is made durable, the checkpoint and the note that the scratch up to this sequence belongs to it are one small
//! batch, and then the scratch is folded into the base, page by page. An open that finds the note folds
//! again: the result is the same, however often.

mod base;
mod files;
mod meters;
mod overlay;
mod page;
mod promise;
mod recent;
mod scratch;
mod set;
mod store;
#[cfg(test)]
mod tests;
mod writer;

pub use meters::Figures;
pub use set::DiskSet;
pub use store::{Checkpointed, Format, Options, Store};
pub use writer::Writer;

/// The format of the state that this version writes. Others are refused, never guessed at.
pub const FORMAT_VERSION: u32 = 2;
