//! Every target on its seeds, on its corpus, and on changes of both: what cargo-fuzz does at length, on stable cargo.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "tests may panic")]

use std::fs;
use std::path::Path;

use fuzz::{TARGETS, Target};

/// Changes of each input; a hundred times as many in a long run.
const ROUNDS: u64 = 300;

/// A generator whose numbers are the same in every run (SplitMix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

fn inputs(target: &Target) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
    let mut files: Vec<_> = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut inputs = (target.seeds)();
    inputs.extend(files.iter().map(|file| fs::read(file).unwrap()));
    assert!(inputs.len() >= 3, "{}: too few inputs", target.name);
    inputs
}

/// One small change, or several: bits, bytes, lengths, parts of other inputs.
fn changed(dice: &mut Dice, inputs: &[Vec<u8>], at: usize) -> Vec<u8> {
    let mut bytes = inputs[at].clone();
    for _ in 0..=dice.below(3) {
        let place = dice.below(bytes.len());
        match dice.below(8) {
            0 | 1 if !bytes.is_empty() => bytes[place] ^= 1 << dice.below(8),
            2 if !bytes.is_empty() => bytes[place] = [0, 0xff, b'"', b'%', b'=', b'\n', b'{', 0x80][dice.below(8)],
            3 => bytes.truncate(place),
            4 => bytes.insert(place, dice.next() as u8),
            5 if !bytes.is_empty() => _ = bytes.remove(place),
            6 => {
                let other = &inputs[dice.below(inputs.len())];
                let from = dice.below(other.len());
                let part = &other[from..(from + dice.below(64)).min(other.len())];
                bytes.splice(place..place, part.iter().copied());
            }
            _ => {
                let part = bytes[place..(place + dice.below(32)).min(bytes.len())].to_vec();
                (0..dice.below(64)).for_each(|_| bytes.extend_from_slice(&part));
            }
        }
    }
    bytes
}

fn runs(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    let inputs = inputs(target);
    inputs.iter().for_each(|input| (target.run)(input));
    (target.run)(b"");
    let rounds = if std::env::var_os("COFFER_TEST_LONG").is_some() { ROUNDS * 100 } else { ROUNDS };
    let mut dice = Dice(1);
    for round in 0..rounds {
        for at in 0..inputs.len() {
            let bytes = changed(&mut dice, &inputs, at);
            let outcome = std::panic::catch_unwind(|| (target.run)(&bytes));
            assert!(outcome.is_ok(), "{name}, round {round}: {}", String::from_utf8_lossy(&bytes));
        }
    }
}

/// SigV4: no request makes the verifier panic, and an accepted one is accepted for its own body only.
#[test]
fn signatures() {
    runs("signature");
}

/// IAM policy grammar: no text makes the parser panic, and a document reads alike each time.
#[test]
fn policy_documents() {
    runs("policy_document");
}

/// KMS API, Decrypt: bytes that Encrypt did not make are one and the same error.
#[test]
fn ciphertexts() {
    runs("ciphertext");
}

/// KMS API, grant tokens: a text that was not given out is InvalidGrantTokenException.
#[test]
fn grant_tokens() {
    runs("grant_token");
}

/// KMS API, ImportKeyMaterial: tokens that were not given out and material that does not unwrap have their two exceptions.
#[test]
fn import_parameters() {
    runs("import_parameters");
}

/// Smithy, "AWS query protocol"; XML 1.0: forms are read as they are written, and no text becomes markup.
#[test]
fn queries() {
    runs("query");
}

/// Smithy, "AWS JSON 1.1 protocol": any body is judged by every model, and what passes can be taken.
#[test]
fn request_bodies() {
    runs("request_body");
}

/// Architecture section 8: each target has a binary under cargo-fuzz and a test here.
#[test]
fn every_target_is_everywhere() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = fs::read_to_string(here.join("cargo-fuzz/Cargo.toml")).unwrap();
    let tests = fs::read_to_string(here.join("tests/corpus.rs")).unwrap();
    for Target { name, .. } in TARGETS {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
        let file = fs::read_to_string(here.join(format!("cargo-fuzz/fuzz_targets/{name}.rs"))).unwrap();
        assert!(file.contains(&format!("fuzz::{name}::run(")), "{name}");
        assert!(tests.contains(&format!("runs(\"{name}\")")), "{name}");
    }
}
