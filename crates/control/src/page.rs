//! Pages of a list: `MaxItems`, `Marker`, `NextMarker`, or `MaxResults` and `NextToken`. EFS API, each Describe action.

use aws_wire::paging::{self, Page};
use aws_wire::sigv4::sha256_hex;

use crate::ControlError;

/// EFS API: how many a page holds when the request does not say, and at most.
pub(crate) const PAGE: usize = 100;
/// DescribeAccessPoints takes more: the CSI driver asks for 1,000.
pub(crate) const PAGE_ACCESS_POINTS: usize = 1000;

/// Cuts a page out of `all`, which is sorted by `key`. `list` is the action: the markers of one list are not another's.
pub(crate) fn cut<T>(
    list: &str,
    limit: Option<i32>,
    most: usize,
    marker: Option<&str>,
    all: impl Iterator<Item = T>,
    key: impl Fn(&T) -> String,
) -> Result<Page<T>, ControlError> {
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(PAGE).clamp(1, most);
    let all: Vec<T> = all.collect();
    let from = match marker {
        Some(marker) => {
            let named = paging::last(list, marker);
            let named = named.ok_or_else(|| ControlError::BadRequest("The marker is not valid.".to_owned()))?;
            beginning(&named, all.iter().map(&key))
        }
        None => 0,
    };
    Ok(paging::page(list, limit, all.into_iter().skip(from), |item| name(&key(item))))
}

/// EFS model, Marker and NextToken: at most 128 characters, which hold so many bytes of a key.
const KEY_BYTES_MAX: usize = 88;
/// So many bytes of a longer key stand in its marker, before a hash of the whole.
const START_BYTES: usize = 40;
/// Digits of that hash.
const HASH_DIGITS: usize = 32;

/// What a marker says of an item: its key, or of a long one the start and a hash. No key holds a NUL.
fn name(key: &str) -> String {
    if key.len() <= KEY_BYTES_MAX {
        return key.to_owned();
    }
    let start = key.get(..key.floor_char_boundary(START_BYTES)).unwrap_or_default();
    let mut hash = sha256_hex(key.as_bytes());
    hash.truncate(HASH_DIGITS);
    format!("{start}\0{hash}")
}

/// The position after the named item. Should a long key be gone meanwhile, the page begins where keys begin like it, so
/// that none is left out.
fn beginning(named: &str, keys: impl Iterator<Item = String>) -> usize {
    let start = named.split_once('\0').map(|(start, _)| start);
    let mut before = 0;
    for (position, key) in keys.enumerate() {
        match start {
            None if key.as_str() <= named => before = position + 1,
            Some(_) if name(&key) == named => return position + 1,
            Some(start) if key.as_str() < start => before = position + 1,
            None | Some(_) => {}
        }
    }
    before
}

#[cfg(test)]
mod tests {
    use super::cut;

    fn pages(mut all: Vec<String>, remove_shown: bool) -> Vec<String> {
        let (mut seen, mut marker) = (Vec::new(), None::<String>);
        loop {
            let page = cut("L", Some(1), 100, marker.as_deref(), all.clone().into_iter(), String::clone).unwrap();
            if remove_shown {
                all.retain(|key| !page.items.contains(key));
            }
            seen.extend(page.items);
            match page.next {
                None => return seen,
                Some(next) => {
                    assert!(next.len() <= 128, "{next}");
                    marker = Some(next);
                }
            }
        }
    }

    /// EFS model, NextToken: at most 128 characters, also between tags whose keys are as long as they may be.
    #[test]
    fn long_keys_have_short_markers() {
        let mut all: Vec<String> = (0..6).map(|number| format!("{}{number}", "\u{e4}".repeat(127))).collect();
        all.extend(["a".to_owned(), "\u{e4}".repeat(3), format!("{}z", "\u{e4}".repeat(127)), "\u{f6}".repeat(128)]);
        all.sort();
        assert_eq!(pages(all.clone(), false), all);
        assert_eq!(pages(all.clone(), true), all);
    }
}
