//! Pages of a list: `Limit`, `Marker`, `NextMarker`, `Truncated`. KMS API, ListKeys and its siblings.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::KmsError;

/// What a list request asks for.
pub(crate) struct Asked<'a> {
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

/// Cuts a page out of `all`, which is sorted by its first half. A marker names the last item of the page before, so
/// items that come or go between two pages move nothing else.
pub(crate) fn cut<T>(asked: &Asked<'_>, all: impl Iterator<Item = (String, T)>) -> Result<Page<T>, KmsError> {
    let limit = asked.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(asked.default).clamp(1, asked.most);
    let after = asked.marker.map(read_marker).transpose()?;
    let mut rest = all.filter(|(name, _)| after.as_ref().is_none_or(|after| name > after)).peekable();
    let mut items = Vec::new();
    let mut last = None;
    while items.len() < limit {
        let Some((name, item)) = rest.next() else { break };
        items.push(item);
        last = Some(name);
    }
    let next = rest.peek().and(last).map(|last| URL_SAFE_NO_PAD.encode(format!("1:{last}")));
    Ok(Page { items, next })
}

fn read_marker(marker: &str) -> Result<String, KmsError> {
    let bytes = URL_SAFE_NO_PAD.decode(marker).map_err(|_| KmsError::InvalidMarker)?;
    let text = String::from_utf8(bytes).map_err(|_| KmsError::InvalidMarker)?;
    text.strip_prefix("1:").map(str::to_owned).ok_or(KmsError::InvalidMarker)
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
            let asked = Asked { limit: Some(3), marker: marker.as_deref(), default: 100, most: 1000 };
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
        for marker in ["nonsense!", "bm9uc2Vuc2U"] {
            let asked = Asked { limit: None, marker: Some(marker), default: 100, most: 1000 };
            assert!(matches!(cut(&asked, names(3)), Err(KmsError::InvalidMarker)));
        }
    }
}
