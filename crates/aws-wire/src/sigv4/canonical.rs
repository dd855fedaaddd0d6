//! The canonical request. AWS General Reference, "Create a canonical request".

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Everything but RFC 3986's unreserved characters is encoded.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const ENCODED_PATH: &AsciiSet = &ENCODED.remove(b'/');

/// More names in a query than this are not taken apart.
const PAIRS_MAX: usize = 1000;

/// Percent-encodes as SigV4 asks: all but letters, digits and `-._~`.
pub fn percent_encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// Undoes percent-encoding; `None` for a broken escape or what is not UTF-8.
pub fn percent_decode(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let sound = |position: usize| {
        bytes.get(position + 1..position + 3).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit))
    };
    if bytes.iter().enumerate().any(|(position, byte)| *byte == b'%' && !sound(position)) {
        return None;
    }
    Some(percent_encoding::percent_decode_str(text).decode_utf8().ok()?.into_owned())
}

/// The decoded names and values of a query string or form; `+` is a space. `None` when malformed or too many.
pub fn pairs(query: &str) -> Option<Vec<(String, String)>> {
    let parts = query.split('&').filter(|part| !part.is_empty());
    let mut found = Vec::new();
    for part in parts {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let decoded = |text: &str| percent_decode(&text.replace('+', " "));
        found.push((decoded(name)?, decoded(value)?));
        if found.len() > PAIRS_MAX {
            return None;
        }
    }
    Some(found)
}

/// The canonical query string of decoded pairs.
pub(crate) fn query<'a>(pairs: impl Iterator<Item = &'a (String, String)>) -> String {
    let mut encoded: Vec<(String, String)> =
        pairs.map(|(name, value)| (percent_encode(name), percent_encode(value))).collect();
    encoded.sort();
    let joined: Vec<String> = encoded.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    joined.join("&")
}

/// The canonical path: dots and double slashes resolved, then encoded once more (every service but S3 does both).
pub(crate) fn path(raw: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in raw.split('/') {
        match segment {
            "" | "." => {}
            ".." => _ = kept.pop(),
            segment => kept.push(segment),
        }
    }
    let directory = !kept.is_empty() && (raw.ends_with('/') || raw.ends_with("/.") || raw.ends_with("/.."));
    let normal = format!("/{}{}", kept.join("/"), if directory { "/" } else { "" });
    utf8_percent_encode(&normal, ENCODED_PATH).to_string()
}

/// One header's canonical value: all values of the name joined, white space trimmed and runs of it made one.
/// `None` when the request has no such header.
pub(crate) fn header(headers: &[(&str, &[u8])], name: &str) -> Option<Vec<u8>> {
    let mut joined: Option<Vec<u8>> = None;
    for (_, value) in headers.iter().filter(|(found, _)| *found == name) {
        let squeezed = squeeze(value);
        match &mut joined {
            None => joined = Some(squeezed),
            Some(before) => {
                before.push(b',');
                before.extend(squeezed);
            }
        }
    }
    joined
}

fn squeeze(value: &[u8]) -> Vec<u8> {
    let words: Vec<&[u8]> =
        value.split(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).filter(|word| !word.is_empty()).collect();
    words.join(&b' ')
}

/// The canonical request's text, with header values as lossy text (a value that is not UTF-8 never verifies).
pub(crate) fn request(method: &str, path: &str, query: &str, headers: &[(String, Vec<u8>)], payload: &str) -> String {
    let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
    let mut block = String::new();
    for (name, value) in headers {
        block.push_str(name);
        block.push(':');
        block.push_str(&String::from_utf8_lossy(value));
        block.push('\n');
    }
    format!("{method}\n{path}\n{query}\n{block}\n{}\n{payload}", names.join(";"))
}

#[cfg(test)]
mod tests {
    use super::{pairs, path, percent_decode, query};

    /// AWS SigV4 test suite, normalize-path: the canonical path of every service but S3.
    #[test]
    fn paths_are_normalised_and_encoded_twice() {
        for (raw, canonical) in [
            ("/", "/"),
            ("", "/"),
            ("//", "/"),
            ("/./", "/"),
            ("/example/..", "/"),
            ("/example1/example2/../..", "/"),
            ("//example//", "/example/"),
            ("/./example", "/example"),
            ("/ex%20ample", "/ex%2520ample"),
            ("/\u{1234}", "/%E1%88%B4"),
        ] {
            assert_eq!(path(raw), canonical, "{raw}");
        }
    }

    /// AWS SigV4 test suite, get-vanilla-query-order: by name, then by value, both encoded.
    #[test]
    fn queries_are_sorted_and_encoded() {
        let of = |text| query(pairs(text).unwrap().iter());
        assert_eq!(of("Param2=value2&Param1=value1"), "Param1=value1&Param2=value2");
        assert_eq!(of("Param1=value2&Param1=Value1"), "Param1=Value1&Param1=value2");
        assert_eq!(of("a&b=c/d+e"), "a=&b=c%2Fd%20e");
        assert_eq!(pairs("a=%"), None);
        assert_eq!(percent_decode("%ff"), None);
    }

    proptest::proptest! {
        /// House rule: no input makes a parser panic.
        #[test]
        fn nothing_panics(text in ".{0,200}") {
            let _ = pairs(&text);
            let _ = path(&text);
            let _ = percent_decode(&text);
        }
    }
}
