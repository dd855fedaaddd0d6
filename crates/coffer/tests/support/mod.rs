//! An installation with a server of its own, driven as an administrator, an AWS client and an NFS client drive it.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use aws_wire::Timestamp;
use aws_wire::sigv4::Signer;
use nfs_wire::ArgOp;
use nfs_wire::NfsStat4;
use nfs_wire::bounded::{List, Opaque};
use nfs_wire::nfs4::{self, ClientOwner4, Compound4Args, Compound4Res, ExchangeId4Args, StateProtect4A};
use nfs_wire::rpc::{Call, Credential, RecordMark};
use nfs_wire::xdr::{Encoder, decode_all};
use serde_json::Value;

pub(crate) struct Installed {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) api: SocketAddr,
    pub(crate) nfs: u16,
    /// The first mount target's address; servers side by side do not share one.
    pub(crate) target: Ipv4Addr,
}

impl Installed {
    /// Initialises one; `recipients` are options of `coffer init`.
    pub(crate) fn new(recipients: &[&str]) -> Self {
        let [high, low] = [(std::process::id() >> 8) & 0x3f, std::process::id() & 0xff];
        let part = [u8::try_from(128 + high).unwrap(), u8::try_from(low).unwrap()];
        let api = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let directory = tempfile::tempdir().unwrap();
        let target = Ipv4Addr::new(127, part[0], part[1], 4);
        let installed = Self { directory, api, nfs: free_port(), target };
        let (data, keys) = (installed.path("data"), installed.path("keys"));
        let (data, keys, api) = (data.to_string_lossy(), keys.to_string_lossy(), api.to_string());
        let init = ["init", "--data", &data, "--keys", &keys, "--api-listen", &api];
        let (code, said) = installed.run(&[&init, recipients].concat());
        assert_eq!(code, 0, "{said}");
        installed.edit("port = 2049", &format!("port = {}", installed.nfs));
        installed.edit("127.77.0.0/16", &format!("127.{}.{}.0/24", part[0], part[1]));
        installed
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A private file with one line.
    pub(crate) fn secret(directory: &Path, name: &str, line: &str) -> PathBuf {
        let path = directory.join(name);
        fs::write(&path, format!("{line}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    pub(crate) fn edit(&self, from: &str, to: &str) {
        let path = self.path("coffer.toml");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(path, text.replace(from, to)).unwrap();
    }

    /// `coffer` with this configuration.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_coffer"));
        command.args(arguments).arg("--config").arg(self.path("coffer.toml")).stdin(Stdio::null());
        command.env_remove("COFFER_PASSPHRASE_FILE");
        command
    }

    /// Runs it: exit code and everything it printed.
    pub(crate) fn run(&self, arguments: &[&str]) -> (i32, String) {
        self.finish(self.command(arguments))
    }

    /// Runs it as whoever knows the passphrase in this file.
    pub(crate) fn run_knowing(&self, passphrase: &Path, arguments: &[&str]) -> (i32, String) {
        let mut command = self.command(arguments);
        command.env("COFFER_PASSPHRASE_FILE", passphrase);
        self.finish(command)
    }

    fn finish(&self, mut command: Command) -> (i32, String) {
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.code().unwrap(), said)
    }

    pub(crate) fn serve(&self) -> Serving {
        let log = fs::File::options().create(true).append(true).open(self.path("server.log")).unwrap();
        Serving(self.command(&["serve"]).stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }

    /// Asks `coffer status` until it says what is wanted.
    pub(crate) fn until(&self, wanted: impl Fn(&str) -> bool) -> String {
        let mut last = String::new();
        for _ in 0..1200 {
            let (code, said) = self.run(&["status"]);
            if code == 0 && wanted(&said) {
                return said;
            }
            last = said;
            std::thread::sleep(Duration::from_millis(50));
        }
        let log = fs::read_to_string(self.path("server.log")).unwrap_or_default();
        panic!("not within a minute: {last}\n{log}");
    }

    pub(crate) fn until_serving(&self) -> String {
        self.until(|said| !said.contains("starting") && !said.contains("SEALED"))
    }

    /// One call of the KMS API, signed as the account's root: status and body.
    pub(crate) fn kms(&self, action: &str, input: &Value) -> (u16, Value) {
        let target = format!("TrentService.{action}");
        let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target.as_str())];
        self.signed("kms", ["POST", "/"], &headers, &serde_json::to_vec(input).unwrap())
    }

