//! How many calls a second an account may make in one region, class by class. KMS developer guide, "Request quotas".
//!
//! A class has a bucket of tokens for each account and region; a call takes one, time brings them back. The classes of
//! KMS are those of its quotas: cryptography with symmetric keys shares one, with RSA and with elliptic curves another
//! each, each kind of key pair has its own, and so has each action of management. Classes and default rates are one
//! table; the configuration changes rates, never classes.

use std::collections::HashMap;

use aws_wire::shape::{Operation, Protocol, Service};
use aws_wire::{ApiError, CallContext};
use env::Instant;
use parking_lot::Mutex;
use serde_json::Value;

use crate::action::Class;

/// A class by its name in the configuration, and the calls a second that it allows by default.
struct RateClass(&'static str, f64);

/// Every class. Reads and cryptography have AWS's own figures; changes have more than AWS's five a second, since whoever
/// sets an installation up makes many things at once.
const CLASSES: &[RateClass] = &[
    RateClass("kms.symmetric", 10_000.0),
    RateClass("kms.rsa", 1000.0),
    RateClass("kms.ecc", 1000.0),
    RateClass("kms.GenerateDataKeyPair.ECC_NIST_P256", 100.0),
    RateClass("kms.GenerateDataKeyPair.ECC_NIST_P384", 100.0),
    RateClass("kms.GenerateDataKeyPair.ECC_NIST_P521", 100.0),
    RateClass("kms.GenerateDataKeyPair.ECC_SECG_P256K1", 100.0),
    RateClass("kms.GenerateDataKeyPair.RSA_2048", 10.0),
    RateClass("kms.GenerateDataKeyPair.RSA_3072", 5.0),
    RateClass("kms.GenerateDataKeyPair.RSA_4096", 2.0),
    RateClass("kms.CancelKeyDeletion", 50.0),
    RateClass("kms.CreateAlias", 50.0),
    RateClass("kms.CreateGrant", 100.0),
    RateClass("kms.CreateKey", 50.0),
    RateClass("kms.DeleteAlias", 50.0),
    RateClass("kms.DeleteImportedKeyMaterial", 50.0),
    RateClass("kms.DescribeKey", 2000.0),
    RateClass("kms.DisableKey", 50.0),
    RateClass("kms.DisableKeyRotation", 50.0),
    RateClass("kms.EnableKey", 50.0),
    RateClass("kms.EnableKeyRotation", 50.0),
    RateClass("kms.GetKeyPolicy", 1000.0),
    RateClass("kms.GetKeyRotationStatus", 1000.0),
    RateClass("kms.GetParametersForImport", 10.0),
    RateClass("kms.GetPublicKey", 2000.0),
    RateClass("kms.ImportKeyMaterial", 50.0),
    RateClass("kms.ListAliases", 500.0),
    RateClass("kms.ListGrants", 100.0),
    RateClass("kms.ListKeyPolicies", 100.0),
    RateClass("kms.ListKeyRotations", 100.0),
    RateClass("kms.ListKeys", 500.0),
    RateClass("kms.ListResourceTags", 2000.0),
    RateClass("kms.ListRetirableGrants", 100.0),
    RateClass("kms.PutKeyPolicy", 50.0),
    RateClass("kms.RetireGrant", 100.0),
    RateClass("kms.RevokeGrant", 100.0),
    RateClass("kms.RotateKeyOnDemand", 50.0),
    RateClass("kms.ScheduleKeyDeletion", 50.0),
    RateClass("kms.TagResource", 50.0),
    RateClass("kms.UntagResource", 50.0),
    RateClass("kms.UpdateAlias", 50.0),
    RateClass("kms.UpdateKeyDescription", 50.0),
    RateClass("kms.other", 50.0),
    RateClass("elasticfilesystem.read", 1000.0),
    RateClass("elasticfilesystem.change", 200.0),
    RateClass("sts.read", 1000.0),
    RateClass("sts.change", 200.0),
    RateClass("iam.read", 1000.0),
    RateClass("iam.change", 200.0),
    RateClass("other.read", 1000.0),
    RateClass("other.change", 200.0),
];

/// A bucket holds what this many seconds bring, unless the configuration says otherwise.
const BURST_SECONDS: u32 = 10;
/// The longest burst that can be set.
const BURST_SECONDS_MAX: u32 = 3600;
/// A rate beyond this is a slip of the pen.
const RATE_MAX: f64 = 1_000_000.0;
/// A rate below this would never bring a token back in a working day.
const RATE_MIN: f64 = 0.001;
/// Accounts and regions that have buckets at once. Callers are authenticated, so this is only a wall.
const PLACES_MAX: usize = 4096;

/// What KMS says to a call too many.
const KMS_TEXT: &str = "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.";

/// The rates that are in force.
#[derive(Debug, Clone, PartialEq)]
pub struct Rates {
    per_second: Vec<f64>,
    burst_seconds: f64,
}

impl Default for Rates {
    fn default() -> Self {
        Self { per_second: CLASSES.iter().map(|class| class.1).collect(), burst_seconds: f64::from(BURST_SECONDS) }
    }
}

impl Rates {
    /// The default rates with those of the configuration in their place, by the names of classes, and the seconds whose
    /// tokens a bucket holds.
    ///
    /// # Errors
    /// A sentence that names the value that cannot be and what can.
    pub fn new<'a>(burst_seconds: Option<u32>, set: impl IntoIterator<Item = (&'a str, f64)>) -> Result<Self, String> {
        let burst = burst_seconds.unwrap_or(BURST_SECONDS);
        if !(1..=BURST_SECONDS_MAX).contains(&burst) {
            return Err(format!("burst_seconds = {burst}: 1 to {BURST_SECONDS_MAX}"));
        }
        let mut rates = Self { burst_seconds: f64::from(burst), ..Self::default() };
        for (name, rate) in set {
            let Some(at) = CLASSES.iter().position(|class| class.0 == name) else {
                let known: Vec<&str> = CLASSES.iter().map(|class| class.0).collect();
                return Err(format!("requests_per_second has no class {name:?}; it has {}", known.join(", ")));
            };
            if !(RATE_MIN..=RATE_MAX).contains(&rate) {
                return Err(format!("requests_per_second.{name:?} = {rate}: {RATE_MIN} to {RATE_MAX}"));
            }
            if let Some(slot) = rates.per_second.get_mut(at) {
                *slot = rate;
            }
        }
        Ok(rates)
    }

    /// What a bucket of this rate holds: at least one call.
    fn room(&self, rate: f64) -> f64 {
        (rate * self.burst_seconds).max(1.0)
    }
}

