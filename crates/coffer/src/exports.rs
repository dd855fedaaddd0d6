//! Which file system a connection means, who its caller is and what the caller may do there, for the NFS server.

use std::sync::Arc;

use audit::{AuditError, AuditLog, Event, Outcome};
use aws_wire::{Arn, Caller, Timestamp};
use control::{AccessPoint, Control, Lifecycle};
use filesystem::FileSystem;
use nfs_server::exports::{
    AccessPointView, AccessRequest, Admission, Authorize, BoxFuture, Creation, Exports, FileSystemId, NotAuthorized,
    Peer, Permissions, PosixUser, Principal, Refused, Target, Unavailable,
};
use policy::{Conditions, Decision, Request};

use crate::allocator;
use crate::owner::{OpenError, Owner};

const EFS: &str = "elasticfilesystem";

/// A client certificate's clock may be this far from ours, in seconds.
const CLOCK_SKEW_SECONDS: i64 = 15 * 60;

/// The control plane and the owner, as the NFS server sees them.
pub(crate) struct ControlledExports {
    pub(crate) control: Control,
    pub(crate) owner: Owner,
    pub(crate) env: env::Env,
    /// The installation's region and account: those of whoever is refused before a file system is found.
    pub(crate) region: String,
    pub(crate) account: String,
    /// Names under this are mount-target names: `.efs.REGION.SUFFIX`.
    pub(crate) name_suffix: String,
    /// Who may do what on the data path.
    pub(crate) authorize: Arc<dyn policy::Authorize>,
    pub(crate) audit: AuditLog,
}

impl ControlledExports {
    fn usable(&self, id: &str) -> Option<FileSystemId> {
        self.control.file_system(id).filter(|found| found.state == Lifecycle::Available).map(|_| FileSystemId::new(id))
    }

    /// `[zone.]fs-….efs.REGION.SUFFIX` to the id within it.
    fn id_of_name<'a>(&self, name: &'a str) -> Option<&'a str> {
        let labels = name.strip_suffix(self.name_suffix.as_str())?;
        labels.rsplit('.').next().filter(|label| label.starts_with("fs-"))
    }

    /// The file system of a mount target that is not being deleted.
    fn file_system_of(&self, mount_target: &str) -> Option<String> {
        let targets = self.control.mount_targets();
        let found = targets.iter().find(|target| target.id == mount_target && target.state != Lifecycle::Deleting);
        found.map(|target| target.file_system.clone())
    }

    fn target(&self, peer: &Peer) -> Result<Target, Refused> {
        let named = peer.certificate.as_ref().and_then(|certificate| certificate.file_system.as_deref());
        let named = named.or_else(|| peer.server_name.as_deref().and_then(|name| self.id_of_name(name)));
        let door = match peer.door.mount_target() {
            Some(id) => Through::MountTarget(id, self.file_system_of(id)),
            None => Through::PseudoRoot,
        };
        match door.leads_to(named)? {
            Some(id) => match self.usable(&id) {
                Some(id) => Ok(Target::FileSystem(id)),
                None => Err(Refused(format!("{id} is not an available file system"))),
            },
            None => Ok(Target::PseudoRoot),
        }
    }

    fn access_point(&self, id: &str, target: &Target) -> Result<AccessPointView, Refused> {
        let found = self.control.access_point(id).ok_or_else(|| Refused(format!("{id} does not exist")))?;
        match target {
            Target::FileSystem(file_system) if file_system.as_str() == found.file_system => Ok(view_of(&found)),
            _ => Err(Refused(format!("{id} is an access point of {}", found.file_system))),
        }
    }

    fn admit_now(&self, peer: &Peer) -> Result<Admission, Refused> {
        if let Some(certificate) = &peer.certificate {
            let now = self.env.wall().seconds;
            if now + CLOCK_SKEW_SECONDS < certificate.not_before || now - CLOCK_SKEW_SECONDS > certificate.not_after {
                return Err(Refused("the client certificate is not valid now; compare the clocks".to_owned()));
            }
            if certificate.identity.is_some() {
                // A signature that cannot be verified is a denial, never a fall back to anonymous.
                return Err(Refused(
                    "the client certificate is signed by an IAM identity, which is not supported".to_owned(),
                ));
            }
        }
        let target = self.target(peer)?;
        let wanted = peer.certificate.as_ref().and_then(|certificate| certificate.access_point.as_deref());
        let access_point = wanted.map(|id| self.access_point(id, &target)).transpose()?;
        Ok(Admission { target, access_point, principal: Principal::Anonymous })
    }
}

