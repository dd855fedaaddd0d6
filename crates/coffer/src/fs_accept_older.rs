//! `coffer fs accept-older`: an older copy of a file system was put back on purpose, and what came after it is lost.

use audit::{Event, Outcome};
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
    if house.control.file_system(id).is_none() {
        return Err(CofferError::Stopped(format!("{id}: no such file system")));
    }
    let wall = house.installation.env.wall();
    let time = Timestamp::from_unix(wall.seconds, wall.nanoseconds);
    let source = "elasticfilesystem.amazonaws.com";
    let mut event = Event::service(source, "AcceptOlderFileSystem", &config.region, &config.account, time);
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
