//! The API tours: every served action by boto3 and by the AWS CLI, unmodified, errors included.

use std::path::Path;
use std::process::Command;

use crate::house::{House, Profile, output};
use crate::report::{Apart, Report};

/// What the tours are called, and their scripts.
const TOURS: [(&str, &str); 6] = [
    ("API tour: boto3", "tour.py"),
    ("API tour: signatures of botocore", "signatures.py"),
    ("API tour: key states", "key_states.py"),
    ("API tour: AWS CLI", "tour.sh"),
    ("API tour: IAM and STS by boto3", "identities.py"),
    ("API tour: IAM and STS by AWS CLI", "identities.sh"),
];

/// Runs each tour of `tests/api` on a server of its own.
pub(crate) fn run(house: &House, python: &Path, report: &mut Report) {
    let tours = TOURS.map(|(name, script)| Apart::new(name, move || tour(house, python, script)));
    report.side_by_side(2, tours.into());
}

/// A server on loopback, as `coffer init` makes it, and the tour on it.
fn tour(house: &House, python: &Path, name: &str) -> Result<String, String> {
    let place = house.fresh(name)?;
    let server = crate::coffer::Coffer::on_loopback(house, Profile::Dev, &place)?;
    let script = house.root.join("tests/api").join(name);
    let mut command =
        if name.ends_with(".py") { Command::new(python.join("bin/python")) } else { Command::new("bash") };
    command.arg(&script).env_remove("AWS_PROFILE").current_dir(&place);
    command.env("PATH", format!("{}:{}", python.join("bin").display(), std::env::var("PATH").unwrap_or_default()));
    command.env("AWS_SHARED_CREDENTIALS_FILE", place.join("aws-profile"));
    command.env("AWS_CONFIG_FILE", place.join("aws-config"));
    command.env("AWS_EC2_METADATA_DISABLED", "true").env("AWS_PAGER", "").env("AWS_MAX_ATTEMPTS", "1");
    command.env("COFFER_ENDPOINT", server.endpoint());
    let said = output(&mut command)?;
    Ok(said.lines().last().unwrap_or_default().to_owned())
}
