//! What a mount does, from the first byte to files: the everyday path of RFC 8881 over a real socket.

use crate::harness::client::{Client, Connection, at, component, getattr, lookup, mkdir, ok, putfh};
use crate::harness::server::Rig;
use nfs_wire::nfs4::{
    Access4Args, Commit4Args, Create4Args, Createtype4, Dirlist4, Link4Args, NfsFtype4, Readdir4Args, Remove4Args,
    Rename4Args, StableHow4, create_session_flags, result_flags,
};
use nfs_wire::{ArgOp, Attribute, Bitmap4, Fattr4, NfsStat4, Opaque, ResOp};

async fn client(rig: &Rig) -> Client {
    Client::mount(Connection::clear(rig.address).await, "mount test").await
}

async fn names(client: &mut Client, path: &str) -> Vec<String> {
    let (mut cookie, mut all) = (0, Vec::new());
    loop {
        let readdir = Readdir4Args {
            cookie,
            cookieverf: [0; 8],
            dircount: 0,
            maxcount: 1000,
            attr_request: Bitmap4::of(&[Attribute::Fileid, Attribute::Type, Attribute::RdattrError]),
        };
        let results = client.ok([at(path), vec![ArgOp::Readdir(readdir)]].concat()).await;
        let Some(ResOp::Readdir(Ok(page))) = results.last() else { panic!("{results:?}") };
        let Dirlist4 { entries, eof } = &page.reply;
        for entry in entries {
            cookie = entry.cookie;
            all.push(String::from_utf8(entry.name.to_vec()).unwrap());
        }
        if *eof {
            all.sort();
            return all;
        }
    }
}

/// RFC 8881 section 18.36: the session is made, and it is persistent (Architecture section 3, durable replies).
#[tokio::test]
async fn a_client_gets_a_persistent_session_and_the_root() {
    let rig = Rig::start().await;
    let mut client = client(&rig).await;
    assert_eq!(client.flags & create_session_flags::PERSIST, create_session_flags::PERSIST);
    let kind: NfsFtype4 = client.attribute("/", Attribute::Type).await;
    assert_eq!(kind, NfsFtype4::Dir);
    let lease: u32 = client.attribute("/", Attribute::LeaseTime).await;
    assert_eq!(lease, rig.limits.lease_seconds);
    assert_eq!(client.status(vec![ArgOp::Putrootfh(()), ArgOp::Lookupp(())]).await, NfsStat4::Noent);
    let status = rig.server.status();
    assert_eq!(status.clients.len(), 1);
    assert_eq!(status.clients[0].owner, "mount test");
    assert_eq!(status.clients[0].addresses.len(), 1);
}

/// RFC 8881 sections 18.4, 18.13 and 18.23: what is created is found and listed, in pages of any size.
#[tokio::test]
async fn directories_are_made_found_and_listed() {
    let rig = Rig::start().await;
    let mut client = client(&rig).await;
    let mut expected: Vec<String> = (0..60).map(|n| format!("directory {n:03}")).collect();
    for name in &expected {
        client.ok(vec![ArgOp::Putrootfh(()), mkdir(name)]).await;
    }
    expected.sort();
    assert_eq!(names(&mut client, "/").await, expected);
    assert_eq!(client.status(vec![ArgOp::Putrootfh(()), mkdir("directory 000")]).await, NfsStat4::Exist);
    assert_eq!(client.status(at("absent")).await, NfsStat4::Noent);
    let links: u32 = client.attribute("/", Attribute::Numlinks).await;
    assert_eq!(links, 62);
}

/// RFC 8881 sections 18.16, 18.22, 18.32 and 18.2: open, write, read back, close.
#[tokio::test]
async fn a_file_is_written_and_read_back() {
    let rig = Rig::start().await;
    let mut client = client(&rig).await;
    let (handle, opened) = client.open("/", "file").await;
    assert_ne!(opened.rflags & result_flags::PRESERVE_UNLINKED, 0);
    let data: Vec<u8> = (0..700_000_u32).map(|n| (n % 251) as u8).collect();
    client.write(&handle, opened.stateid, 0, &data, StableHow4::Unstable).await;
    client.write(&handle, opened.stateid, 1 << 20, b"end", StableHow4::FileSync).await;
    client.ok(vec![putfh(&handle), ArgOp::Commit(Commit4Args { offset: 0, count: 0 })]).await;
    let (read, eof) = client.read(&handle, opened.stateid, 0, 700_000).await;
    assert!(read == data && !eof);
    let (read, eof) = client.read(&handle, opened.stateid, (1 << 20) - 2, 100).await;
    assert_eq!((&read[..], eof), (&b"\0\0end"[..], true));
    let size: u64 = client.attribute("/file", Attribute::Size).await;
    assert_eq!(size, (1 << 20) + 3);
    client.close(&handle, opened.stateid).await;
    let read = nfs_wire::nfs4::Read4Args { stateid: opened.stateid, offset: 0, count: 1 };
    assert_eq!(client.status(vec![putfh(&handle), ArgOp::Read(read)]).await, NfsStat4::BadStateid);
}

