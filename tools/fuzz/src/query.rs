//! Query strings and forms, percent-encoding, and texts on their way into XML. Smithy, "AWS query protocol"; RFC 3986 §2.1;
//! XML 1.0 §2.2 and §2.4.

use aws_wire::query::{Xml, answer, error, escape};
use aws_wire::shape::Protocol;
use aws_wire::{ApiError, Arn, sigv4};

/// Takes a text apart and puts it together again.
pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some(pairs) = sigv4::pairs(text) {
        let encoded: Vec<String> = pairs
            .iter()
            .map(|(name, value)| format!("{}={}", sigv4::percent_encode(name), sigv4::percent_encode(value)))
            .collect();
        let again = sigv4::pairs(&encoded.join("&")).expect("what was encoded is decoded");
        // A name that is empty altogether leaves nothing behind but its equal sign.
        assert_eq!(again, pairs, "pairs change when they are written and read");
    }
    assert_eq!(sigv4::percent_decode(&sigv4::percent_encode(text)).as_deref(), Some(text), "percent-encoding loses");
    if let Some(arn) = Arn::parse(text) {
        assert_eq!(arn.to_string(), text, "an ARN is another one when it is printed");
    }
    let escaped = escape(text);
    assert!(!escaped.contains(['<', '>', '"', '\'']), "markup is left in a text");
    let sound = |character: char| {
        matches!(character, '\t' | '\n' | '\r') || (' '..'\u{fffe}').contains(&character) || character > '\u{ffff}'
    };
    assert!(escaped.chars().all(sound), "a character that XML cannot carry is left in a text");
    let nodes = [Xml::Node("node", vec![Xml::Text("text", text.to_owned())])];
    let whole = answer("namespace", "Action", &nodes, "id");
    assert_eq!(whole.matches("<text>").count(), 1, "a text became an element");
    let refused = ApiError::new("Code", 400, text);
    for protocol in [Protocol::Query, Protocol::Ec2Query] {
        let said = error(protocol, "namespace", &refused, text);
        assert_eq!(said.matches("<Code>").count(), 1, "a text became an element");
    }
}