    /// One call of the EFS API without a body; it must succeed.
    pub(crate) fn efs(&self, method: &str, path: &str) {
        let (status, body) = self.signed("elasticfilesystem", [method, path], &[], b"");
        assert!((200..300).contains(&status), "{method} {path}: {status} {body}");
    }

    /// One call of the IAM API, whose answers are XML: its status.
    pub(crate) fn iam(&self, form: &str) -> u16 {
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        self.signed("iam", ["POST", "/"], &headers, form.as_bytes()).0
    }

    fn signed(&self, service: &str, [method, path]: [&str; 2], headers: &[(&str, &str)], body: &[u8]) -> (u16, Value) {
        let profile = fs::read_to_string(self.path("aws-profile")).unwrap();
        let value = |name: &str| {
            let line = profile.lines().find_map(|line| line.strip_prefix(&format!("{name} = ")));
            line.unwrap().to_owned()
        };
        let signer = Signer {
            access_key_id: value("aws_access_key_id"),
            secret: zeroize::Zeroizing::new(value("aws_secret_access_key")),
            token: None,
            region: "us-east-1".to_owned(),
            service: service.to_owned(),
        };
        let host = self.api.to_string();
        let headers = [&[("host", host.as_str())], headers].concat();
        let wall = env::Env::real().wall();
        let now = Timestamp::from_unix(wall.seconds, wall.nanoseconds);
        let added = signer.sign(method, path, "", &headers, body, now);
        let mut head = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
        let given = headers.iter().copied();
        for (name, value) in given.chain(added.iter().map(|(name, value)| (*name, value.as_str()))) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let (status, text) = self.http(&[head.as_bytes(), b"\r\n", body].concat());
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// One HTTP exchange: status and body.
    pub(crate) fn http(&self, request: &[u8]) -> (u16, String) {
        let mut stream = TcpStream::connect(self.api).unwrap();
        stream.write_all(request).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let status = text.split(' ').nth(1).unwrap().parse().unwrap();
        (status, text.split_once("\r\n\r\n").unwrap().1.to_owned())
    }

    /// The first request of an NFSv4.1 client, in the clear: what the server answers it with.
    pub(crate) fn exchange_id(&self) -> NfsStat4 {
        let mut stream = TcpStream::connect((self.target, self.nfs)).unwrap();
        let mut encoder = Encoder::with_capacity(512);
        let credential = Credential::None;
        let procedure = nfs4::PROCEDURE_COMPOUND;
        Call { xid: 1, program: nfs4::PROGRAM, version: nfs4::VERSION, procedure, credential }.encode(&mut encoder);
        let owner = ClientOwner4 { verifier: [7; 8], ownerid: Opaque::new(b"a client".to_vec()).unwrap() };
        let args = ExchangeId4Args {
            clientowner: owner,
            flags: 0,
            state_protect: StateProtect4A::None,
            client_impl_id: List::default(),
        };
        Compound4Args::new(Opaque::default(), vec![ArgOp::ExchangeId(args)]).encode(&mut encoder);
        let request = encoder.into_bytes();
        let mark = RecordMark::whole(u32::try_from(request.len()).unwrap()).to_wire();
        stream.write_all(&[&mark[..], &request].concat()).unwrap();
        let mut mark = [0; 4];
        stream.read_exact(&mut mark).unwrap();
        let mut reply = vec![0; usize::try_from(RecordMark::from_wire(mark).bytes).unwrap()];
        stream.read_exact(&mut reply).unwrap();
        let reply: Compound4Res = decode_all(bytes::Bytes::from(reply).slice(24..)).unwrap();
        reply.status
    }
}

/// A running server; killed if the test fails.
pub(crate) struct Serving(pub(crate) Child);

impl Serving {
    pub(crate) fn stop(mut self) {
        let id = self.0.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        assert!(self.0.wait().unwrap().success());
    }

    pub(crate) fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// Copies a directory, as a backup does.
pub(crate) fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}
