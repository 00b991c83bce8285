//! The Unicode Collation Algorithm as MySQL does it: a character weighs the same wherever it stands (no contractions, no
//! normalization), Han characters and Hangul syllables are computed.

use std::cmp::Ordering;
use std::sync::OnceLock;

use super::code::Code;
use super::table::{Kind, Pages, Reader};
use super::{after_common_start, pad};

/// The weights of one version of the algorithm.
pub(super) struct Weights {
    /// Where in `store` a character's weights are; none where a run computes them.
    places: Pages,
    /// For each character how many it has on each level, five bits each, then the weights.
    store: Vec<u16>,
    /// Sorted.
    runs: Vec<Run>,
    /// On each level, of the characters that have one; 0 where they have none.
    ascii: [[u16; 128]; 3],
    code: Code,
}

struct Run {
    first: u32,
    last: u32,
    how: Computed,
}

#[derive(Clone, Copy)]
enum Computed {
    /// Two primary weights made from the code point.
    Implicit { base: u16, less: u32 },
    /// One primary weight for all.
    Constant(u16),
    /// Those of its Jamo.
    Hangul,
}

/// What weighs as secondary and tertiary where nothing else is said.
const COMMON: [u16; 2] = [0x20, 2];

impl Weights {
    /// Unicode 9.0.0, three levels.
    pub fn version_900() -> Option<&'static Weights> {
        static TABLE: OnceLock<Option<Weights>> = OnceLock::new();
        TABLE
            .get_or_init(|| read(include_bytes!("data/uca900.bin")))
            .as_ref()
    }

    /// Unicode 4.0.0, one level.
    pub fn version_400() -> Option<&'static Weights> {
        static TABLE: OnceLock<Option<Weights>> = OnceLock::new();
        TABLE
            .get_or_init(|| read(include_bytes!("data/uca400.bin")))
            .as_ref()
    }

    /// Level by level, without padding.
    pub fn compare(&'static self, levels: usize, a: &str, b: &str) -> Ordering {
        let (a, b) = after_common_start(a, b);
        (0..levels)
            .map(|level| self.level(level, a).cmp(self.level(level, b)))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    }

    pub fn key(&'static self, levels: usize, text: &str, out: &mut Vec<u8>) {
        out.reserve(text.len() * levels + levels);
        let mut writer = self.code.writer();
        for weight in self.level(0, text) {
            writer.write(weight, out);
        }
        for level in 1..levels {
            out.push(0);
            for weight in self.level(level, text) {
                super::code::write_minor(weight, out);
            }
        }
    }

    /// On the first level, padded.
    pub fn compare_padded(&'static self, a: &str, b: &str) -> Ordering {
        let (a, b) = after_common_start(a, b);
        let wide = |text| self.level(0, text).map(u32::from);
        pad::compare(wide(a), wide(b), self.space())
    }

    pub fn key_padded(&'static self, text: &str, out: &mut Vec<u8>) {
        out.reserve(text.len() + 2);
        let mut writer = self.code.writer();
        let write = |weight: u32, out: &mut Vec<u8>| writer.write(weight as u16, out);
        pad::key(self.level(0, text).map(u32::from), self.space(), write, out);
    }

    /// Whether LIKE takes the characters for the same: those that have their weights from the table by their weights, those
    /// whose weights are computed only if they are one.
    pub fn alike(&'static self, levels: usize, a: char, b: char) -> bool {
        if a == b {
            return true;
        }
        match (self.listed(u32::from(a)), self.listed(u32::from(b))) {
            (Some(a), Some(b)) => (0..levels).all(|level| a.level(level) == b.level(level)),
            _ => false,
        }
    }

    fn space(&self) -> u32 {
        u32::from(self.ascii[0][usize::from(b' ')])
    }

    fn level<'t>(&'static self, level: usize, text: &'t str) -> Level<'t> {
        Level {
            weights: self,
            ascii: &self.ascii[level.min(2)],
            level,
            text: text.chars(),
            listed: &[],
            computed: [0; 3],
        }
    }

    #[inline]
    fn listed(&self, code: u32) -> Option<Listed<'_>> {
        let place = self.places.get(code)?;
        let (&counts, weights) = self.store.get(place as usize - 1..)?.split_first()?;
        Some(Listed { counts, weights })
    }

    fn computed(&self, code: u32) -> Option<Computed> {
        let after = self.runs.partition_point(|run| run.last < code);
        let run = self.runs.get(after)?;
        (run.first <= code).then_some(run.how)
    }

    /// The only weight on a level of a character in the table.
    fn single(&self, code: u32, level: usize) -> u16 {
        let listed = self.listed(code);
        let weight = listed.and_then(|listed| listed.level(level).first().copied());
        weight.unwrap_or(0)
    }
}

struct Listed<'a> {
    counts: u16,
    weights: &'a [u16],
}

