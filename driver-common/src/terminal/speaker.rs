//! Sends the user's input and shows the results.

use std::sync::{Arc, Mutex, PoisonError};

use proto_core::{ChatText, Name};

use super::output::Output;
use super::render::Style;
use crate::{Handle, Origin, SayError};

/// The name of this node's user, shared by input and output.
#[derive(Debug)]
pub(crate) struct SharedName {
    /// The user's name.
    uname: Mutex<Name>,
}

impl SharedName {
    pub(crate) fn new(uname: Name) -> Arc<Self> {
        Arc::new(Self { uname: Mutex::new(uname) })
    }

    pub(crate) fn uname(&self) -> Name {
        self.uname.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn rename(&self, uname: Name) {
        *self.uname.lock().unwrap_or_else(PoisonError::into_inner) = uname;
    }
}

/// Sends messages for the user, on its own thread.
#[derive(Clone)]
pub(crate) struct Speaker {
    pub(crate) handle: Handle,
    pub(crate) shared_name: Arc<SharedName>,
    /// Where notices go.
    pub(crate) notices: Output,
    pub(crate) style: Style,
}

impl Speaker {
    /// Sends texts. Waits while the peers receive more slowly. Returns false if the node has stopped.
    pub(crate) async fn say(&self, mut texts: Vec<ChatText>) -> bool {
        while !texts.is_empty() {
            let rest = texts.split_off(part(&texts));
            if !self.say_part(texts).await {
                return false;
            }
            texts = rest;
        }
        true
    }

    async fn say_part(&self, texts: Vec<ChatText>) -> bool {
        match self.handle.say(texts, Origin::TERMINAL).await {
            Ok(_) => true,
            Err(SayError::Stopped) => false,
            Err(error @ (SayError::Busy | SayError::TooMuch)) => {
                self.notify(&format!("not sent: {error}"));
                true
            }
        }
    }

    /// Shows a notice, which must not contain control characters.
    pub(crate) fn notify(&self, notice: &str) {
        let mut line = String::new();
        self.style.push_notice(&mut line, notice);
        self.notices.offer(&line);
    }
}

/// The number of texts to send in one call: as many as fit well into half an output queue, and at least one.
fn part(texts: &[ChatText]) -> usize {
    const BYTES: usize = 256 * 1024;
    const COMMA: usize = 1;
    let mut bytes = 0;
    let fits = |text: &&ChatText| {
        bytes += text.json_len() + COMMA;
        bytes <= BYTES
    };
    texts.iter().take_while(fits).count().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_fit_and_are_never_empty() {
        let text = |len| ChatText::new("x".repeat(len)).unwrap();
        assert_eq!(part(&[text(ChatText::MAX)]), 1);
        assert_eq!(part(&vec![text(ChatText::MAX); 100]), 4);
        assert_eq!(part(&vec![text(1); 10]), 10);
        assert_eq!(part(&vec![text(5); 100_000]), 256 * 1024 / 8);
        let semicolons = ChatText::new(";".repeat(10_000)).unwrap();
        assert_eq!(part(&vec![semicolons; 100]), 4);
    }
}
