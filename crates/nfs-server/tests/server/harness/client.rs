//! A small NFSv4.1 client: one connection, one session, compounds by hand.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use nfs_wire::nfs4::{
    self, ChannelAttrs4, ClientOwner4, Close4Args, Component4, Compound4Args, Compound4Res, CreateSession4Args,
    Createhow4, ExchangeId4Args, Getattr4Args, Lookup4Args, NfsFh4, Open4Args, Open4Resok, OpenClaim4, Openflag4,
    Putfh4Args, Read4Args, ReclaimComplete4Args, Sequence4Args, SessionId4, StableHow4, StateOwner4, StateProtect4A,
    Stateid4, Write4Args, share,
};
use nfs_wire::rpc::{Accepted, Call, Credential, Outcome, RecordMark, ReplyHeader};
use nfs_wire::xdr::{Decoder, Encoder, Xdr};
use nfs_wire::{ArgOp, Attribute, Bitmap4, Fattr4, List, NfsStat4, Opaque, Payload, ResOp};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A connection.
pub struct Connection {
    pub stream: Box<dyn Stream>,
    pub xid: u32,
    pub credential: Credential,
}

/// AUTH_SYS with this user and group.
pub fn sys(uid: u32, gid: u32) -> Credential {
    Credential::Sys(nfs4::AuthsysParms { stamp: 0, machinename: Opaque::default(), uid, gid, gids: List::empty() })
}

impl Connection {
    /// In the clear.
    pub async fn clear(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: Box::new(stream), xid: 1, credential: sys(0, 0) }
    }

    /// Over TLS, with a client certificate if there is one.
    pub async fn tls(
        address: SocketAddr,
        root: &CertificateDer<'static>,
        identity: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>,
    ) -> std::io::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(root.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => builder.with_client_auth_cert(vec![certificate], key).unwrap(),
        };
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(super::server::NAME).unwrap();
        let stream = connector.connect(name, stream).await?;
        Ok(Self { stream: Box::new(stream), xid: 1, credential: sys(0, 0) })
    }

    /// Sends one record.
    pub async fn send(&mut self, body: &[u8]) -> std::io::Result<()> {
        let mark = RecordMark::whole(u32::try_from(body.len()).unwrap()).to_wire();
        self.stream.write_all(&[&mark, body].concat()).await?;
        self.stream.flush().await
    }

    /// Receives one record.
    pub async fn receive(&mut self) -> std::io::Result<Bytes> {
        let mut mark = [0; 4];
        self.stream.read_exact(&mut mark).await?;
        let mark = RecordMark::from_wire(mark);
        assert!(mark.last, "replies are one fragment");
        let mut body = vec![0; mark.bytes as usize];
        self.stream.read_exact(&mut body).await?;
        Ok(body.into())
    }

    /// The record of a call.
    pub fn encode(&mut self, program: u32, version: u32, procedure: u32, args: impl FnOnce(&mut Encoder)) -> Bytes {
        self.xid += 1;
        let mut encoder = Encoder::new();
        Call { xid: self.xid, program, version, procedure, credential: self.credential.clone() }.encode(&mut encoder);
        args(&mut encoder);
        encoder.into_bytes()
    }

    /// Calls a procedure; the rest of the reply behind its header.
    pub async fn call(
        &mut self,
        program: u32,
        version: u32,
        procedure: u32,
        args: impl FnOnce(&mut Encoder),
    ) -> std::io::Result<(Outcome, Decoder)> {
        let record = self.encode(program, version, procedure, args);
        self.send(&record).await?;
        let mut decoder = Decoder::new(self.receive().await?);
        let header = ReplyHeader::decode(&mut decoder).unwrap();
        assert_eq!(header.xid, self.xid);
        Ok((header.outcome, decoder))
    }

    /// Sends a COMPOUND as it is.
    pub async fn compound_args(&mut self, args: &Compound4Args) -> std::io::Result<Compound4Res> {
        let (outcome, mut rest) =
            self.call(nfs4::PROGRAM, nfs4::VERSION, nfs4::PROCEDURE_COMPOUND, |encoder| args.encode(encoder)).await?;
        assert_eq!(outcome, Outcome::Accepted(Accepted::Success));
        let result = Compound4Res::decode(&mut rest).unwrap();
        rest.finish().unwrap();
        Ok(result)
    }

    /// Sends a COMPOUND of these operations.
    pub async fn compound(&mut self, operations: Vec<ArgOp>) -> Compound4Res {
        self.compound_args(&Compound4Args::new(Opaque::default(), operations)).await.unwrap()
    }
}

