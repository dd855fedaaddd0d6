//! `coffer fs accept-older`: an older copy of a file system was put back on purpose, and what came after it is lost.

use audit::{Event, Outcome, Resource};
use aws_wire::Timestamp;

use crate::config::Config;
use crate::house::House;
use crate::{AcceptOlderArgs, CofferError, log};

/// Runs the command. The record in the audit log comes first.
pub(crate) fn run(args: &AcceptOlderArgs) -> Result<(), CofferError> {
    let config = Config::read(&args.config.config)?;
    log::start(&config.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(CofferError::stopped)?;
    runtime.block_on(accept(&args.file_system, &config))
}

async fn accept(id: &str, config: &Config) -> Result<(), CofferError> {
    let house = House::open(config).await?;
    let missing = || CofferError::Stopped(format!("{id}: no such file system"));
    let found = house.control.file_system(id).ok_or_else(missing)?;
    let wall = house.installation.env.wall();
    let time = Timestamp::from_unix(wall.seconds, wall.nanoseconds);
    let source = "elasticfilesystem.amazonaws.com";
    let mut event = Event::service(source, "AcceptOlderFileSystem", &config.region, &config.account, time);
    event.identity = administrator(&config.account);
    event.user_agent = Some(concat!("coffer/", env!("CARGO_PKG_VERSION")).to_owned());
    let kind = "AWS::EFS::FileSystem";
    event.resources.push(Resource { arn: found.arn(), account: found.account.clone(), kind });
    event.parameters = serde_json::json!({ "fileSystemId": id });
    let entry = house.audit.begin(event, true).await.map_err(CofferError::stopped)?;
    let forgotten = house.floors.forget(id).await;
    let outcome = match &forgotten {
        Ok(()) => Outcome::success(serde_json::Value::Null),
        Err(error) => Outcome::failure("InternalServerError", &error.to_string()),
    };
    entry.complete(outcome).map_err(CofferError::stopped)?;
    house.audit.close().await.map_err(CofferError::stopped)?;
    house.installation.close().await;
    forgotten.map_err(CofferError::stopped)?;
    println!("{id}: the copy that is there now will be opened by the next `coffer serve`");
    Ok(())
}

/// Whoever runs the command, as this machine knows them: an administrator has no identity of the API. The login id stays
/// what it was at the login, whatever `su` and `sudo` do.
pub(crate) fn administrator(account: &str) -> serde_json::Value {
    let variable = |name: &str| std::env::var(name).ok();
    let login = std::fs::read_to_string("/proc/self/loginuid").ok().and_then(|text| text.trim().parse::<u32>().ok());
    serde_json::json!({
        "type": "Unknown",
        "accountId": account,
        "userName": variable("SUDO_USER").or_else(|| variable("USER")),
        "uid": own_uid(),
        // 4,294,967,295: the process does not come from a login.
        "loginUid": login.filter(|uid| *uid != u32::MAX),
        "sudoUid": variable("SUDO_UID"),
    })
}

fn own_uid() -> u32 {
    #[expect(unsafe_code, reason = "getuid has no wrapper in std")]
    // SAFETY: getuid takes no argument and cannot fail.
    unsafe {
        libc::getuid()
    }
}

#[cfg(test)]
mod tests {
    /// Architecture section 5: the one override of rollback protection is recorded with the person who used it.
    #[test]
    fn the_record_names_its_caller() {
        let identity = super::administrator("000000000001");
        assert_eq!((&identity["type"], identity["uid"].as_u64()), (&"Unknown".into(), Some(super::own_uid().into())));
        assert!(identity.get("invokedBy").is_none());
    }
}
