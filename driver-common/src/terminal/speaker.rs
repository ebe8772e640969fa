//! Sends the user's input and shows the results.

use std::sync::Arc;

use proto_core::ChatText;

use super::folds::Folds;
use super::notices::{Gravity, Notices};
use super::people::People;
use crate::{Handle, Origin, SayError};

/// Sends messages for the user, on its own thread.
#[derive(Clone)]
pub(crate) struct Speaker {
    pub(crate) handle: Handle,
    pub(crate) people: Arc<People>,
    pub(crate) folds: Option<Folds>,
    pub(crate) notices: Notices,
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
                self.warn(&format!("not sent: {error}"));
                true
            }
        }
    }

    /// Shows a notice.
    pub(crate) fn notify(&self, notice: &str) {
        self.notices.tell(Gravity::Info, notice);
    }

    /// Shows a notice of something that is wrong.
    pub(crate) fn warn(&self, notice: &str) {
        self.notices.tell(Gravity::Warning, notice);
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
