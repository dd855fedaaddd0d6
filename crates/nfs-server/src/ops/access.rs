//! ACCESS: which rights the caller has on the current object. RFC 8881 section 18.1.

use filesystem::{AccessMask, Kind};
use nfs_wire::NfsStat4;
use nfs_wire::nfs4::{Access4Args, Access4Resok};

use crate::compound::{Compound, Place};
use crate::status::NfsError;

const ALL: u32 = 0x3f;

pub(crate) async fn run(cx: &mut Compound, args: Access4Args) -> Result<Access4Resok, NfsError> {
    if args.access & !ALL != 0 {
        return Err(NfsStat4::Inval.into());
    }
    let asked = AccessMask(args.access);
    match cx.place()? {
        Place::PseudoRoot => {
            let supported = asked.and(meaningful(Kind::Directory));
            let readable = AccessMask::READ.or(AccessMask::LOOKUP);
            Ok(Access4Resok { supported: supported.0, access: supported.and(readable).0 })
        }
        Place::Object(object) => {
            let supported = asked.and(meaningful(object.node.kind()));
            let filesystem = &object.view.served.filesystem;
            let given = filesystem.access(&object.cx(), &object.node, supported).await?;
            let given = if object.view.read_only() { given.and(reading()) } else { given };
            Ok(Access4Resok { supported: supported.0, access: given.and(supported).0 })
        }
    }
}

/// The rights that have a meaning for the kind of object.
fn meaningful(kind: Kind) -> AccessMask {
    let changing = AccessMask::MODIFY.or(AccessMask::EXTEND);
    match kind {
        Kind::Directory => AccessMask::READ.or(AccessMask::LOOKUP).or(changing).or(AccessMask::DELETE),
        _ => AccessMask::READ.or(changing).or(AccessMask::EXECUTE),
    }
}

/// The rights that change nothing.
fn reading() -> AccessMask {
    AccessMask::READ.or(AccessMask::LOOKUP).or(AccessMask::EXECUTE)
}

#[cfg(test)]
mod tests {
    use super::{ALL, meaningful, reading};
    use filesystem::{AccessMask, Kind};

    /// RFC 8881 section 18.1.3: LOOKUP and DELETE mean something on directories only, EXECUTE on all else only.
    #[test]
    fn rights_fit_the_kind_of_object() {
        assert!(!meaningful(Kind::Directory).has(AccessMask::EXECUTE));
        assert!(!meaningful(Kind::Regular).has(AccessMask::LOOKUP.or(AccessMask::DELETE)));
        assert_eq!(meaningful(Kind::Directory).or(meaningful(Kind::Regular)), AccessMask(ALL));
        assert!(!reading().has(AccessMask::MODIFY.or(AccessMask::EXTEND).or(AccessMask::DELETE)));
    }
}
