//! The regular expressions of the service models, matched whole as AWS matches them. Smithy, `pattern` trait.
//!
//! The models use a small part of Java's syntax, including a negative look-ahead and Unicode categories that the
//! small regex crates lack. This is a backtracking matcher for that part, with a bound on its steps.

use std::cell::Cell;
use std::sync::OnceLock;

/// A pattern of a model, compiled at its first use.
#[derive(Debug)]
pub struct Pattern {
    source: &'static str,
    compiled: OnceLock<Option<Alternatives>>,
}

type Alternatives = Vec<Vec<Node>>;

#[derive(Debug)]
enum Node {
    Set(Set),
    Group(Alternatives),
    Repeat(Box<Self>, usize, usize),
    NotAhead(Alternatives),
    Start,
    End,
}

#[derive(Debug)]
struct Set {
    negated: bool,
    items: Vec<Item>,
}

#[derive(Debug, Clone, Copy)]
enum Item {
    Range(char, char),
    Space,
    NotSpace,
    Letter,
    Separator,
    Number,
}

/// More steps than this and the text counts as not matching: no text may buy time.
const STEPS_MAX: u32 = 2_000_000;

impl Pattern {
    /// A pattern by its source.
    pub const fn new(source: &'static str) -> Self {
        Self { source, compiled: OnceLock::new() }
    }

    /// The source, as error messages quote it.
    pub fn source(&self) -> &'static str {
        self.source
    }

    /// Whether the source is in the part of the syntax that this matcher knows; generated tables are tested for it.
    pub fn compiles(&self) -> bool {
        self.compiled().is_some()
    }

    /// Whether the whole text matches.
    pub fn matches(&self, text: &str) -> bool {
        let Some(alternatives) = self.compiled() else { return false };
        let text: Vec<char> = text.chars().collect();
        let matcher = Matcher { text: &text, steps: Cell::new(STEPS_MAX) };
        matcher.any(alternatives, 0, &|end| end == text.len())
    }

    fn compiled(&self) -> Option<&Alternatives> {
        self.compiled.get_or_init(|| compile(self.source)).as_ref()
    }
}

impl Set {
    fn holds(&self, character: char) -> bool {
        self.items.iter().any(|item| item.holds(character)) != self.negated
    }
}

impl Item {
    fn holds(self, character: char) -> bool {
        match self {
            Self::Range(first, last) => (first..=last).contains(&character),
            Self::Space => matches!(character, ' ' | '\t' | '\n' | '\r' | '\u{b}' | '\u{c}'),
            Self::NotSpace => !Self::Space.holds(character),
            // Alphabetic is the category L plus letter-like marks and numbers.
            Self::Letter => character.is_alphabetic(),
            Self::Number => character.is_numeric(),
            Self::Separator => matches!(
                character,
                ' ' | '\u{a0}' | '\u{1680}' | '\u{2000}'
                    ..='\u{200a}' | '\u{2028}' | '\u{2029}' | '\u{202f}' | '\u{205f}' | '\u{3000}'
            ),
        }
    }
}

struct Matcher<'a> {
    text: &'a [char],
    steps: Cell<u32>,
}

impl Matcher<'_> {
    fn any(&self, alternatives: &Alternatives, at: usize, then: &dyn Fn(usize) -> bool) -> bool {
        alternatives.iter().any(|nodes| self.sequence(nodes, at, then))
    }

    fn sequence(&self, nodes: &[Node], at: usize, then: &dyn Fn(usize) -> bool) -> bool {
        let Some(left) = self.steps.get().checked_sub(1) else { return false };
        self.steps.set(left);
        let Some((first, rest)) = nodes.split_first() else { return then(at) };
        let go_on = |end| self.sequence(rest, end, then);
        match first {
            Node::Set(set) => self.text.get(at).is_some_and(|found| set.holds(*found)) && go_on(at + 1),
            Node::Group(alternatives) => self.any(alternatives, at, &go_on),
            Node::Repeat(node, min, max) => match &**node {
                Node::Set(set) => {
                    let run = self.text.iter().skip(at).take(*max).take_while(|found| set.holds(**found)).count();
                    (*min..=run).rev().any(|taken| go_on(at + taken))
                }
                node => self.repeat(node, *min, *max, at, &go_on),
            },
            Node::NotAhead(alternatives) => !self.any(alternatives, at, &|_| true) && go_on(at),
            Node::Start => at == 0 && go_on(at),
            Node::End => at == self.text.len() && go_on(at),
        }
    }

    fn repeat(&self, node: &Node, min: usize, max: usize, at: usize, then: &dyn Fn(usize) -> bool) -> bool {
        let once_more = max > 0
            && self.sequence(std::slice::from_ref(node), at, &|end| {
                // An empty round would go on for ever: it stands for all that are still asked for.
                if end > at {
                    self.repeat(node, min.saturating_sub(1), max - 1, end, then)
                } else {
                    min > 0 && then(end)
                }
            });
        once_more || (min == 0 && then(at))
    }
}

