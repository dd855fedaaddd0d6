//! What the API says of ciphertexts that are not as they were made: always the same.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::house::{House, Reply};

const CONTEXT: &str = "fs-1";

/// Two keys, and a ciphertext of the first.
struct Made {
    house: House,
    key: String,
    other: String,
    blob: Vec<u8>,
}

async fn made() -> Made {
    let house = House::new().await;
    let key = new_key(&house).await;
    let other = new_key(&house).await;
    let input = json!({"KeyId": key, "Plaintext": STANDARD.encode("hello"), "EncryptionContext": {"fs": CONTEXT}});
    let blob = STANDARD.decode(house.kms("Encrypt", input).await.json()["CiphertextBlob"].as_str().unwrap()).unwrap();
    Made { house, key, other, blob }
}

async fn new_key(house: &House) -> String {
    house.kms("CreateKey", json!({})).await.json()["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned()
}

impl Made {
    async fn decrypt(&self, blob: &[u8], more: Value) -> Reply {
        let mut input = json!({"CiphertextBlob": STANDARD.encode(blob), "EncryptionContext": {"fs": CONTEXT}});
        for (name, value) in more.as_object().into_iter().flatten() {
            input[name] = value.clone();
        }
        self.house.kms("Decrypt", input).await
    }
}

/// All of an answer that a caller sees, but the request's id and the time.
fn seen(reply: &Reply) -> String {
    let own = |line: &&str| {
        let line = line.to_ascii_lowercase();
        !line.starts_with("x-amzn-requestid:") && !line.starts_with("date:")
    };
    let head: Vec<&str> = reply.head.lines().filter(own).collect();
    format!("{}\n\n{}", head.join("\n"), reply.body)
}

/// KMS API, Decrypt, InvalidCiphertextException: whichever byte is another, whatever is cut off or added, whichever
/// context is given: answers are equal to the byte, so they tell nothing of which part was wrong.
#[tokio::test]
async fn whatever_was_changed_the_answer_is_the_same() {
    let made = made().await;
    let right = made.decrypt(&made.blob, json!({})).await;
    assert_eq!(right.json()["Plaintext"], STANDARD.encode("hello"), "{right:?}");
    let wrong = made.decrypt(&made.blob, json!({"EncryptionContext": {"fs": "fs-2"}})).await;
    assert_eq!((wrong.status, &wrong.json()["__type"]), (400, &json!("InvalidCiphertextException")));
    let wanted = seen(&wrong);
    for at in 0..made.blob.len() {
        let mut changed = made.blob.clone();
        changed[at] ^= 1 << (at % 8);
        assert_eq!(seen(&made.decrypt(&changed, json!({})).await), wanted, "byte {at}");
    }
    let mut others = vec![[made.blob.as_slice(), &[0]].concat(), vec![0], vec![0xff; 6144]];
    others.extend([1, 2, 17, 33, 49, 50, 66, 67, made.blob.len() - 1].map(|length| made.blob[..length].to_vec()));
    for other in others {
        assert_eq!(seen(&made.decrypt(&other, json!({})).await), wanted, "{} bytes", other.len());
    }
    for context in [json!({}), json!({"FS": CONTEXT}), json!({"fs": CONTEXT, "more": ""})] {
        let reply = made.decrypt(&made.blob, json!({"EncryptionContext": context})).await;
        assert_eq!(seen(&reply), wanted, "{context}");
    }
}

/// KMS API, ReEncrypt: the same of its source.
#[tokio::test]
async fn a_changed_source_is_not_encrypted_again() {
    let made = made().await;
    let re_encrypt = async |blob: &[u8], context: &str| {
        let input = json!({
            "CiphertextBlob": STANDARD.encode(blob), "SourceEncryptionContext": {"fs": context},
            "DestinationKeyId": made.other,
        });
        made.house.kms("ReEncrypt", input).await
    };
    assert_eq!(re_encrypt(&made.blob, CONTEXT).await.status, 200);
    let wrong = re_encrypt(&made.blob, "fs-2").await;
    assert_eq!(wrong.json()["__type"], "InvalidCiphertextException");
    for at in (0..made.blob.len()).step_by(5) {
        let mut changed = made.blob.clone();
        changed[at] ^= 0x80;
        assert_eq!(seen(&re_encrypt(&changed, CONTEXT).await), seen(&wrong), "byte {at}");
    }
}

/// KMS API, Decrypt, IncorrectKeyException: a KeyId of another key is that one answer, whether the ciphertext is whole,
/// changed behind its header, or in the wrong context; and a ciphertext that names another key does not open with it.
#[tokio::test]
async fn a_swapped_key_is_one_answer_too() {
    let made = made().await;
    let right = made.decrypt(&made.blob, json!({"KeyId": made.key})).await;
    assert_eq!(right.json()["Plaintext"], STANDARD.encode("hello"));
    let wrong = made.decrypt(&made.blob, json!({"KeyId": made.other})).await;
    assert_eq!((wrong.status, &wrong.json()["__type"]), (400, &json!("IncorrectKeyException")));
    let context = made.decrypt(&made.blob, json!({"KeyId": made.other, "EncryptionContext": {}})).await;
    assert_eq!(seen(&context), seen(&wrong));
    for at in 18..made.blob.len() {
        let mut changed = made.blob.clone();
        changed[at] ^= 0x10;
        assert_eq!(seen(&made.decrypt(&changed, json!({"KeyId": made.other})).await), seen(&wrong), "byte {at}");
    }
    // The header's name of the key, exchanged for that of the other one, which exists and is enabled.
    let id: Vec<u8> = hex(&made.other.replace('-', ""));
    let mut swapped = made.blob.clone();
    swapped[2..18].copy_from_slice(&id);
    let refused = made.decrypt(&swapped, json!({})).await;
    let invalid = made.decrypt(&made.blob, json!({"EncryptionContext": {}})).await;
    assert_eq!(invalid.json()["__type"], "InvalidCiphertextException");
    assert_eq!(seen(&refused), seen(&invalid));
    assert_eq!(seen(&made.decrypt(&swapped, json!({"KeyId": made.other})).await), seen(&invalid));
}

fn hex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    digits.map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap()).collect()
}