/// Where a connection came in.
enum Through<'a> {
    /// A mount target, with its file system while it exists.
    MountTarget(&'a str, Option<String>),
    /// The pseudo-root.
    PseudoRoot,
}

impl Through<'_> {
    /// The file system meant, if one is; a mount target leads to its own and to nothing else, least of all to all of them.
    fn leads_to(self, named: Option<&str>) -> Result<Option<String>, Refused> {
        match (self, named) {
            (Self::MountTarget(id, None), _) => Err(Refused(format!("{id} is no mount target any more"))),
            (Self::MountTarget(_, Some(own)), Some(named)) if named != own => {
                Err(Refused(format!("{named} was asked for at the mount target of {own}")))
            }
            (Self::MountTarget(_, own), _) => Ok(own),
            (Self::PseudoRoot, named) => Ok(named.map(str::to_owned)),
        }
    }
}

fn view_of(found: &AccessPoint) -> AccessPointView {
    AccessPointView {
        id: found.id.clone(),
        path: found.path.clone(),
        posix_user: found.posix_user.as_ref().map(|user| PosixUser {
            uid: user.uid,
            gid: user.gid,
            groups: user.secondary_gids.clone(),
        }),
        creation: found.creation_info.as_ref().map(|info| Creation {
            uid: info.owner_uid,
            gid: info.owner_gid,
            mode: u32::from(info.mode),
        }),
    }
}

impl Exports for ControlledExports {
    fn admit<'a>(&'a self, peer: &'a Peer) -> BoxFuture<'a, Result<Admission, Refused>> {
        Box::pin(async {
            let admission = self.admit_now(peer);
            if let Err(Refused(why)) = &admission {
                let named = peer.certificate.as_ref().and_then(|certificate| certificate.file_system.as_deref());
                let place = (self.region.as_str(), self.account.as_str());
                // A refusal stands, recorded or not.
                if let Err(error) = self.note(peer, place, named, None, Err(why)).await {
                    tracing::error!(%error, "a refused connection is not in the audit log");
                }
            }
            admission
        })
    }

    fn open<'a>(&'a self, id: &'a FileSystemId) -> BoxFuture<'a, Result<FileSystem, Unavailable>> {
        Box::pin(async {
            if self.usable(id.as_str()).is_none() {
                return Err(Unavailable::Absent);
            }
            self.owner.open(id.as_str()).await.map_err(|error| match error {
                OpenError::Absent => Unavailable::Absent,
                OpenError::Later(why) => Unavailable::Later(why),
                OpenError::Failed(why) => Unavailable::Failed(why),
            })
        })
    }

    fn close<'a>(&'a self, id: &'a FileSystemId) -> BoxFuture<'a, ()> {
        Box::pin(async {
            self.owner.close_one(id.as_str()).await;
            allocator::freed();
        })
    }

    fn list<'a>(&'a self, _peer: &'a Peer) -> BoxFuture<'a, Vec<FileSystemId>> {
        Box::pin(async {
            let systems = self.control.file_systems();
            let available = systems.iter().filter(|found| found.state == Lifecycle::Available);
            available.map(|found| FileSystemId::new(&found.id)).collect()
        })
    }
}

