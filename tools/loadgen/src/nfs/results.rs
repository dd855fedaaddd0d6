//! What the server answered to a compound: its results, taken in their order, or the operation that failed.

use std::fmt;

use nfs_wire::nfs4::{NfsFh4, Open4Resok, Read4Resok, Readdir4Resok, Verifier4, Write4Resok};
use nfs_wire::{Fattr4, NfsStat4, ResOp};

/// The results of a compound that succeeded, behind SEQUENCE.
pub(crate) struct Results(std::vec::IntoIter<ResOp>);

/// The operation at which a compound ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    number: u32,
    status: NfsStat4,
}

macro_rules! accessors {
    ($($(#[$meta:meta])* $name:ident: $variant:ident -> $type:ty;)*) => {
        impl Results {
            $($(#[$meta])*
            pub(crate) fn $name(&mut self) -> Result<$type, String> {
                let found = self.0.find_map(|result| match result {
                    ResOp::$variant(Ok(body)) => Some(body),
                    _ => None,
                });
                found.ok_or_else(|| concat!("the reply has no ", stringify!($variant)).to_owned())
            })*
        }
    };
}

accessors! {
    /// What OPEN gave.
    opened: Open -> Open4Resok;
    /// What GETFH gave.
    handle: Getfh -> NfsFh4;
    /// What READ gave.
    read: Read -> Read4Resok;
    /// What WRITE gave.
    written: Write -> Write4Resok;
    /// What COMMIT gave.
    committed: Commit -> Verifier4;
    /// What GETATTR gave.
    attributes: Getattr -> Fattr4;
    /// What READDIR gave.
    listing: Readdir -> Readdir4Resok;
}

impl Results {
    /// The results if all of them are successes.
    pub(crate) fn new(status: NfsStat4, results: Vec<ResOp>) -> Result<Self, Refusal> {
        if status == NfsStat4::Ok {
            return Ok(Self(results.into_iter()));
        }
        Err(Refusal { number: results.last().map_or(nfs_wire::operations::ILLEGAL, ResOp::number), status })
    }
}

impl Refusal {
    /// Whether the server asks for patience: a restart's grace, or something that takes its time.
    pub(crate) fn is_later(self) -> bool {
        matches!(self.status, NfsStat4::Delay | NfsStat4::Grace)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: NFS4ERR", nfs_wire::operations::name_of(self.number))?;
        for letter in format!("{:?}", self.status).chars() {
            if letter.is_uppercase() {
                write!(formatter, "_")?;
            }
            write!(formatter, "{}", letter.to_ascii_uppercase())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A refusal names the operation and the status as RFC 8881 spells them.
    #[test]
    fn a_refusal_reads_like_the_rfc() {
        let failed = ResOp::Remove(Err(NfsStat4::Noent));
        let refusal = Results::new(NfsStat4::Noent, vec![ResOp::Putfh(Ok(())), failed]).err().unwrap();
        assert_eq!(refusal.to_string(), "REMOVE: NFS4ERR_NOENT");
        let stale = Refusal { number: 43, status: NfsStat4::StaleClientid };
        assert_eq!(stale.to_string(), "CREATE_SESSION: NFS4ERR_STALE_CLIENTID");
    }

    /// Results are found behind those that say nothing but success.
    #[test]
    fn a_result_is_found_behind_others() {
        let handle = NfsFh4::copied(&[1, 2, 3]).unwrap();
        let results = vec![ResOp::Putfh(Ok(())), ResOp::Getfh(Ok(handle.clone()))];
        let mut results = Results::new(NfsStat4::Ok, results).ok().unwrap();
        assert_eq!(results.handle(), Ok(handle));
        assert_eq!(results.read().unwrap_err(), "the reply has no Read");
    }
}
