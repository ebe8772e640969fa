//! Makes characters visible that would move the cursor, reorder the text or be invisible.
//!
//! C0 controls and DEL become control pictures (ESC becomes `␛`). All others become their hexadecimal number, such as
//! `\u{202e}`.

use std::fmt::Write;

/// Appends untrusted text that is a line or a part of one.
pub(crate) fn push_visible(out: &mut String, text: &str) {
    if is_printable_ascii(text.as_bytes()) {
        out.push_str(text);
        return;
    }
    let (mut plain, mut flag_ends) = (0, 0);
    for (at, char) in text.char_indices() {
        if char == FLAG {
            flag_ends =
                FLAGS.iter().find(|flag| text[at..].starts_with(**flag)).map_or(at, |flag| at + flag.len());
        }
        if at < flag_ends || is_plain(char) {
            continue;
        }
        out.push_str(&text[plain..at]);
        plain = at + char.len_utf8();
        match char {
            '\0'..='\x1f' => out.extend(char::from_u32(PICTURES + u32::from(char))),
            '\x7f' => out.push('␡'),
            _ => write!(out, "\\u{{{:x}}}", u32::from(char)).expect("a String takes everything"),
        }
    }
    out.push_str(&text[plain..]);
}

/// Like [`push_visible`], with a new string.
pub(crate) fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    push_visible(&mut out, text);
    out
}

/// The black flag, which tags make the flag of a part of a country.
const FLAG: char = '\u{1f3f4}';

/// The flags of England, Scotland and Wales, the only ones of that kind that Unicode recommends. Other tags could hide a text.
const FLAGS: [&str; 3] = [
    "\u{1f3f4}\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
    "\u{1f3f4}\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}",
    "\u{1f3f4}\u{e0067}\u{e0062}\u{e0077}\u{e006c}\u{e0073}\u{e007f}",
];

/// The first of the control pictures of Unicode.
const PICTURES: u32 = 0x2400;

fn is_printable_ascii(bytes: &[u8]) -> bool {
    // The compiler vectorizes this, since it has no early exit.
    bytes.iter().fold(true, |all, byte| all & (0x20..0x7f).contains(byte))
}

/// Whether a character may be written to a terminal.
///
/// Joiners and variation selectors may: emoji and several scripts need them.
fn is_plain(char: char) -> bool {
    !matches!(char,
        // C0, DEL and C1.
        '\0'..='\x1f' | '\x7f'..='\u{9f}'
        // Bidirectional marks, embeddings, overrides and isolates.
        | '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        // Line and paragraph separator.
        | '\u{2028}'..='\u{2029}'
        // Invisible: soft hyphen, fillers, zero-width and invisible operators, deprecated formats, tags.
        | '\u{ad}' | '\u{34f}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180e}' | '\u{200b}'
        | '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        // The selectors between these are for variants of ideographs.
        | '\u{e0000}'..='\u{e00ff}' | '\u{e01f0}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_stays_as_it_is() {
        for text in
            ["", "hello, world~", "Zoë", "日本語", "🧑‍🚀 ❤️ 🏳️‍🌈", "می‌خواهم", "שלום", "a\u{a0}b", "\u{fffd}"]
        {
            assert_eq!(visible(text), text);
        }
    }

    #[test]
    fn flags_and_joined_and_combined_characters_stay_and_other_tags_do_not() {
        for flag in FLAGS {
            assert_eq!(visible(&format!("a{flag}b")), format!("a{flag}b"));
        }
        for text in ["👩‍👩‍👧‍👦", "e\u{301}\u{323}", "👍🏽", "🇩🇪", "1\u{fe0f}\u{20e3}", "נִ"]
        {
            assert_eq!(visible(text), text);
        }
        assert_eq!(visible("\u{1f3f4}\u{e0067}\u{e007f}"), "\u{1f3f4}\\u{e0067}\\u{e007f}");
        let twice = format!("{}\u{e0067}", FLAGS[0]);
        assert_eq!(visible(&twice), format!("{}\\u{{e0067}}", FLAGS[0]));
    }

    #[test]
    fn ascii_controls_become_pictures() {
        assert_eq!(visible("\x1b[31mred\x1b[0m"), "␛[31mred␛[0m");
        assert_eq!(visible("a\tb\r\nc\0\x07\x7f"), "a␉b␍␊c␀␇␡");
    }

    #[test]
    fn everything_else_becomes_its_number() {
        assert_eq!(visible("é\u{9b}31m"), "é\\u{9b}31m");
        assert_eq!(visible("\u{202e}evil\u{2066}\u{2069}"), "\\u{202e}evil\\u{2066}\\u{2069}");
        assert_eq!(visible("a\u{2028}b\u{feff}\u{e0041}"), "a\\u{2028}b\\u{feff}\\u{e0041}");
        assert_eq!(
            visible("\u{1bca0}\u{1bca3}\u{e01f0}\u{e0fff}"),
            "\\u{1bca0}\\u{1bca3}\\u{e01f0}\\u{e0fff}"
        );
        assert_eq!(visible("葛\u{e0100}"), "葛\u{e0100}");
    }

    #[test]
    fn nothing_dangerous_comes_through() {
        let dangerous = |char: char| {
            char.is_control()
                || matches!(char, '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{2028}' | '\u{2029}')
                || ('\u{202a}'..='\u{202e}').contains(&char)
                || ('\u{2066}'..='\u{2069}').contains(&char)
        };
        for char in '\0'..=char::MAX {
            let shown = visible(&format!("a{char}é"));
            assert!(!shown.contains(dangerous), "{char:?} came through");
            assert_eq!(is_plain(char), shown == format!("a{char}é"), "{char:?}");
        }
    }

    #[test]
    fn what_stands_around_it_is_kept() {
        assert_eq!(visible("\x1bå\x1b\x1bb\x1b"), "␛å␛␛b␛");
    }
}