impl<'a> Listed<'a> {
    #[inline]
    fn level(&self, level: usize) -> &'a [u16] {
        let count = |level: usize| usize::from(self.counts >> (5 * level) & 0x1f);
        let start = (0..level).map(count).sum();
        self.weights
            .get(start..start + count(level))
            .unwrap_or_default()
    }
}

/// The weights of a text on one level, none of them 0.
struct Level<'t> {
    weights: &'static Weights,
    ascii: &'static [u16; 128],
    level: usize,
    text: std::str::Chars<'t>,
    /// What is left of the last character, one of both.
    listed: &'static [u16],
    computed: [u16; 3],
}

impl Iterator for Level<'_> {
    type Item = u16;

    #[inline]
    fn next(&mut self) -> Option<u16> {
        loop {
            if let Some((&weight, rest)) = self.listed.split_first() {
                self.listed = rest;
                return Some(weight);
            }
            let [weight, second, third] = self.computed;
            if weight != 0 {
                self.computed = [second, third, 0];
                return Some(weight);
            }
            let code = u32::from(self.text.next()?);
            match self.ascii.get(code as usize) {
                Some(0) => {}
                Some(&weight) => return Some(weight),
                None => self.take(code),
            }
        }
    }
}

impl Level<'_> {
    fn take(&mut self, code: u32) {
        if let Some(listed) = self.weights.listed(code) {
            self.listed = listed.level(self.level);
            return;
        }
        let common = self.level.checked_sub(1).and_then(|rest| COMMON.get(rest));
        self.computed = match (self.weights.computed(code), common) {
            (Some(Computed::Hangul), _) => {
                jamo(code).map(|part| self.weights.single(part, self.level))
            }
            (_, Some(&common)) => [common, 0, 0],
            (Some(Computed::Implicit { base, less }), None) => implicit(code, base, less),
            (Some(Computed::Constant(weight)), None) => [weight, 0, 0],
            (None, None) => [0; 3],
        };
    }
}

fn implicit(code: u32, base: u16, less: u32) -> [u16; 3] {
    let code = code.wrapping_sub(less);
    let lead = base.wrapping_add((code >> 15) as u16);
    [lead, (code & 0x7fff | 0x8000) as u16, 0]
}

/// The Jamo of a Hangul syllable; the third is 0 where there are two.
fn jamo(syllable: u32) -> [u32; 3] {
    let index = syllable.wrapping_sub(0xac00);
    let last = match index % 28 {
        0 => 0,
        last => 0x11a7 + last,
    };
    [0x1100 + index / 588, 0x1161 + index % 588 / 28, last]
}

fn read(table: &[u8]) -> Option<Weights> {
    let mut reader = Reader::open(table, Kind::Weights)?;
    let mut weights = Weights {
        places: Pages::default(),
        store: Vec::new(),
        runs: Vec::new(),
        ascii: [[0; 128]; 3],
        code: Code::default(),
    };
    for _ in 0..reader.count()? {
        weights.runs.push(read_run(&mut reader)?);
    }
    let mut shapes = Vec::new();
    for _ in 0..reader.count()? {
        shapes.push(read_shape(&mut reader)?);
    }
    let (mut code, mut weight) = (0_u32, 0_u16);
    for _ in 0..reader.count()? {
        code = code.checked_add(reader.number()?)?;
        let (counts, primaries, minor) = shapes.get(reader.count()?)?;
        let place = u32::try_from(weights.store.len()).ok()? + 1;
        weights.places.set(code, place)?;
        weights.store.push(*counts);
        for _ in 0..*primaries {
            weight = weight.wrapping_add(reader.signed()? as u16);
            weights.store.push(weight);
        }
        weights.store.extend_from_slice(minor);
    }
    if !reader.is_at_end() {
        return None;
    }
    weights.ascii =
        [0, 1, 2].map(|level| std::array::from_fn(|code| weights.single(code as u32, level)));
    weights.code = Code::new(&weights.ascii[0]);
    Some(weights)
}

fn read_run(reader: &mut Reader) -> Option<Run> {
    let first = reader.number()?;
    let last = first.checked_add(reader.number()?)?;
    let how = match (reader.number()?, reader.weight()?, reader.number()?) {
        (0, base, less) => Computed::Implicit { base, less },
        (1, weight, _) => Computed::Constant(weight),
        (2, _, _) => Computed::Hangul,
        _ => return None,
    };
    Some(Run { first, last, how })
}

/// How many weights there are on each level; how many are primary; the others.
fn read_shape(reader: &mut Reader) -> Option<(u16, usize, Vec<u16>)> {
    let counts = [reader.count()?, reader.count()?, reader.count()?];
    let minor = (0..counts[1] + counts[2])
        .map(|_| reader.weight())
        .collect::<Option<Vec<u16>>>()?;
    if counts.iter().any(|&count| count > 0x1f) {
        return None;
    }
    let packed = counts[0] | counts[1] << 5 | counts[2] << 10;
    Some((u16::try_from(packed).ok()?, counts[0], minor))
}
