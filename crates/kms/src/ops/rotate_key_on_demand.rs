//! RotateKeyOnDemand: a new version of a KMS key now, whatever its rotation says. KMS API, RotateKeyOnDemand.

use aws_wire::CallContext;

use crate::algorithm::check_rotates;
use crate::record::{Origin, Rotated};
use crate::resolve::Spelling;
use crate::state_table::{self, Action};
use crate::{EncryptionContext, Kms, KmsError, model};

/// KMS developer guide, "Resource quotas": on-demand rotations of one KMS key.
const ON_DEMAND_MAX: usize = 25;

/// RotateKeyOnDemand.
pub async fn run(
    kms: &Kms,
    cx: &CallContext,
    input: model::RotateKeyOnDemandRequest,
) -> Result<model::RotateKeyOnDemandResponse, KmsError> {
    let turn = kms.turn().await;
    let key = kms.find(cx, &input.key_id, Spelling::Key).await?;
    kms.allow(cx, &key, "RotateKeyOnDemand", &EncryptionContext::default())?;
    check_rotates(&key)?;
    state_table::check(Action::RotateKeyOnDemand, &key)?;
    let material = kms.material_of(&key)?;
    let on_demand = material.versions.iter().filter(|version| version.rotated == Some(Rotated::OnDemand)).count();
    if on_demand >= ON_DEMAND_MAX {
        return Err(KmsError::LimitExceeded(format!(
            "{} has been rotated on demand {ON_DEMAND_MAX} times, the most that a KMS key may be.",
            key.arn()
        )));
    }
    if key.origin == Origin::External {
        kms.rotate_to_import(&turn, &key).await?;
        return Ok(model::RotateKeyOnDemandResponse { key_id: Some(key.arn()) });
    }
    // The date of the next automatic rotation stays as it is.
    kms.add_version(&turn, (*key).clone(), &material, Rotated::OnDemand).await?;
    Ok(model::RotateKeyOnDemandResponse { key_id: Some(key.arn()) })
}
