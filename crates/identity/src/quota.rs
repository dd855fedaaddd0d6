//! How much of each there may be. IAM User Guide, "IAM and AWS STS quotas": the default values.

/// Users of an account.
pub(crate) const USERS: usize = 5000;
/// Groups of an account.
pub(crate) const GROUPS: usize = 300;
/// Roles of an account.
pub(crate) const ROLES: usize = 1000;
/// Customer managed policies of an account.
pub(crate) const POLICIES: usize = 1500;
/// OpenID Connect providers of an account.
pub(crate) const PROVIDERS: usize = 100;
/// Client ids of a provider.
pub(crate) const CLIENT_IDS: usize = 100;
/// Access keys of a user.
pub(crate) const ACCESS_KEYS: usize = 2;
/// Groups of a user.
pub(crate) const GROUPS_PER_USER: usize = 10;
/// Managed policies attached to one identity.
pub(crate) const ATTACHED: usize = 10;
/// Versions of a managed policy.
pub(crate) const VERSIONS: usize = 5;
/// Tags of one thing.
pub(crate) const TAGS: usize = 50;
/// Characters of a managed policy, white space apart.
pub(crate) const MANAGED_CHARACTERS: usize = 6144;
/// Characters of a trust policy, white space apart.
pub(crate) const TRUST_CHARACTERS: usize = 2048;