/// RFC 8881 sections 18.9, 18.25 and 18.26: names come, move and go; Architecture section 3: an open file outlives its name.
#[tokio::test]
async fn names_move_and_an_open_file_outlives_its_last_one() {
    let rig = Rig::start().await;
    let mut client = client(&rig).await;
    let (handle, opened) = client.open("/", "one").await;
    client.write(&handle, opened.stateid, 0, b"kept", StableHow4::FileSync).await;
    client.ok(vec![ArgOp::Putrootfh(()), mkdir("sub")]).await;
    let link = ArgOp::Link(Link4Args { newname: component("two") });
    client.ok([at("/one"), vec![ArgOp::Savefh(())], at("/sub"), vec![link]].concat()).await;
    let rename = ArgOp::Rename(Rename4Args { oldname: component("one"), newname: component("three") });
    client.ok([at("/"), vec![ArgOp::Savefh(())], at("/sub"), vec![rename]].concat()).await;
    assert_eq!(names(&mut client, "/sub").await, ["three", "two"]);
    for name in ["two", "three"] {
        client.ok([at("/sub"), vec![ArgOp::Remove(Remove4Args { target: component(name) })]].concat()).await;
    }
    assert_eq!(client.read(&handle, opened.stateid, 0, 10).await.0, "kept");
    client.close(&handle, opened.stateid).await;
    let remove = ArgOp::Remove(Remove4Args { target: component("sub") });
    client.ok(vec![ArgOp::Putrootfh(()), remove]).await;
    assert!(names(&mut client, "/").await.is_empty());
}

/// RFC 8881 sections 18.4 and 18.24: symbolic links keep their text.
#[tokio::test]
async fn a_symbolic_link_keeps_its_target() {
    let rig = Rig::start().await;
    let mut client = client(&rig).await;
    let create = ArgOp::Create(Create4Args {
        objtype: Createtype4::Lnk(Opaque::copied(b"../some where").unwrap()),
        objname: component("link"),
        createattrs: Fattr4::empty(),
    });
    client.ok(vec![ArgOp::Putrootfh(()), create]).await;
    let results = client.ok(vec![ArgOp::Putrootfh(()), lookup("link"), ArgOp::Readlink(())]).await;
    assert_eq!(results[2], ResOp::Readlink(Ok(Opaque::copied(b"../some where").unwrap())));
    assert_eq!(client.status(vec![ArgOp::Putrootfh(()), lookup("link"), lookup("x")]).await, NfsStat4::Symlink);
}

/// RFC 8881 section 18.1: ACCESS says what the mode bits allow to this user.
#[tokio::test]
async fn access_follows_the_mode_bits() {
    let rig = Rig::start().await;
    let mut root = client(&rig).await;
    root.open("/", "file").await;
    let mut connection = Connection::clear(rig.address).await;
    connection.credential = crate::harness::client::sys(1000, 1000);
    let mut user = Client::mount(connection, "user").await;
    let access = ArgOp::Access(Access4Args { access: 0x3f });
    let results = user.ok([at("/file"), vec![access.clone()]].concat()).await;
    let Some(ResOp::Access(Ok(given))) = results.last() else { panic!("{results:?}") };
    assert_eq!((given.supported, given.access), (0x2d, 0x01));
    let unknown = ArgOp::Access(Access4Args { access: 0x40 });
    assert_eq!(user.status([at("/file"), vec![unknown]].concat()).await, NfsStat4::Inval);
    assert_eq!(user.status(vec![ArgOp::Putrootfh(()), mkdir("d")]).await, NfsStat4::Access);
    let results = root.ok([at("/file"), vec![access]].concat()).await;
    let Some(ResOp::Access(Ok(given))) = results.last() else { panic!("{results:?}") };
    assert_eq!(given.access & 0x0d, 0x0d);
}

/// RFC 8881 section 2.10.6.1: a retry on a slot gets the same reply, byte by byte, and does nothing again.
#[tokio::test]
async fn a_retry_gets_the_same_reply() {
    let rig = Rig::start().await;
    let mut client = client(&rig).await;
    let sequence = client.sequence(0, true);
    let operations = vec![sequence, ArgOp::Putrootfh(()), mkdir("once"), getattr(&[Attribute::Change])];
    let first = client.connection.compound(operations.clone()).await;
    let again = client.connection.compound(operations.clone()).await;
    assert_eq!(ok(first), ok(again));
    // Another connection may retry, too. RFC 8881 section 2.10.6.1.
    let mut other = Connection::clear(rig.address).await;
    assert_eq!(other.compound(operations).await.status, NfsStat4::Ok);
}

/// RFC 8881 section 2.10.2: what needs a session says so, and what stands alone stands alone.
#[tokio::test]
async fn operations_keep_their_places() {
    let rig = Rig::start().await;
    let mut client = client(&rig).await;
    let status = |result: nfs_wire::nfs4::Compound4Res| result.status;
    assert_eq!(status(client.connection.compound(vec![ArgOp::Putrootfh(())]).await), NfsStat4::OpNotInSession);
    let second = client.sequence(1, false);
    assert_eq!(client.status(vec![second]).await, NfsStat4::SequencePos);
    assert_eq!(client.status(vec![ArgOp::Getfh(())]).await, NfsStat4::Nofilehandle);
    assert_eq!(client.status(vec![ArgOp::Restorefh(())]).await, NfsStat4::Nofilehandle);
    assert_eq!(client.status(vec![ArgOp::Illegal(7777)]).await, NfsStat4::OpIllegal);
    assert_eq!(client.status(vec![ArgOp::Unsupported(50)]).await, NfsStat4::Notsupp);
}
