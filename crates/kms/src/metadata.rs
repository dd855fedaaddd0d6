//! KeyMetadata, as CreateKey and DescribeKey answer it. KMS API, KeyMetadata.

use aws_wire::Timestamp;

use crate::imported;
use crate::kms::Kms;
use crate::model;
use crate::record::{KeyRecord, KeyState, Manager, Seconds};

pub(crate) fn timestamp(seconds: Seconds) -> Timestamp {
    Timestamp::from_unix(seconds, 0)
}

pub(crate) fn state_name(state: KeyState) -> model::KeyState {
    match state {
        KeyState::Enabled => model::KeyState::Enabled,
        KeyState::Disabled => model::KeyState::Disabled,
        KeyState::PendingDeletion { .. } => model::KeyState::PendingDeletion,
        KeyState::PendingImport => model::KeyState::PendingImport,
    }
}

pub(crate) fn of(kms: &Kms, key: &KeyRecord) -> model::KeyMetadata {
    let deletion = match key.state {
        KeyState::PendingDeletion { deletion } => Some(timestamp(deletion)),
        KeyState::Enabled | KeyState::Disabled | KeyState::PendingImport => None,
    };
    let material = kms.read(|state| state.material.get(&key.id).cloned());
    let newest = material.as_ref().and_then(|material| material.versions.last()).map(|version| version.id.clone());
    let expiry = material.as_ref().and_then(|material| imported::expiry(material, kms.now()));
    // KMS API, KeyMetadata: of symmetric encryption keys only.
    let newest = newest.filter(|_| key.kind.is_symmetric());
    model::KeyMetadata {
        aws_account_id: Some(key.account.clone()),
        arn: Some(key.arn()),
        creation_date: Some(timestamp(key.created)),
        current_key_material_id: newest,
        customer_master_key_spec: key.kind.old_spec(),
        deletion_date: deletion,
        description: Some(key.description.clone()),
        enabled: Some(key.state == KeyState::Enabled),
        expiration_model: expiry.map(|(model, _)| model),
        valid_to: expiry.and_then(|(_, valid_to)| valid_to).map(timestamp),
        encryption_algorithms: key.kind.encryption_algorithms(),
        key_agreement_algorithms: key.kind.key_agreement_algorithms(),
        mac_algorithms: key.kind.mac_algorithms(),
        signing_algorithms: key.kind.signing_algorithms(),
        key_id: key.id.clone(),
        key_manager: Some(match key.manager {
            Manager::Customer => model::KeyManagerType::Customer,
            Manager::Service => model::KeyManagerType::Aws,
        }),
        key_spec: Some(key.kind.spec()),
        key_state: Some(state_name(key.state)),
        key_usage: Some(key.kind.usage()),
        multi_region: Some(false),
        origin: Some(key.origin.name()),
        ..model::KeyMetadata::default()
    }
}