fn compile(source: &str) -> Option<Alternatives> {
    let mut parser = Parser { rest: source.chars().collect(), at: 0 };
    let alternatives = parser.alternatives(0)?;
    (parser.at == parser.rest.len()).then_some(alternatives)
}

struct Parser {
    rest: Vec<char>,
    at: usize,
}

impl Parser {
    fn peek(&self) -> Option<char> {
        self.rest.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let found = self.peek()?;
        self.at += 1;
        Some(found)
    }

    fn take(&mut self, wanted: &str) -> bool {
        let found = self.rest.iter().skip(self.at).copied().take(wanted.len()).eq(wanted.chars());
        if found {
            self.at += wanted.len();
        }
        found
    }

    fn alternatives(&mut self, depth: usize) -> Option<Alternatives> {
        let mut all = vec![Vec::new()];
        if depth > 16 {
            return None;
        }
        loop {
            match self.peek() {
                None | Some(')') => return Some(all),
                Some('|') => {
                    self.at += 1;
                    all.push(Vec::new());
                }
                Some(_) => {
                    let node = self.node(depth)?;
                    all.last_mut()?.push(node);
                }
            }
        }
    }

    fn node(&mut self, depth: usize) -> Option<Node> {
        let node = match self.next()? {
            '^' => return Some(Node::Start),
            '$' => return Some(Node::End),
            '(' => {
                let ahead = self.take("?!");
                if !ahead && self.peek() == Some('?') && !self.take("?:") {
                    return None;
                }
                let inner = self.alternatives(depth + 1)?;
                if self.next()? != ')' {
                    return None;
                }
                if ahead { Node::NotAhead(inner) } else { Node::Group(inner) }
            }
            '[' => Node::Set(self.set()?),
            '.' => Node::Set(Set { negated: true, items: vec![Item::Range('\n', '\n'), Item::Range('\r', '\r')] }),
            '\\' => Node::Set(Set { negated: false, items: self.escape()? }),
            '*' | '+' | '?' | '{' => return None,
            plain => Node::Set(Set { negated: false, items: vec![Item::Range(plain, plain)] }),
        };
        self.quantified(node)
    }

    fn quantified(&mut self, node: Node) -> Option<Node> {
        let (min, max) = match self.peek() {
            Some('*') => (0, usize::MAX),
            Some('+') => (1, usize::MAX),
            Some('?') => (0, 1),
            Some('{') => {
                self.at += 1;
                let min = self.number()?;
                let max = if self.take(",") {
                    if self.peek() == Some('}') { usize::MAX } else { self.number()? }
                } else {
                    min
                };
                if self.peek() != Some('}') || max < min {
                    return None;
                }
                (min, max)
            }
            _ => return Some(node),
        };
        self.at += 1;
        Some(Node::Repeat(Box::new(node), min, max))
    }

    fn number(&mut self) -> Option<usize> {
        let mut digits = String::new();
        while let Some(digit) = self.peek().filter(char::is_ascii_digit) {
            digits.push(digit);
            self.at += 1;
        }
        digits.parse().ok()
    }

    fn set(&mut self) -> Option<Set> {
        let negated = self.take("^");
        let mut items = Vec::new();
        loop {
            let found = match self.next()? {
                ']' if !items.is_empty() => return Some(Set { negated, items }),
                '\\' => self.escape()?,
                plain => vec![Item::Range(plain, plain)],
            };
            let range = self.peek() == Some('-') && self.rest.get(self.at + 1).is_some_and(|after| *after != ']');
            match (found.as_slice(), range) {
                ([Item::Range(first, last)], true) if first == last => {
                    self.at += 1;
                    let end = match self.next()? {
                        '\\' => match self.escape()?.as_slice() {
                            [Item::Range(end, same)] if end == same => *end,
                            _ => return None,
                        },
                        plain => plain,
                    };
                    items.push(Item::Range(*first, end));
                }
                _ => items.extend(found),
            }
        }
    }

