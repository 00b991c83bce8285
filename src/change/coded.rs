//! Text, as it shows and as it is.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

/// A text as UTF-8, and its bytes in its own character set where the text does not give them back: some sets have several
/// codes that show as one character, and MySQL's `_bin` collations tell these apart.
///
/// It derefs to what it shows. Few texts keep their bytes, and the others do not pay for it.
#[derive(Clone)]
pub struct Text<'a>(Form<'a>);

#[derive(Clone)]
enum Form<'a> {
    Plain(Cow<'a, str>),
    Coded(Box<Coded>),
    Lent(&'a Coded),
}

#[derive(Clone)]
struct Coded {
    shown: String,
    codes: Box<[u8]>,
    converts: bool,
}

impl Text<'_> {
    /// A text whose bytes are not those that `shown` has in its character set; whether MySQL can convert it into another one.
    pub fn with_codes(shown: String, codes: Box<[u8]>, converts: bool) -> Text<'static> {
        Text(Form::Coded(Box::new(Coded {
            shown,
            codes,
            converts,
        })))
    }

    /// The bytes in the text's own character set, where the text does not give them back.
    #[inline]
    pub fn codes(&self) -> Option<&[u8]> {
        Some(&self.coded()?.codes)
    }

    fn coded(&self) -> Option<&Coded> {
        match &self.0 {
            Form::Plain(_) => None,
            Form::Coded(coded) => Some(coded),
            Form::Lent(coded) => Some(coded),
        }
    }

    /// The same without a copy.
    #[inline]
    pub fn lent(&self) -> Text<'_> {
        Text(match &self.0 {
            Form::Plain(text) => Form::Plain(Cow::Borrowed(text)),
            Form::Coded(coded) => Form::Lent(coded),
            Form::Lent(coded) => Form::Lent(coded),
        })
    }

    /// The same, borrowing nothing.
    pub fn to_owned(&self) -> Text<'static> {
        Text(match &self.0 {
            Form::Plain(text) => Form::Plain(Cow::Owned(text.to_string())),
            Form::Coded(coded) => Form::Coded(coded.clone()),
            Form::Lent(coded) => Form::Coded(Box::new((*coded).clone())),
        })
    }

    /// The characters of which a number is read: a byte that only shows as a digit or a point is none.
    pub fn numeric(&self) -> &str {
        let Some(codes) = self.codes() else {
            return self;
        };
        let end = codes.iter().position(|byte| !byte.is_ascii());
        let start = codes.get(..end.unwrap_or(codes.len())).unwrap_or_default();
        std::str::from_utf8(start).unwrap_or_default()
    }

    /// Whether MySQL can convert it into another character set, other than to show it: not so where a code of it stands for
    /// nothing.
    pub fn converts(&self) -> bool {
        self.coded().is_none_or(|coded| coded.converts)
    }

    /// How many bytes of memory are its own.
    #[cfg(test)]
    pub(crate) fn owned_bytes(&self) -> usize {
        match &self.0 {
            Form::Plain(Cow::Owned(text)) => text.capacity(),
            Form::Coded(coded) => size_of::<Coded>() + coded.shown.capacity() + coded.codes.len(),
            Form::Plain(Cow::Borrowed(_)) | Form::Lent(_) => 0,
        }
    }

    #[inline]
    pub(super) fn owns_nothing(&self) -> bool {
        matches!(self.0, Form::Plain(Cow::Borrowed(_)) | Form::Lent(_))
    }
}

impl<'a> Text<'a> {
    /// What it shows.
    pub fn into_shown(self) -> Cow<'a, str> {
        match self.0 {
            Form::Plain(text) => text,
            Form::Coded(coded) => Cow::Owned(coded.shown),
            Form::Lent(coded) => Cow::Borrowed(&coded.shown),
        }
    }
}

impl Deref for Text<'_> {
    type Target = str;

    #[inline]
    fn deref(&self) -> &str {
        match &self.0 {
            Form::Plain(text) => text,
            Form::Coded(coded) => &coded.shown,
            Form::Lent(coded) => &coded.shown,
        }
    }
}

impl AsRef<str> for Text<'_> {
    fn as_ref(&self) -> &str {
        self
    }
}

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other && self.codes() == other.codes()
    }
}

impl Eq for Text<'_> {}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)?;
        match self.codes() {
            Some(codes) => write!(f, " {codes:02x?}"),
            None => Ok(()),
        }
    }
}

impl<'a> From<Cow<'a, str>> for Text<'a> {
    #[inline]
    fn from(text: Cow<'a, str>) -> Self {
        Text(Form::Plain(text))
    }
}

impl<'a> From<&'a str> for Text<'a> {
    #[inline]
    fn from(text: &'a str) -> Self {
        Text(Form::Plain(Cow::Borrowed(text)))
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Text(Form::Plain(Cow::Owned(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_what_it_shows_and_its_bytes() {
        let plain = Text::from("?");
        let coded = Text::with_codes("?".into(), [0x98].into(), false);
        assert_eq!(*plain, *coded);
        assert_ne!(plain, coded);
        assert_eq!(coded, coded.lent());
        assert_eq!(coded.lent().lent(), coded.lent().to_owned());
        assert_eq!(coded.lent().into_shown(), "?");
        assert!(coded.lent().owns_nothing() && !coded.owns_nothing());
        assert_eq!(size_of::<Text<'_>>(), size_of::<Cow<'_, str>>());
    }

    #[test]
    fn numbers_end_where_their_bytes_do() {
        let text = Text::with_codes("1.5".into(), [b'1', 0xa9, b'5'].into(), true);
        assert_eq!(text.numeric(), "1");
        assert_eq!(Text::from("1.5").numeric(), "1.5");
    }
}
