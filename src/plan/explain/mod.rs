//! The plan for people: aligned text, JSON for tools, Mermaid for pictures.

mod describe;
mod json;
mod mermaid;
mod text;

pub use json::json;
pub use mermaid::mermaid;
pub use text::text;
