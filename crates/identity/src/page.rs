//! Pages of lists. IAM API: Marker, MaxItems, IsTruncated.

use aws_wire::paging;
use aws_wire::query::Xml;

use crate::IdentityError;

/// Where a page begins and how long it is.
pub(crate) struct Page<'a> {
    /// The list: a marker of one is none of another.
    pub(crate) scope: &'static str,
    /// The marker of the page before.
    pub(crate) marker: Option<&'a str>,
    /// Most items.
    pub(crate) items_max: Option<i32>,
}

impl Page<'_> {
    /// The page as members of an answer: the list under its name, whether there is more, and the marker. The items come
    /// with their keys, in the order of these.
    pub(crate) fn of(
        self,
        list: &'static str,
        items: impl Iterator<Item = (String, Xml)>,
    ) -> Result<Vec<Xml>, IdentityError> {
        let last = match self.marker {
            None => None,
            Some(marker) => Some(
                paging::last(self.scope, marker)
                    .ok_or_else(|| IdentityError::Validation("Invalid Marker".to_owned()))?,
            ),
        };
        let limit = self.items_max.and_then(|max| usize::try_from(max).ok()).unwrap_or(100);
        let after = items.filter(|(key, _)| last.as_ref().is_none_or(|last| key > last));
        let page = paging::page(self.scope, limit, after, |(key, _)| key.clone());
        let mut members = vec![
            Xml::Text("IsTruncated", page.next.is_some().to_string()),
            Xml::Node(list, page.items.into_iter().map(|(_, item)| item).collect()),
        ];
        members.extend(page.next.map(|marker| Xml::Text("Marker", marker)));
        Ok(members)
    }
}

#[cfg(test)]
mod tests {
    use aws_wire::query::Xml;

    use super::Page;

    fn page(marker: Option<&str>) -> Vec<Xml> {
        let items = (0..5).map(|number| (number.to_string(), Xml::Text("member", number.to_string())));
        Page { scope: "List", marker, items_max: Some(2) }.of("Items", items).unwrap()
    }

    /// IAM API, "Making query requests", pagination: pages follow each other without gap or repetition.
    #[test]
    fn pages_follow_each_other() {
        let (mut seen, mut marker) = (0, None::<String>);
        for round in 0..3 {
            let members = page(marker.as_deref());
            let Xml::Node(_, items) = &members[1] else { panic!("{members:?}") };
            seen += items.len();
            marker = match members.get(2) {
                Some(Xml::Text("Marker", text)) => Some(text.clone()),
                _ => None,
            };
            assert_eq!(marker.is_some(), round < 2);
        }
        assert_eq!(seen, 5);
        let wrong = Page { scope: "Other", marker: Some("nonsense"), items_max: None };
        assert!(wrong.of("Items", std::iter::empty()).is_err());
    }
}
