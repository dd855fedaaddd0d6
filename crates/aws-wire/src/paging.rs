//! Pages of a sorted collection, with opaque tokens. EFS `Marker`/`NextToken` (at most 128 characters), KMS `Marker`.

use std::ops::Bound;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::sigv4::sha256_hex;

/// One page and the token of the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// What the caller sends for the next page; none at the end.
    pub next: Option<String>,
}

/// A token names the last item shown, so items that come and go between two pages neither repeat nor hide others.
/// `scope` (an action's name) keeps one list's tokens out of another's.
pub fn token(scope: &str, last: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}{last}", check(scope, last)))
}

/// The last item's key in a token, `None` when the token was not made by [`token`] for that scope.
pub fn last(scope: &str, token: &str) -> Option<String> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    let (sum, last) = text.split_at_checked(CHECK)?;
    (sum == check(scope, last)).then(|| last.to_owned())
}

/// So many characters of the sum stand before the key. It is no secret: it only tells a mistake from a token.
const CHECK: usize = 8;

fn check(scope: &str, last: &str) -> String {
    let mut sum = sha256_hex(format!("{scope}\0{last}").as_bytes());
    sum.truncate(CHECK);
    sum
}

/// Cuts a page of at most `limit` items out of `items`, which come sorted by `key` and from after the token's key on
/// (see [`after`]).
pub fn page<T>(scope: &str, limit: usize, items: impl Iterator<Item = T>, key: impl Fn(&T) -> String) -> Page<T> {
    let mut items = items;
    let page: Vec<T> = items.by_ref().take(limit.max(1)).collect();
    let more = items.next().is_some();
    let next = page.last().filter(|_| more).map(|item| token(scope, &key(item)));
    Page { items: page, next }
}

/// The bound at which the page of a token begins in a sorted map; `None` when the token is not one.
pub fn after(scope: &str, token: Option<&str>) -> Option<Bound<String>> {
    match token {
        None => Some(Bound::Unbounded),
        Some(token) => last(scope, token).map(Bound::Excluded),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::ops::Bound;

    use super::{after, last, page, token};

    /// EFS and KMS, lists: pages follow each other without gap or repetition, and end without a token.
    #[test]
    fn pages_cover_a_collection_once() {
        let all: BTreeMap<String, u32> = (0..10).map(|number| (format!("fs-{number}"), number)).collect();
        let (mut seen, mut next) = (Vec::new(), None);
        loop {
            let from = after("List", next.as_deref()).unwrap();
            let found = page("List", 3, all.range((from, Bound::Unbounded)), |(key, _)| (*key).clone());
            seen.extend(found.items.iter().map(|(_, number)| **number));
            next = found.next;
            if next.is_none() {
                break;
            }
        }
        assert_eq!(seen, (0..10).collect::<Vec<_>>());
    }

    /// EFS model, Marker: at most 128 characters; KMS: a wrong marker is refused.
    #[test]
    fn tokens_are_opaque_and_bound_to_their_list() {
        let made = token("List", "fs-0123456789abcdef0");
        assert!(made.len() <= 128);
        assert_eq!(last("List", &made).as_deref(), Some("fs-0123456789abcdef0"));
        assert_eq!(last("Other", &made), None);
        assert_eq!(last("List", "garbage"), None);
    }

    proptest::proptest! {
        /// House rule: no input makes a parser panic.
        #[test]
        fn any_token_is_only_refused(text in ".{0,200}") {
            let _ = last("List", &text);
        }
    }
}
