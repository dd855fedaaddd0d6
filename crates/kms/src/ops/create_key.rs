//! CreateKey: a customer's KMS key. KMS API, CreateKey.

use std::collections::BTreeMap;

use aws_wire::CallContext;
use policy::Conditions;

use crate::kind::{Kind, requested_spec};
use crate::material::Fresh;
use crate::record::{KeyRecord, KeyState, Manager, MaterialRecord, Origin, Rotation};
use crate::state::Edit;
use crate::{Kms, KmsError, access, metadata, model, policy_document, tags};

/// KMS developer guide, "Resource quotas": KMS keys of an account and region.
const KEYS_MAX: usize = 100_000;
/// What EnableKeyRotation takes when it is not told otherwise.
const ROTATION_DAYS: u16 = 365;

/// CreateKey.
pub async fn run(
    kms: &Kms,
    cx: &CallContext,
    input: model::CreateKeyRequest,
) -> Result<model::CreateKeyResponse, KmsError> {
    let kind = Kind::new(requested_spec(input.key_spec, input.customer_master_key_spec)?, input.key_usage)?;
    let tags_given = input.tags.as_deref().unwrap_or_default();
    let brought = tags_given.iter().map(|tag| (&tag.tag_key, Some(&tag.tag_value)));
    let bypass = input.bypass_policy_lockout_safety_check == Some(true);
    let facts = access::with_tags(Conditions::of_call(cx), brought)
        .with("kms:KeySpec", kind.spec().as_str())
        .with("kms:KeyUsage", kind.usage().as_str())
        .with("kms:CustomerMasterKeySpec", kind.spec().as_str())
        .with("kms:CustomerMasterKeyUsage", kind.usage().as_str())
        .with("kms:KeyOrigin", input.origin.map_or("AWS_KMS", |origin| origin.as_str()))
        .with("kms:MultiRegion", (input.multi_region == Some(true)).to_string())
        .with("kms:BypassPolicyLockoutSafetyCheck", bypass.to_string());
    kms.allow_here(cx, "CreateKey", "*", facts)?;
    let origin = origin_of(&input, kind)?;
    let mut given = BTreeMap::new();
    tags::add(&mut given, input.tags.unwrap_or_default())?;
    let policy = input.policy.unwrap_or_else(|| policy_document::default_of(&cx.account));
    let document = policy_document::read(&policy)?;
    let fresh = match origin {
        Origin::AwsKms => Some(kms.new_material(kind).await?),
        Origin::External => None,
    };
    let turn = kms.turn().await;
    let count = kms
        .read(|state| state.keys.values().filter(|key| key.account == cx.account && key.region == cx.region).count());
    if count >= KEYS_MAX {
        return Err(KmsError::LimitExceeded(format!("The account has {KEYS_MAX} KMS keys in this region.")));
    }
    let key = KeyRecord {
        id: kms.env().uuid(),
        account: cx.account.clone(),
        region: cx.region.clone(),
        manager: Manager::Customer,
        state: if origin == Origin::External { KeyState::PendingImport } else { KeyState::Enabled },
        created: kms.now(),
        description: input.description.unwrap_or_default(),
        policy,
        tags: given,
        rotation: Rotation { enabled: false, period_days: ROTATION_DAYS, next: 0 },
        kind,
        public_key: fresh.as_ref().and_then(Fresh::public_key),
        origin,
        before_expiry: None,
    };
    if !bypass {
        kms.check_lockout(cx, &key, &document)?;
    }
    let material = match &fresh {
        Some(fresh) => MaterialRecord::of(&key, kms.first_version(&key, fresh)),
        None => kms.no_material_yet(&key),
    };
    turn.write(vec![Edit::PutMaterial(material), Edit::PutKey(key.clone())]).await?;
    Ok(model::CreateKeyResponse { key_metadata: Some(metadata::of(kms, &key)) })
}

/// Material of our own making and imported material, in one region and in no other store, is what there is.
fn origin_of(input: &model::CreateKeyRequest, kind: Kind) -> Result<Origin, KmsError> {
    let unsupported = |what: &str| Err(KmsError::Unsupported(format!("{what} is not supported.")));
    let origin = match input.origin {
        None | Some(model::OriginType::AwsKms) => Origin::AwsKms,
        Some(model::OriginType::External) if kind.is_symmetric() => Origin::External,
        Some(model::OriginType::External) => {
            return Err(KmsError::Unsupported(format!(
                "Origin EXTERNAL is supported for KMS keys of KeySpec SYMMETRIC_DEFAULT only, not {}.",
                kind.spec().as_str()
            )));
        }
        Some(origin) => return unsupported(&format!("Origin {}", origin.as_str())),
    };
    if input.custom_key_store_id.is_some() || input.xks_key_id.is_some() {
        return unsupported("A custom key store");
    }
    if input.multi_region == Some(true) {
        return unsupported("MultiRegion");
    }
    Ok(origin)
}
