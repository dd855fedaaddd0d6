//! Pages of a list: `Limit`, `Marker`, `NextMarker`, `Truncated`. KMS API, ListKeys and its siblings.

use aws_wire::paging;

use crate::KmsError;

/// What a list request asks for.
pub(crate) struct Asked<'a> {
    /// The action: the markers of one list are not another's.
    pub(crate) list: &'a str,
    pub(crate) limit: Option<i32>,
    pub(crate) marker: Option<&'a str>,
    /// How many when the request does not say.
    pub(crate) default: usize,
    /// The most in one page.
    pub(crate) most: usize,
}

/// One page, and the marker of the next where there is more.
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    pub(crate) next: Option<String>,
}

/// Cuts a page out of `all`, which is sorted by its first half.
pub(crate) fn cut<T>(asked: &Asked<'_>, all: impl Iterator<Item = (String, T)>) -> Result<Page<T>, KmsError> {
    let limit = asked.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(asked.default).clamp(1, asked.most);
    let read = |marker| paging::last(asked.list, marker).ok_or(KmsError::InvalidMarker);
    let after = asked.marker.map(read).transpose()?;
    let rest = all.filter(|(name, _)| after.as_ref().is_none_or(|after| name > after));
    let page = paging::page(asked.list, limit, rest, |(name, _)| name.clone());
    Ok(Page { items: page.items.into_iter().map(|(_, item)| item).collect(), next: page.next })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> impl Iterator<Item = (String, usize)> {
        (0..count).map(|number| (format!("{number:04}"), number))
    }

    /// KMS API, ListKeys: following NextMarker gives every item once; the last page has none.
    #[test]
    fn pages_cover_everything_once() {
        let mut seen = Vec::new();
        let mut marker = None;
        loop {
            let asked = Asked { list: "ListKeys", limit: Some(3), marker: marker.as_deref(), default: 100, most: 1000 };
            let page = cut(&asked, names(10)).unwrap();
            assert!(page.items.len() <= 3);
            seen.extend(page.items);
            marker = page.next;
            if marker.is_none() {
                break;
            }
        }
        assert_eq!(seen, (0..10).collect::<Vec<_>>());
    }

    /// KMS API, InvalidMarkerException.
    #[test]
    fn a_foreign_marker_is_refused() {
        for marker in ["nonsense!", "bm9uc2Vuc2U", &paging::token("ListAliases", "0001")] {
            let asked = Asked { list: "ListKeys", limit: None, marker: Some(marker), default: 100, most: 1000 };
            assert!(matches!(cut(&asked, names(3)), Err(KmsError::InvalidMarker)));
        }
    }
}
