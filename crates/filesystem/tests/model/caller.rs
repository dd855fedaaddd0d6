//! One step of one caller against the file system: the operation, its stored reply, and the wait until it is durable.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use bytes::Bytes;
use filesystem::{
    Attributes, Context, FileHandle, FileSystem, FsError, NewObject, Node, OpenHold, RemoveWhat, ReplyKey,
    SetAttributes, Stability,
};

use crate::{
    content::What,
    pattern,
    rig::{self, name_of},
    steps::Step,
    tree::{Body, Change, Id},
};

pub(crate) type Handles = BTreeMap<Id, FileHandle>;

/// The kind of the records that callers keep.
pub(crate) const RECORDS: u8 = 1;

/// What the operation said.
#[derive(Debug)]
pub(crate) enum Answer {
    Done,
    Made(Node),
    Verifier([u8; 8]),
    Data(Vec<u8>, bool),
    Attributes(Box<Attributes>),
    Names(Vec<(String, u64)>),
    Found(u64),
}

/// What has come back so far: from the operation, and from the wait.
#[derive(Default)]
pub(crate) struct Progress {
    pub(crate) first: Option<Result<Answer, FsError>>,
    pub(crate) second: Option<Result<(), FsError>>,
    pub(crate) hold: Option<OpenHold>,
}

/// Who calls, and for which of its requests; one with a reply stores it.
#[derive(Clone, Copy)]
pub(crate) struct Request {
    pub(crate) caller: usize,
    pub(crate) sequence: u32,
    pub(crate) reply: bool,
}

impl Request {
    pub(crate) fn key(&self) -> ReplyKey {
        ReplyKey { session: [self.caller as u8 + 1; 16], slot: 0, sequence: self.sequence }
    }

    pub(crate) fn reply_bytes(&self) -> Vec<u8> {
        pattern::bytes(u64::from(self.sequence), self.caller as u64, 40)
    }
}

pub(crate) async fn perform(
    fs: FileSystem,
    handles: Rc<Handles>,
    step: Step,
    request: Request,
    progress: Rc<RefCell<Progress>>,
) {
    let caller = rig::Caller::root();
    let hold = request.reply.then(|| fs.hold_reply(request.key()));
    let first = {
        let cx = Context { reply: hold.as_ref(), ..caller.cx() };
        operation(&fs, &handles, &step, (&cx, request.caller), &progress).await
    };
    if let Some(hold) = hold
        && first.is_ok()
    {
        hold.finish(Bytes::from(request.reply_bytes()), &caller.watermark);
    }
    progress.borrow_mut().first = Some(first);
    // An error is an answer too: it may come from what a crash could take back.
    let second = fs.durable(&caller.watermark).await;
    progress.borrow_mut().second = Some(second);
}

async fn node(fs: &FileSystem, handles: &Handles, id: Id) -> Result<Node, FsError> {
    fs.resolve(handles[&id].bytes()).await
}

