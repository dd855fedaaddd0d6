//! `coffer account create`: a further account of a running server, and its root's credentials as an AWS profile.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;

use zeroize::{Zeroize as _, Zeroizing};

use crate::admin::{self, Answer, Request};
use crate::config::Config;
use crate::{AccountCreateArgs, CofferError};

/// Runs the command. The profile's file is made first: a secret that is shown once must have a place to go to.
pub(crate) fn run(args: &AccountCreateArgs) -> Result<(), CofferError> {
    let config = Config::read(&args.config.config)?;
    let path = &args.profile;
    let io = |error: std::io::Error| CofferError::io(path, &error);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(io)?;
    let request = Request::CreateAccount { account: args.account.clone() };
    let answer = admin::ask(&config.admin_socket(), &request).and_then(|answer| match answer {
        Answer::Account { access_key_id, secret } => Ok((access_key_id, Zeroizing::new(secret))),
        other => Err(CofferError::Stopped(format!("the server answered with something else: {other:?}"))),
    });
    let (access_key_id, secret) = match answer {
        Ok(made) => made,
        Err(error) => {
            // Nothing was made, so nothing is left behind; the file is empty and ours.
            _ = std::fs::remove_file(path);
            return Err(error);
        }
    };
    let mut text = format!(
        "# The root credentials of Coffer's account {}. Whoever has them may do everything in it.\n\
         [default]\naws_access_key_id = {access_key_id}\naws_secret_access_key = {}\n",
        args.account,
        secret.as_str()
    );
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    text.zeroize();
    written.map_err(io)?;
    println!("account            {}", args.account);
    println!("root credentials   {}", path.display());
    Ok(())
}