/// A client with a session.
pub struct Client {
    pub connection: Connection,
    pub owner: &'static str,
    pub verifier: [u8; 8],
    pub clientid: u64,
    pub server_owner: Vec<u8>,
    pub session: SessionId4,
    pub flags: u32,
    pub slots: Vec<u32>,
    /// What the session is asked for.
    pub channel: ChannelAttrs4,
}

fn channel() -> ChannelAttrs4 {
    ChannelAttrs4 {
        headerpadsize: 0,
        maxrequestsize: 1 << 21,
        maxresponsesize: 1 << 21,
        maxresponsesize_cached: 4096,
        maxoperations: 32,
        maxrequests: 16,
        rdma_ird: List::empty(),
    }
}

/// The first open failure of a compound is a failure of the test.
pub fn ok(result: Compound4Res) -> Vec<ResOp> {
    assert_eq!(result.status, NfsStat4::Ok, "{:?}", result.resarray);
    result.resarray
}

impl Client {
    /// EXCHANGE_ID, CREATE_SESSION and RECLAIM_COMPLETE.
    pub async fn mount(connection: Connection, owner: &'static str) -> Self {
        let mut client = Self::identify(connection, owner, *b"verifier").await;
        client.reclaim_complete().await;
        client
    }

    /// EXCHANGE_ID and CREATE_SESSION.
    pub async fn identify(connection: Connection, owner: &'static str, verifier: [u8; 8]) -> Self {
        let mut client = Self {
            connection,
            owner,
            verifier,
            clientid: 0,
            server_owner: Vec::new(),
            session: [0; 16],
            flags: 0,
            slots: vec![0; 16],
            channel: channel(),
        };
        client.renew_identity().await;
        client
    }

    /// EXCHANGE_ID and CREATE_SESSION once more, as after a restart of the server.
    pub async fn renew_identity(&mut self) {
        let exchange = ExchangeId4Args {
            clientowner: ClientOwner4 {
                verifier: self.verifier,
                ownerid: Opaque::copied(self.owner.as_bytes()).unwrap(),
            },
            flags: 0,
            state_protect: StateProtect4A::None,
            client_impl_id: List::empty(),
        };
        let mut results = ok(self.connection.compound(vec![ArgOp::ExchangeId(exchange)]).await);
        let Some(ResOp::ExchangeId(Ok(known))) = results.pop() else { panic!("no EXCHANGE_ID") };
        self.clientid = known.clientid;
        self.server_owner = known.server_owner.major_id.to_vec();
        let create = CreateSession4Args {
            clientid: known.clientid,
            sequence: known.sequenceid,
            flags: nfs4::create_session_flags::PERSIST,
            fore_chan_attrs: self.channel.clone(),
            back_chan_attrs: channel(),
            cb_program: 0x4000_0000,
            sec_parms: List::empty(),
        };
        let mut results = ok(self.connection.compound(vec![ArgOp::CreateSession(create)]).await);
        let Some(ResOp::CreateSession(Ok(created))) = results.pop() else { panic!("no CREATE_SESSION") };
        self.session = created.sessionid;
        self.flags = created.flags;
        self.slots.fill(0);
    }

    pub async fn reclaim_complete(&mut self) {
        self.ok(vec![ArgOp::ReclaimComplete(ReclaimComplete4Args { one_fs: false })]).await;
    }

    /// SEQUENCE for the next request on a slot.
    pub fn sequence(&mut self, slot: u32, cachethis: bool) -> ArgOp {
        let sequence = &mut self.slots[slot as usize];
        *sequence += 1;
        ArgOp::Sequence(Sequence4Args {
            sessionid: self.session,
            sequenceid: *sequence,
            slotid: slot,
            highest_slotid: slot,
            cachethis,
        })
    }

    /// A compound on slot 0, SEQUENCE put before it; SEQUENCE's own result is taken off.
    pub async fn call(&mut self, operations: Vec<ArgOp>) -> Compound4Res {
        let sequence = self.sequence(0, false);
        let mut result = self.connection.compound([vec![sequence], operations].concat()).await;
        if !result.resarray.is_empty() {
            result.resarray.remove(0);
        }
        result
    }

    /// The same; a failure is a failure of the test.
    pub async fn ok(&mut self, operations: Vec<ArgOp>) -> Vec<ResOp> {
        ok(self.call(operations).await)
    }

    /// The status of a compound that should fail.
    pub async fn status(&mut self, operations: Vec<ArgOp>) -> NfsStat4 {
        self.call(operations).await.status
    }

