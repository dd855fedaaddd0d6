//! A root key in a PKCS#11 token: SoftHSM, Debian's package softhsm2, which `cargo xtask test` installs.
#![allow(clippy::unwrap_used, reason = "tests may panic")]
#![expect(unsafe_code, reason = "SoftHSM reads the place of its tokens from the environment alone")]

mod support;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use kms::root::{Openers, Recipient, RootError, RootProvider as _, Secret, TokenUri};
use support::{World, decrypt, encrypt, new_key};

const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
const CONTEXT: &[(&str, &str)] = &[("purpose", "test")];

/// A token of its own for this test.
fn token(directory: &Path) {
    assert!(Path::new(MODULE).exists(), "{MODULE} is not there: apt-get install --no-install-recommends softhsm2");
    let tokens = directory.join("tokens");
    std::fs::create_dir(&tokens).unwrap();
    let settings = directory.join("softhsm2.conf");
    std::fs::write(&settings, format!("directories.tokendir = {}\nlog.level = ERROR\n", tokens.display())).unwrap();
    // SAFETY: the only test of this program, before it has threads that read the environment.
    unsafe { std::env::set_var("SOFTHSM2_CONF", &settings) };
    let made = Command::new("softhsm2-util")
        .args(["--init-token", "--free", "--label", "coffer", "--pin", "1234", "--so-pin", "5678"])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// PKCS#11 v3.0, CKM_AES_GCM: the root key is wrapped by a key that the token makes and keeps; with the PIN it opens, survives a
/// move of the epoch and a new root key; without the PIN, with a wrong one, or without the token the root key is sealed.
#[test]
fn a_token_holds_the_root_key() {
    let directory = tempfile::tempdir().unwrap();
    token(directory.path());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(held(directory.path()));
}

async fn held(directory: &Path) {
    let uri: TokenUri = format!("pkcs11:token=coffer;object=root?module-path={MODULE}").parse().unwrap();
    let pin = Secret::new("1234".to_owned());
    let recipient = Recipient::Token { uri: uri.clone(), pin: pin.clone() };
    let pin_file = directory.join("pin");
    std::fs::write(&pin_file, "1234\n").unwrap();
    std::fs::set_permissions(&pin_file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let openers = Openers { identities: Vec::new(), pin_file: Some(pin_file.clone()) };
    let world = World::of(71, std::slice::from_ref(&recipient), openers, None).await;
    let kms = world.open().await;
    let key = new_key(&kms).await;
    let blob = encrypt(&kms, &key, CONTEXT).await;
    drop(kms);

    let (ring, _) = world.open_ring(&world.memory).await.unwrap();
    let before = std::fs::read(world.path().join("root.key")).unwrap();
    ring.rewrap_root(&[recipient]).await.unwrap();
    assert_ne!(std::fs::read(world.path().join("root.key")).unwrap(), before);
    drop(ring);
    let kms = world.open().await;
    support::schedule(&kms, &new_key(&kms).await, 7).await;
    for seconds in [7 * 86_400 + 1, 3601, 61] {
        world.simulation.advance(Duration::from_secs(seconds));
        kms.run_due().await.unwrap();
    }
    drop(kms);
    assert_eq!(world.files().load().unwrap().current.epoch, 2);
    assert_eq!(decrypt(&world.open().await, &blob, CONTEXT).await.unwrap(), b"plaintext");

    std::fs::write(&pin_file, "4321\n").unwrap();
    let why = world.closed_files().load().err().unwrap();
    assert!(matches!(why, RootError::Sealed { .. }) && why.to_string().contains("refuses the PIN"), "{why}");
    let given = world.closed_files();
    given.unseal(&pin).unwrap();
    given.load().unwrap();
    std::fs::write(&pin_file, "1234\n").unwrap();
    let (tokens, away) = (directory.join("tokens"), directory.join("away"));
    std::fs::rename(&tokens, &away).unwrap();
    std::fs::create_dir(&tokens).unwrap();
    let why = world.closed_files().load().err().unwrap();
    assert!(matches!(why, RootError::Sealed { .. }) && why.to_string().contains("is not there"), "{why}");
    std::fs::remove_dir(&tokens).unwrap();
    std::fs::rename(&away, &tokens).unwrap();
    world.closed_files().load().unwrap();
}
