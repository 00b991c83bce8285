//! What an operator hands to others before penstock runs: tables for those who own the AWS account, a policy for its
//! role, grants for those who own MySQL. Made from the plan; nothing is asked of a server.

mod cloudformation;
mod grants;
mod iam;
#[cfg(test)]
mod tests;

pub use cloudformation::cloudformation;
pub use grants::{Grant, grants, grants_sql};
pub use iam::iam;
