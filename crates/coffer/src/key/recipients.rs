//! `coffer key recipients`: for whom the root key is wrapped.

use serde_json::json;

use crate::config::Config;
use crate::key::{AddArgs, RemoveArgs, begin, recorded};
use crate::{CofferError, ConfigArg, installation};
use storage::DirectoryLock;

/// Shows them. The server may run meanwhile.
pub(super) fn list(args: &ConfigArg) -> Result<(), CofferError> {
    let config = Config::read(&args.config)?;
    for (number, holder) in installation::provider(&config)?.recipients().map_err(CofferError::stopped)? {
        println!("{number} {holder}");
    }
    Ok(())
}

/// Wraps the root key for those that are named.
pub(super) fn add(args: &AddArgs) -> Result<(), CofferError> {
    let (config, runtime) = begin(&args.config)?;
    let recipients = args.recipients.recipients(&config)?;
    if recipients.is_empty() {
        return Err(CofferError::stopped(
            "name a recipient: --plain-file, --passphrase-file, --age-recipient or --pkcs11",
        ));
    }
    let _lock = DirectoryLock::acquire(&config.data).map_err(CofferError::stopped)?;
    let provider = installation::open_provider(&config)?;
    let env = env::Env::real();
    runtime.block_on(async {
        let parameters = json!({ "rootKey": config.root_key.display().to_string(), "recipients": recipients.len() });
        recorded(&config, &env, "AddRootKeyRecipient", parameters, async {
            for recipient in &recipients {
                let number = provider.add_recipient(recipient, &env).map_err(CofferError::stopped)?;
                println!("recipient {number} added");
            }
            Ok(())
        })
        .await
    })
}

/// Takes one away.
pub(super) fn remove(args: &RemoveArgs) -> Result<(), CofferError> {
    let (config, runtime) = begin(&args.config)?;
    let _lock = DirectoryLock::acquire(&config.data).map_err(CofferError::stopped)?;
    let provider = installation::provider(&config)?;
    let env = env::Env::real();
    runtime.block_on(async {
        let parameters = json!({ "rootKey": config.root_key.display().to_string(), "recipient": args.number });
        recorded(&config, &env, "RemoveRootKeyRecipient", parameters, async {
            let holder = provider.remove_recipient(args.number).map_err(CofferError::stopped)?;
            println!("recipient {} ({holder}) removed", args.number);
            println!("Who has an older copy of the file can still open that: `coffer key rewrap-root` ends it.");
            Ok(())
        })
        .await
    })
}
