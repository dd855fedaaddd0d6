//! What the file service keeps at KMS for one of its file systems.

use kms::Kms;

use super::{SERVICE, encryption_context, new_key, root, service};

/// The encryption context of the file system.
pub(crate) const CONTEXT: &[(&str, &str)] = &[("aws:elasticfilesystem:filesystem:id", "fs-1")];

/// A data key in custody under a new KMS key; the KMS key's ARN.
pub(crate) async fn data_key(kms: &Kms, name: &str) -> String {
    let key = new_key(kms).await;
    let context = encryption_context(CONTEXT);
    let grant = kms.grant_to_service(&root(), SERVICE, &key, &context).await.unwrap();
    kms.make_data_key(&service(), name, &grant.key_arn, &context).await.unwrap();
    grant.key_arn
}

/// Whether the service gets that data key.
pub(crate) async fn opens(kms: &Kms, name: &str, key_arn: &str) -> bool {
    kms.open_data_key(&service(), name, key_arn, &encryption_context(CONTEXT)).await.is_ok()
}
