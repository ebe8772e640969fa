//! The texts of an entry, in one buffer.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::iter::FusedIterator;

use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};

use super::MAX_TEXTS;
use crate::model::ChatText;

/// 1 to [`MAX_TEXTS`] texts. Each is a legal [`ChatText`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TextBuffer {
    /// All texts, one after the other.
    buffer: Box<str>,
    /// Where each text ends in the buffer.
    ends: Box<[u32]>,
}

impl TextBuffer {
    /// These texts. The first [`MAX_TEXTS`] alone, if there are more.
    pub(super) fn new(texts: &[ChatText]) -> Self {
        let bytes = texts.iter().take(MAX_TEXTS).map(|text| text.as_str().len()).sum();
        let count = texts.len().min(MAX_TEXTS);
        let mut builder = Builder { buffer: String::with_capacity(bytes), ends: Vec::with_capacity(count) };
        texts.iter().take(MAX_TEXTS).for_each(|text| builder.push(text.as_str()));
        builder.finish()
    }

    pub(super) fn iter(&self) -> Texts<'_> {
        Texts { buffer: &self.buffer, start: 0, ends: &self.ends }
    }

    /// The bytes of all texts.
    pub(super) fn bytes(&self) -> usize {
        self.buffer.len()
    }
}

#[derive(Default)]
struct Builder {
    buffer: String,
    ends: Vec<u32>,
}

impl Builder {
    fn push(&mut self, text: &str) {
        self.buffer.push_str(text);
        self.ends.push(u32::try_from(self.buffer.len()).unwrap_or(u32::MAX));
    }

    fn finish(self) -> TextBuffer {
        TextBuffer { buffer: self.buffer.into(), ends: self.ends.into() }
    }
}

/// The texts of an [`Entry`](super::Entry), from [`Entry::texts`](super::Entry::texts).
#[derive(Clone, Debug)]
pub struct Texts<'a> {
    buffer: &'a str,
    /// Where the next text starts in the buffer.
    start: usize,
    /// Where the texts end that are left.
    ends: &'a [u32],
}

impl Texts<'_> {
    /// No texts.
    pub(super) const NONE: Self = Self { buffer: "", start: 0, ends: &[] };
}

impl<'a> Iterator for Texts<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let (end, rest) = self.ends.split_first()?;
        let start = core::mem::replace(&mut self.start, *end as usize);
        self.ends = rest;
        self.buffer.get(start..self.start)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.ends.len(), Some(self.ends.len()))
    }
}

impl ExactSizeIterator for Texts<'_> {}

impl FusedIterator for Texts<'_> {}

/// Reads an array of texts without a copy of each (SPEC 7.2.6, 7.2.7, 7.2.14).
impl<'de> serde::Deserialize<'de> for TextBuffer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ArrayVisitor)
    }
}

struct ArrayVisitor;

impl<'de> Visitor<'de> for ArrayVisitor {
    type Value = TextBuffer;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of texts")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut texts: A) -> Result<TextBuffer, A::Error> {
        let mut builder = Builder::default();
        while texts.next_element_seed(TextSeed(&mut builder))?.is_some() {}
        if builder.ends.is_empty() { Err(A::Error::custom("no text")) } else { Ok(builder.finish()) }
    }
}

/// Reads one text into the buffer.
struct TextSeed<'a>(&'a mut Builder);

impl<'de> DeserializeSeed<'de> for TextSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for TextSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        if self.0.ends.len() == MAX_TEXTS {
            return Err(E::custom("too many texts"));
        }
        ChatText::check(text).map_err(E::custom)?;
        self.0.push(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_out_one_by_one_as_they_went_in() {
        let texts = ["one", "é;\"\\", "\u{1}😀"].map(|text| ChatText::new(text).unwrap());
        let buffer = TextBuffer::new(&texts);
        assert!(buffer.iter().eq(texts.iter().map(ChatText::as_str)));
        let mut rest = buffer.iter();
        assert_eq!((rest.len(), rest.next(), rest.len()), (3, Some("one"), 2));
        assert_eq!(Texts::NONE.len(), 0);
        let read: TextBuffer = serde_json::from_str(r#"["one","\u00e9\u003b\"\\","\u0001😀"]"#).unwrap();
        assert_eq!(read, buffer);
    }

    #[test]
    fn an_array_has_1_to_512_texts_that_are_legal() {
        let read =
            |texts: &[&str]| serde_json::from_str::<TextBuffer>(&serde_json::to_string(texts).unwrap());
        assert_eq!(read(&["x"; MAX_TEXTS]).unwrap().iter().len(), MAX_TEXTS);
        for texts in [&[][..], &["x"; MAX_TEXTS + 1], &["x", ""], &["a\nb"], &["a\rb"]] {
            assert!(read(texts).is_err(), "{} texts", texts.len());
        }
        assert!(serde_json::from_str::<TextBuffer>(r#"["x",1]"#).is_err());
    }
}
