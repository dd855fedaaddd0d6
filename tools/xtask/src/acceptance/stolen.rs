//! A data directory in the hands of someone who has no root key.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::Scale;
use super::keys::search;
use super::work::{AT, one};
use crate::api::{Api, text};
use crate::canary::{Canaries, files};
use crate::house::output;
use crate::noise::{Noise, Verdict};
use crate::stage::{Mount, Stage};
use crate::trees;

/// A real tree is copied in and keys are used; then the server stops and the data directory is copied, without the key files.
/// All of it that `coffer fsck --areas` calls sealed is noise, nothing of names, contents or keys is anywhere in it, every file
/// of it is accounted for, and with another root key it does not open.
pub(crate) fn stolen(stage: &mut Stage, scale: &Scale) -> Result<String, String> {
    let tree = stage.scratch().join("tree");
    trees::real(&tree, scale.tree_files)?;
    trees::odd(&tree)?;
    let (secrets, api) = (stage.place.join("secrets"), stage.coffer()?.api()?);
    fs::create_dir_all(&secrets).map_err(|error| error.to_string())?;
    let key = api.create_key("in use when the disk was stolen")?;
    keys_in_use(&api, &key, &secrets)?;
    let id = api.create_file_system("stolen", Some(&key))?.id;
    stage.mount(0, AT, &Mount { file_system: &id, ..Mount::default() })?;
    one(stage, "copy_in.sh", &[&tree.display().to_string(), AT])?;
    stage.check(0, &format!("umount {AT}"))?;
    stage.coffer()?.stop()?;
    let listed = stage.coffer()?.administer(&["fsck", "--areas", "--json"])?;
    let (data, copy) = (stage.coffer()?.data(), stage.place.join("stolen"));
    output(Command::new("cp").arg("-a").arg(&data).arg(&copy))?;
    root_keys(&stage.coffer()?.place().join("keys"), &secrets)?;

    let areas = areas(&listed, &copy)?;
    let mut said = Vec::new();
    for (what, verdict) in noise(&areas, &copy)? {
        if !verdict.is_noise() {
            return Err(format!("{what}: no noise: {verdict}"));
        }
        said.push(format!("{what}: {verdict}"));
    }
    for wanted in ["file contents", "file-system record", "control record"] {
        if !said.iter().any(|line| line.starts_with(wanted)) {
            return Err(format!("no area is called {wanted:?}"));
        }
    }
    let named = Canaries::of_tree(&tree)?;
    let bytes = search(&named, &copy)?;
    let keys = Canaries::of_tree(&secrets)?;
    // The search itself is proven on the secrets in the clear.
    if keys.search(&secrets)?.0.len() < files(&secrets)?.len() {
        return Err("the search does not even find the secrets in themselves".to_owned());
    }
    search(&keys, &copy)?;
    refused_without_the_root_key(stage, &copy)?;
    let canaries = named.count() + keys.count();
    Ok(format!("{}; {canaries} canaries in {} MiB", said.join("; "), bytes >> 20))
}