    /// The handle of a path from the root.
    pub async fn lookup(&mut self, path: &str) -> NfsFh4 {
        let mut operations = at(path);
        operations.push(ArgOp::Getfh(()));
        match self.ok(operations).await.pop() {
            Some(ResOp::Getfh(Ok(handle))) => handle,
            other => panic!("{other:?}"),
        }
    }

    /// One attribute of the object at a path, decoded.
    pub async fn attribute<T: Xdr>(&mut self, path: &str, attribute: Attribute) -> T {
        let mut operations = at(path);
        operations.push(getattr(&[attribute]));
        match self.ok(operations).await.pop() {
            Some(ResOp::Getattr(Ok(attributes))) => T::decode(&mut attributes.values()).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// Opens a file for reading and writing; made if it is missing.
    pub async fn open(&mut self, directory: &str, name: &str) -> (NfsFh4, Open4Resok) {
        let how = Openflag4::Create(Createhow4::Unchecked(mode(0o644)));
        let operations = [at(directory), vec![self.open_op(name, how), ArgOp::Getfh(())]].concat();
        let mut results = self.ok(operations).await;
        match (results.pop(), results.pop()) {
            (Some(ResOp::Getfh(Ok(handle))), Some(ResOp::Open(Ok(opened)))) => (handle, opened),
            other => panic!("{other:?}"),
        }
    }

    pub fn open_op(&self, name: &str, openhow: Openflag4) -> ArgOp {
        ArgOp::Open(Open4Args {
            seqid: 0,
            share_access: share::ACCESS_BOTH,
            share_deny: share::DENY_NONE,
            owner: StateOwner4 { clientid: self.clientid, owner: Opaque::copied(b"open owner").unwrap() },
            openhow,
            claim: OpenClaim4::Null(component(name)),
        })
    }

    pub async fn write(&mut self, handle: &NfsFh4, stateid: Stateid4, offset: u64, data: &[u8], stable: StableHow4) {
        let write = Write4Args { stateid, offset, stable, data: Payload(Bytes::copy_from_slice(data)) };
        let mut results = self.ok(vec![putfh(handle), ArgOp::Write(write)]).await;
        match results.pop() {
            Some(ResOp::Write(Ok(written))) => assert_eq!(written.count as usize, data.len()),
            other => panic!("{other:?}"),
        }
    }

    pub async fn read(&mut self, handle: &NfsFh4, stateid: Stateid4, offset: u64, count: u32) -> (Bytes, bool) {
        let read = ArgOp::Read(Read4Args { stateid, offset, count });
        match self.ok(vec![putfh(handle), read]).await.pop() {
            Some(ResOp::Read(Ok(read))) => (read.data.0, read.eof),
            other => panic!("{other:?}"),
        }
    }

    /// DESTROY_SESSION and DESTROY_CLIENTID, as an unmount does.
    pub async fn unmount(mut self) {
        let session = nfs4::DestroySession4Args { sessionid: self.session };
        ok(self.connection.compound(vec![ArgOp::DestroySession(session)]).await);
        let client = nfs4::DestroyClientid4Args { clientid: self.clientid };
        ok(self.connection.compound(vec![ArgOp::DestroyClientid(client)]).await);
    }

    pub async fn close(&mut self, handle: &NfsFh4, open_stateid: Stateid4) {
        self.ok(vec![putfh(handle), ArgOp::Close(Close4Args { seqid: 0, open_stateid })]).await;
    }
}

/// The operations that lead to a path.
pub fn at(path: &str) -> Vec<ArgOp> {
    let names = path.split('/').filter(|name| !name.is_empty());
    std::iter::once(ArgOp::Putrootfh(())).chain(names.map(lookup)).collect()
}

pub fn lookup(name: &str) -> ArgOp {
    ArgOp::Lookup(Lookup4Args { objname: component(name) })
}

pub fn putfh(handle: &NfsFh4) -> ArgOp {
    ArgOp::Putfh(Putfh4Args { object: handle.clone() })
}

pub fn getattr(attributes: &[Attribute]) -> ArgOp {
    ArgOp::Getattr(Getattr4Args { attr_request: Bitmap4::of(attributes) })
}

pub fn component(name: &str) -> Component4 {
    Opaque::copied(name.as_bytes()).unwrap()
}

/// Only a mode.
pub fn mode(mode: u32) -> Fattr4 {
    Fattr4 { attrmask: Bitmap4::of(&[Attribute::Mode]), attr_vals: Opaque::copied(&mode.to_be_bytes()).unwrap() }
}

/// CREATE of a directory.
pub fn mkdir(name: &str) -> ArgOp {
    ArgOp::Create(nfs4::Create4Args {
        objtype: nfs4::Createtype4::Dir,
        objname: component(name),
        createattrs: mode(0o755),
    })
}
