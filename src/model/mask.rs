//! What may be shown of a document.

/// Text without control characters.
#[must_use]
pub fn clean_text(text: &str) -> String {
    text.chars().filter(|c| !is_hidden(*c)).collect()
}

/// Whether a character steers a terminal or the order of text instead of showing: control characters, and those that
/// turn the direction of writing (Unicode TR 36 §2.1: text that reads as what it is not).
#[must_use]
pub fn is_hidden(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
