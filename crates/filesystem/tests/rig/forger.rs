//! Somebody who has the keys and may write the store: changes records so that they still open, as a fault of the server
//! would, or so that they do not, as a disk does. Written from docs/on-disk-format.md, not from the sources.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "each test uses a part of it; a test may panic"
)]

use bytes::Bytes;
use crypto::{Key, Label, Prf};
use storage::{Batch, Keyspace, Scan};

use super::Rig;

const ID: &[u8] = b"fs-0123456789abcdef0";
const HEAD: usize = 1 + 4 + 16 + 4;

/// Where fields are in an inode record.
pub const LINKS: usize = 28;
pub const MAPPED: usize = 40;
pub const PARENT: usize = 104;
pub const ENTRIES: usize = 114;
pub const SET_HASH: usize = 122;
pub const NAME_BYTES: usize = 138;

pub type Records = Vec<(Bytes, Bytes)>;

/// The key of a record of one number.
pub fn key_of(class: u8, number: u64) -> Bytes {
    let mut key = vec![class];
    key.extend_from_slice(&number.to_be_bytes());
    key.into()
}

fn metadata_key() -> Key {
    Key::take(&mut [2; 32]).unwrap()
}

fn aad(key: &[u8]) -> Vec<u8> {
    let mut aad = vec![u8::try_from(ID.len()).unwrap()];
    aad.extend_from_slice(ID);
    aad.push(b'r');
    aad.extend_from_slice(&1_u32.to_be_bytes());
    aad.extend_from_slice(key);
    aad
}

pub fn seal(rig: &Rig, key: &[u8], record: &[u8]) -> Bytes {
    let salt: [u8; 16] = rig.env.random();
    let mut sealed = vec![1];
    sealed.extend_from_slice(&1_u32.to_be_bytes());
    sealed.extend_from_slice(&salt);
    sealed.extend_from_slice(&0_u32.to_be_bytes());
    sealed.extend_from_slice(record);
    let subkey = metadata_key().subkey(Label::new("filesystem/record"), &salt);
    let tag = subkey.seal_in_place(0, &aad(key), &mut sealed[HEAD..]);
    sealed.extend_from_slice(&tag);
    sealed.into()
}

pub fn open(key: &[u8], sealed: &[u8]) -> Vec<u8> {
    let salt = sealed[5..21].try_into().unwrap();
    let counter = u32::from_be_bytes(sealed[21..25].try_into().unwrap());
    let (body, tag) = sealed[HEAD..].split_last_chunk().unwrap();
    let mut record = vec![0; body.len()];
    let subkey = metadata_key().subkey(Label::new("filesystem/record"), &salt);
    subkey.open_into(u64::from(counter), &aad(key), body, tag, &mut record).unwrap();
    record
}

/// All stored records of a keyspace.
pub async fn stored(rig: &Rig, keyspace: Keyspace, prefix: &[u8]) -> Records {
    let (shard, _) = rig.memory.open();
    let mut scan = Scan::prefix(keyspace, prefix);
    let mut all = Vec::new();
    loop {
        let page = shard.scan(scan.clone()).await.unwrap();
        all.extend(page.items.clone());
        match page.items.last() {
            Some((last, _)) if page.more => scan = scan.after(last),
            _ => return all,
        }
    }
}

/// Stores a value as it is, or removes it.
pub async fn store(rig: &Rig, keyspace: Keyspace, key: &[u8], value: Option<Bytes>) {
    let (shard, _) = rig.memory.open();
    let mut batch = Batch::new(u128::from(u64::from_be_bytes(rig.env.random())));
    match value {
        Some(value) => batch.put(keyspace, Bytes::copy_from_slice(key), value),
        None => batch.delete(keyspace, Bytes::copy_from_slice(key)),
    }
    shard.commit(batch).await.unwrap();
}

/// Seals a record and stores it.
pub async fn write(rig: &Rig, key: &[u8], record: &[u8]) {
    store(rig, Keyspace::Records, key, Some(seal(rig, key, record))).await;
}

/// A record, opened.
pub async fn read(rig: &Rig, key: &[u8]) -> Vec<u8> {
    let (shard, _) = rig.memory.open();
    open(key, &shard.get(Keyspace::Records, key).await.unwrap().unwrap())
}

/// Flips a bit of a stored value.
pub async fn flip(rig: &Rig, key: &[u8]) {
    let (shard, _) = rig.memory.open();
    let mut value = shard.get(Keyspace::Records, key).await.unwrap().unwrap().to_vec();
    *value.last_mut().unwrap() ^= 1;
    store(rig, Keyspace::Records, key, Some(value.into())).await;
}

/// The function of set-hashes, from the superblock's name key.
async fn sets(rig: &Rig) -> Prf {
    let mut superblock = read(rig, b"S").await;
    let key = Key::take(&mut superblock[1..33]).unwrap();
    Prf::new(key.derive("filesystem/set-hash", &[]))
}

/// Changes an inode record, or removes it, and the sum over all inodes with it, as the server would.
pub async fn forge_inode(rig: &Rig, fileid: u64, change: impl FnOnce(&mut Vec<u8>) -> bool) {
    let key = key_of(b'I', fileid);
    let sets = sets(rig).await;
    let hash = |record: &[u8]| u128::from_be_bytes(sets.mac16_of(&[b"i", record]));
    let mut record = read(rig, &key).await;
    let mut usage = read(rig, b"U").await;
    let sum = u128::from_be_bytes(usage[17..33].try_into().unwrap()).wrapping_sub(hash(&record));
    let sum = if change(&mut record) {
        write(rig, &key, &record).await;
        sum.wrapping_add(hash(&record))
    } else {
        store(rig, Keyspace::Records, &key, None).await;
        sum
    };
    usage[17..33].copy_from_slice(&sum.to_be_bytes());
    write(rig, b"U", &usage).await;
}

/// Removes the entry that leads to an object, and changes its directory's record as the server would.
pub async fn forget_entry(rig: &Rig, directory: u64, fileid: u64) {
    let sets = sets(rig).await;
    for (key, value) in stored(rig, Keyspace::Records, &key_of(b'D', directory)).await {
        let record = open(&key, &value);
        if record[1] != 0 || record[4..12] != fileid.to_be_bytes() {
            continue;
        }
        let name = &record[12..];
        let head = [b"e", &key[1..9], &key[9..17], &record[4..12], &record[2..3]].concat();
        let hash = u128::from_be_bytes(sets.mac16_of(&[&head, name]));
        let bytes = name.len() as u64;
        store(rig, Keyspace::Records, &key, None).await;
        forge_inode(rig, directory, |inode| {
            let sum = u128::from_be_bytes(inode[SET_HASH..SET_HASH + 16].try_into().unwrap());
            inode[SET_HASH..SET_HASH + 16].copy_from_slice(&sum.wrapping_sub(hash).to_be_bytes());
            add(inode, ENTRIES, 1_u64.wrapping_neg());
            add(inode, NAME_BYTES, bytes.wrapping_neg());
            true
        })
        .await;
    }
}

/// Adds to a number of eight bytes.
pub fn add(record: &mut [u8], at: usize, difference: u64) {
    let value = u64::from_be_bytes(record[at..at + 8].try_into().unwrap());
    record[at..at + 8].copy_from_slice(&value.wrapping_add(difference).to_be_bytes());
}