impl ControlledExports {
    async fn decide(&self, request: AccessRequest<'_>) -> Result<Permissions, NotAuthorized> {
        let id = request.file_system.as_str();
        let found = self.control.file_system(id).ok_or_else(|| Refused(format!("{id} does not exist")))?;
        let resource = Arn::parse(&found.arn()).ok_or_else(|| Refused(format!("{id} has a malformed ARN")))?;
        let caller = Caller::anonymous();
        let through_mount_target = request.peer.door.mount_target().is_some();
        let mut conditions = Conditions::new()
            .with("aws:SecureTransport", request.peer.secure.to_string())
            .with("aws:SourceIp", request.peer.remote.ip().to_string())
            .with("elasticfilesystem:AccessedViaMountTarget", through_mount_target.to_string());
        if let Some(access_point) = request.access_point {
            // Deleted or not: whoever is connected through it goes on.
            let arn = Arn::new(EFS, &found.region, &found.account, format!("access-point/{access_point}"));
            conditions = conditions.with("elasticfilesystem:AccessPointArn", arn.to_string());
        }
        let ask = |action: &str| {
            let question = Request { caller: &caller, action, resource: &resource, conditions: &conditions };
            self.authorize.decide(&question)
        };
        let place = (found.region.as_str(), found.account.as_str());
        if let Decision::Deny(why) = ask("elasticfilesystem:ClientMount") {
            if let Err(error) = self.note(request.peer, place, Some(id), request.access_point, Err(&why)).await {
                // A denial stands, recorded or not.
                tracing::error!(file_system = id, %error, "a refused mount is not in the audit log");
            }
            return Err(Refused(why).into());
        }
        let may = |action: &str| matches!(ask(action), Decision::Allow);
        let permissions = Permissions {
            write: may("elasticfilesystem:ClientWrite"),
            root: may("elasticfilesystem:ClientRootAccess"),
        };
        if request.before != Some(permissions) {
            // Nobody is let in unrecorded; that it cannot be recorded now is nothing that the caller is denied for.
            let noted = self.note(request.peer, place, Some(id), request.access_point, Ok(permissions)).await;
            noted.map_err(|error| NotAuthorized::Later(format!("the audit log cannot be written: {error}")))?;
        }
        Ok(permissions)
    }

    /// CloudTrail's NewClientConnection.
    async fn note(
        &self,
        peer: &Peer,
        (region, account): (&str, &str),
        file_system: Option<&str>,
        access_point: Option<&str>,
        outcome: Result<Permissions, &String>,
    ) -> Result<(), AuditError> {
        let wall = self.env.wall();
        let time = Timestamp::from_unix(wall.seconds, wall.nanoseconds);
        let source = "elasticfilesystem.amazonaws.com";
        let mut event = Event::service(source, "NewClientConnection", region, account, time);
        event.read_only = true;
        event.source_ip = Some(peer.remote.ip().to_string());
        event.parameters = serde_json::json!({
            "fileSystemId": file_system,
            "mountTargetId": peer.door.mount_target(),
            "accessPointId": access_point,
            "secureTransport": peer.secure,
        });
        let outcome = match outcome {
            Ok(granted) => Outcome {
                additional: serde_json::json!({ "permissions": {
                    "ClientMount": true, "ClientWrite": granted.write, "ClientRootAccess": granted.root } }),
                ..Outcome::default()
            },
            Err(why) => Outcome::failure("AccessDenied", why),
        };
        self.audit.note(event, outcome).await
    }
}

impl Authorize for ControlledExports {
    fn authorize<'a>(&'a self, request: AccessRequest<'a>) -> BoxFuture<'a, Result<Permissions, NotAuthorized>> {
        Box::pin(self.decide(request))
    }
}

#[cfg(test)]
mod tests {
    use super::Through;

    /// Architecture section 2.3: a mount target leads to its own file system; when it is gone it leads nowhere, whatever name the
    /// client gives.
    #[test]
    fn a_mount_target_leads_to_its_own_file_system_or_nowhere() {
        let leads =
            |own: Option<&str>, named| Through::MountTarget("fsmt-1", own.map(str::to_owned)).leads_to(named).ok();
        assert_eq!(leads(Some("fs-1"), None), Some(Some("fs-1".to_owned())));
        assert_eq!(leads(Some("fs-1"), Some("fs-1")), Some(Some("fs-1".to_owned())));
        assert_eq!(leads(Some("fs-1"), Some("fs-2")), None);
        assert_eq!(leads(None, None), None);
        assert_eq!(leads(None, Some("fs-2")), None);
        assert_eq!(Through::PseudoRoot.leads_to(None).ok(), Some(None));
        assert_eq!(Through::PseudoRoot.leads_to(Some("fs-2")).ok(), Some(Some("fs-2".to_owned())));
    }
}
