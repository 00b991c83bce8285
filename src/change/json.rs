//! JSON documents: the text that MySQL prints, or the binary form that it stores.

use std::borrow::Cow;
use std::fmt;

use super::jsonb;

/// A document. The two forms, text and binary, are one value: they are equal where their texts are, and every way to
/// read one gives the text, as MySQL prints it.
#[derive(Clone)]
pub struct Json<'a>(Form<'a>);

#[derive(Clone)]
enum Form<'a> {
    Text(Cow<'a, str>),
    /// Sound: [`Json::binary`] has visited every value.
    Binary(&'a [u8]),
}

impl<'a> Json<'a> {
    /// The document that MySQL stores as `bytes`; `None` where they are no document.
    #[inline]
    pub fn binary(bytes: &'a [u8]) -> Option<Self> {
        jsonb::check(bytes)?;
        Some(Self(Form::Binary(bytes)))
    }

    /// Appends the text.
    pub fn write(&self, out: &mut String) {
        match &self.0 {
            Form::Text(text) => out.push_str(text),
            Form::Binary(bytes) => {
                let printed = jsonb::print(bytes, out);
                debug_assert!(printed.is_some(), "a binary document is sound");
            }
        }
    }

    /// The text, copied only where the document is binary.
    pub fn text(&self) -> Cow<'_, str> {
        match &self.0 {
            Form::Text(text) => Cow::Borrowed(text),
            Form::Binary(bytes) => {
                let mut out = String::with_capacity(bytes.len() + bytes.len() / 4);
                self.write(&mut out);
                Cow::Owned(out)
            }
        }
    }

    /// The text; where the document is binary it stands in `buffer`, whose content is replaced.
    pub fn text_in<'t>(&'t self, buffer: &'t mut String) -> &'t str {
        match &self.0 {
            Form::Text(text) => text,
            Form::Binary(_) => {
                buffer.clear();
                self.write(buffer);
                buffer
            }
        }
    }

    /// Whether the document is `null`.
    pub fn is_null(&self) -> bool {
        match &self.0 {
            Form::Text(text) => text.trim_ascii() == "null",
            Form::Binary(bytes) => jsonb::is_null(bytes),
        }
    }

    /// Whether dropping it does nothing.
    #[inline]
    pub(super) fn owns_nothing(&self) -> bool {
        !matches!(self.0, Form::Text(Cow::Owned(_)))
    }

    /// Bytes of memory that are this value's own.
    pub fn owned_bytes(&self) -> usize {
        match &self.0 {
            Form::Text(Cow::Owned(text)) => text.capacity(),
            Form::Text(Cow::Borrowed(_)) | Form::Binary(_) => 0,
        }
    }
}

impl<'a> From<&'a str> for Json<'a> {
    fn from(text: &'a str) -> Self {
        Self(Form::Text(text.into()))
    }
}

impl From<String> for Json<'_> {
    fn from(text: String) -> Self {
        Self(Form::Text(text.into()))
    }
}

impl<'a> From<Cow<'a, str>> for Json<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        Self(Form::Text(text))
    }
}

impl PartialEq for Json<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            // One document has many binary forms, but a form has one text.
            (Form::Binary(a), Form::Binary(b)) if a == b => true,
            _ => self.text() == other.text(),
        }
    }
}

impl Eq for Json<'_> {}

impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl fmt::Debug for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text(), f)
    }
}
