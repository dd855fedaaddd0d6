//! Import tokens: the private half of a wrapping key, sealed for whoever brings the token back. KMS API,
//! GetParametersForImport. docs/on-disk-format.md, "Import tokens", has the table.
//!
//! A token is sealed under an import key, which is kept in custody like a data key. An import key makes tokens for a day and
//! is destroyed, with a move of the epoch, after another: what was recorded of an import does not open for ever.

use std::sync::Arc;

use crypto::{Key, Label, Oaep, PairError, PairKind, Prf, PrivateKey};
use zeroize::Zeroizing;

use crate::custody::custody_aad;
use crate::kms::Kms;
use crate::managed::DAY_SECONDS;
use crate::record::{CustodyRecord, KeyRecord, Seconds};
use crate::state::{Edit, State};
use crate::{KmsError, model};

const VERSION: u8 = 1;
const MAC_BYTES: usize = 16;
const SEAL: Label = Label::new("kms/import token");
/// Where import keys are in custody, before the second they were made at.
const NAME: &str = "import-key/";
/// KMS API, GetParametersForImport: a wrapping key and its token are valid for 24 hours.
pub(crate) const VALID_SECONDS: Seconds = DAY_SECONDS;
/// From the making of an import key to its end: every token of it has expired by then.
const IMPORT_KEY_SECONDS: Seconds = DAY_SECONDS + VALID_SECONDS;

/// How material is wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrapping {
    /// By RSAES-OAEP.
    Direct(Oaep),
    /// Under an AES key that is wrapped by RSAES-OAEP.
    Aes(Oaep),
}

/// The wrapping that a request asks for. KMS developer guide, "Select a wrapping algorithm".
pub(crate) fn asked(
    algorithm: model::AlgorithmSpec,
    spec: model::WrappingKeySpec,
) -> Result<(Wrapping, PairKind), KmsError> {
    use model::AlgorithmSpec as Name;
    let unsupported = |what: &str, name: &str| Err(KmsError::Unsupported(format!("{what} {name} is not supported.")));
    let wrapping = match algorithm {
        Name::RsaesOaepSha1 => Wrapping::Direct(Oaep::Sha1),
        Name::RsaesOaepSha256 => Wrapping::Direct(Oaep::Sha256),
        Name::RsaAesKeyWrapSha1 => Wrapping::Aes(Oaep::Sha1),
        Name::RsaAesKeyWrapSha256 => Wrapping::Aes(Oaep::Sha256),
        Name::RsaesPkcs1V15 | Name::Sm2pke => return unsupported("WrappingAlgorithm", algorithm.as_str()),
    };
    let pair = match spec {
        model::WrappingKeySpec::Rsa2048 => PairKind::Rsa2048,
        model::WrappingKeySpec::Rsa3072 => PairKind::Rsa3072,
        model::WrappingKeySpec::Rsa4096 => PairKind::Rsa4096,
        model::WrappingKeySpec::Sm2 => return unsupported("WrappingKeySpec", spec.as_str()),
    };
    Ok((wrapping, pair))
}

/// The bytes of a token that say how; they are stored, so they stay what they are.
const WRAPPINGS: [(u8, Wrapping); 4] = [
    (1, Wrapping::Direct(Oaep::Sha1)),
    (2, Wrapping::Direct(Oaep::Sha256)),
    (3, Wrapping::Aes(Oaep::Sha1)),
    (4, Wrapping::Aes(Oaep::Sha256)),
];
const PAIRS: [(u8, PairKind); 3] = [(1, PairKind::Rsa2048), (2, PairKind::Rsa3072), (3, PairKind::Rsa4096)];

fn byte_of<T: PartialEq>(table: &[(u8, T)], wanted: &T) -> Option<u8> {
    table.iter().find(|(_, value)| value == wanted).map(|(byte, _)| *byte)
}

fn value_of<T: Copy>(table: &[(u8, T)], wanted: u8) -> Option<T> {
    table.iter().find(|(byte, _)| *byte == wanted).map(|(_, value)| *value)
}

/// What a token holds.
pub(crate) struct Parameters {
    wrapping: Wrapping,
    private: PrivateKey,
}

impl Parameters {
    /// Unwraps what was wrapped for them. It takes some milliseconds.
    pub(crate) fn unwrap(&self, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, PairError> {
        match self.wrapping {
            Wrapping::Direct(oaep) => self.private.decrypt(oaep, wrapped),
            Wrapping::Aes(oaep) => self.private.unwrap_key(oaep, wrapped),
        }
    }
}

impl Kms {
    /// A token for material of this key, and until when it is valid.
    pub(crate) async fn import_token(
        &self,
        key: &KeyRecord,
        wrapping: Wrapping,
        private: &PrivateKey,
    ) -> Result<(Vec<u8>, Seconds), KmsError> {
        let foreign = || KmsError::Damaged("not a wrapping key".to_owned());
        let (made, import_key) = self.import_key().await?;
        let expires = self.now().saturating_add(VALID_SECONDS);
        let pkcs8 = private.expose_pkcs8();
        let mut content = Zeroizing::new(Vec::with_capacity(pkcs8.len() + 10));
        content.extend_from_slice(&expires.to_be_bytes());
        content.push(byte_of(&WRAPPINGS, &wrapping).ok_or_else(foreign)?);
        content.push(byte_of(&PAIRS, &private.kind()).ok_or_else(foreign)?);
        content.extend_from_slice(pkcs8);
        let mut token = vec![VERSION];
        token.extend_from_slice(&made.to_be_bytes());
        token.extend_from_slice(&import_key.seal(SEAL, &aad(key, made), &content, self.env()));
        let mac = self.import_mac(key, made, &token);
        token.extend_from_slice(&mac);
        Ok((token, expires))
    }

