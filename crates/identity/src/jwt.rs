//! JSON Web Tokens and the keys that sign them. RFC 7515 (signatures), RFC 7517 (keys), RFC 7518 (algorithms), RFC 7519
//! (claims).
//!
//! Two algorithms, RS256 and ES256: what OpenID Connect providers use. A key is bound to its algorithm, so that a token
//! cannot choose how its signature is checked.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};

/// A provider has few keys.
const KEYS_MAX: usize = 100;

/// A token, taken apart and not yet believed.
pub(crate) struct Token<'a> {
    /// What the signature is over.
    signed: &'a str,
    signature: Vec<u8>,
    algorithm: String,
    key_id: Option<String>,
    /// What it claims.
    pub(crate) claims: Claims,
}

/// The claims that matter here. OpenID Connect Core 1.0, section 2.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Claims {
    pub(crate) issuer: String,
    pub(crate) subject: String,
    /// Whom it is for.
    pub(crate) audiences: Vec<String>,
    /// To whom it was given, where that is said.
    pub(crate) authorized_party: Option<String>,
    /// How the subject was authenticated.
    pub(crate) methods: Vec<String>,
    pub(crate) expires: i64,
    pub(crate) not_before: Option<i64>,
    pub(crate) issued: Option<i64>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    /// Extensions that must be understood: there is none that is.
    #[serde(default)]
    crit: Option<Value>,
}

/// The public keys of a provider.
pub(crate) struct KeySet(Vec<PublicKey>);

struct PublicKey {
    key_id: Option<String>,
    kind: KeyKind,
}

enum KeyKind {
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    /// An uncompressed point of P-256.
    P256(Vec<u8>),
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default, rename = "use")]
    usage: Option<String>,
    #[serde(default)]
    n: Option<String>,
    #[serde(default)]
    e: Option<String>,
    #[serde(default)]
    crv: Option<String>,
    #[serde(default)]
    x: Option<String>,
    #[serde(default)]
    y: Option<String>,
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

impl<'a> Token<'a> {
    /// Takes a compact token apart; `None` when it is none.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let header: Header = serde_json::from_slice(&decoded(header)?).ok()?;
        if header.crit.is_some() {
            return None;
        }
        let claims: Map<String, Value> = serde_json::from_slice(&decoded(claims)?).ok()?;
        Some(Self {
            signed,
            signature: decoded(signature)?,
            algorithm: header.alg,
            key_id: header.kid,
            claims: Claims::read(&claims)?,
        })
    }

    /// Whether one of the keys signed it: the one it names, or any when it names none.
    pub(crate) fn is_signed_by(&self, keys: &KeySet) -> bool {
        let named = |key: &&PublicKey| self.key_id.is_none() || self.key_id == key.key_id;
        keys.0.iter().filter(named).any(|key| match (&key.kind, self.algorithm.as_str()) {
            (KeyKind::Rsa { modulus, exponent }, "RS256") => RsaPublicKeyComponents { n: modulus, e: exponent }
                .verify(&RSA_PKCS1_2048_8192_SHA256, self.signed.as_bytes(), &self.signature)
                .is_ok(),
            (KeyKind::P256(point), "ES256") => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
                .verify(self.signed.as_bytes(), &self.signature)
                .is_ok(),
            _ => false,
        })
    }
}

impl Claims {
    fn read(claims: &Map<String, Value>) -> Option<Self> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str).map(str::to_owned);
        let texts = |name: &str| match claims.get(name) {
            Some(Value::String(text)) => vec![text.clone()],
            Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => Vec::new(),
        };
        // RFC 7519 section 2, NumericDate: seconds, perhaps with a fraction.
        let date = |name: &str| {
            let number = claims.get(name)?;
            #[expect(
                clippy::cast_possible_truncation,
                reason = "the conversion saturates, and a moment that far off is one"
            )]
            number.as_i64().or_else(|| number.as_f64().map(|seconds| seconds as i64))
        };
        Some(Self {
            issuer: text("iss")?,
            subject: text("sub")?,
            audiences: texts("aud"),
            authorized_party: text("azp"),
            methods: texts("amr"),
            expires: date("exp")?,
            not_before: date("nbf"),
            issued: date("iat"),
        })
    }
}

impl KeySet {
    /// Reads a JWK set; keys of other kinds are passed over, as RFC 7517 section 5 asks for.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let set: Value = serde_json::from_slice(bytes).ok()?;
        let keys = set.get("keys")?.as_array()?.iter().take(KEYS_MAX);
        Some(Self(keys.filter_map(|key| PublicKey::read(Jwk::deserialize(key).ok()?)).collect()))
    }
}

