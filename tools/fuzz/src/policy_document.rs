//! Policy documents. IAM User Guide, "Grammar of the IAM JSON policy language".

use policy::Document;

/// Reads a document. One that is read is read again alike, and one that is refused says why in a short sentence.
pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Document::parse(text) {
        Ok(document) => {
            assert!(!document.statements.is_empty(), "a document without a statement was read");
            assert_eq!(Document::parse(text).as_ref(), Ok(&document), "the same text was read otherwise");
            // White space around it means nothing.
            assert_eq!(Document::parse(&format!(" {text}\n")).as_ref(), Ok(&document), "white space was read");
        }
        Err(malformed) => {
            let said = malformed.to_string();
            assert!(!said.is_empty() && said.len() < 1024, "the refusal is no sentence: {said}");
        }
    }
}