/// A bucket: tokens at a moment.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

/// The buckets of each account and region.
pub(crate) struct Throttle {
    rates: Rates,
    places: Mutex<HashMap<String, Vec<Bucket>>>,
}

impl Throttle {
    pub(crate) fn new(rates: Rates) -> Self {
        Self { rates, places: Mutex::default() }
    }

    /// Takes a token for a call, or says how it is refused.
    pub(crate) fn admit(
        &self,
        cx: &CallContext,
        service: &Service,
        name: &str,
        class: Class,
        input: Option<&Value>,
        now: Instant,
    ) -> Result<(), ApiError> {
        let at = class_of(service.signing_name, name, class, input);
        if self.take(&cx.account, &cx.region, at, now) { Ok(()) } else { Err(refusal(service, name)) }
    }

    fn take(&self, account: &str, region: &str, at: usize, now: Instant) -> bool {
        let mut places = self.places.lock();
        let name = format!("{account}/{region}");
        if !places.contains_key(&name) && places.len() >= PLACES_MAX {
            // Whoever has not called for long has full buckets, which need no memory.
            let full = |buckets: &Vec<Bucket>| {
                let mut pairs = buckets.iter().zip(&self.rates.per_second);
                pairs.all(|(bucket, rate)| self.refilled(*bucket, *rate, now) >= self.rates.room(*rate))
            };
            places.retain(|_, buckets| !full(buckets));
            if places.len() >= PLACES_MAX {
                return false;
            }
        }
        let buckets = places.entry(name).or_insert_with(|| {
            self.rates.per_second.iter().map(|rate| Bucket { tokens: self.rates.room(*rate), at: now }).collect()
        });
        let (Some(bucket), Some(rate)) = (buckets.get_mut(at), self.rates.per_second.get(at)) else { return true };
        let tokens = self.refilled(*bucket, *rate, now);
        let enough = tokens >= 1.0;
        // Two calls may read the clock in one order and come here in the other.
        *bucket = Bucket { tokens: if enough { tokens - 1.0 } else { tokens }, at: bucket.at.max(now) };
        enough
    }

    fn refilled(&self, bucket: Bucket, rate: f64, now: Instant) -> f64 {
        (bucket.tokens + now.since(bucket.at).as_secs_f64() * rate).min(self.rates.room(rate))
    }
}

