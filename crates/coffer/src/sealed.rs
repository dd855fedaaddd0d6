//! A server whose root key is not there yet: it answers, refuses for now, and waits for a passphrase, a PIN, or a token.
//!
//! The listeners of this time are not those of the house: they know no records, and end when the house is open. Mount
//! targets' addresses are among the sealed records, so that NFS is answered on every address of a configured subnet.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use env::{Env, Instant};
use kms::root::{FileProvider, RootError, RootProvider as _};
use storage::BoxFuture;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::CofferError;
use crate::admin::{self, Administer, Answer, Request};
use crate::config::Config;
use crate::status::Status;

/// How often it is looked whether the root key can be had unasked: a token that is put in, a file that is mounted.
const LOOK_AGAIN: Duration = Duration::from_secs(3);

/// What answers while the house is not open. Dropping it ends it.
pub(crate) struct Front {
    tasks: JoinSet<()>,
}

impl Front {
    /// Ends it and frees its addresses.
    pub(crate) async fn end(mut self) {
        self.tasks.shutdown().await;
    }
}

/// Waits until the root key is there. The front goes on answering while the house is opened.
pub(crate) async fn wait(config: &Config, provider: &Arc<FileProvider>, why: String) -> Result<Front, CofferError> {
    tracing::warn!(%why, "sealed: the root key is not there yet; `coffer key unseal` gives a passphrase or PIN");
    let env = Env::real();
    let api = TcpListener::bind(config.api.listen).await.map_err(|error| {
        CofferError::Stopped(format!("api.listen = {}: {error}; is another server running there?", config.api.listen))
    })?;
    let socket = admin::bind(&config.admin_socket())?;
    let opened = Arc::new(Notify::new());
    let warden = Warden {
        provider: Arc::clone(provider),
        opened: Arc::clone(&opened),
        started: env.now(),
        env: env.clone(),
        turn: tokio::sync::Mutex::default(),
    };
    let mut tasks = JoinSet::new();
    tasks.spawn(api_server::serve_sealed(api, env.clone()));
    tasks.spawn(admin::serve(socket, Arc::new(warden)));
    nfs(&mut tasks, config, &env).await;
    loop {
        tokio::select! {
            () = opened.notified() => {}
            () = env.sleep(LOOK_AGAIN) => {}
        }
        // A token is asked in its own time.
        let provider = Arc::clone(provider);
        let looked = tokio::task::spawn_blocking(move || provider.load().map(drop)).await;
        match looked.map_err(CofferError::stopped)? {
            Err(RootError::Sealed { .. }) => {}
            // Whatever else is wrong is told by whoever opens the house.
            Ok(()) | Err(_) => {
                tracing::info!("the root key is there");
                return Ok(Front { tasks });
            }
        }
    }
}

/// Answers NFS clients, as far as the port is free.
async fn nfs(tasks: &mut JoinSet<()>, config: &Config, env: &Env) {
    let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), config.nfs.port);
    let subnets: Vec<(u32, u32)> = config.subnets.iter().filter_map(|subnet| range(&subnet.cidr)).collect();
    let ours = move |local: IpAddr| match local.to_canonical() {
        IpAddr::V4(local) => subnets.iter().any(|(network, mask)| u32::from(local) & mask == *network),
        IpAddr::V6(_) => false,
    };
    match TcpListener::bind(address).await {
        Ok(listener) => {
            tasks.spawn(nfs_server::serve_sealed(listener, ours, env.clone()));
        }
        Err(error) => tracing::warn!(%address, %error, "NFS clients find nobody until the server is unsealed"),
    }
}

/// Network and mask of `ADDRESS/BITS`; what is wrong with a subnet is told when the house is opened.
fn range(cidr: &str) -> Option<(u32, u32)> {
    let (address, bits) = cidr.split_once('/')?;
    let (address, bits): (Ipv4Addr, u32) = (address.parse().ok()?, bits.parse().ok()?);
    let mask = u32::MAX.checked_shl(32_u32.checked_sub(bits)?).unwrap_or(0);
    Some((u32::from(address) & mask, mask))
}

/// Answers administrators of a sealed server.
struct Warden {
    provider: Arc<FileProvider>,
    opened: Arc<Notify>,
    started: Instant,
    env: Env,
    /// Guessing takes turns: one passphrase at a time costs its time and memory.
    turn: tokio::sync::Mutex<()>,
}

impl Warden {
    async fn why(&self) -> String {
        // A token is asked in its own time.
        let provider = Arc::clone(&self.provider);
        match tokio::task::spawn_blocking(move || provider.load().map(drop)).await {
            Ok(Ok(())) => "the root key is there, the records are being opened".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(stopped) => stopped.to_string(),
        }
    }

    async fn unseal(&self, secret: kms::root::Secret) -> Answer {
        let _turn = self.turn.lock().await;
        let provider = Arc::clone(&self.provider);
        let tried = tokio::task::spawn_blocking(move || provider.unseal(&secret)).await;
        match tried {
            Ok(Ok(())) => {
                self.opened.notify_one();
                Answer::Unsealed
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "an attempt to unseal failed");
                Answer::Refused { why: error.to_string() }
            }
            Err(stopped) => Answer::Refused { why: stopped.to_string() },
        }
    }
}

impl Administer for Warden {
    fn answer(&self, request: Request) -> BoxFuture<'_, Answer> {
        Box::pin(async move {
            match request {
                Request::Status => Answer::Status(Status {
                    version: env!("CARGO_PKG_VERSION").to_owned(),
                    up_seconds: self.env.now().since(self.started).as_secs(),
                    sealed: Some(self.why().await),
                    ..Status::default()
                }),
                Request::Hosts
                | Request::KeyDependents { .. }
                | Request::CreateAccount { .. }
                | Request::Simulate(_) => {
                    Answer::Refused { why: "the server is sealed: `coffer key unseal`".to_owned() }
                }
                Request::Unseal { secret } => match secret.open() {
                    Some(secret) => self.unseal(secret).await,
                    None => Answer::Refused { why: "not a secret".to_owned() },
                },
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// docs/operations.md, "A sealed server": NFS is answered on the addresses of the subnets alone.
    #[test]
    fn a_range_holds_its_addresses() {
        let (network, mask) = range("127.77.0.0/16").unwrap();
        let within = |address: [u8; 4]| u32::from(Ipv4Addr::from(address)) & mask == network;
        assert!(within([127, 77, 3, 4]) && !within([127, 78, 0, 4]));
        assert_eq!(range("10.0.0.8/32"), Some((0x0a00_0008, u32::MAX)));
        for wrong in ["", "10.0.0.0", "10.0.0.0/33", "x/8"] {
            assert_eq!(range(wrong), None, "{wrong}");
        }
    }
}
