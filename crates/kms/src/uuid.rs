//! Key ids: UUIDs in their usual spelling. RFC 9562, section 4.

/// The sixteen bytes of a UUID, or none if the text is not one in lower-case 8-4-4-4-12 form.
pub(crate) fn to_bytes(text: &str) -> Option<[u8; 16]> {
    let mut groups = text.split('-');
    let mut digits = String::with_capacity(32);
    for length in [8, 4, 4, 4, 12] {
        let group = groups.next().filter(|group| group.len() == length)?;
        digits.push_str(group);
    }
    let plain = groups.next().is_none() && digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    let mut bytes = [0; 16];
    (plain && hex::decode_to_slice(digits, &mut bytes).is_ok()).then_some(bytes)
}

/// The usual spelling of sixteen bytes.
pub(crate) fn from_bytes(bytes: [u8; 16]) -> String {
    let digits = hex::encode(bytes);
    let mut text = String::with_capacity(36);
    for (position, digit) in digits.chars().enumerate() {
        if matches!(position, 8 | 12 | 16 | 20) {
            text.push('-');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9562 section 4: the spelling and its bytes belong together, and nothing else is taken.
    #[test]
    fn spelling_and_bytes_round_trip() {
        let text = "0123abcd-4567-89ef-0123-456789abcdef";
        assert_eq!(from_bytes(to_bytes(text).unwrap()), text);
        for wrong in ["", "0123ABCD-4567-89ef-0123-456789abcdef", "0123abcd456789ef0123456789abcdef", "alias/x"] {
            assert_eq!(to_bytes(wrong), None);
        }
    }
}
