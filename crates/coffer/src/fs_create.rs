//! `coffer fs create`: CreateFileSystem and CreateMountTarget through the signed API, then the command that mounts it.

use std::path::Path;
use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};

use crate::admin::{self, Answer};
use crate::api_client::ApiClient;
use crate::config::Config;
use crate::{CofferError, FsCreateArgs};

/// How long a new file system may take to become available.
const AVAILABLE_WITHIN: Duration = Duration::from_secs(60);
/// How often that is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Runs the command.
pub(crate) fn run(args: &FsCreateArgs) -> Result<(), CofferError> {
    let config = Config::read(&args.config.config)?;
    let beside = args.config.config.parent().unwrap_or(Path::new("."));
    let credentials = args.credentials.clone().unwrap_or_else(|| beside.join("aws-profile"));
    let client = ApiClient::new(config.api.listen, &config.region, &credentials)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CofferError::stopped)?;
    runtime.block_on(create(args, &config, &client))
}

async fn create(args: &FsCreateArgs, config: &Config, client: &ApiClient) -> Result<(), CofferError> {
    // A slip of the pen is found before anything is made.
    let subnets = subnets(args, config)?;
    let env = env::Env::real();
    let mut request = json!({ "CreationToken": format!("coffer-{}", env.uuid()), "Encrypted": !args.unencrypted });
    if let Some(members) = request.as_object_mut() {
        if let Some(key) = &args.kms_key_id {
            members.insert("KmsKeyId".to_owned(), json!(key));
        }
        if let Some(name) = &args.name {
            members.insert("Tags".to_owned(), json!([{ "Key": "Name", "Value": name }]));
        }
    }
    let created = client.call(Method::POST, "/2015-02-01/file-systems", "", &request).await?;
    let id = text(&created, "FileSystemId")?;
    println!("file system   {id}");
    if let Some(key) = created.get("KmsKeyId").and_then(Value::as_str) {
        println!("KMS key       {key}");
    }
    let addresses = enter(config, client, &env, &id, &subnets).await.map_err(|error| {
        CofferError::Stopped(format!(
            "{error}\n{id} exists; `aws efs delete-file-system --file-system-id {id}` removes it"
        ))
    })?;
    println!("mount it with mount -t efs -o tls {id}:/ /mnt");
    if let Some(address) = addresses.first() {
        println!(
            "without names mount -t efs -o tls,mounttargetip={address} {id}:/ /mnt (`coffer hosts` prints the names)"
        );
    }
    Ok(())
}

/// The subnets asked for, each of them configured; the first one when none is named.
fn subnets(args: &FsCreateArgs, config: &Config) -> Result<Vec<String>, CofferError> {
    let known = || config.subnets.iter().map(|subnet| subnet.id.as_str());
    if let Some(unknown) = args.subnets.iter().find(|asked| !known().any(|id| id == asked.as_str())) {
        let known = known().collect::<Vec<_>>().join(", ");
        return Err(CofferError::Stopped(format!("--subnet {unknown}: not configured; there is {known}")));
    }
    if args.subnets.is_empty() {
        return Ok(known().take(1).map(str::to_owned).collect());
    }
    Ok(args.subnets.clone())
}

/// Waits for the file system and makes its mount targets; gives their addresses.
async fn enter(
    config: &Config,
    client: &ApiClient,
    env: &env::Env,
    id: &str,
    subnets: &[String],
) -> Result<Vec<String>, CofferError> {
    let query = format!("FileSystemId={id}");
    available(client, "/2015-02-01/file-systems", &query, "FileSystems", env).await?;
    let mut addresses = Vec::new();
    for subnet in subnets {
        let body = json!({ "FileSystemId": id, "SubnetId": subnet });
        let target = client.call(Method::POST, "/2015-02-01/mount-targets", "", &body).await?;
        let (target_id, address) = (text(&target, "MountTargetId")?, text(&target, "IpAddress")?);
        let query = format!("MountTargetId={target_id}");
        let entered = available(client, "/2015-02-01/mount-targets", &query, "MountTargets", env).await;
        entered.map_err(|error| reason_of(config, &target_id).unwrap_or(error))?;
        println!("mount target  {target_id} at {address} in {subnet}");
        addresses.push(address);
    }
    Ok(addresses)
}

/// Why a mount target is in `error`: the API has no word for it, the administration socket does.
fn reason_of(config: &Config, target: &str) -> Option<CofferError> {
    let Ok(Answer::Status(status)) = admin::ask(&config.admin_socket(), &admin::Request::Status) else { return None };
    let found = status.mount_targets.into_iter().find(|found| found.id == target)?;
    Some(CofferError::Stopped(format!("{target} is {}: {}", found.state, found.reason?)))
}

/// Waits until the one described resource is `available`.
async fn available(client: &ApiClient, path: &str, query: &str, list: &str, env: &env::Env) -> Result<(), CofferError> {
    let deadline = env.now() + AVAILABLE_WITHIN;
    loop {
        let described = client.call(Method::GET, path, query, &Value::Null).await?;
        let first = described.get(list).and_then(|items| items.get(0)).unwrap_or(&Value::Null);
        let state = text(first, "LifeCycleState")?;
        if state == "available" {
            return Ok(());
        }
        if state != "creating" || env.now() > deadline {
            return Err(CofferError::Stopped(format!("{query} is {state}; `coffer status` says why")));
        }
        env.sleep(LOOK_EVERY).await;
    }
}

fn text(value: &Value, member: &str) -> Result<String, CofferError> {
    let found = value.get(member).and_then(Value::as_str).map(str::to_owned);
    found.ok_or_else(|| CofferError::Stopped(format!("the API's answer has no {member}")))
}
