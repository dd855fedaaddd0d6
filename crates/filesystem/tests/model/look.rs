//! Looking at everything, and holding it against the model.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use filesystem::{Attributes, FileSystem, FsError, Kind, Node};

use crate::{
    caller::{self, RECORDS, Request},
    content::View,
    rig,
    tree::{Body, Id, Object, ROOT, Tree},
    world::World,
};

/// What somebody saw under one value of an object's change attribute.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Shown {
    mode: u32,
    uid: u32,
    links: u32,
    size: u64,
    content: Option<u64>,
}

impl Shown {
    pub(crate) fn of(attributes: &Attributes) -> Self {
        let Attributes { mode, uid, links, size, .. } = *attributes;
        Self { mode, uid, links, size, content: None }
    }

    pub(crate) fn agrees(&self, object: &Object) -> bool {
        (self.mode, self.uid, self.links) == (object.mode, object.uid, object.links)
    }
}

/// The names in a directory, and the bytes of anything else.
type Inside<'a> = (&'a [(String, u64)], &'a [u8]);

/// One object as it was found.
pub(crate) struct Found {
    node: Node,
    attributes: Attributes,
    names: Vec<(String, u64)>,
    bytes: Vec<u8>,
}

async fn find(fs: &FileSystem, node: Node) -> Result<Found, FsError> {
    let caller = rig::Caller::root();
    let attributes = fs.attributes(&caller.cx(), &node).await?;
    let (mut names, mut bytes) = (Vec::new(), Vec::new());
    match node.kind() {
        Kind::Directory => names = caller::list(fs, &node, &caller.cx(), 3).await?,
        Kind::Regular => bytes = fs.read(&caller.cx(), &node, 0, 64 << 20).await?.data.to_vec(),
        _ => bytes = fs.readlink(&caller.cx(), &node).await?.to_vec(),
    }
    Ok(Found { node, attributes, names, bytes })
}

async fn walk(fs: &FileSystem) -> Result<BTreeMap<u64, Found>, FsError> {
    let mut all = BTreeMap::new();
    let mut stack = vec![fs.root().await?];
    while let Some(node) = stack.pop() {
        let found = find(fs, node.clone()).await?;
        for (name, fileid) in &found.names {
            if !all.contains_key(fileid) {
                stack.push(fs.lookup(&rig::Caller::root().cx(), &node, &rig::name_of(name)).await?);
            }
        }
        all.insert(node.fileid(), found);
    }
    Ok(all)
}

impl World {
    /// Everything that has a name, as the model would have it; and the contents of files.
    pub(crate) async fn look(&mut self) -> (Tree, BTreeMap<Id, Vec<u8>>) {
        let fs = self.fs();
        let all = self.patiently(walk(&fs)).await.unwrap();
        let (mut tree, mut contents) = (Tree { objects: BTreeMap::new(), ..Tree::new() }, BTreeMap::new());
        for found in all.into_values() {
            let id = *self.ids.get(&found.node.fileid()).unwrap_or_else(|| panic!("nobody made {:?}", found.node));
            self.show(&found.attributes, Some((&found.names, &found.bytes)));
            let body = match found.node.kind() {
                Kind::Directory => {
                    let of = |(name, fileid): (String, u64)| (name, self.ids.get(&fileid).copied().unwrap());
                    Body::Directory(found.names.into_iter().map(of).collect())
                }
                Kind::Regular => {
                    contents.insert(id, found.bytes);
                    Body::File
                }
                _ => Body::Symlink(String::from_utf8(found.bytes).unwrap()),
            };
            let Attributes { mode, uid, links, .. } = found.attributes;
            tree.objects.insert(id, Object { body, mode, uid, links });
        }
        (tree, contents)
    }