impl PublicKey {
    fn read(jwk: Jwk) -> Option<Self> {
        if jwk.usage.is_some_and(|usage| usage != "sig") {
            return None;
        }
        let kind = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) => KeyKind::Rsa { modulus: decoded(&jwk.n?)?, exponent: decoded(&jwk.e?)? },
            ("EC", Some("P-256")) => {
                let (x, y) = (decoded(&jwk.x?)?, decoded(&jwk.y?)?);
                // RFC 7518 section 6.2.1.2: coordinates have their full length.
                (x.len() == 32 && y.len() == 32).then(|| KeyKind::P256([&[4], &x[..], &y[..]].concat()))?
            }
            _ => return None,
        };
        Some(Self { key_id: jwk.kid, kind })
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
    use serde_json::json;

    use super::*;

    fn encoded(bytes: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn unsigned(algorithm: &str, key_id: &str) -> String {
        let header = json!({"alg": algorithm, "kid": key_id}).to_string();
        let claims = json!({"iss": "https://id.example", "sub": "ann", "aud": "app", "exp": 100}).to_string();
        format!("{}.{}", encoded(header.as_bytes()), encoded(claims.as_bytes()))
    }

    /// RFC 7518, sections 3.3 and 3.4: RS256 and ES256; a key signs by its own algorithm only.
    #[test]
    fn signatures_are_checked_by_the_keys_own_algorithm() {
        let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let ec = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let point = ec.public_key().as_ref();
        // RFC 8017, appendix A.1.1: two lengths, then a modulus of 256 bytes behind a zero, then the exponent.
        let der = rsa.public_key().as_ref();
        let (modulus, exponent) = (&der[9..265], &der[267..270]);
        let set = json!({"keys": [
            {"kty": "RSA", "kid": "r", "use": "sig", "n": encoded(modulus),
             "e": encoded(exponent)},
            {"kty": "EC", "kid": "e", "crv": "P-256", "x": encoded(&point[1..33]), "y": encoded(&point[33..])},
            {"kty": "oct", "k": "AAAA"},
            7,
        ]});
        let keys = KeySet::parse(set.to_string().as_bytes()).unwrap();
        assert_eq!(keys.0.len(), 2);
        let by_rsa = |text: &str| {
            let mut signature = vec![0; rsa.public_modulus_len()];
            rsa.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature).unwrap();
            format!("{text}.{}", encoded(&signature))
        };
        let by_ec = |text: &str| {
            let signature = ec.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
            format!("{text}.{}", encoded(signature.as_ref()))
        };
        let holds = |token: &str| Token::parse(token).unwrap().is_signed_by(&keys);
        assert!(holds(&by_rsa(&unsigned("RS256", "r"))));
        assert!(holds(&by_ec(&unsigned("ES256", "e"))));
        assert!(!holds(&by_rsa(&unsigned("RS256", "e"))));
        assert!(!holds(&by_rsa(&unsigned("ES256", "r"))));
        assert!(!holds(&by_rsa(&unsigned("none", "r"))));
        assert!(!holds(&by_ec(&unsigned("HS256", "e"))));
        let mut changed = by_ec(&unsigned("ES256", "e"));
        changed.replace_range(changed.len() - 20..changed.len() - 19, "A");
        assert!(!holds(&changed) || changed == by_ec(&unsigned("ES256", "e")));
        let other = by_ec(&unsigned("ES256", "e")).replace(&encoded(b"ann"), "");
        assert!(Token::parse(&other).is_some());
    }

    /// RFC 7519: what lacks a part or a claim is no token, and no text makes the parser panic.
    #[test]
    fn what_is_no_token_is_refused() {
        for text in ["", ".", "..", "a.b.c", "e30.e30.e30"] {
            assert!(Token::parse(text).is_none(), "{text}");
        }
        let critical = encoded(br#"{"alg":"ES256","crit":["x"]}"#);
        let claims = encoded(br#"{"iss":"i","sub":"s","aud":["a","b"],"exp":1.5}"#);
        assert!(Token::parse(&format!("{critical}.{claims}.")).is_none());
        let plain = encoded(br#"{"alg":"ES256"}"#);
        let text = format!("{plain}.{claims}.");
        let token = Token::parse(&text).unwrap();
        assert_eq!((token.claims.audiences.len(), token.claims.expires), (2, 1));
        assert!(KeySet::parse(b"{}").is_none());
    }
}
