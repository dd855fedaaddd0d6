//! Pages of a list: `MaxItems`, `Marker`, `NextMarker`, or `MaxResults` and `NextToken`. EFS API, each Describe action.

use aws_wire::paging::{self, Page};

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
    let read = |marker| paging::last(list, marker);
    let after = match marker {
        Some(marker) => {
            Some(read(marker).ok_or_else(|| ControlError::BadRequest("The marker is not valid.".to_owned()))?)
        }
        None => None,
    };
    let rest = all.filter(|item| after.as_ref().is_none_or(|after| key(item) > *after));
    Ok(paging::page(list, limit, rest, &key))
}
