//! Exact numbers as MySQL computes on with them, and as documents show them: with the digits that they came with, not
//! those of their type.

use super::choice::raw;
use super::node::{Node, Op, Target};
use super::types::TypeKind;

/// As [`exact`], with no more digits than its type has.
pub(super) fn exact_within(node: &Node) -> Node {
    let TypeKind::Decimal { scale, .. } = node.ty.kind else {
        return exact(node);
    };
    Node {
        op: Op::To(Target::AtMost(scale), Box::new(exact(node))),
        ..node.clone()
    }
}

/// The same number with its own digits. Choices give it as the chosen branch has it.
pub(super) fn exact(node: &Node) -> Node {
    let node = raw(node);
    let TypeKind::Decimal { scale, .. } = node.ty.kind else {
        return node.clone();
    };
    let all = |nodes: &[Node]| nodes.iter().map(exact).collect();
    let op = match &node.op {
        op @ (Op::Case { to, .. } | Op::CaseOf { to, .. }) => op
            .clone()
            .with_branches(to.clone(), &mut |branch| exact(&branch)),
        Op::Coalesce { args, to } => Op::Coalesce {
            args: all(args),
            to: to.clone(),
        },
        Op::Extreme {
            greatest,
            how,
            args,
            to,
        } => Op::Extreme {
            greatest: *greatest,
            how: how.clone(),
            args: all(args),
            to: to.clone(),
        },
        Op::NullIf { how, args } => Op::NullIf {
            how: how.clone(),
            args: Box::new([exact(&args[0]), args[1].clone()]),
        },
        other => other.clone(),
    };
    let rounds = matches!(op, Op::Coalesce { .. } | Op::Extreme { .. });
    let found = Node { op, ..node.clone() };
    if !rounds {
        return found;
    }
    // These alone round what is longer than their type; none of them fills what is shorter.
    Node {
        op: Op::To(Target::AtMost(scale), Box::new(found)),
        ..node.clone()
    }
}
