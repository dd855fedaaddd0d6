//! Material that is no 32-byte key: private keys and HMAC keys, sealed under the domain key like every version, and the
//! work with them.
//!
//! Private keys are unsealed for one operation, which runs on a thread that may take its time, and are wiped with it.

use std::sync::Arc;

use crypto::{MacKey, PairError, PairKind, PrivateKey, PublicKey};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::EncryptionContext;
use crate::KmsError;
use crate::algorithm::Cipher;
use crate::kind::Kind;
use crate::kms::Kms;
use crate::record::{KeyRecord, StoredPublicKey, Version};
use crate::wrapped::{UnwrapError, Wrapped};

/// Fresh material of a KMS key, not yet sealed.
pub(crate) enum Fresh {
    /// A 256-bit key; it is made where it is wrapped.
    Symmetric,
    /// An HMAC key.
    Mac(MacKey),
    /// A key pair.
    Pair(PrivateKey, PublicKey),
}

impl Fresh {
    /// The public half, for the key's record.
    pub(crate) fn public_key(&self) -> Option<StoredPublicKey> {
        match self {
            Self::Symmetric | Self::Mac(_) => None,
            Self::Pair(_, public) => Some(StoredPublicKey(public.as_spki().to_vec())),
        }
    }
}

/// Key pairs that are made at one time: half of the processors, so that the rest of the server goes on.
pub(crate) fn pair_makers() -> Arc<Semaphore> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Arc::new(Semaphore::new((cores / 2).max(1)))
}

/// Runs slow work on a thread that may wait.
pub(crate) async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, KmsError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|stopped| KmsError::Damaged(format!("work with a key pair did not finish: {stopped}")))
}

/// What a failure of a pair means to a caller, where it is not about the caller's own bytes.
pub(crate) fn failed(key: &KeyRecord, cause: PairError) -> KmsError {
    match cause {
        PairError::BadSignature => KmsError::InvalidSignature,
        PairError::OpenFailed => KmsError::InvalidCiphertext,
        PairError::Malformed
        | PairError::WrongKind
        | PairError::DigestLength
        | PairError::TooLong
        | PairError::Failed => KmsError::Damaged(format!("{}: {cause}", key.arn())),
    }
}

impl Kms {
    /// A fresh key pair. This may take seconds and waits for its place: never call it with the right to change state.
    pub(crate) async fn new_pair(&self, kind: PairKind) -> Result<(PrivateKey, PublicKey), KmsError> {
        let place = self.pair_makers().acquire_owned().await;
        let place = place.map_err(|_| KmsError::Damaged("no key pairs are made any more".to_owned()))?;
        let made = aside(move || {
            // Held until the pair is there, whatever becomes of the caller.
            let _place = place;
            let private = PrivateKey::generate(kind)?;
            let public = private.public_key()?;
            Ok((private, public))
        });
        made.await?.map_err(|cause: PairError| KmsError::Damaged(format!("a key pair could not be made: {cause}")))
    }

    /// Fresh material for a key of that kind; see [`Kms::new_pair`].
    pub(crate) async fn new_material(&self, kind: Kind) -> Result<Fresh, KmsError> {
        Ok(match kind {
            Kind::Symmetric => Fresh::Symmetric,
            Kind::Mac(mac) => Fresh::Mac(MacKey::random(mac, self.env())),
            Kind::Encryption(pair) | Kind::Signing(pair) | Kind::Agreement(pair) => {
                let (private, public) = self.new_pair(pair).await?;
                Fresh::Pair(private, public)
            }
        })
    }

    /// The first version of a KMS key. Call it with the right to change state, so that the epoch stays what it is.
    pub(crate) fn first_version(&self, key: &KeyRecord, fresh: &Fresh) -> Version {
        let bytes = match fresh {
            Fresh::Symmetric => return self.new_version(key, None),
            Fresh::Mac(mac) => mac.expose(),
            Fresh::Pair(private, _) => private.expose_pkcs8(),
        };
        let id = hex::encode(self.env().random::<32>());
        let wrapped = self.ring().seal(bytes, &sealed_aad(key, &id));
        Version { id, created: self.now(), wrapped: Some(wrapped), rotated: None, imported: None }
    }

    /// Seals a version that is no 32-byte key again, under the current epoch.
    pub(crate) fn reseal_version(&self, key: &KeyRecord, id: &str, wrapped: &Wrapped) -> Result<Wrapped, KmsError> {
        let aad = sealed_aad(key, id);
        let bytes = self.ring().open_sealed(wrapped, &aad);
        let bytes = bytes.map_err(|_| KmsError::Damaged(format!("{}: its material does not open", key.arn())))?;
        Ok(self.ring().seal(&bytes, &aad))
    }

