//! Wildcards of policies: `*` is any run of characters, `?` is one. IAM User Guide, "Using wildcards".

/// One place of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// Any run of characters, none too.
    Many,
    /// Any one character.
    One,
    /// This character.
    Is(char),
}

/// A pattern's places.
pub(crate) fn marks(pattern: &str) -> impl Iterator<Item = Mark> + '_ {
    pattern.chars().map(|character| match character {
        '*' => Mark::Many,
        '?' => Mark::One,
        other => Mark::Is(other),
    })
}

/// Whether a text matches a pattern; linear in memory and at most quadratic in time, whatever the pattern.
pub fn matches(pattern: &str, text: &str) -> bool {
    let pattern: Vec<Mark> = marks(pattern).collect();
    matches_marks(&pattern, text)
}

/// The same for a pattern that was taken apart.
pub(crate) fn matches_marks(pattern: &[Mark], text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let (mut at, mut from) = (0, 0);
    // Where the last star stood, and how much text it has swallowed up to now.
    let mut star: Option<(usize, usize)> = None;
    while let Some(found) = text.get(from) {
        match pattern.get(at) {
            Some(Mark::Many) => {
                star = Some((at, from));
                at += 1;
            }
            Some(mark) if *mark == Mark::One || *mark == Mark::Is(*found) => {
                at += 1;
                from += 1;
            }
            _ => match star {
                Some((position, swallowed)) => {
                    star = Some((position, swallowed + 1));
                    at = position + 1;
                    from = swallowed + 1;
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(at).all(|rest| *rest == Mark::Many)
}

#[cfg(test)]
mod tests {
    use super::matches;

    /// The plainest definition, exponential and obvious.
    fn plainly(pattern: &[char], text: &[char]) -> bool {
        match (pattern.first(), text.first()) {
            (None, None) => true,
            (Some('*'), _) => plainly(&pattern[1..], text) || (!text.is_empty() && plainly(pattern, &text[1..])),
            (Some('?'), Some(_)) => plainly(&pattern[1..], &text[1..]),
            (Some(wanted), Some(found)) => wanted == found && plainly(&pattern[1..], &text[1..]),
            _ => false,
        }
    }

    /// IAM User Guide, "Using wildcards".
    #[test]
    fn stars_and_question_marks() {
        assert!(matches("kms:*", "kms:Encrypt"));
        assert!(matches("kms:ReEncrypt*", "kms:ReEncryptFrom"));
        assert!(matches("a?c", "abc"));
        assert!(!matches("a?c", "ac"));
        assert!(!matches("kms:Encrypt", "kms:EncryptX"));
        assert!(matches("*", ""));
    }

    proptest::proptest! {
        /// The fast matcher is the plain one.
        #[test]
        fn the_fast_matcher_is_the_plain_one(pattern in "[ab*?]{0,8}", text in "[ab]{0,8}") {
            let (left, right): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
            proptest::prop_assert_eq!(matches(&pattern, &text), plainly(&left, &right));
        }
    }
}
