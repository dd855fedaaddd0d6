//! READDIR: entries of the current directory from a cookie on, with the attributes asked for. Cookies stay valid for ever, so
//! the cookie verifier never changes. RFC 8881 section 18.23.

use filesystem::{Entry, FsError};
use nfs_wire::nfs4::{Component4, Dirlist4, Entry4, Readdir4Args, Readdir4Resok, Verifier4};
use nfs_wire::{Attribute, Bitmap4, Fattr4, NfsStat4};

use crate::attributes;
use crate::compound::{Compound, Place};
use crate::pseudo_root;
use crate::status::NfsError;
use crate::view::Object;

const VERIFIER: Verifier4 = [0; 8];
/// Entries taken from the file system at a time.
const PAGE_ENTRIES: usize = 256;

pub(crate) async fn run(cx: &mut Compound, args: Readdir4Args) -> Result<Readdir4Resok, NfsError> {
    attributes::check_readable(&args.attr_request)?;
    if args.cookie != 0 && args.cookieverf != VERIFIER {
        return Err(NfsStat4::NotSame.into());
    }
    let bytes = |count: u32| usize::try_from(count.min(cx.shared.limits.io_bytes_max)).unwrap_or(usize::MAX);
    let (most, names) = (bytes(args.maxcount), bytes(args.dircount));
    if most < Dirlist4::EMPTY_REPLY_BYTES {
        return Err(NfsStat4::Toosmall.into());
    }
    let mut page = Page {
        left: most - Dirlist4::EMPTY_REPLY_BYTES,
        // RFC 8881 §18.23.3: a hint only, and 0 says nothing.
        names_left: if names == 0 { usize::MAX } else { names },
        entries: Vec::new(),
    };
    let eof = match cx.place()?.clone() {
        Place::PseudoRoot => pseudo_root(cx, &args, &mut page).await?,
        Place::Object(object) => {
            if object.node.kind() != filesystem::Kind::Directory {
                return Err(NfsStat4::Notdir.into());
            }
            directory(cx, &object, &args, &mut page).await?
        }
    };
    if page.entries.is_empty() && !eof {
        return Err(NfsStat4::Toosmall.into());
    }
    Ok(Readdir4Resok { cookieverf: VERIFIER, reply: Dirlist4 { entries: page.entries, eof } })
}

/// The reply as it fills up.
struct Page {
    left: usize,
    names_left: usize,
    entries: Vec<Entry4>,
}

impl Page {
    /// Takes the entry if there is room.
    fn push(&mut self, entry: Entry4) -> bool {
        let (bytes, name) = (entry.wire_bytes(), entry.name.len().saturating_add(24));
        if bytes > self.left || (name > self.names_left && !self.entries.is_empty()) {
            return false;
        }
        self.left -= bytes;
        self.names_left = self.names_left.saturating_sub(name);
        self.entries.push(entry);
        true
    }
}

/// Fills the page from a directory of a file system. Says whether that was all.
async fn directory(cx: &Compound, object: &Object, args: &Readdir4Args, page: &mut Page) -> Result<bool, NfsError> {
    let filesystem = &object.view.served.filesystem;
    let nodes = !args.attr_request.is_subset_of(&Bitmap4::of(&[Attribute::RdattrError]));
    let mut cookie = args.cookie;
    loop {
        let found =
            filesystem.read_directory(&object.cx(), &object.node, cookie, PAGE_ENTRIES, page.left, nodes).await?;
        let got_some = !found.entries.is_empty();
        for entry in found.entries {
            cookie = entry.cookie;
            // An entry whose object is gone since is no entry any more.
            if nodes && entry.node.is_none() {
                continue;
            }
            let Some(attrs) = entry_attributes(cx, object, &entry, &args.attr_request).await? else { continue };
            let name = Component4::new(entry.name).map_err(|_| NfsStat4::Serverfault)?;
            if !page.push(Entry4 { cookie: entry.cookie, name, attrs }) {
                return Ok(false);
            }
        }
        if found.eof {
            return Ok(true);
        }
        if !got_some {
            return Ok(false);
        }
    }
}

/// The attributes of an entry's object; none if it was removed meanwhile.
async fn entry_attributes(
    cx: &Compound,
    directory: &Object,
    entry: &Entry,
    asked: &Bitmap4,
) -> Result<Option<Fattr4>, NfsError> {
    let Some(node) = &entry.node else {
        let wants_error = asked.contains(Attribute::RdattrError);
        return Ok(Some(if wants_error { attributes::read_error(NfsStat4::Ok) } else { Fattr4::empty() }));
    };
    let object = directory.at(node.clone());
    let handle = cx.admitted.wire_handle(&object.view, &object.node)?;
    match object.subject(&handle, |subject| attributes::read(asked, subject)).await {
        Ok(attrs) => Ok(Some(attrs)),
        Err(NfsError::Fs(FsError::Stale | FsError::NotFound)) => Ok(None),
        // One damaged object must not hide the directory from who can bear it.
        Err(NfsError::Fs(FsError::Io(_))) if asked.contains(Attribute::RdattrError) => {
            Ok(Some(attributes::read_error(NfsStat4::Io)))
        }
        Err(error) => Err(error),
    }
}

/// Fills the page from the pseudo-root: the cookies are positions in the sorted list, from 3 on.
async fn pseudo_root(cx: &mut Compound, args: &Readdir4Args, page: &mut Page) -> Result<bool, NfsError> {
    if matches!(args.cookie, 1 | 2) {
        return Err(NfsStat4::BadCookie.into());
    }
    let first = args.cookie.saturating_sub(2);
    for (position, view) in (1_u64..).zip(cx.admitted.listed().await) {
        if position <= first {
            continue;
        }
        let attrs = pseudo_root::entry(cx, &view, &args.attr_request).await?;
        let name = Component4::copied(view.served.id.as_str().as_bytes()).map_err(|_| NfsStat4::Serverfault)?;
        if !page.push(Entry4 { cookie: position.saturating_add(2), name, attrs }) {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::Page;
    use nfs_wire::Fattr4;
    use nfs_wire::nfs4::{Component4, Entry4};

    /// RFC 8881 section 18.23.3: maxcount bounds the reply, dircount hints at the names but never hides the first entry.
    #[test]
    fn a_page_takes_what_fits() {
        let entry = |name: &[u8]| Entry4 { cookie: 3, name: Component4::copied(name).unwrap(), attrs: Fattr4::empty() };
        let bytes = entry(b"abcd").wire_bytes();
        let mut page = Page { left: 2 * bytes, names_left: 1, entries: Vec::new() };
        assert!(page.push(entry(b"abcd")));
        assert!(!page.push(entry(b"efgh")));
        let mut page = Page { left: bytes, names_left: usize::MAX, entries: Vec::new() };
        assert!(!page.push(entry(b"abcde")));
        assert!(page.push(entry(b"abcd")));
        assert_eq!(page.left, 0);
    }
}
