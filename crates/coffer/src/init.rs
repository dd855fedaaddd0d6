//! `coffer init`: a new installation. Nothing that exists is overwritten.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use identity::Identities;
use zeroize::Zeroizing;

use crate::config::{self, Config, NewPaths};
use crate::installation::{self, Installation};
use crate::{CofferError, InitArgs};

/// The files of a new installation.
struct Files {
    config: PathBuf,
    root_key: PathBuf,
    epoch_secret: PathBuf,
    profile: PathBuf,
    aws_config: PathBuf,
    bundle: PathBuf,
    client_config: PathBuf,
}

/// Runs the command.
pub(crate) fn run(args: &InitArgs) -> Result<(), CofferError> {
    let absolute = |path: &Path| std::path::absolute(path).map_err(|error| CofferError::io(path, &error));
    let config_path = absolute(&args.config.config)?;
    let beside = config_path.parent().unwrap_or(Path::new("/")).to_owned();
    let (data, keys) = (absolute(&args.data)?, absolute(&args.keys)?);
    let files = Files {
        root_key: keys.join("root.key"),
        epoch_secret: keys.join("epoch.secret"),
        profile: beside.join("aws-profile"),
        aws_config: beside.join("aws-config"),
        bundle: beside.join("ca.pem"),
        client_config: beside.join("efs-utils.conf"),
        config: config_path,
    };
    refuse_existing(&files, &data)?;
    std::fs::create_dir_all(&beside).map_err(|error| CofferError::io(&beside, &error))?;
    installation::private_directory(&keys)?;
    let text = config::template(&NewPaths {
        data: &data,
        root_key: &files.root_key,
        epoch_secret: &files.epoch_secret,
        region: &args.region,
        account: &args.account,
        dns_suffix: &args.dns_suffix,
        api_listen: args.api_listen,
    });
    let config = Config::parse(&files.config, &text)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.map_err(CofferError::stopped)?.block_on(create(args, &config, &files))?;
    // Last, since with it the installation counts as made.
    write_new(&files.config, 0o644, text.as_bytes())?;
    report(&files, &data);
    Ok(())
}

async fn create(args: &InitArgs, config: &Config, files: &Files) -> Result<(), CofferError> {
    let (installation, ring) = Installation::create(config).await?;
    let access_key = Identities::create(&installation.records, &args.account, &installation.env).await;
    let access_key = access_key.map_err(CofferError::stopped)?;
    let authority = installation.authority().await?;
    drop(ring);
    installation.close().await;
    let profile = Zeroizing::new(format!(
        "# The root credentials of Coffer's account {}. Whoever has them may do everything.\n\
         [default]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
        args.account,
        access_key.id,
        access_key.secret.as_str()
    ));
    write_new(&files.profile, 0o600, profile.as_bytes())?;
    let aws_config = format!("[default]\nregion = {}\nendpoint_url = http://{}\n", args.region, args.api_listen);
    write_new(&files.aws_config, 0o644, aws_config.as_bytes())?;
    let client_config = format!(
        "# For the mount helper: /etc/amazon/efs/efs-utils.conf, with ca.pem as /etc/amazon/efs/efs-utils.crt.\n\
         [mount]\nregion = {}\ndns_name_suffix = {}\nendpoint_url = http://{}\n",
        args.region, args.dns_suffix, args.api_listen
    );
    write_new(&files.client_config, 0o644, client_config.as_bytes())?;
    write_new(&files.bundle, 0o644, authority.certificate_pem.as_bytes())
}

fn refuse_existing(files: &Files, data: &Path) -> Result<(), CofferError> {
    let all = [
        &files.config,
        &files.root_key,
        &files.epoch_secret,
        &files.profile,
        &files.aws_config,
        &files.bundle,
        &files.client_config,
    ];
    let taken = |path: &Path| CofferError::File {
        path: path.to_owned(),
        why: "exists already; init overwrites nothing. Name another place, or move it away".to_owned(),
    };
    if let Some(path) = all.into_iter().find(|path| path.exists()) {
        return Err(taken(path));
    }
    match std::fs::read_dir(data) {
        Ok(mut entries) => entries.next().map_or(Ok(()), |_| Err(taken(data))),
        Err(_) => Ok(()),
    }
}

fn write_new(path: &Path, mode: u32, bytes: &[u8]) -> Result<(), CofferError> {
    let io = |error: std::io::Error| CofferError::io(path, &error);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(io)?;
    file.write_all(bytes).map_err(io)?;
    file.sync_all().map_err(io)
}

fn report(files: &Files, data: &Path) {
    println!("configuration      {}", files.config.display());
    println!("data directory     {}", data.display());
    println!("root key           {}", files.root_key.display());
    println!("epoch secret       {}", files.epoch_secret.display());
    println!("root credentials   {}", files.profile.display());
    println!("AWS configuration  {}", files.aws_config.display());
    println!("CA bundle          {}", files.bundle.display());
    println!("mount helper       {}", files.client_config.display());
    println!();
    println!("Keep a copy of the root key and the epoch secret apart from the data: without them nothing opens.");
    println!("Start with:        coffer serve --config {}", files.config.display());
    println!(
        "Use the AWS CLI:   export AWS_SHARED_CREDENTIALS_FILE={} AWS_CONFIG_FILE={}",
        files.profile.display(),
        files.aws_config.display()
    );
}
