//! `coffer key unseal`: the passphrase or PIN for a sealed server, over the administration socket.

use crate::admin::{self, Answer, Handed, Request};
use crate::config::Config;
use crate::key::UnsealArgs;
use crate::{CofferError, passphrase};

/// Runs the command.
pub(super) fn run(args: &UnsealArgs) -> Result<(), CofferError> {
    let config = Config::read(&args.config.config)?;
    let secret = passphrase::obtain(args.passphrase_file.as_deref(), "Passphrase or PIN of the root key")?;
    match admin::ask(&config.admin_socket(), &Request::Unseal { secret: Handed::new(&secret) })? {
        Answer::Unsealed => {
            println!("unsealed: the server opens its records and serves");
            Ok(())
        }
        Answer::Refused { why } => Err(CofferError::Stopped(why)),
        _ => Err(CofferError::stopped("the server gave another answer; is it of this version?")),
    }
}