async fn operation(
    fs: &FileSystem,
    handles: &Handles,
    step: &Step,
    (cx, caller): (&Context<'_>, usize),
    progress: &RefCell<Progress>,
) -> Result<Answer, FsError> {
    match step {
        Step::Change(change) => apply(fs, handles, change, cx).await,
        Step::Write { id, what, pattern, stable } => {
            let node = node(fs, handles, *id).await?;
            write(fs, &node, *what, (*pattern, *stable), cx).await?;
            Ok(Answer::Verifier(fs.write_verifier()))
        }
        Step::Commit(id) => {
            let node = node(fs, handles, *id).await?;
            fs.commit(cx, &node, 0, 0).await.map(Answer::Verifier)
        }
        Step::Read { id, offset, count } => {
            let node = node(fs, handles, *id).await?;
            let read = fs.read(cx, &node, *offset, *count).await?;
            Ok(Answer::Data(read.data.to_vec(), read.eof))
        }
        Step::Look(id) => {
            let node = node(fs, handles, *id).await?;
            fs.attributes(cx, &node).await.map(|attributes| Answer::Attributes(Box::new(attributes)))
        }
        Step::Lookup { parent, name } => {
            let parent = node(fs, handles, *parent).await?;
            fs.lookup(cx, &parent, &name_of(name)).await.map(|node| Answer::Found(node.fileid()))
        }
        Step::List(id) => {
            let node = node(fs, handles, *id).await?;
            list(fs, &node, cx, 2).await.map(Answer::Names)
        }
        Step::Open(id) => {
            let node = node(fs, handles, *id).await?;
            progress.borrow_mut().hold = Some(fs.hold_open(&node));
            Ok(Answer::Done)
        }
        // The hold is the driver's to drop.
        Step::Close => Ok(Answer::Done),
        Step::Reclaim => fs.reclaim().await.map(|()| Answer::Done),
        Step::Record(value) => {
            let key = [caller as u8; 4];
            match value {
                Some(value) => fs.put_record(RECORDS, &key, &value.to_be_bytes()).await?,
                None => fs.delete_record(RECORDS, &key).await?,
            }
            Ok(Answer::Done)
        }
    }
}

async fn apply(fs: &FileSystem, handles: &Handles, change: &Change, cx: &Context<'_>) -> Result<Answer, FsError> {
    let set = SetAttributes::default();
    match change {
        Change::Make { parent, name, body, .. } => {
            let what = match body {
                Body::Directory(_) => NewObject::Directory,
                Body::File => NewObject::Regular,
                Body::Symlink(to) => NewObject::Symlink(Bytes::copy_from_slice(to.as_bytes())),
            };
            let parent = node(fs, handles, *parent).await?;
            let made = fs.create_object(cx, &parent, &name_of(name), what, &set).await?;
            return Ok(Answer::Made(made.node));
        }
        Change::Remove { parent, name } => {
            let parent = node(fs, handles, *parent).await?;
            fs.remove(cx, &parent, &name_of(name), RemoveWhat::Any).await?;
        }
        Change::Rename { from, old, to, new } => {
            let (from, to) = (node(fs, handles, *from).await?, node(fs, handles, *to).await?);
            fs.rename(cx, &from, &name_of(old), &to, &name_of(new)).await?;
        }
        Change::Link { id, parent, name } => {
            let (node, parent) = (node(fs, handles, *id).await?, node(fs, handles, *parent).await?);
            fs.link(cx, &node, &parent, &name_of(name)).await?;
        }
        Change::Set { id, mode, uid } => {
            let node = node(fs, handles, *id).await?;
            let set = SetAttributes { mode: Some(*mode), uid: Some(*uid), ..set };
            fs.set_attributes(cx, &node, &set, false).await?;
        }
        Change::Truncate { id, size } => {
            let node = node(fs, handles, *id).await?;
            fs.set_attributes(cx, &node, &SetAttributes { size: Some(*size), ..set }, false).await?;
        }
    }
    Ok(Answer::Done)
}

async fn write(
    fs: &FileSystem,
    node: &Node,
    what: What,
    (pattern, stable): (u64, bool),
    cx: &Context<'_>,
) -> Result<(), FsError> {
    let What::Write { offset, length, stride, count } = what else { panic!("a truncation is a change") };
    let stability = if stable { Stability::FileSync } else { Stability::Unstable };
    for run in 0..count {
        let at = offset + run * stride;
        let data = Bytes::from(pattern::bytes(pattern, at, length as usize));
        fs.write(cx, node, at, data, stability).await?;
    }
    Ok(())
}

/// All names and whose they are, in pages of `page`.
pub(crate) async fn list(
    fs: &FileSystem,
    node: &Node,
    cx: &Context<'_>,
    page: usize,
) -> Result<Vec<(String, u64)>, FsError> {
    let (mut names, mut cookie) = (Vec::new(), 0);
    loop {
        let listed = fs.read_directory(cx, node, cookie, page, 1 << 20, page == 2).await?;
        for entry in &listed.entries {
            assert!(entry.cookie > cookie && entry.cookie >= 3, "cookies grow");
            cookie = entry.cookie;
            names.push((String::from_utf8(entry.name.to_vec()).unwrap(), entry.fileid));
        }
        if listed.eof {
            return Ok(names);
        }
    }
}