/// The class that a call belongs to, by its place in [`CLASSES`].
fn class_of(service: &str, name: &str, class: Class, input: Option<&Value>) -> usize {
    let text = |member: &str| input.and_then(|input| input.get(member)).and_then(Value::as_str).unwrap_or_default();
    let change = class == Class::Mutate;
    let wanted = match (service, name) {
        ("kms", "Encrypt" | "Decrypt") => by_algorithm(text("EncryptionAlgorithm")),
        ("kms", "ReEncrypt") => match by_algorithm(text("SourceEncryptionAlgorithm")) {
            "kms.symmetric" => by_algorithm(text("DestinationEncryptionAlgorithm")),
            asymmetric => asymmetric,
        },
        (
            "kms",
            "GenerateDataKey" | "GenerateDataKeyWithoutPlaintext" | "GenerateRandom" | "GenerateMac" | "VerifyMac",
        ) => "kms.symmetric",
        ("kms", "Sign" | "Verify") => match by_algorithm(text("SigningAlgorithm")) {
            "kms.rsa" => "kms.rsa",
            _ => "kms.ecc",
        },
        ("kms", "DeriveSharedSecret") => "kms.ecc",
        ("kms", "GenerateDataKeyPair" | "GenerateDataKeyPairWithoutPlaintext") => {
            let spec = text("KeyPairSpec");
            let own = |class: &&RateClass| class.0.strip_prefix("kms.GenerateDataKeyPair.") == Some(spec);
            CLASSES.iter().find(own).map_or("kms.other", |class| class.0)
        }
        ("kms", name) => {
            let own = |class: &&RateClass| class.0.strip_prefix("kms.") == Some(name);
            CLASSES.iter().find(own).map_or("kms.other", |class| class.0)
        }
        ("elasticfilesystem", _) if change => "elasticfilesystem.change",
        ("elasticfilesystem", _) => "elasticfilesystem.read",
        ("sts", _) if change => "sts.change",
        ("sts", _) => "sts.read",
        ("iam", _) if change => "iam.change",
        ("iam", _) => "iam.read",
        _ if change => "other.change",
        _ => "other.read",
    };
    CLASSES.iter().position(|class| class.0 == wanted).unwrap_or_default()
}

/// Whether an algorithm of a request is one of RSA or of elliptic curves; without one the key is symmetric.
fn by_algorithm(algorithm: &str) -> &'static str {
    if algorithm.starts_with("RSA") {
        "kms.rsa"
    } else if algorithm.starts_with("EC") || algorithm.starts_with("ED") {
        "kms.ecc"
    } else {
        "kms.symmetric"
    }
}

