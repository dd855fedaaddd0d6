//! From a caller's spelling of a KMS key to the key. KMS developer guide, "Key identifiers (KeyId)".

use std::sync::Arc;

use aws_wire::{Arn, CallContext};

use crate::kms::{Kms, here};
use crate::record::{KeyRecord, alias_arn};
use crate::{KmsError, access, managed, uuid};

/// Which spellings an action takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spelling {
    /// Key id or key ARN: the management actions.
    Key,
    /// Also alias name or alias ARN: the cryptographic actions and DescribeKey.
    KeyOrAlias,
}

/// A spelling taken apart.
struct Named<'a> {
    account: String,
    region: String,
    what: What<'a>,
}

enum What<'a> {
    Id(&'a str),
    Alias(&'a str),
}

impl Kms {
    /// The KMS key that `text` names. The alias of a service's key makes that key on first use.
    pub(crate) async fn find(
        &self,
        cx: &CallContext,
        text: &str,
        spelling: Spelling,
    ) -> Result<Arc<KeyRecord>, KmsError> {
        let named = parse(cx, text, spelling)?;
        match named.what {
            What::Id(id) => {
                let found = self.find_id(&named.account, &named.region, id);
                if named.account == cx.account { found } else { found.map_err(|_| access::foreign(cx, text)) }
            }
            What::Alias(name) => {
                if let Some(key) = self.find_alias(&named.account, &named.region, name) {
                    return Ok(key);
                }
                if managed::service_of(name).is_some() && (named.account.as_str(), named.region.as_str()) == here(cx) {
                    return self.managed_key(&named.account, &named.region, name).await;
                }
                if named.account != cx.account {
                    return Err(access::foreign(cx, text));
                }
                let arn = alias_arn(&named.account, &named.region, name);
                Err(KmsError::NotFound(format!("Alias {arn} is not found.")))
            }
        }
    }

    /// The KMS key of an id, if it is of this account and region.
    pub(crate) fn find_id(&self, account: &str, region: &str, id: &str) -> Result<Arc<KeyRecord>, KmsError> {
        self.read(|state| state.keys.get(id).cloned())
            .filter(|key| key.account == account && key.region == region)
            .ok_or_else(|| KmsError::NotFound(format!("Key 'arn:aws:kms:{region}:{account}:key/{id}' does not exist")))
    }

    /// The KMS key of an id in a region, whosever it is.
    pub(crate) fn find_anyones(&self, region: &str, id: &str) -> Option<Arc<KeyRecord>> {
        self.read(|state| state.keys.get(id).cloned()).filter(|key| key.region == region)
    }

    pub(crate) fn find_alias(&self, account: &str, region: &str, name: &str) -> Option<Arc<KeyRecord>> {
        self.read(|state| {
            let alias = state.aliases.get(&(account.to_owned(), region.to_owned(), name.to_owned()))?;
            state.keys.get(&alias.key).cloned()
        })
    }
}

fn parse<'a>(cx: &CallContext, text: &'a str, spelling: Spelling) -> Result<Named<'a>, KmsError> {
    let (account, region) = here(cx);
    let takes_alias = spelling == Spelling::KeyOrAlias;
    if !text.starts_with("arn:") {
        let what = if text.starts_with("alias/") && takes_alias {
            What::Alias(text)
        } else if is_key_id(text) {
            What::Id(text)
        } else {
            return Err(KmsError::NotFound(format!("Invalid keyId '{text}'")));
        };
        return Ok(Named { account: account.to_owned(), region: region.to_owned(), what });
    }
    let invalid = || KmsError::InvalidArn(format!("Invalid arn '{text}'"));
    let arn = Arn::parse(text).filter(|arn| arn.service == "kms").ok_or_else(invalid)?;
    // AWS answers so for another region.
    if arn.region != region {
        return Err(KmsError::NotFound(format!("Invalid arn {}", arn.region)));
    }
    let at = text.len() - arn.resource.len();
    let resource = text.get(at..).ok_or_else(invalid)?;
    let what = match resource.split_once('/') {
        Some(("key", id)) if is_key_id(id) => What::Id(id),
        Some(("alias", _)) if takes_alias => What::Alias(resource),
        _ => return Err(invalid()),
    };
    Ok(Named { account: arn.account, region: arn.region, what })
}

fn is_key_id(text: &str) -> bool {
    let multi_region = |id: &str| id.len() == 32 && id.bytes().all(|digit| digit.is_ascii_hexdigit());
    uuid::to_bytes(text).is_some() || text.strip_prefix("mrk-").is_some_and(multi_region)
}
