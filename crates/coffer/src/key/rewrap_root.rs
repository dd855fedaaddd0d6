//! `coffer key rewrap-root`: a new root key, under which the domain and control keys alone are wrapped again.

use kms::root::{Holder, Recipient};
use serde_json::json;

use crate::config::Config;
use crate::installation::Installation;
use crate::key::{RewrapRootArgs, begin, pin, recorded};
use crate::{CofferError, installation};

/// Runs the command.
pub(super) fn run(args: &RewrapRootArgs) -> Result<(), CofferError> {
    let (config, runtime) = begin(&args.config)?;
    if config.root_credential().is_some() {
        return Err(CofferError::Stopped(format!(
            "root_key = {:?} is a read-only credential: name a copy of it in a file, run this again, make a new credential of \
             that file, and name the credential again",
            config.root_key.display()
        )));
    }
    let mut recipients = args.recipients.recipients(&config)?;
    if recipients.is_empty() {
        recipients = kept(&config)?;
    }
    runtime.block_on(async {
        let (installation, ring) = Installation::open(&config).await?;
        let parameters = json!({ "rootKey": config.root_key.display().to_string(), "recipients": recipients.len() });
        let env = installation.env.clone();
        let done = recorded(&config, &env, "ReplaceRootKey", parameters, async {
            ring.rewrap_root(&recipients).await.map_err(CofferError::stopped)
        })
        .await;
        installation.close().await;
        done
    })?;
    println!("{}: a new root key; copy it again, and destroy copies of the old one", config.root_key.display());
    Ok(())
}

/// The recipients that there are. A passphrase is not kept anywhere, so it has to be given.
fn kept(config: &Config) -> Result<Vec<Recipient>, CofferError> {
    let holders = installation::provider(config)?.recipients().map_err(CofferError::stopped)?;
    let holders = holders.into_iter();
    holders
        .map(|(number, holder)| match holder {
            Holder::File => Ok(Recipient::File),
            Holder::X25519(recipient) => Ok(Recipient::X25519(recipient)),
            Holder::Token(uri) => Ok(Recipient::Token { uri, pin: pin(config)? }),
            Holder::Passphrase => Err(CofferError::Stopped(format!(
                "recipient {number} is a passphrase, which is kept nowhere: name all recipients of the new root key, this one \
                 with --passphrase-file"
            ))),
        })
        .collect()
}
