//! From a caller's id or ARN to the resource. EFS API: ids and ARNs are interchangeable in inputs.

use std::sync::Arc;

use aws_wire::{Arn, CallContext};

use crate::ControlError;
use crate::control::Control;
use crate::record::{AccessPoint, FileSystem, Lifecycle, MountTarget};

/// The id in `text`, which is one or an ARN of this account and region.
fn id_of<'a>(cx: &CallContext, text: &'a str, kind: &str) -> Option<&'a str> {
    if !text.starts_with("arn:") {
        return Some(text);
    }
    let arn = Arn::parse(text)?;
    let own = arn.partition == "aws" && arn.service == "elasticfilesystem";
    let here = own && arn.account == cx.account && arn.region == cx.region;
    let (_, resource) = text.rsplit_once(':')?;
    let (found, id) = resource.split_once('/')?;
    (here && found == kind).then_some(id)
}

impl Control {
    pub(crate) fn find_file_system(&self, cx: &CallContext, text: &str) -> Result<Arc<FileSystem>, ControlError> {
        id_of(cx, text, "file-system")
            .and_then(|id| self.read(|state| state.file_systems.get(id).cloned()))
            .filter(|found| found.account == cx.account && found.region == cx.region)
            .filter(|found| found.state != Lifecycle::Preparing)
            .ok_or_else(|| ControlError::FileSystemNotFound(text.to_owned()))
    }

    /// A file system that mount targets and access points can be made for.
    pub(crate) fn find_available(&self, cx: &CallContext, text: &str) -> Result<Arc<FileSystem>, ControlError> {
        let found = self.find_file_system(cx, text)?;
        if found.state == Lifecycle::Available {
            Ok(found)
        } else {
            Err(ControlError::FileSystemState { id: found.id.clone(), state: found.state.name() })
        }
    }

    pub(crate) fn find_mount_target(&self, cx: &CallContext, id: &str) -> Result<Arc<MountTarget>, ControlError> {
        self.read(|state| state.mount_targets.get(id).cloned())
            .filter(|found| found.account == cx.account && found.region == cx.region)
            .ok_or_else(|| ControlError::MountTargetNotFound(id.to_owned()))
    }

    pub(crate) fn find_access_point(&self, cx: &CallContext, text: &str) -> Result<Arc<AccessPoint>, ControlError> {
        id_of(cx, text, "access-point")
            .and_then(|id| self.read(|state| state.access_points.get(id).cloned()))
            .filter(|found| found.account == cx.account && found.region == cx.region)
            .ok_or_else(|| ControlError::AccessPointNotFound(text.to_owned()))
    }

    /// Whatever has tags under that id or ARN.
    pub(crate) fn find_tagged(&self, cx: &CallContext, text: &str) -> Result<Tagged, ControlError> {
        if text.contains("fsap-") {
            self.find_access_point(cx, text).map(Tagged::AccessPoint)
        } else {
            self.find_file_system(cx, text).map(Tagged::FileSystem)
        }
    }
}

/// A resource that has tags.
pub(crate) enum Tagged {
    FileSystem(Arc<FileSystem>),
    AccessPoint(Arc<AccessPoint>),
}