/// What a call too many is answered with: the operation's own error where its model has one, else the service's.
fn refusal(service: &Service, name: &str) -> ApiError {
    if service.signing_name == "kms" {
        return ApiError::new("ThrottlingException", 400, KMS_TEXT);
    }
    let codes = service.operation(name).map_or(&[][..], |operation: &Operation| operation.errors);
    let own = codes.iter().find(|code| matches!(**code, "ThrottlingException" | "TooManyRequests"));
    let shape = own.and_then(|code| service.errors.iter().find(|error| error.code == *code));
    match (shape, service.protocol) {
        (Some(shape), _) => ApiError::of(shape, "Rate exceeded"),
        (None, Protocol::Json11 | Protocol::RestJson) => ApiError::new("ThrottlingException", 400, "Rate exceeded"),
        (None, Protocol::Query) => ApiError::new("Throttling", 400, "Rate exceeded"),
        (None, Protocol::Ec2Query) => ApiError::new("RequestLimitExceeded", 503, "Request limit exceeded."),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn at(seconds: f64) -> Instant {
        Instant::ZERO + Duration::from_secs_f64(seconds)
    }

    fn index(name: &str) -> usize {
        CLASSES.iter().position(|class| class.0 == name).unwrap()
    }

    fn admitted(throttle: &Throttle, region: &str, class: &str, calls: usize, now: Instant) -> usize {
        (0..calls).filter(|_| throttle.take("1", region, index(class), now)).count()
    }

    /// KMS developer guide, "Throttling": a bucket is emptied by a burst and filled by time, up to its brim.
    #[test]
    fn a_burst_empties_the_bucket_and_time_fills_it() {
        let throttle = Throttle::new(Rates::new(Some(2), [("kms.CreateKey", 5.0)]).unwrap());
        assert_eq!(admitted(&throttle, "r", "kms.CreateKey", 50, at(1.0)), 10);
        assert_eq!(admitted(&throttle, "r", "kms.CreateKey", 50, at(1.1)), 0);
        assert_eq!(admitted(&throttle, "r", "kms.CreateKey", 50, at(2.0)), 5);
        assert_eq!(admitted(&throttle, "r", "kms.CreateKey", 50, at(1000.0)), 10);
        // A clock that was read a little earlier takes nothing away and gives nothing.
        assert_eq!(admitted(&throttle, "r", "kms.CreateKey", 50, at(999.0)), 0);
    }

    /// KMS developer guide, "Request quotas": each account and region has its own, and so has each class.
    #[test]
    fn accounts_regions_and_classes_do_not_share() {
        let throttle = Throttle::new(Rates::new(Some(1), [("kms.CreateKey", 3.0), ("kms.rsa", 4.0)]).unwrap());
        assert_eq!(admitted(&throttle, "a", "kms.CreateKey", 9, at(1.0)), 3);
        assert_eq!(admitted(&throttle, "b", "kms.CreateKey", 9, at(1.0)), 3);
        assert_eq!(admitted(&throttle, "a", "kms.rsa", 9, at(1.0)), 4);
        assert!(throttle.take("2", "a", index("kms.CreateKey"), at(1.0)));
    }

    /// KMS developer guide, "Request quotas", table: which actions share a quota, and by which algorithm.
    #[test]
    fn actions_are_grouped_as_the_quotas_are() {
        let class = |name: &str, input: Value| CLASSES[class_of("kms", name, Class::Crypto, Some(&input))].0;
        for name in ["Encrypt", "Decrypt", "ReEncrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext"] {
            assert_eq!(class(name, json!({})), "kms.symmetric", "{name}");
        }
        for name in ["GenerateRandom", "GenerateMac", "VerifyMac"] {
            assert_eq!(class(name, json!({"MacAlgorithm": "HMAC_SHA_256"})), "kms.symmetric", "{name}");
        }
        assert_eq!(class("Decrypt", json!({"EncryptionAlgorithm": "SYMMETRIC_DEFAULT"})), "kms.symmetric");
        assert_eq!(class("Decrypt", json!({"EncryptionAlgorithm": "RSAES_OAEP_SHA_256"})), "kms.rsa");
        assert_eq!(class("ReEncrypt", json!({"DestinationEncryptionAlgorithm": "RSAES_OAEP_SHA_1"})), "kms.rsa");
        assert_eq!(class("Sign", json!({"SigningAlgorithm": "RSASSA_PSS_SHA_256"})), "kms.rsa");
        assert_eq!(class("Verify", json!({"SigningAlgorithm": "ECDSA_SHA_384"})), "kms.ecc");
        assert_eq!(class("DeriveSharedSecret", json!({"KeyAgreementAlgorithm": "ECDH"})), "kms.ecc");
        for name in ["GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext"] {
            let found = class(name, json!({"KeyPairSpec": "RSA_4096"}));
            assert_eq!(found, "kms.GenerateDataKeyPair.RSA_4096", "{name}");
        }
        assert_eq!(class("CreateKey", json!({})), "kms.CreateKey");
        assert_eq!(class("CreateCustomKeyStore", json!({})), "kms.other");
    }

    /// docs/operations.md, "Rate limits": a class that is not known and a rate that cannot be are refused, with the cure.
    #[test]
    fn a_rate_that_cannot_be_is_refused() {
        let set = |burst: Option<u32>, name: &'static str, rate| Rates::new(burst, [(name, rate)]);
        assert!(set(None, "kms.Symmetric", 1.0).unwrap_err().contains("kms.symmetric"));
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(set(None, "kms.symmetric", rate).unwrap_err().contains("0.001 to 1000000"), "{rate}");
        }
        assert!(set(Some(0), "kms.symmetric", 1.0).unwrap_err().contains("burst_seconds = 0: 1 to"));
        assert_eq!(set(None, "kms.symmetric", 10_000.0).unwrap(), Rates::default());
    }

    /// House rule: what callers can make grow is bounded; idle places make room, busy ones are not forgotten.
    #[test]
    fn places_are_bounded() {
        let throttle = Throttle::new(Rates::default());
        for number in 0..PLACES_MAX {
            assert!(throttle.take(&number.to_string(), "r", 0, at(1.0)));
        }
        assert!(!throttle.take("one more", "r", 0, at(1.0)));
        assert!(throttle.take("one more", "r", 0, at(2.0)));
        assert!(throttle.places.lock().len() <= PLACES_MAX);
    }
}
