//! Bytes as text.

/// Two hexadecimal digits for each byte, in lower case.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_two_digits() {
        let all: Vec<u8> = (0..=u8::MAX).collect();
        let text = hex(&all);
        assert_eq!(text.len(), 512);
        assert_eq!((&text[..8], &text[508..]), ("00010203", "feff"));
        let back = (0..256).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap());
        assert!(back.eq(0..=u8::MAX));
        assert_eq!(hex(&[]), "");
    }
}
