//! What happened to the files below a directory, in order, and what the workload knew at each moment.

use std::{fs, io::Write as _, path::Path, sync::Arc};

use serde::{Deserialize, Serialize};

/// A file or directory; numbers are never used twice in a log. The directory that is watched is [`ROOT`].
pub(crate) type Node = u32;

/// The watched directory itself.
pub(crate) const ROOT: Node = 0;

/// One step of a log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Event {
    /// A new, empty file, or a directory, without a name yet.
    New { node: Node, directory: bool },
    /// A name in a directory begins to mean a node.
    Bind { directory: Node, name: String, node: Node },
    /// A name in a directory goes.
    Unbind { directory: Node, name: String },
    /// Bytes of a file.
    Write { file: Node, at: u64, bytes: Data },
    /// A new length of a file; what is cut off is gone, what is added is zeros.
    SetLength { file: Node, length: u64 },
    /// fsync or fdatasync of a file came back.
    SyncFile { file: Node },
    /// fsync of a directory came back.
    SyncDirectory { directory: Node },
    /// The workload says something.
    Note(Note),
}

/// What the workload says, before it begins something or after it heard that it is done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Note {
    /// Everything before was there, durable, when the log began; this is what the shard holds.
    Begin { created: bool, batch: u64, records: Vec<Change>, places: Vec<([u8; 20], Value)> },
    /// The shard was made.
    Created,
    /// A batch is given to the shard; batches are numbered from 1 in the order of the calls.
    Submitted { changes: Vec<Change> },
    /// The shard said that this batch is durable.
    Committed { batch: u64 },
    /// The shard said that this is durable.
    Put { place: [u8; 20], value: Value },
    /// A segment is about to be deleted: nobody needs it.
    Deleting { segment: u64 },
}

/// A record (of the keyspace for inline contents or not) gets a value or goes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Change {
    pub(crate) inline: bool,
    pub(crate) key: String,
    pub(crate) value: Option<Value>,
}

/// Contents, by what they are made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Value {
    pub(crate) seed: u64,
    pub(crate) length: u32,
}

impl Value {
    /// The contents: no two values that the tests use agree in a longer run of bytes.
    pub(crate) fn bytes(self) -> Vec<u8> {
        let length = usize::try_from(self.length).unwrap();
        let mut random = crate::random::Random::new(self.seed);
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            bytes.extend_from_slice(&random.next().to_le_bytes());
        }
        bytes.truncate(length);
        bytes
    }
}

/// Bytes that clones share; hexadecimal in a log that is kept.
#[derive(Clone, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(crate) struct Data(pub(crate) Arc<[u8]>);

impl std::fmt::Debug for Data {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} bytes", self.0.len())
    }
}

impl From<Data> for String {
    fn from(data: Data) -> Self {
        let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap();
        data.0.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
    }
}

impl TryFrom<String> for Data {
    type Error = std::num::ParseIntError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        (0..text.len() / 2)
            .map(|nth| u8::from_str_radix(&text[2 * nth..2 * nth + 2], 16))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

/// Keeps a log, one event a line, so that a cut of it can be made again.
pub(crate) fn keep(path: &Path, events: &[Event]) {
    let mut file = std::io::BufWriter::new(fs::File::create(path).unwrap());
    for event in events {
        serde_json::to_writer(&mut file, event).unwrap();
        file.write_all(b"\n").unwrap();
    }
    file.flush().unwrap();
}

/// Reads a log that was kept.
pub(crate) fn read(path: &Path) -> Vec<Event> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