    /// A value of the change attribute stands for one content (RFC 8881 section 5.8.1.4), crashes included; no
    /// generation comes twice.
    pub(crate) fn show(&mut self, attributes: &Attributes, content: Option<Inside<'_>>) {
        let mut now = Shown::of(attributes);
        if let Some(content) = content {
            let mut hasher = DefaultHasher::new();
            content.hash(&mut hasher);
            now.content = Some(hasher.finish());
        }
        let generation = self.generations.entry(attributes.generation).or_insert(attributes.fileid);
        assert_eq!(*generation, attributes.fileid, "a generation was used twice");
        let before = self.shown.entry((attributes.fileid, attributes.change)).or_insert_with(|| now.clone());
        before.content = before.content.or(now.content);
        now.content = now.content.or(before.content);
        assert_eq!(*before, now, "move {}: one change attribute of {}", self.moves, attributes.fileid);
    }

    /// What everybody sees now is the latest state.
    pub(crate) async fn check_now(&mut self) {
        let now = self.moves;
        let (seen, contents) = self.look().await;
        let latest = self.latest().named();
        assert_eq!(seen.objects, latest.objects, "move {now}: what is there is not the latest state");
        for (id, bytes) in contents {
            let (low, high) = self.contents[&id].sizes(View::Live(now));
            let size = bytes.len() as u64;
            assert!((low..=high).contains(&size), "move {now}: size {size} of {id}, not of {low} to {high}");
            if let Err(why) = self.contents[&id].check(View::Live(now), 0, &bytes) {
                panic!("move {now}: {id} holds {why}");
            }
        }
    }

    async fn stored_replies(&self) -> BTreeMap<usize, u32> {
        let (fs, mut found) = (self.fs(), BTreeMap::new());
        for (caller, state) in self.callers.iter().enumerate() {
            for sequence in 1..=state.sequence {
                let request = Request { caller, sequence, reply: true };
                if let Some(reply) = self.patiently(fs.stored_reply(&request.key())).await.unwrap() {
                    assert_eq!(reply, request.reply_bytes(), "a stored reply of another request");
                    found.insert(caller, sequence);
                }
            }
        }
        found
    }

    /// What a crash has left is a state between two operations, with everything acknowledged. The model goes on with it.
    pub(crate) async fn check_recovered(&mut self) {
        let moves = self.moves;
        let (seen, mut contents) = self.look().await;
        let replies = self.stored_replies().await;
        let kept = self.find_kept().await;
        crate::event(|| format!("of {:?} without names there are {:?}", self.kept, kept.keys()));
        let agrees = |place: &usize| {
            let tree = &self.history[*place].tree;
            let orphans = tree.orphans();
            let mut orphans = orphans.intersection(&self.kept);
            let is_found = |id: &Id| kept.get(id).is_some_and(|(_, shown)| shown.agrees(&tree.objects[id]));
            tree.named().objects == seen.objects && tree.replies == replies && orphans.all(is_found)
        };
        let Some(place) = (self.floor..self.history.len()).rev().find(agrees) else {
            let earlier = (0..self.floor).rev().find(agrees).map(|place| self.floor - place);
            let mut unlike: Vec<String> = Vec::new();
            for state in &self.history[self.floor..] {
                let tree = state.tree.named();
                let ids = tree.objects.keys().chain(seen.objects.keys());
                let unlike_ids: BTreeSet<_> = ids.filter(|id| tree.objects.get(*id) != seen.objects.get(*id)).collect();
                let of = |id| (id, tree.objects.get(id), seen.objects.get(id));
                let objects: Vec<_> = unlike_ids.into_iter().map(of).take(3).collect();
                unlike.push(format!("of move {}: {objects:?}, replies {:?}", state.at, tree.replies));
            }
            panic!(
                "move {moves}: after a crash there is no state that may be, but one {earlier:?} before the \
                 acknowledged one; replies {replies:?}; unlike the states {unlike:#?}"
            );
        };
        let mut tree = self.history.swap_remove(place).tree;
        for id in tree.orphans() {
            match kept.get(&id) {
                Some((bytes, _)) => drop(contents.insert(id, bytes.clone())),
                None => drop(tree.objects.remove(&id)),
            }
        }
        for (id, bytes) in &contents {
            if let Err(why) = self.contents[id].check_crash(bytes) {
                panic!("move {moves}: after a crash {id} holds {why}");
            }
        }
        self.check_records().await;
        self.kept.retain(|id| tree.objects.contains_key(id));
        self.contents.retain(|id, _| contents.contains_key(id));
        for (id, bytes) in contents {
            let content = self.contents.get_mut(&id).unwrap();
            content.base = bytes;
            content.log.clear();
        }
        self.history = vec![crate::world::State { tree, at: moves }];
        self.floor = 0;
    }