    fn escape(&mut self) -> Option<Vec<Item>> {
        let one = |character| vec![Item::Range(character, character)];
        Some(match self.next()? {
            'd' => vec![Item::Range('0', '9')],
            'w' => vec![Item::Range('a', 'z'), Item::Range('A', 'Z'), Item::Range('0', '9'), Item::Range('_', '_')],
            's' => vec![Item::Space],
            'S' => vec![Item::NotSpace],
            'n' => one('\n'),
            'r' => one('\r'),
            't' => one('\t'),
            'u' => {
                let digits: String = self.rest.iter().skip(self.at).take(4).collect();
                self.at += 4;
                one(char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?)
            }
            'p' if self.take("{L}") => vec![Item::Letter],
            'p' if self.take("{Z}") => vec![Item::Separator],
            'p' if self.take("{N}") => vec![Item::Number],
            punctuation if !punctuation.is_ascii_alphanumeric() => one(punctuation),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    fn check(source: &'static str, good: &[&str], bad: &[&str]) {
        let pattern = Pattern::new(source);
        assert!(pattern.compiles(), "{source}");
        for text in good {
            assert!(pattern.matches(text), "{source} must match {text:?}");
        }
        for text in bad {
            assert!(!pattern.matches(text), "{source} must not match {text:?}");
        }
    }

    /// EFS model: FileSystemId, Path, TagKey, RegionName, AwsAccountId, SecurityGroup.
    #[test]
    fn the_patterns_of_the_efs_model() {
        check(
            r"^(arn:aws[-a-z]*:elasticfilesystem:[0-9a-z-:]+:file-system/fs-[0-9a-f]{8,40}|fs-[0-9a-f]{8,40})$",
            &["fs-01234567", "arn:aws:elasticfilesystem:us-east-1:000000000001:file-system/fs-0123456789abcdef0"],
            &["fs-0123456", "fs-0123456g", "xfs-01234567", "fs-01234567\n", ""],
        );
        check(
            r"^(\/|(\/(?!\.)+[^$#<>;`|&?{}^*/\n]+){1,4})$",
            &["/", "/a", "/a/b/c/d", "/a b/\u{e9}", "/a.b"],
            &["", "a", "/a/b/c/d/e", "/.a", "/a/", "//", "/a$b", "/a/.."],
        );
        check(
            r"^(?![aA]{1}[wW]{1}[sS]{1}:)([\p{L}\p{Z}\p{N}_.:/=+\-@]+)$",
            &["Name", "a b", "\u{e4}\u{f6}\u{3000}9", "aws", "x:aws:"],
            &["", "aws:x", "AwS:y", "a#b"],
        );
        check(
            r"^[a-z]{2}-((iso[a-z]{0,1}-)|(gov-)){0,1}[a-z]+-{0,1}[0-9]{0,1}$",
            &["us-east-1", "us-gov-west-1"],
            &["useast1"],
        );
        check(r"^(\d{12})|(\d{4}-\d{4}-\d{4})$", &["000000000001", "1234-1234-1234"], &["1", "0000000000012"]);
        check(r"^sg-[0-9a-f]{8,40}", &["sg-01234567"], &["sg-01234567-"]);
        check(r".+", &["a"], &["", "a\nb"]);
        check(r"[\s\S]+", &["a\nb"], &[""]);
    }

    /// KMS model: PolicyType, MarkerType, ServicePrincipalType, RegionType, PrincipalIdType.
    #[test]
    fn the_patterns_of_the_kms_model() {
        check(r"[\u0009\u000A\u000D\u0020-\u00FF]+", &["{\"a\":\n\t1}"], &["\u{100}", "\u{1}", ""]);
        check(r"[\u0020-\u00FF]*", &["", "abc"], &["\n"]);
        check(
            r"^([A-Za-z0-9\-]+)\.([A-Za-z0-9\-]+)(\.[A-Za-z0-9\-]+)+$",
            &["elasticfilesystem.us-east-1.amazonaws.com"],
            &["a.b", "a..b.c"],
        );
        check(r"^([a-z]+-){2,3}\d+$", &["us-east-1", "us-gov-west-10"], &["us-1", "a-b-c-d-1"]);
        check(r"^[\w+=,.@:/-]+$", &["arn:aws:iam::1:user/a-b_c"], &["a b"]);
        check(r"^[a-zA-Z0-9-_.]+$", &["a-b_c.d"], &["a b"]);
    }

    /// House rule: no text may buy time or stack from a matcher.
    #[test]
    fn hostile_texts_end_soon() {
        let long = "a".repeat(32_768);
        check(r"[\s\S]+", &[&long], &[]);
        check(r"^(a+)+$", &[], &[&format!("{}!", "a".repeat(40))]);
    }

    /// House rule: what this matcher does not know does not compile, instead of meaning something else.
    #[test]
    fn unknown_syntax_does_not_compile() {
        for source in ["(?=a)", "(", "[", "a**", "\\b", "a{2,1}", ")"] {
            assert!(!Pattern::new(source).compiles(), "{source}");
        }
    }
}
