//! `coffer init`: a new installation. Nothing that exists is overwritten.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use identity::Identities;
use kms::root::Recipient;
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
    let runtime = runtime.map_err(CofferError::stopped)?;
    let made = runtime.block_on(create(args, &config, &files)).and_then(|()| {
        // Last, since with it the installation counts as made.
        write_new(&files.config, 0o644, text.as_bytes())?;
        sync_directories(&[&beside, &keys, &data])
    });
    made.map_err(|error| unfinished(&files, &data, &error))?;
    report(&files, &data);
    Ok(())
}

async fn create(args: &InitArgs, config: &Config, files: &Files) -> Result<(), CofferError> {
    let mut recipients = args.recipients.recipients(config)?;
    if recipients.is_empty() {
        recipients.push(Recipient::File);
    }
    let (installation, ring) = Installation::create(config, &recipients).await?;
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
    let endpoint = reached_at(args.api_listen);
    let aws_config = format!("[default]\nregion = {}\nendpoint_url = http://{endpoint}\n", args.region);
    write_new(&files.aws_config, 0o644, aws_config.as_bytes())?;
    let client_config = format!(
        "# For the mount helper: /etc/amazon/efs/efs-utils.conf, with ca.pem as /etc/amazon/efs/efs-utils.crt.\n\
         [mount]\nregion = {}\ndns_name_suffix = {}\nendpoint_url = http://{endpoint}\n",
        args.region, args.dns_suffix
    );
    write_new(&files.client_config, 0o644, client_config.as_bytes())?;
    write_new(&files.bundle, 0o644, authority.certificate_pem.as_bytes())
}

/// Nothing was there before, so all that is there now may go: half an installation has no credentials that open it.
fn unfinished(files: &Files, data: &Path, error: &CofferError) -> CofferError {
    let left: Vec<String> =
        files.all().into_iter().filter(|path| path.exists()).map(|path| path.display().to_string()).collect();
    let left = left.join(" ");
    CofferError::Stopped(format!(
        "{error}\nnothing was installed; remove {left} and what is in {}, then init again",
        data.display()
    ))
}

/// A file is only as durable as its name, and its directory's name.
fn sync_directories(directories: &[&Path]) -> Result<(), CofferError> {
    let parents = directories.iter().filter_map(|directory| directory.parent());
    for directory in directories.iter().copied().chain(parents) {
        let synced = File::open(directory).and_then(|open| open.sync_all());
        synced.map_err(|error| CofferError::io(directory, &error))?;
    }
    Ok(())
}

/// Where clients on this machine reach an API that listens on `address`.
fn reached_at(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

impl Files {
    fn all(&self) -> [&PathBuf; 7] {
        [
            &self.config,
            &self.root_key,
            &self.epoch_secret,
            &self.profile,
            &self.aws_config,
            &self.bundle,
            &self.client_config,
        ]
    }
}

fn refuse_existing(files: &Files, data: &Path) -> Result<(), CofferError> {
    let taken = |path: &Path| CofferError::File {
        path: path.to_owned(),
        why: "exists already; init overwrites nothing. Name another place, or move it away".to_owned(),
    };
    if let Some(path) = files.all().into_iter().find(|path| path.exists()) {
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
