//! The labels of an ENUM or a SET column.

use std::borrow::Cow;

/// SETs of so many labels have all their values joined beforehand …
const MOST_JOINED: usize = 6;
/// … unless the labels together are longer than this, in bytes.
const LONGEST_JOINED: usize = 256;

/// Labels, the first for the number 1 (ENUM) or bit 0 (SET).
#[derive(Debug, Clone)]
pub(super) struct Labels {
    labels: Vec<String>,
    /// Each value of a SET by its bits; empty where there are too many.
    joined: Vec<String>,
}

impl Labels {
    pub fn new(labels: Vec<String>) -> Self {
        let length: usize = labels.iter().map(String::len).sum();
        let all = match labels.len() <= MOST_JOINED && length <= LONGEST_JOINED {
            true => 1_u64 << labels.len(),
            false => 0,
        };
        let values = (0..all).filter_map(|bits| joined(&labels, bits));
        let joined = values.map(Cow::into_owned).collect();
        Self { labels, joined }
    }

    /// The label of an ENUM's number.
    #[inline]
    pub fn label(&self, number: u64) -> Option<&str> {
        label(&self.labels, number)
    }

    /// The text of a SET's bits.
    #[inline]
    pub fn joined(&self, bits: u64) -> Option<Cow<'_, str>> {
        match self.joined.get(usize::try_from(bits).ok()?) {
            Some(text) => Some(Cow::Borrowed(text)),
            None => joined(&self.labels, bits),
        }
    }
}

/// The label of an ENUM's number. 0 is the empty string that stands for a value which was refused.
#[inline]
pub(super) fn label(labels: &[String], number: u64) -> Option<&str> {
    match usize::try_from(number).ok()?.checked_sub(1) {
        None => Some(""),
        Some(index) => labels.get(index).map(String::as_str),
    }
}

/// The labels of a SET's bits, joined by `,`.
pub(super) fn joined(labels: &[String], bits: u64) -> Option<Cow<'_, str>> {
    if bits.count_ones() <= 1 {
        return match bits {
            0 => Some(Cow::Borrowed("")),
            _ => labels
                .get(bits.trailing_zeros() as usize)
                .map(|label| Cow::Borrowed(label.as_str())),
        };
    }
    let mut text = String::with_capacity(32);
    let mut left = bits;
    while left != 0 {
        if left != bits {
            text.push(',');
        }
        text.push_str(labels.get(left.trailing_zeros() as usize)?);
        left &= left - 1;
    }
    Some(Cow::Owned(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_joined_beforehand_are_those_joined_when_read() {
        for count in 0..9 {
            let labels: Vec<String> = (0..count).map(|nth| format!("label {nth}")).collect();
            let table = Labels::new(labels.clone());
            for bits in 0..1024 {
                let text = table.joined(bits);
                assert_eq!(text, joined(&labels, bits));
                assert_eq!(text.is_some(), bits < 1 << count, "{bits} of {count}");
            }
        }
        let long = Labels::new(vec!["a".repeat(200), "b".repeat(200)]);
        assert!(long.joined.is_empty());
        assert_eq!(long.joined(3).unwrap().len(), 401);
    }
}
