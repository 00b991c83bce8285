//! Weights as bytes of a key: in order, none the beginning of another, short for what is frequent.

/// The code of primary weights. A weight of ASCII is one byte; between two of these a byte introduces the sixteen bits of
/// what lies between them; what follows the last of them is a page and a byte. No code begins with 0.
#[derive(Default)]
pub(super) struct Code {
    /// Sorted, without repetition.
    ascii: Vec<u16>,
    /// For each weight below `single.len()` its byte if it is one of ASCII's, else 0.
    single: Vec<u8>,
}

/// The pages beyond ASCII's end here; there is room for their bytes below those that follow.
const PAGES_END: u16 = 0x5600;
/// Introduces the first weight of a computed pair: what comes next belongs to it.
const LEAD: u8 = 0xfe;
/// Introduces sixteen bits beyond the pages, before and after the leads.
const BELOW_LEADS: u8 = 0xfd;
const ABOVE_LEADS: u8 = 0xff;

impl Code {
    /// From the primary weights of ASCII; 0 is no weight.
    pub fn new(weights: &[u16]) -> Self {
        let mut ascii: Vec<u16> = weights.iter().copied().filter(|&w| w != 0).collect();
        ascii.sort_unstable();
        ascii.dedup();
        let end = ascii.last().map_or(0, |&last| usize::from(last) + 1);
        let mut single = vec![0; end];
        for (index, &weight) in ascii.iter().enumerate() {
            if let Some(place) = single.get_mut(usize::from(weight)) {
                *place = (2 * index + 2) as u8;
            }
        }
        Self { ascii, single }
    }

    pub fn writer(&self) -> Writer<'_> {
        Writer {
            code: self,
            after_lead: false,
        }
    }

    /// The byte of the first page beyond ASCII.
    fn pages(&self) -> u8 {
        (2 * self.ascii.len() + 1) as u8
    }

    fn write(&self, weight: u16, out: &mut Vec<u8>) {
        let last = self.ascii.last().copied().unwrap_or(0);
        let [high, low] = weight.to_be_bytes();
        match weight {
            _ if weight <= last => {
                let below = self.ascii.partition_point(|&other| other < weight);
                out.extend_from_slice(&[(2 * below + 1) as u8, high, low]);
            }
            _ if weight < PAGES_END => {
                let page = self.pages() + (high - last.to_be_bytes()[0]);
                out.extend_from_slice(&[page, low]);
            }
            _ if weight < 0xfb00 => out.extend_from_slice(&[BELOW_LEADS, high, low]),
            _ => out.extend_from_slice(&[ABOVE_LEADS, high, low]),
        }
    }
}

/// Writes the primary weights of one text, one after the other.
pub(super) struct Writer<'a> {
    code: &'a Code,
    after_lead: bool,
}

impl Writer<'_> {
    #[inline]
    pub fn write(&mut self, weight: u16, out: &mut Vec<u8>) {
        if self.after_lead {
            self.after_lead = false;
            out.extend_from_slice(&weight.to_be_bytes());
            return;
        }
        match self.code.single.get(usize::from(weight)) {
            Some(&byte @ 1..) => out.push(byte),
            _ if is_lead(weight) => {
                self.after_lead = true;
                out.extend_from_slice(&[LEAD, weight.to_be_bytes()[1]]);
            }
            _ => self.code.write(weight, out),
        }
    }
}

/// Whether it is the first weight of a computed pair.
pub(super) fn is_lead(weight: u16) -> bool {
    (0xfb00..=0xfbff).contains(&weight)
}

/// Secondary and tertiary weights: one byte, from 0xF0 on two.
pub(super) fn write_minor(weight: u16, out: &mut Vec<u8>) {
    let [high, low] = weight.to_be_bytes();
    if weight < 0xf0 {
        out.push(low);
    } else {
        out.extend_from_slice(&[0xf0_u8.saturating_add(high), low]);
    }
}
