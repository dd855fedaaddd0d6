//! Key services elsewhere: any endpoint that speaks the KMS API, AWS's own among them. A file system may be under a KMS
//! key there, so that its owner can take the key away without asking anybody here.
//!
//! Every use of such a key is a signed call. What the service says of the key is a refusal; everything else (no
//! connection, no answer in time, throttling, a server's error, credentials that are not taken) is no answer, and a lease
//! goes on for the provider's grace.

mod answer;
mod credentials;
mod endpoint;
mod health;
mod provider;
mod settings;
mod wire;

use std::sync::Arc;

use aws_wire::Arn;
use env::Env;

pub(crate) use answer::ProviderError;
pub(crate) use health::{KeyWord, ProviderStatus};
pub(crate) use provider::Provider;
pub(crate) use settings::ProviderSettings;

use crate::CofferError;

/// The providers of the configuration.
#[derive(Default)]
pub(crate) struct Providers(Vec<Arc<Provider>>);

impl Providers {
    /// Reads the CA bundles; nobody is called yet.
    pub(crate) fn open(settings: &[ProviderSettings], env: &Env) -> Result<Self, CofferError> {
        let providers = settings.iter().map(|one| Provider::new(one.clone(), env.clone()).map(Arc::new));
        providers.collect::<Result<_, _>>().map(Self)
    }

    /// The provider that has the KMS key or alias of this ARN.
    pub(crate) fn serving(&self, arn: &Arn) -> Option<&Arc<Provider>> {
        self.0.iter().find(|provider| provider.settings().serves(arn))
    }

    /// The provider of this name.
    pub(crate) fn named(&self, name: &str) -> Option<&Arc<Provider>> {
        self.0.iter().find(|provider| provider.settings().name == name)
    }

    /// All of them, as `coffer status` shows them.
    pub(crate) fn status(&self) -> Vec<ProviderStatus> {
        self.0.iter().map(|provider| provider.status()).collect()
    }
}

#[cfg(test)]
mod tests;
