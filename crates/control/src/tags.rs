//! Tags of file systems and access points. EFS API, Tag; the form of keys and values is the model's business.

use crate::control::Turn;
use crate::record::{AccessPoint, FileSystem, Tag};
use crate::resolve::Tagged;
use crate::state::Edit;
use crate::{ControlError, model};

/// EFS user guide, "Quotas": tags of one resource.
const TAGS_MAX: usize = 50;

/// `to` with these tags; an equal key takes the new value and keeps its place.
pub(crate) fn add(mut to: Vec<Tag>, tags: Vec<model::Tag>) -> Result<Vec<Tag>, ControlError> {
    for tag in tags {
        let tag = Tag { key: tag.key, value: tag.value };
        match to.iter_mut().find(|there| there.key == tag.key) {
            Some(there) => *there = tag,
            None => to.push(tag),
        }
    }
    if to.len() > TAGS_MAX {
        return Err(ControlError::BadRequest(format!("A resource has at most {TAGS_MAX} tags.")));
    }
    Ok(to)
}

pub(crate) fn shown(tags: &[Tag]) -> Vec<model::Tag> {
    tags.iter().map(|tag| model::Tag { key: tag.key.clone(), value: tag.value.clone() }).collect()
}

/// The value of the tag `Name`, which the descriptions show apart.
pub(crate) fn name(tags: &[Tag]) -> Option<String> {
    tags.iter().find(|tag| tag.key == "Name").map(|tag| tag.value.clone())
}

impl Tagged {
    pub(crate) fn tags(&self) -> &[Tag] {
        match self {
            Self::FileSystem(file_system) => &file_system.tags,
            Self::AccessPoint(point) => &point.tags,
        }
    }

    /// Makes these the resource's tags.
    pub(crate) async fn set(&self, turn: &Turn, tags: Vec<Tag>) -> Result<(), ControlError> {
        let edit = match self {
            Self::FileSystem(found) => Edit::PutFileSystem(FileSystem { tags, ..(**found).clone() }),
            Self::AccessPoint(found) => Edit::PutAccessPoint(AccessPoint { tags, ..(**found).clone() }),
        };
        turn.write(vec![edit]).await
    }
}
