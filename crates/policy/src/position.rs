//! Where statements stand in the text of a document. IAM API, `Statement` and `Position`.
//!
//! The places are those that the examples of `simulate-custom-policy` and `simulate-principal-policy` in the AWS CLI command
//! reference show: a statement begins where what comes before it ends (behind the bracket of the list, behind the statement
//! before, or, for a statement without a list, behind its own brace), and ends behind its closing brace.

/// A place in a text: both count from one, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

/// From where to where a statement stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// Its beginning.
    pub start: Position,
    /// The place behind it.
    pub end: Position,
}

/// The places of a document's statements in their order. The text must be one that [`crate::Document::parse`] reads: of another
/// the answer means nothing.
pub fn statement_spans(text: &str) -> Vec<Span> {
    let mut scan = Scan { here: Position { line: 1, column: 1 }, ..Scan::default() };
    for (at, character) in text.char_indices() {
        scan.take(at, character, text);
    }
    scan.found
}

impl Default for Position {
    fn default() -> Self {
        Self { line: 1, column: 1 }
    }
}

/// A walk over a JSON text that keeps no more of it than how deep it is and whether `Statement` was the last name.
#[derive(Default)]
struct Scan {
    here: Position,
    /// Braces and brackets that are open.
    depth: u32,
    /// Where the string began that the walk is in.
    string: Option<usize>,
    /// Whether the character before was a backslash within a string.
    escaped: bool,
    /// Whether the member of the document that the walk is in is `Statement`.
    within: bool,
    /// How deep the statements' own braces are: one for a single statement, two within a list.
    level: u32,
    start: Position,
    found: Vec<Span>,
}

impl Scan {
    fn take(&mut self, at: usize, character: char, text: &str) {
        self.here = match character {
            '\n' => Position { line: self.here.line + 1, column: 1 },
            _ => Position { column: self.here.column + 1, ..self.here },
        };
        if let Some(began) = self.string {
            match character {
                _ if self.escaped => self.escaped = false,
                '\\' => self.escaped = true,
                '"' => {
                    self.string = None;
                    self.name(text.get(began..=at).unwrap_or_default());
                }
                _ => {}
            }
            return;
        }
        match character {
            '"' => self.string = Some(at),
            '{' | '[' => {
                if self.within && self.depth == 1 {
                    self.start = self.here;
                    self.level = if character == '[' { 2 } else { 1 };
                }
                self.depth = self.depth.saturating_add(1);
            }
            '}' | ']' => {
                self.depth = self.depth.saturating_sub(1);
                if self.within && self.depth == self.level && character == '}' {
                    self.found.push(Span { start: self.start, end: self.here });
                    self.start = self.here;
                }
            }
            _ => {}
        }
    }

    /// A string of the document's own level: a member's name, or a value, which is never an object.
    fn name(&mut self, quoted: &str) {
        if self.depth != 1 {
            return;
        }
        self.within = serde_json::from_str::<String>(quoted).is_ok_and(|name| name == "Statement");
        if self.within {
            // Of two members of one name the later one counts.
            self.found.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Position, Span, statement_spans};

    fn span(start: (u32, u32), end: (u32, u32)) -> Span {
        let place = |(line, column)| Position { line, column };
        Span { start: place(start), end: place(end) }
    }

    /// AWS CLI command reference, simulate-custom-policy, example 1, and simulate-principal-policy, example 1: the positions
    /// shown there.
    #[test]
    fn positions_are_those_of_the_published_examples() {
        let single = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"dynamodb:*","Resource":"*","Condition":{"DateGreaterThan":{"aws:CurrentTime":"2018-08-16T12:00:00Z"}}}}"#;
        assert_eq!(statement_spans(single), [span((1, 38), (1, 167))]);
        let list = "{\n    \"Version\": \"2012-10-17\",\n    \"Statement\": [\n        {\n            \"Sid\": \"a\",\n            \
                    \"Effect\": \"Allow\",\n            \"Action\": \"a:b\",\n            \"Resource\": \"*\"\n        }\n    ]\n}";
        assert_eq!(statement_spans(list), [span((3, 19), (9, 10))]);
    }

    /// RFC 8259, sections 4 and 7: strings hide braces, a name may be escaped, and of two equal names the later one counts.
    #[test]
    fn strings_and_names_do_not_mislead() {
        let text = r#"{"Id":"Statement","Statement":[{"Sid":"}]{\"","Effect":"Deny"},{"Condition":{"a":{}}}]}"#;
        let spans = statement_spans(text);
        assert_eq!(spans.len(), 2, "{spans:?}");
        let shown = |span: &Span| text.get(span.start.column as usize - 1..span.end.column as usize - 1);
        assert_eq!(shown(&spans[0]), Some(r#"{"Sid":"}]{\"","Effect":"Deny"}"#));
        assert_eq!(shown(&spans[1]), Some(r#",{"Condition":{"a":{}}}"#));
        let twice = r#"{"Statement":{"Effect":"Deny"},"State\u006dent":[{"Sid":"ä"}]}"#;
        assert_eq!(statement_spans(twice), [span((1, 50), (1, 61))]);
        for odd in ["", "]]}}", "{\"Statement\":", "\"\\"] {
            assert_eq!(statement_spans(odd), [], "{odd}");
        }
    }
}