    /// Opens a token that was made for this key. What is wrong with another one is not said.
    pub(crate) fn open_import_token(&self, key: &KeyRecord, token: &[u8]) -> Result<Parameters, KmsError> {
        let (named, mac) = token.split_last_chunk::<MAC_BYTES>().ok_or(KmsError::InvalidImportToken)?;
        let ([VERSION], rest) = named.split_first_chunk::<1>().ok_or(KmsError::InvalidImportToken)? else {
            return Err(KmsError::InvalidImportToken);
        };
        let (made, sealed) = rest.split_first_chunk::<8>().ok_or(KmsError::InvalidImportToken)?;
        let made = Seconds::from_be_bytes(*made);
        if !crypto::equal(&self.import_mac(key, made, named), mac) {
            return Err(KmsError::InvalidImportToken);
        }
        let now = self.now();
        let import_key = match self.open_import_key(made) {
            Ok(import_key) => import_key,
            // Its import key is gone, as it has to be by now.
            Err(KmsError::NotFound(_)) if is_over(made, now) => return Err(KmsError::ExpiredImportToken),
            Err(KmsError::NotFound(_)) => return Err(KmsError::InvalidImportToken),
            Err(other) => return Err(other),
        };
        let content = import_key.open(SEAL, &aad(key, made), sealed).map_err(|_| KmsError::InvalidImportToken)?;
        let (expires, content) = content.split_first_chunk::<8>().ok_or(KmsError::InvalidImportToken)?;
        let ([wrapping, pair], pkcs8) = content.split_first_chunk::<2>().ok_or(KmsError::InvalidImportToken)?;
        let wrapping = value_of(&WRAPPINGS, *wrapping).ok_or(KmsError::InvalidImportToken)?;
        let pair = value_of(&PAIRS, *pair).ok_or(KmsError::InvalidImportToken)?;
        if Seconds::from_be_bytes(*expires) <= now {
            return Err(KmsError::ExpiredImportToken);
        }
        Ok(Parameters { wrapping, private: PrivateKey::from_sealed(pair, Zeroizing::new(pkcs8.to_vec())) })
    }

    /// What tells a token of ours, also when its import key is gone and only its age can be said.
    fn import_mac(&self, key: &KeyRecord, made: Seconds, named: &[u8]) -> [u8; MAC_BYTES] {
        let place = aad(key, made);
        Prf::new(self.ring().control_subkey("kms/import tokens")).mac16_of(&[&place, b"/", named])
    }

    /// The import key of today, made now if there is none, and when it was made.
    async fn import_key(&self) -> Result<(Seconds, Key), KmsError> {
        let of_today = |now: Seconds| {
            let is_today = |made: &Seconds| *made <= now && now < made.saturating_add(DAY_SECONDS);
            self.read(|state| import_keys(state).filter(is_today).max())
        };
        if let Some(made) = of_today(self.now()) {
            return Ok((made, self.open_import_key(made)?));
        }
        let turn = self.turn().await;
        let now = self.now();
        // Another call may have made it while this one waited.
        if let Some(made) = of_today(now) {
            return Ok((made, self.open_import_key(made)?));
        }
        let (name, key) = (name_of(now), Key::random(self.env()));
        let wrapped = self.ring().seal(key.expose(), &custody_aad(&name));
        turn.write(vec![Edit::PutCustody(CustodyRecord { name, wrapped })]).await?;
        self.wake().notify_one();
        Ok((now, key))
    }

    fn open_import_key(&self, made: Seconds) -> Result<Key, KmsError> {
        let name = name_of(made);
        let mut bytes = self.open_custody(&name)?;
        Key::take(&mut bytes).map_err(|_| KmsError::Damaged(format!("{name}: not an import key")))
    }

    /// Destroys the import keys whose tokens have all expired.
    pub(crate) async fn destroy_import_keys(&self) -> Result<(), KmsError> {
        let now = self.now();
        let over: Vec<String> =
            self.read(|state| import_keys(state).filter(|made| is_over(*made, now)).map(name_of).collect());
        self.destroy_data_keys(&over).await
    }
}

/// When each import key was made.
fn import_keys(state: &State) -> impl Iterator<Item = Seconds> {
    let from = state.custody.range(NAME.to_owned()..).map(|(name, _): (&String, &Arc<CustodyRecord>)| name);
    from.map_while(|name| name.strip_prefix(NAME)).filter_map(|made| made.parse().ok())
}

/// When each import key is to be destroyed.
pub(crate) fn import_key_ends(state: &State) -> impl Iterator<Item = Seconds> {
    import_keys(state).map(|made| made.saturating_add(IMPORT_KEY_SECONDS))
}

/// Whether the last token of an import key has expired; or the clock was wrong when it was made, and nobody waits for that.
fn is_over(made: Seconds, now: Seconds) -> bool {
    made.saturating_add(IMPORT_KEY_SECONDS) <= now || made > now.saturating_add(IMPORT_KEY_SECONDS)
}

fn name_of(made: Seconds) -> String {
    format!("{NAME}{made}")
}

/// The KMS key is part of it, so that no token is taken for another.
fn aad(key: &KeyRecord, made: Seconds) -> Vec<u8> {
    format!("kms/import/{VERSION}/{made}/{}/{}/{}", key.account, key.region, key.id).into_bytes()
}
