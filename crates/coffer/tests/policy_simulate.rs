//! `coffer policy simulate`: by policies from files without a server, and by what is stored in a running one. docs/operations.md,
//! "May they, and why".
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests may panic")]

mod support;

use std::fs;

use serde_json::{Value, json};
use support::Installed;

const MARA: &str = "arn:aws:iam::000000000001:user/mara";
const KEY: &str = "arn:aws:kms:us-east-1:000000000001:key/1234abcd-12ab-34cd-56ef-1234567890ab";

/// Exit code and answer of a simulation.
fn simulate(installed: &Installed, arguments: &[&str]) -> (i32, Value) {
    let (code, said) = installed.run(&[&["policy", "simulate", "--output", "json"], arguments].concat());
    (code, serde_json::from_str(&said).unwrap_or_else(|_| json!(said)))
}

/// IAM User Guide, "Policy evaluation logic": policies from files, a boundary, a key policy, and facts of the call.
#[test]
fn policies_from_files_need_no_server() {
    let installed = Installed::new(&[]);
    let write = |name: &str, statement: Value| {
        let path = installed.path(name);
        fs::write(&path, json!({"Version": "2012-10-17", "Statement": statement}).to_string()).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let own = write(
        "own.json",
        json!({"Sid": "use", "Effect": "Allow", "Action": "kms:*", "Resource": "*",
        "Condition": {"StringEquals": {"kms:EncryptionContext:team": "blue"}}}),
    );
    let key = write(
        "key.json",
        json!([
        {"Sid": "account", "Effect": "Allow", "Principal": {"AWS": "000000000001"}, "Action": "kms:*", "Resource": "*"},
        {"Sid": "tls", "Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*",
         "Condition": {"Bool": {"aws:SecureTransport": "false"}}}]),
    );
    let bound = write("bound.json", json!({"Effect": "Allow", "Action": "kms:Encrypt", "Resource": "*"}));
    let ask = |more: &[&str]| {
        let fixed = ["--caller", MARA, "--resource", KEY, "--identity-policy", &own, "--resource-policy", &key];
        simulate(&installed, &[&fixed, more].concat())
    };
    let (code, answer) = ask(&["--action", "kms:Decrypt", "--encryption-context", "team=blue"]);
    assert_eq!((code, &answer[0]["decision"]), (0, &json!("allowed")), "{answer}");
    assert_eq!(answer[0]["missing"], json!(["aws:SecureTransport"]));
    let deciding = answer[0]["statements"].as_array().unwrap().iter().filter(|one| one["decides"] == true);
    let deciding: Vec<&Value> = deciding.map(|one| &one["statement"]).collect();
    assert_eq!(deciding, [&json!("account"), &json!("use")]);

    let (code, answer) = ask(&["--action", "kms:Decrypt"]);
    assert_eq!((code, &answer[0]["decision"]), (2, &json!("implicitDeny")));
    assert_eq!(answer[0]["because"], "no identity-based policy allows it");
    let facts =
        ["--action", "kms:Decrypt", "--encryption-context", "team=blue", "--context", "aws:securetransport=false"];
    let (code, answer) = ask(&facts);
    assert_eq!((code, &answer[0]["decision"]), (2, &json!("explicitDeny")), "{answer}");
    let bounded = [
        "--action",
        "kms:Decrypt",
        "--action",
        "kms:Encrypt",
        "--encryption-context",
        "team=blue",
        "--boundary",
        &bound,
    ];
    let (code, answer) = ask(&bounded);
    let decisions = [&answer[0]["decision"], &answer[1]["decision"]];
    assert_eq!((code, decisions), (2, [&json!("implicitDeny"), &json!("allowed")]));
    // People read the same.
    let (_, said) =
        installed.run(&["policy", "simulate", "--caller", MARA, "--action", "kms:Encrypt", "--boundary", &bound]);
    assert!(said.starts_with("implicitDeny  kms:Encrypt  on *  by arn:aws:iam::000000000001:user/mara"), "{said}");

    for (arguments, told) in [
        (vec!["--caller", "mara", "--action", "kms:Encrypt", "--boundary", &*bound], "--caller mara"),
        (vec!["--caller", MARA, "--action", "Encrypt", "--boundary", &bound], "Encrypt is no action"),
        (vec!["--caller", MARA, "--action", "kms:Encrypt", "--identity-policy", &key], "has no Principal"),
        (vec!["--caller", MARA, "--action", "kms:Encrypt", "--resource-policy", &own], "has a Principal"),
        (vec!["--caller", MARA, "--action", "kms:Encrypt", "--identity-policy", "nowhere.json"], "nowhere.json"),
        (
            vec!["--caller", MARA, "--action", "kms:Encrypt", "--resource", "alias/a", "--boundary", &bound],
            "--resource alias/a",
        ),
        (vec!["--caller", MARA, "--action", "kms:Encrypt"], "admin"),
    ] {
        let (code, said) = simulate(&installed, &arguments);
        assert_eq!(code, 1, "{said}");
        assert!(said.as_str().unwrap().contains(told), "{told}: {said}");
    }
}

/// KMS developer guide, "Authentication and access control": the stored policies, key policies and grants of a running server.
#[test]
fn a_running_server_tells_by_what_it_has() {
    let installed = Installed::new(&[]);
    let _serving = installed.serve();
    installed.until_serving();
    let policy = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*",
        "Condition": {"StringEquals": {"kms:RequestAlias": "alias/app"}}}});
    for body in [
        "Action=CreateUser&Version=2010-05-08&UserName=mara".to_owned(),
        format!(
            "Action=PutUserPolicy&Version=2010-05-08&UserName=mara&PolicyName=p&PolicyDocument={}",
            percent(&policy.to_string())
        ),
    ] {
        assert_eq!(installed.iam(&body), 200, "{body}");
    }
    let key = installed.kms("CreateKey", &json!({})).1["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned();
    installed.kms("CreateAlias", &json!({"AliasName": "alias/app", "TargetKeyId": key}));
    let ask = |resource: &str, more: &[&str]| {
        simulate(&installed, &[&["--caller", MARA, "--action", "kms:Decrypt", "--resource", resource], more].concat())
    };
    let (code, answer) = ask("alias/app", &[]);
    assert_eq!((code, &answer[0]["because"]), (0, &json!("an identity-based policy allows it")), "{answer}");
    assert_eq!(answer[0]["resource"], format!("arn:aws:kms:us-east-1:000000000001:key/{key}"));
    let (code, answer) = ask(&key, &[]);
    assert_eq!((code, &answer[0]["missing"]), (2, &json!(["kms:RequestAlias"])), "{answer}");
    let grant = json!({"KeyId": key, "GranteePrincipal": MARA, "Operations": ["Decrypt"],
        "Constraints": {"EncryptionContextEquals": {"team": "blue"}}});
    let grant = installed.kms("CreateGrant", &grant).1["GrantId"].clone();
    let (code, answer) = ask(&key, &["--encryption-context", "team=blue"]);
    assert_eq!((code, &answer[0]["grants"]), (0, &json!([grant])), "{answer}");
    assert_eq!(ask(&key, &["--encryption-context", "team=red"]).0, 2);
    // NFS clients need no identity, and a mount target.
    let mount = ["--caller", MARA, "--action", "elasticfilesystem:ClientMount", "--resource", "fs-01234567"];
    assert_eq!(simulate(&installed, &mount).0, 2);
    let through = [&mount[..], &["--context", "elasticfilesystem:AccessedViaMountTarget=true"]].concat();
    assert_eq!(simulate(&installed, &through).0, 0);
    let root = ["--caller", "arn:aws:iam::000000000001:root", "--action", "elasticfilesystem:CreateFileSystem"];
    assert_eq!(simulate(&installed, &root).0, 0);
    let nobody = ["--caller", "arn:aws:iam::000000000001:user/eve", "--action", "kms:Decrypt", "--resource", &key];
    let (code, said) = simulate(&installed, &nobody);
    assert_eq!(code, 1);
    assert!(said.as_str().unwrap().contains("there is no arn:aws:iam::000000000001:user/eve"), "{said}");
    let (code, said) = ask("alias/none", &[]);
    assert_eq!((code, said.as_str().unwrap().contains("no KMS key alias/none")), (1, true), "{said}");
}

/// A text within a form.
fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