    /// The only version of a key that does not rotate. Where the epoch moved on between look and open, it looks again.
    fn unseal(&self, key: &KeyRecord) -> Result<Zeroizing<Vec<u8>>, KmsError> {
        for _ in 0..3 {
            let material = self.read(|state| state.material.get(&key.id).cloned());
            let version = material.as_ref().and_then(|material| material.versions.last());
            let version = version.and_then(|version| Some((&version.id, version.wrapped.as_ref()?)));
            let (id, wrapped) =
                version.ok_or_else(|| KmsError::Damaged(format!("{}: it has no material", key.arn())))?;
            match self.ring().open_sealed(wrapped, &sealed_aad(key, id)) {
                Ok(bytes) => return Ok(bytes),
                Err(UnwrapError::EpochGone) => {}
                Err(UnwrapError::OpenFailed) => break,
            }
        }
        Err(KmsError::Damaged(format!("{}: its material does not open", key.arn())))
    }

    /// The private key of a key pair.
    pub(crate) fn private_key(&self, key: &KeyRecord) -> Result<PrivateKey, KmsError> {
        let pair = key.kind.pair().ok_or_else(|| KmsError::Damaged(format!("{}: no key pair", key.arn())))?;
        Ok(PrivateKey::from_sealed(pair, self.unseal(key)?))
    }

    /// The HMAC key of a key that makes MACs.
    pub(crate) fn mac_key(&self, key: &KeyRecord) -> Result<MacKey, KmsError> {
        let Kind::Mac(mac) = key.kind else { return Err(KmsError::Damaged(format!("{}: no HMAC key", key.arn()))) };
        Ok(MacKey::new(mac, self.unseal(key)?))
    }

    /// Encrypts by `cipher`; the id of the version that did it, where the key has several.
    pub(crate) fn encrypt_by(
        &self,
        key: &KeyRecord,
        cipher: Cipher,
        context: &EncryptionContext,
        plaintext: &[u8],
    ) -> Result<(Vec<u8>, Option<String>), KmsError> {
        cipher.check(key, context, plaintext.len())?;
        match cipher {
            Cipher::Symmetric => self.encrypt_under(key, context, plaintext).map(|(blob, id)| (blob, Some(id))),
            Cipher::Oaep(_, oaep) => {
                let sealed = public_key(key)?.encrypt(oaep, plaintext).map_err(|cause| failed(key, cause))?;
                Ok((sealed, None))
            }
        }
    }

    /// Decrypts a bare RSA ciphertext.
    pub(crate) async fn decrypt_oaep(
        &self,
        key: &KeyRecord,
        oaep: crypto::Oaep,
        ciphertext: Vec<u8>,
    ) -> Result<Zeroizing<Vec<u8>>, KmsError> {
        let private = self.private_key(key)?;
        aside(move || private.decrypt(oaep, &ciphertext)).await?.map_err(|cause| failed(key, cause))
    }
}

impl Cipher {
    /// What asymmetric encryption does not take: an encryption context, and more than fits the modulus. KMS API, Encrypt.
    pub(crate) fn check(self, key: &KeyRecord, context: &EncryptionContext, length: usize) -> Result<(), KmsError> {
        let Self::Oaep(pair, oaep) = self else { return Ok(()) };
        self.check_context(key, context)?;
        let most = pair.oaep_bytes_max(oaep).unwrap_or(0);
        if length > most {
            return Err(KmsError::Validation(format!(
                "Algorithm {} and key spec {} cannot encrypt data larger than {most} bytes.",
                self.name().as_str(),
                key.kind.spec().as_str()
            )));
        }
        Ok(())
    }

    /// KMS developer guide, "Encryption context": for symmetric encryption keys only.
    pub(crate) fn check_context(self, key: &KeyRecord, context: &EncryptionContext) -> Result<(), KmsError> {
        if self == Self::Symmetric || context.pairs().is_empty() {
            return Ok(());
        }
        Err(KmsError::Validation(format!(
            "You cannot specify an EncryptionContext with an asymmetric KMS key: {} has the key spec {}.",
            key.arn(),
            key.kind.spec().as_str()
        )))
    }
}

/// The public key of a key pair.
pub(crate) fn public_key(key: &KeyRecord) -> Result<PublicKey, KmsError> {
    match (key.kind.pair(), &key.public_key) {
        (Some(pair), Some(stored)) => Ok(PublicKey::from_spki(pair, stored.0.clone())),
        _ => Err(KmsError::Damaged(format!("{}: its record has no public key", key.arn()))),
    }
}

/// Where material that is no 32-byte key belongs. Spec and usage are part of it, so that no key does what it was not made for.
pub(crate) fn sealed_aad(key: &KeyRecord, version: &str) -> Vec<u8> {
    let (spec, usage) = (key.kind.spec().as_str(), key.kind.usage().as_str());
    format!("kms/{spec}/{usage}/{}/{}/{}/{version}", key.account, key.region, key.id).into_bytes()
}
