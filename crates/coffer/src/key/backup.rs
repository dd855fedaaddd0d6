//! `coffer key export` and `coffer key import`: keys in a file that is sealed with a secret of its own.

use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use kms::Kms;
use kms::backup::{BACKUP_BYTES_MAX, Backup};
use kms::root::{Recipient, age_file};
use serde_json::json;
use storage::DirectoryLock;

use crate::config::Config;
use crate::installation::{self, Installation};
use crate::key::{ExportArgs, ImportArgs, begin, recorded};
use crate::{CofferError, passphrase};

const PROMPT: &str = "Passphrase of the backup";

/// Writes a backup.
pub(super) fn export(args: &ExportArgs) -> Result<(), CofferError> {
    let (config, runtime) = begin(&args.config)?;
    if args.to.exists() {
        return Err(CofferError::File {
            path: args.to.clone(),
            why: "exists already; an export overwrites nothing, name another place".to_owned(),
        });
    }
    let passphrase = match &args.age_recipient {
        Some(recipient) => {
            age_file::check_recipient(recipient).map_err(CofferError::stopped)?;
            None
        }
        None => Some(passphrase::obtain(args.backup_passphrase_file.as_deref(), PROMPT)?),
    };
    runtime.block_on(async {
        let (installation, ring) = Installation::open(&config).await?;
        let env = installation.env.clone();
        let kms =
            Kms::open(Arc::clone(&installation.records), ring, env.clone()).await.map_err(CofferError::stopped)?;
        let done = recorded(&config, &env, "ExportKeys", json!({ "to": args.to.display().to_string() }), async {
            let text = kms.backup().await.map_err(CofferError::stopped)?;
            let sealed = match (&passphrase, &args.age_recipient) {
                (Some(passphrase), _) => age_file::seal_for_passphrase(&text, passphrase, age_file::WORK_FACTOR),
                (None, recipient) => age_file::seal_for_recipient(&text, recipient.as_deref().unwrap_or_default()),
            };
            write_new(&args.to, &sealed.map_err(CofferError::stopped)?)
        })
        .await;
        installation.close().await;
        done
    })?;
    println!("{}: a backup of all keys", args.to.display());
    println!("A deletion does not reach it: destroy it when a key of it is to be gone for good.");
    Ok(())
}

/// Brings keys back, or makes a new root key for a data directory.
pub(super) fn import(args: &ImportArgs) -> Result<(), CofferError> {
    let (config, runtime) = begin(&args.config)?;
    let sealed = read(&args.from)?;
    let opened = match &args.identity {
        Some(identity) => age_file::open_with_identity_file(&sealed, identity),
        None => {
            let passphrase = passphrase::obtain(args.backup_passphrase_file.as_deref(), PROMPT)?;
            age_file::open_with_passphrase(&sealed, &passphrase)
        }
    };
    let opened = opened.map_err(|cause| CofferError::within(&args.from, cause))?;
    let backup = Backup::parse(&opened).map_err(|cause| CofferError::within(&args.from, cause))?;
    drop(opened);
    if args.recover {
        let mut recipients = args.recipients.recipients(&config)?;
        if recipients.is_empty() {
            recipients.push(Recipient::File);
        }
        return runtime.block_on(recover(&config, &backup, &recipients));
    }
    let imported = runtime.block_on(async {
        let (installation, ring) = Installation::open(&config).await?;
        let env = installation.env.clone();
        let kms =
            Kms::open(Arc::clone(&installation.records), ring, env.clone()).await.map_err(CofferError::stopped)?;
        let done = recorded(&config, &env, "ImportKeys", json!({ "from": args.from.display().to_string() }), async {
            kms.import_keys(&backup).await.map_err(CofferError::stopped)
        })
        .await;
        installation.close().await;
        done
    })?;
    for arn in imported {
        println!("{arn}: imported, disabled; `aws kms enable-key` makes it usable");
    }
    Ok(())
}

async fn recover(config: &Config, backup: &Backup, recipients: &[Recipient]) -> Result<(), CofferError> {
    let env = env::Env::real();
    let directory = installation::control_directory(config);
    installation::must_be_there(&directory, config)?;
    let _lock = DirectoryLock::acquire(&config.data).map_err(CofferError::stopped)?;
    let engine = installation::engine(config, &env)?;
    let (shard, _) = engine.open(&directory).await.map_err(CofferError::stopped)?;
    let provider = installation::provider(config)?;
    let done =
        recorded(config, &env, "RecoverRootKey", json!({ "rootKey": config.root_key.display().to_string() }), async {
            let done = kms::backup::recover(&shard, &provider, recipients, backup, &env).await;
            done.map_err(CofferError::stopped)
        })
        .await;
    let closed = shard.close().await;
    done?;
    closed.map_err(CofferError::stopped)?;
    println!(
        "{}: a new root key, and {}: a new epoch secret;",
        config.root_key.display(),
        config.epoch_secret.display()
    );
    println!("the data directory opens with them and no longer with the old ones. Keep a copy apart.");
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, CofferError> {
    let io = |error: std::io::Error| CofferError::io(path, &error);
    let file = std::fs::File::open(path).map_err(io)?;
    let length = file.metadata().map_err(io)?.len();
    if length > BACKUP_BYTES_MAX as u64 {
        let why = format!("{length} bytes are more than any key backup has; name the right file");
        return Err(CofferError::File { path: path.to_owned(), why });
    }
    let mut bytes = Vec::new();
    file.take(BACKUP_BYTES_MAX as u64).read_to_end(&mut bytes).map_err(io)?;
    Ok(bytes)
}

/// Whole or not at all: what a crash leaves does not bear the name.
fn write_new(path: &Path, bytes: &[u8]) -> Result<(), CofferError> {
    let io = |error: std::io::Error| CofferError::io(path, &error);
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part).map_err(io)?;
    file.write_all(bytes).map_err(io)?;
    file.sync_all().map_err(io)?;
    // A hard link never replaces what is there.
    std::fs::hard_link(&part, path).map_err(io)?;
    std::fs::remove_file(&part).map_err(io)?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(directory).and_then(|open| open.sync_all()).map_err(io)
}
