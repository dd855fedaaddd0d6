//! Policy variables: `${aws:username}`, `${aws:PrincipalTag/team, 'none'}`, `${*}`. IAM User Guide, "IAM policy elements: Variables
//! and tags".
//!
//! What a variable stands for is taken literally: a star in a user's name is a star and no wildcard.

use crate::wildcard::{Mark, marks, matches_marks};
use crate::{Conditions, Malformed};

/// A piece of a text with variables.
enum Piece<'a> {
    /// Text outside of variables, wildcards in it.
    Pattern(&'a str),
    /// `${*}`, `${?}`, `${$}`: the character itself.
    Escaped(char),
    /// A fact, and what stands for it where it is absent.
    Fact(&'a str, Option<&'a str>),
}

/// Whether a text has variables at all; most have none.
fn has_any(text: &str) -> bool {
    text.contains("${")
}

/// Refuses a text whose variables cannot be read.
pub(crate) fn check(text: &str) -> Result<(), Malformed> {
    pieces(text).map(|_| ()).ok_or_else(|| Malformed(format!("A policy variable is not well formed in {text:?}.")))
}

/// The keys that a text's variables stand for.
pub(crate) fn keys(text: &str) -> impl Iterator<Item = &str> {
    let found = if has_any(text) { pieces(text).unwrap_or_default() } else { Vec::new() };
    found.into_iter().filter_map(|piece| match piece {
        Piece::Fact(key, _) => Some(key),
        Piece::Pattern(_) | Piece::Escaped(_) => None,
    })
}

/// Whether a fact matches a pattern in which variables stand. One that has no value, or several, matches nothing.
pub(crate) fn matches_with(pattern: &str, text: &str, facts: &Conditions, variables: bool) -> bool {
    if !variables || !has_any(pattern) {
        return crate::matches(pattern, text);
    }
    filled(pattern, facts).is_some_and(|marks| matches_marks(&marks, text))
}

/// A value with its variables filled in and wildcards taken as plain characters.
pub(crate) fn literal(value: &str, facts: &Conditions, variables: bool) -> Option<String> {
    if !variables || !has_any(value) {
        return Some(value.to_owned());
    }
    let places = filled(value, facts)?.into_iter().map(|mark| match mark {
        Mark::Many => '*',
        Mark::One => '?',
        Mark::Is(character) => character,
    });
    Some(places.collect())
}

/// The same as a pattern, part by part at its first five colons, those of a variable's value too: `ArnLike` compares so.
pub(crate) fn parts_with(pattern: &str, facts: &Conditions, variables: bool) -> Option<Vec<Vec<Mark>>> {
    let places: Vec<Mark> =
        if variables && has_any(pattern) { filled(pattern, facts)? } else { marks(pattern).collect() };
    Some(places.splitn(6, |mark| *mark == Mark::Is(':')).map(<[Mark]>::to_vec).collect())
}

fn filled(pattern: &str, facts: &Conditions) -> Option<Vec<Mark>> {
    let mut places = Vec::with_capacity(pattern.len());
    for piece in pieces(pattern)? {
        match piece {
            Piece::Pattern(text) => places.extend(marks(text)),
            Piece::Escaped(character) => places.push(Mark::Is(character)),
            Piece::Fact(key, default) => {
                let value = match facts.values(key) {
                    [one] => one.as_str(),
                    [] => default?,
                    _ => return None,
                };
                places.extend(value.chars().map(Mark::Is));
            }
        }
    }
    Some(places)
}

fn pieces(text: &str) -> Option<Vec<Piece<'_>>> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        found.push(Piece::Pattern(before));
        let (inside, behind) = after.split_once('}')?;
        found.push(piece(inside)?);
        rest = behind;
    }
    found.push(Piece::Pattern(rest));
    Some(found)
}

fn piece(inside: &str) -> Option<Piece<'_>> {
    match inside {
        "*" | "?" | "$" => return inside.chars().next().map(Piece::Escaped),
        _ => {}
    }
    let (key, default) = match inside.split_once(',') {
        Some((key, default)) => (key.trim(), Some(default.trim().strip_prefix('\'')?.strip_suffix('\'')?)),
        None => (inside.trim(), None),
    };
    let (service, name) = key.split_once(':')?;
    let sound = |text: &str| !text.is_empty() && !text.contains(['{', '$', '\'']);
    (sound(service) && sound(name)).then_some(Piece::Fact(key, default))
}

#[cfg(test)]
mod tests {
    use super::{check, literal, matches_with};
    use crate::Conditions;

    /// IAM User Guide, "Variables and tags": values, defaults, escapes, and no value at all.
    #[test]
    fn variables_stand_for_facts() {
        let facts = Conditions::new().with("aws:username", "ma*ra").with("aws:TagKeys", "a").with("aws:TagKeys", "b");
        for (pattern, text, expected) in [
            ("home/${aws:username}/*", "home/ma*ra/x", true),
            ("home/${AWS:UserName}/*", "home/ma*ra/x", true),
            ("home/${aws:username}/*", "home/maxxra/x", false),
            ("${aws:PrincipalTag/team, 'none'}", "none", true),
            ("${aws:PrincipalTag/team}", "", false),
            ("${aws:TagKeys}", "a", false),
            ("a${*}b${?}${$}", "a*b?$", true),
            ("a${*}b${?}${$}", "axb?$", false),
        ] {
            assert_eq!(matches_with(pattern, text, &facts, true), expected, "{pattern} {text}");
        }
        assert!(matches_with("${aws:username}", "${aws:username}", &facts, false));
        assert_eq!(literal("x${aws:username}", &facts, true).as_deref(), Some("xma*ra"));
        assert_eq!(literal("${aws:nothing}", &facts, true), None);
        for broken in ["${", "${aws:username", "${}", "${nocolon}", "${aws:x, none}", "${aws:${aws:y}}"] {
            assert!(check(broken).is_err(), "{broken}");
        }
    }
}
