//! Goes over records in the order of their keys, a page at a time.

use bytes::Bytes;
use storage::{Keyspace, Scan};

use crate::{Result, core::Core, lease::Which};

/// Keys of a wrong length that a cursor remembers.
const MISSHAPEN_MAX: usize = 100;

/// Records of one class, whose keys are a prefix and one or two numbers.
pub(super) struct Cursor<'a> {
    core: &'a Core,
    scan: Scan,
    page: std::vec::IntoIter<(Bytes, Bytes)>,
    more: bool,
    head: Option<(Bytes, Bytes)>,
    prefix_bytes: usize,
    key_bytes: usize,
    /// Keys of another length: not written by us.
    pub(super) misshapen: Vec<Bytes>,
    /// Bytes of keys and values that have gone by.
    pub(super) bytes: u64,
}

impl<'a> Cursor<'a> {
    /// All records of a class whose keys have `numbers` numbers after the prefix.
    pub(super) fn records(core: &'a Core, prefix: u8, numbers: usize) -> Self {
        Self::new(core, Scan::prefix(Keyspace::Records, &[prefix]), (1, numbers))
    }

    /// All inline data.
    pub(super) fn inline(core: &'a Core) -> Self {
        Self::new(core, Scan::prefix(Keyspace::Inline, &[]), (0, 2))
    }

    /// What `scan` finds, of keys with so many bytes before so many numbers.
    pub(super) fn new(core: &'a Core, scan: Scan, (prefix_bytes, numbers): (usize, usize)) -> Self {
        Self {
            core,
            scan,
            page: Vec::new().into_iter(),
            more: true,
            head: None,
            prefix_bytes,
            key_bytes: prefix_bytes + 8 * numbers,
            misshapen: Vec::new(),
            bytes: 0,
        }
    }

    /// The first number of the next key.
    pub(super) async fn at(&mut self) -> Result<Option<u64>> {
        self.fill().await?;
        let number = self.head.as_ref().and_then(|(key, _)| key.get(self.prefix_bytes..)?.first_chunk());
        Ok(number.map(|number| u64::from_be_bytes(*number)))
    }

    /// The next record if its first number is this one.
    pub(super) async fn next_of(&mut self, number: u64) -> Result<Option<(Bytes, Bytes)>> {
        if self.at().await? == Some(number) { Ok(self.head.take()) } else { Ok(None) }
    }

    /// The next record.
    pub(super) async fn next(&mut self) -> Result<Option<(Bytes, Bytes)>> {
        self.fill().await?;
        Ok(self.head.take())
    }

    async fn fill(&mut self) -> Result<()> {
        while self.head.is_none() {
            let Some((key, value)) = self.page.next() else {
                if !self.more {
                    return Ok(());
                }
                let page = self.core.shard.scan(self.scan.clone()).await?;
                self.core.renew_if_due(Which::Metadata).await?;
                self.more = page.more && !page.items.is_empty();
                if let Some((last, _)) = page.items.last() {
                    self.scan = self.scan.clone().after(last);
                }
                self.page = page.items.into_iter();
                continue;
            };
            self.bytes += (key.len() + value.len()) as u64;
            if key.len() == self.key_bytes {
                self.head = Some((key, value));
            } else if self.misshapen.len() < MISSHAPEN_MAX {
                self.misshapen.push(key);
            }
        }
        Ok(())
    }
}
