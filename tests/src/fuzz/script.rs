//! Bytes read as instructions.

/// What is left of a fuzz input. Everything can be read from it, however little there is.
pub(super) struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// A number below 16: a digit is itself, `:` is ten and `?` fifteen.
    pub(super) fn digit(&mut self) -> usize {
        usize::from(self.byte().unwrap_or_default() & 15)
    }

    /// Everything up to the next line end, which is read over.
    pub(super) fn line(&mut self) -> &'a [u8] {
        let end = self.0.iter().position(|byte| *byte == b'\n');
        let (line, rest) = self.0.split_at(end.unwrap_or(self.0.len()));
        self.0 = rest.get(1..).unwrap_or_default();
        line
    }

    pub(super) fn rest(self) -> &'a [u8] {
        self.0
    }
}