    /// Contents and attributes of those files without names that must still be there, as far as they are.
    async fn find_kept(&self) -> BTreeMap<Id, (Vec<u8>, Shown)> {
        let (fs, mut kept) = (self.fs(), BTreeMap::new());
        for id in &self.kept {
            let handle = self.handles[id];
            let found = self.patiently(async { find(&fs, fs.resolve(handle.bytes()).await?).await }).await;
            match found {
                Ok(found) if found.attributes.links == 0 => {
                    kept.insert(*id, (found.bytes, Shown::of(&found.attributes)));
                }
                Ok(_) | Err(FsError::Stale) => {}
                Err(error) => panic!("move {}: open file {id} cannot be read: {error}", self.moves),
            }
        }
        kept
    }

    /// Each recovery record is the acknowledged one, or one that came after it.
    async fn check_records(&mut self) {
        let fs = self.fs();
        let found = self.patiently(fs.list_records(RECORDS)).await.unwrap();
        for (caller, possible) in &mut self.records {
            let value = found.iter().find(|(key, _)| key[..] == [*caller as u8; 4]);
            let value = value.map(|(_, value)| u64::from_be_bytes(value[..].try_into().unwrap()));
            assert!(possible.contains(&value), "the record of {caller} is {value:?} of {possible:?}");
            *possible = vec![value];
        }
    }

    /// As many objects as the model has: nothing is left of what nobody can reach.
    pub(crate) async fn check_space(&mut self) {
        let named = self.latest().named().objects;
        let nameless = self.held.keys().filter(|id| !named.contains_key(id)).count();
        // Who opened a file that was about to go may or may not have it.
        let opened: BTreeSet<Id> = self.callers.iter().flat_map(|caller| &caller.holds).map(|(id, _)| *id).collect();
        let perhaps = opened.iter().filter(|id| !named.contains_key(id) && !self.held.contains_key(id)).count();
        let least = (named.len() + nameless) as u64;
        let expected = least..=least + perhaps as u64;
        let fs = self.fs();
        let reaped = async {
            for _ in 0..600 {
                if expected.contains(&fs.statistics().objects) {
                    return true;
                }
                self.env.sleep(std::time::Duration::from_millis(100)).await;
            }
            false
        };
        let reaped = self.patiently(reaped).await;
        let (moves, objects, held) = (self.moves, fs.statistics().objects, &self.held);
        assert!(reaped, "move {moves}: {objects} objects, not {expected:?}; held are {held:?} of {:?}", self.latest());
    }

    /// Removes every name, deepest first.
    pub(crate) async fn remove_all(&mut self) {
        let fs = self.fs();
        let remove = async {
            let caller = rig::Caller::root();
            let mut order = vec![fs.root().await?];
            let mut at = 0;
            let mut names = Vec::new();
            while at < order.len() {
                let node = order[at].clone();
                at += 1;
                for (name, _) in caller::list(&fs, &node, &caller.cx(), 100).await? {
                    let child = fs.lookup(&caller.cx(), &node, &rig::name_of(&name)).await?;
                    if child.kind() == Kind::Directory {
                        order.push(child);
                    }
                    names.push((node.clone(), name));
                }
            }
            for (node, name) in names.into_iter().rev() {
                fs.remove(&caller.cx(), &node, &rig::name_of(&name), filesystem::RemoveWhat::Any).await?;
            }
            fs.durable(&caller.watermark).await
        };
        self.patiently(remove).await.unwrap();
        let root = self.latest().objects[&ROOT].clone();
        let root = Object { body: Body::Directory(BTreeMap::new()), links: 2, ..root };
        let tree = Tree { objects: BTreeMap::from([(ROOT, root)]), ..self.latest().clone() };
        self.history.push(crate::world::State { tree, at: self.moves });
    }
}
