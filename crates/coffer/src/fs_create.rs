//! `coffer fs create`: CreateFileSystem and CreateMountTarget through the signed API, then the command that mounts it.

use std::path::Path;
use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};

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
    available(client, "/2015-02-01/file-systems", &format!("FileSystemId={id}"), "FileSystems", &env).await?;
    println!("file system   {id}");
    if let Some(key) = created.get("KmsKeyId").and_then(Value::as_str) {
        println!("KMS key       {key}");
    }
    let subnets = match (args.subnets.is_empty(), config.subnets.first()) {
        (true, Some(first)) => vec![first.id.clone()],
        _ => args.subnets.clone(),
    };
    for subnet in &subnets {
        let body = json!({ "FileSystemId": id, "SubnetId": subnet });
        let target = client.call(Method::POST, "/2015-02-01/mount-targets", "", &body).await?;
        let target_id = text(&target, "MountTargetId")?;
        let query = format!("MountTargetId={target_id}");
        available(client, "/2015-02-01/mount-targets", &query, "MountTargets", &env).await?;
        println!("mount target  {target_id} at {} in {subnet}", text(&target, "IpAddress")?);
    }
    println!("mount it with mount -t efs -o tls {id}:/ /mnt");
    Ok(())
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
            return Err(CofferError::Stopped(format!("{query} is {state}; the server's log says why")));
        }
        env.sleep(LOOK_EVERY).await;
    }
}

fn text(value: &Value, member: &str) -> Result<String, CofferError> {
    let found = value.get(member).and_then(Value::as_str).map(str::to_owned);
    found.ok_or_else(|| CofferError::Stopped(format!("the API's answer has no {member}")))
}
