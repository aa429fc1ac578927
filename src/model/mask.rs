//! What may be shown of a document.

/// Text without control characters.
#[must_use]
pub fn clean_text(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}
