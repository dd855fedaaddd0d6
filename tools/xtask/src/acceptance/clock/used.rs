//! A KMS key of this case, and what is asked of it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::api::{Api, text};

/// A key that encrypted something, with an alias.
pub(super) struct Used {
    pub(super) id: String,
    alias: String,
    pub(super) blob: String,
}

const PLAINTEXT: &[u8] = b"before the clock moved";

impl Used {
    pub(super) fn new(api: &Api, name: &str) -> Result<Self, String> {
        let id = api.create_key(name)?;
        let alias = format!("alias/{name}");
        api.kms("CreateAlias", &json!({ "AliasName": alias, "TargetKeyId": id }))?;
        let blob = encrypt(api, &id)?;
        Ok(Self { id, alias, blob })
    }

    /// What it encrypted is decrypted, by its alias.
    pub(super) fn opens(&self, api: &Api) -> Result<(), String> {
        decrypt(api, &self.alias, &self.blob).map(drop)
    }

    /// Neither the key nor its alias is there, and what it encrypted is refused.
    pub(super) fn is_gone(&self, api: &Api) -> Result<(), String> {
        for name in [&self.id, &self.alias] {
            refused(api, "DescribeKey", &json!({ "KeyId": name }), "NotFoundException")?;
            let input = json!({ "KeyId": name, "CiphertextBlob": self.blob });
            refused(api, "Decrypt", &input, "NotFoundException")?;
        }
        refused(api, "CancelKeyDeletion", &json!({ "KeyId": self.id }), "NotFoundException")?;
        // A blob that names no key says no more than one that does not open.
        refused(api, "Decrypt", &json!({ "CiphertextBlob": self.blob }), "InvalidCiphertextException")
    }
}

fn refused(api: &Api, action: &str, input: &Value, code: &str) -> Result<(), String> {
    match api.kms(action, input) {
        Ok(answer) => Err(format!("{action} of a deleted key answers {answer}")),
        Err(why) if why.contains(code) => Ok(()),
        Err(why) => Err(format!("{code} was wanted: {why}")),
    }
}

pub(super) fn encrypt(api: &Api, key: &str) -> Result<String, String> {
    let input = json!({ "KeyId": key, "Plaintext": STANDARD.encode(PLAINTEXT) });
    text(&api.kms("Encrypt", &input)?, &["CiphertextBlob"])
}

/// Decrypts and compares; gives the version that did it.
pub(super) fn decrypt(api: &Api, key: &str, blob: &str) -> Result<String, String> {
    let opened = api.kms("Decrypt", &json!({ "KeyId": key, "CiphertextBlob": blob }))?;
    if STANDARD.decode(text(&opened, &["Plaintext"])?).map_err(|error| error.to_string())? != PLAINTEXT {
        return Err(format!("{key} decrypts to something else"));
    }
    text(&opened, &["KeyMaterialId"])
}

/// The types of the key's rotations.
pub(super) fn rotations(api: &Api, key: &Used) -> Result<Vec<String>, String> {
    let listed = api.kms("ListKeyRotations", &json!({ "KeyId": key.id }))?;
    let entries = listed.get("Rotations").and_then(Value::as_array).cloned().unwrap_or_default();
    entries.iter().map(|entry| text(entry, &["RotationType"])).collect()
}
