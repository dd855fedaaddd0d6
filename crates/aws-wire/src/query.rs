//! The Query protocols: form parameters in, XML out. Smithy, "AWS query protocol" and "AWS EC2 query protocol".

use std::fmt::Write as _;

use zeroize::Zeroize as _;

use crate::ApiError;
use crate::shape::Protocol;

/// An element of an XML answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Xml {
    /// `<name>text</name>`.
    Text(&'static str, String),
    /// `<name>` with children.
    Node(&'static str, Vec<Self>),
}

impl Xml {
    /// The element's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Text(name, _) | Self::Node(name, _) => name,
        }
    }

    /// Overwrites every text within: a secret may be among them.
    pub fn wipe(&mut self) {
        match self {
            Self::Text(_, text) => text.zeroize(),
            Self::Node(_, children) => children.iter_mut().for_each(Self::wipe),
        }
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Text(name, text) => _ = write!(out, "<{name}>{}</{name}>", escape(text)),
            Self::Node(name, children) => {
                _ = write!(out, "<{name}>");
                children.iter().for_each(|child| child.write(out));
                _ = write!(out, "</{name}>");
            }
        }
    }
}

/// Makes a text safe inside an element; characters that XML 1.0 cannot carry are replaced.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\t' | '\n' | '\r' => out.push(character),
            control if control < ' ' || matches!(control, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            plain => out.push(plain),
        }
    }
    out
}

/// A successful answer of a Query service: `ActionResponse` holds `ActionResult` and the request id.
pub fn answer(namespace: &str, action: &str, result: &[Xml], request_id: &str) -> String {
    // Room enough for every answer with a secret in it, so that growth leaves no copies behind.
    let mut out = String::with_capacity(32 * 1024);
    _ = write!(out, "<{action}Response xmlns=\"{namespace}\"><{action}Result>");
    result.iter().for_each(|element| element.write(&mut out));
    _ = write!(
        out,
        "</{action}Result><ResponseMetadata><RequestId>{}</RequestId></ResponseMetadata></{action}Response>",
        escape(request_id)
    );
    out
}

/// A successful answer of an action that has no result.
pub fn done(namespace: &str, action: &str, request_id: &str) -> String {
    format!(
        "<{action}Response xmlns=\"{namespace}\"><ResponseMetadata><RequestId>{}</RequestId></ResponseMetadata></{action}Response>",
        escape(request_id)
    )
}

/// A successful answer in EC2's dialect: members directly below the response.
pub fn ec2_answer(namespace: &str, action: &str, members: &[Xml], request_id: &str) -> String {
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{action}Response xmlns=\"{namespace}\"><requestId>{}</requestId>",
        escape(request_id)
    );
    members.iter().for_each(|element| element.write(&mut out));
    _ = write!(out, "</{action}Response>");
    out
}

/// An error of either dialect.
pub fn error(protocol: Protocol, namespace: &str, error: &ApiError, request_id: &str) -> String {
    let (code, message, id) = (escape(error.code), escape(&error.message), escape(request_id));
    if protocol == Protocol::Ec2Query {
        return format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors><RequestID>{id}</RequestID></Response>"
        );
    }
    let side = if error.status >= 500 { "Receiver" } else { "Sender" };
    format!(
        "<ErrorResponse xmlns=\"{namespace}\"><Error><Type>{side}</Type><Code>{code}</Code><Message>{message}</Message></Error><RequestId>{id}</RequestId></ErrorResponse>"
    )
}

#[cfg(test)]
mod tests {
    use super::{Xml, answer, ec2_answer, error, escape};
    use crate::ApiError;
    use crate::shape::Protocol;

    /// STS API, GetCallerIdentity, sample response.
    #[test]
    fn answers_have_the_query_shape() {
        let result = [Xml::Text("Account", "000000000001".to_owned())];
        assert_eq!(
            answer("https://sts.amazonaws.com/doc/2011-06-15/", "GetCallerIdentity", &result, "r"),
            "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult><Account>000000000001</Account></GetCallerIdentityResult><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></GetCallerIdentityResponse>"
        );
        let zones = [Xml::Node("item", vec![Xml::Text("a", "1".to_owned())])];
        assert!(
            ec2_answer("n", "X", &zones, "r")
                .ends_with("<XResponse xmlns=\"n\"><requestId>r</requestId><item><a>1</a></item></XResponse>")
        );
    }

    /// XML 1.0, section 2.4: markup in a text is escaped.
    #[test]
    fn texts_are_escaped() {
        assert_eq!(escape("a<b>&\"'\u{1}"), "a&lt;b&gt;&amp;&quot;&apos;\u{fffd}");
    }

    /// STS common errors; EC2 API, "Error response".
    #[test]
    fn errors_have_the_shape_of_their_dialect() {
        let wrong = ApiError::new("InvalidAction", 400, "no");
        assert!(error(Protocol::Query, "n", &wrong, "r").contains("<Type>Sender</Type><Code>InvalidAction</Code>"));
        assert!(error(Protocol::Ec2Query, "n", &wrong, "r").contains("<Errors><Error><Code>InvalidAction</Code>"));
    }
}