/// Plaintexts that KMS gave and took, each in a file of the directory.
fn keys_in_use(api: &Api, key: &str, secrets: &Path) -> Result<(), String> {
    for number in 0..8 {
        let made = api.kms("GenerateDataKey", &json!({ "KeyId": key, "NumberOfBytes": 64 }))?;
        let plaintext = text(&made, &["Plaintext"])?;
        let bytes = STANDARD.decode(&plaintext).map_err(|error| format!("GenerateDataKey: {error}"))?;
        api.kms("Encrypt", &json!({ "KeyId": key, "Plaintext": plaintext }))?;
        let path = secrets.join(format!("data-key-{number}"));
        fs::write(&path, bytes).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

/// The bytes of the root key and the epoch secret.
fn root_keys(keys: &Path, secrets: &Path) -> Result<(), String> {
    for file in files(keys)? {
        let failed = |error: std::io::Error| format!("{}: {error}", file.display());
        let text = fs::read_to_string(&file).map_err(failed)?;
        let long = text
            .split_whitespace()
            .filter(|word| word.len() == 64 && word.bytes().all(|digit| digit.is_ascii_hexdigit()));
        for (number, word) in long.enumerate() {
            let byte = |at: usize| word.get(at..at + 2).and_then(|two| u8::from_str_radix(two, 16).ok());
            let bytes: Vec<u8> = (0..64).step_by(2).filter_map(byte).collect();
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            fs::write(secrets.join(format!("{name}-{number}")), bytes).map_err(failed)?;
        }
    }
    let found = files(secrets)?.iter().filter(|file| !file.to_string_lossy().contains("data-key")).count();
    if found < 2 { Err("root key and epoch secret were not found".to_owned()) } else { Ok(()) }
}

/// Sealed bytes: the file below the data directory, first byte, number.
type Area = (String, u64, usize);

/// The sealed areas by what they are; every file of the directory has to be in the list.
fn areas(listed: &str, data: &Path) -> Result<BTreeMap<String, Vec<Area>>, String> {
    let (mut areas, mut known) = (BTreeMap::<String, Vec<Area>>::new(), std::collections::BTreeSet::new());
    for line in listed.lines() {
        let row: Value =
            serde_json::from_str(line).map_err(|error| format!("coffer fsck --areas: {line:?}: {error}"))?;
        let file = text(&row, &["file"])?;
        let number = |name: &str| row.get(name).and_then(Value::as_u64);
        if let Some(what) = row.get("sealed").and_then(Value::as_str) {
            let (Some(offset), Some(length)) = (number("offset"), number("length")) else {
                return Err(format!("coffer fsck --areas: {line:?}"));
            };
            let area = (file.clone(), offset, usize::try_from(length).unwrap_or(usize::MAX));
            areas.entry(what.to_owned()).or_default().push(area);
        } else if text(&row, &["clear"])?.starts_with("no file") {
            return Err(format!("{file} is no file that anybody knows"));
        }
        known.insert(file);
    }
    for file in files(data)?.iter().filter(|file| !file.is_dir()) {
        let name = file.strip_prefix(data).unwrap_or(file).to_string_lossy().into_owned();
        if !known.contains(&name) {
            return Err(format!("coffer fsck --areas does not speak of {name}"));
        }
    }
    Ok(areas)
}

/// A verdict for each kind of area.
fn noise(areas: &BTreeMap<String, Vec<Area>>, data: &Path) -> Result<Vec<(String, Verdict)>, String> {
    let mut verdicts = Vec::new();
    for (what, areas) in areas {
        let mut noise = Noise::default();
        for (file, offset, length) in areas {
            let path = data.join(file);
            let failed = |error: std::io::Error| format!("{}: {error}", path.display());
            let mut bytes = vec![0; *length];
            fs::File::open(&path).and_then(|file| file.read_exact_at(&mut bytes, *offset)).map_err(failed)?;
            noise.take(&bytes);
        }
        noise.end();
        verdicts.extend(noise.verdict().map(|verdict| (what.clone(), verdict)));
    }
    Ok(verdicts)
}

/// The copy with key files that someone made for themselves.
fn refused_without_the_root_key(stage: &mut Stage, copy: &Path) -> Result<(), String> {
    let (place, coffer) = (stage.place.join("thief"), stage.coffer()?);
    fs::create_dir_all(&place).map_err(|error| error.to_string())?;
    let made = place.join("coffer.toml");
    let mut init = Command::new(coffer.program());
    init.arg("init").arg("--config").arg(&made).arg("--data").arg(place.join("data"));
    output(init.arg("--keys").arg(place.join("keys")).args(["--region", "us-east-1"]))?;
    let text = fs::read_to_string(&made).map_err(|error| error.to_string())?;
    let mut table: toml::Table = text.parse().map_err(|error: toml::de::Error| error.to_string())?;
    table.insert("data".to_owned(), copy.display().to_string().into());
    fs::write(&made, table.to_string()).map_err(|error| error.to_string())?;
    match output(Command::new(coffer.program()).args(["fsck", "--quiet", "--config"]).arg(&made)) {
        Ok(_) => Err("the stolen directory opens with another root key".to_owned()),
        Err(why) if why.contains("root key") => Ok(()),
        Err(why) => Err(format!("the stolen directory does not open, but the reason is not the root key: {why}")),
    }
}
