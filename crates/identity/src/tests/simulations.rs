//! The policy simulator. IAM API, SimulateCustomPolicy, SimulatePrincipalPolicy and GetContextKeysFor…Policy; IAM User Guide,
//! "Testing IAM policies with the IAM policy simulator".

use aws_wire::query::Xml;
use serde_json::{Value, json};

use super::{ALLOW_LIST, House, user};
use crate::{IdentityError, ops};

const MARA: &str = "arn:aws:iam::000000000001:user/mara";
const KEY: &str = "arn:aws:kms:us-east-1:000000000001:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const AWAY: &str = "arn:aws:kms:us-east-1:000000000002:key/1234abcd-12ab-34cd-56ef-1234567890ab";

/// An answer as JSON: lists where the model has lists.
fn tree(members: &[Xml]) -> Value {
    let lists = ["EvaluationResults", "MatchedStatements", "MissingContextValues", "ResourceSpecificResults"];
    let mut object = serde_json::Map::new();
    for member in members {
        match member {
            Xml::Text(name, text) => _ = object.insert((*name).to_owned(), json!(text)),
            Xml::Node(name, children) if lists.contains(name) || *name == "ContextKeyNames" => {
                let items = children.iter().map(|child| match child {
                    Xml::Text(_, text) => json!(text),
                    Xml::Node(_, children) => tree(children),
                });
                _ = object.insert((*name).to_owned(), items.collect());
            }
            Xml::Node("EvalDecisionDetails", entries) => {
                let pair = |entry: &Xml| match entry {
                    Xml::Node("entry", both) => match &both[..] {
                        [Xml::Text("key", key), Xml::Text("value", value)] => (key.clone(), json!(value)),
                        other => panic!("{other:?}"),
                    },
                    other => panic!("{other:?}"),
                };
                let map: serde_json::Map<String, Value> = entries.iter().map(pair).collect();
                _ = object.insert("EvalDecisionDetails".to_owned(), map.into());
            }
            Xml::Node(name, children) => _ = object.insert((*name).to_owned(), tree(children)),
        }
    }
    object.into()
}

async fn custom(house: &House, input: Value) -> Result<Value, IdentityError> {
    let input = aws_wire::validate::decode(&input).unwrap();
    ops::simulate_custom_policy::run(&house.identities, &house.root(), input).await.map(|members| tree(&members))
}

async fn of_principal(house: &House, input: Value) -> Result<Value, IdentityError> {
    let input = aws_wire::validate::decode(&input).unwrap();
    ops::simulate_principal_policy::run(&house.identities, &house.root(), input).await.map(|members| tree(&members))
}

/// The decision on one action.
fn decision(answer: &Value) -> &str {
    answer["EvaluationResults"][0]["EvalDecision"].as_str().unwrap()
}

fn document(statement: Value) -> String {
    json!({"Version": "2012-10-17", "Statement": statement}).to_string()
}

/// AWS CLI command reference, simulate-custom-policy, examples 1 and 2: the answers shown there, type of policy aside.
#[tokio::test]
async fn the_published_examples_come_out() {
    let house = House::new().await;
    let policy = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"dynamodb:*","Resource":"*","Condition":{"DateGreaterThan":{"aws:CurrentTime":"2018-08-16T12:00:00Z"}}}}"#;
    let ask = async |time: &str| {
        let entry = json!({"ContextKeyName": "aws:CurrentTime", "ContextKeyValues": [time], "ContextKeyType": "date"});
        let input =
            json!({"PolicyInputList": [policy], "ActionNames": ["dynamodb:CreateBackup"], "ContextEntries": [entry]});
        custom(&house, input).await.unwrap()
    };
    let result = |decision: &str, matched: Value| {
        json!({"IsTruncated": "false", "EvaluationResults": [{
            "EvalActionName": "dynamodb:CreateBackup", "EvalResourceName": "*", "EvalDecision": decision,
            "MatchedStatements": matched, "MissingContextValues": []}]})
    };
    let matched = json!([{"SourcePolicyId": "PolicyInputList.1", "SourcePolicyType": "none",
        "StartPosition": {"Line": "1", "Column": "38"}, "EndPosition": {"Line": "1", "Column": "167"}}]);
    assert_eq!(ask("2019-04-25T11:00:00Z").await, result("allowed", matched));
    assert_eq!(ask("2014-04-25T11:00:00Z").await, result("implicitDeny", json!([])));
}

/// IAM API, SimulatePrincipalPolicy: all that hangs on a user and its groups, the boundary, and what is left out.
#[tokio::test]
async fn what_hangs_on_a_user_is_simulated() {
    let house = House::new().await;
    let root = house.root();
    user(&house, "mara").await;
    run!(house, &root, put_user_policy, {"UserName": "mara", "PolicyName": "list", "PolicyDocument": ALLOW_LIST})
        .unwrap();
    run!(house, &root, create_group, {"GroupName": "staff"}).unwrap();
    run!(house, &root, add_user_to_group, {"GroupName": "staff", "UserName": "mara"}).unwrap();
    let arn = "arn:aws:iam::aws:policy/AWSKeyManagementServicePowerUser";
    run!(house, &root, attach_group_policy, {"GroupName": "staff", "PolicyArn": arn}).unwrap();
    let ask = async |action: &str, more: Value| {
        let mut input = json!({"PolicySourceArn": MARA, "ActionNames": [action]});
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        of_principal(&house, input).await.unwrap()
    };
    let sources = |answer: &Value| {
        let matched = answer["EvaluationResults"][0]["MatchedStatements"].as_array().unwrap().clone();
        let pair = |one: Value| (one["SourcePolicyId"].clone(), one["SourcePolicyType"].clone());
        matched.into_iter().map(pair).collect::<Vec<_>>()
    };
    let both = ask("kms:ListKeys", json!({})).await;
    assert_eq!(decision(&both), "allowed");
    assert_eq!(
        sources(&both),
        [(json!("list"), json!("user")), (json!("AWSKeyManagementServicePowerUser"), json!("aws-managed"))]
    );
    assert!(both["EvaluationResults"][0].get("PermissionsBoundaryDecisionDetail").is_none());
    assert_eq!(decision(&ask("kms:Decrypt", json!({})).await), "implicitDeny");
    let inline =
        json!({"InlinePolicyIdentifier": {"PolicyName": "list", "AttachmentType": "user", "AttachmentName": "mara"}});
    for (exclusion, expected) in [
        (json!([{"PolicyType": "inline"}]), "allowed"),
        (json!([{"PolicyType": "aws-managed"}]), "allowed"),
        (json!([{"PolicyType": "aws-managed"}, {"PolicyType": "inline"}]), "implicitDeny"),
        (json!([{"PolicyArn": "arn:aws:iam::aws:policy/AWSKey*"}, inline]), "implicitDeny"),
        (json!([{"PolicyArn": "arn:aws:iam::aws:policy/Other*"}, inline]), "allowed"),
        (json!([{"PolicyType": "user-managed"}, {"PolicyType": "scp"}]), "allowed"),
        (json!([{"PolicyType": "aws-managed"}, inline]), "implicitDeny"),
    ] {
        let answer = ask("kms:ListKeys", json!({"PolicyExclusionList": exclusion})).await;
        assert_eq!(decision(&answer), expected, "{exclusion}");
    }
    let more = document(json!({"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*"}));
    let added = ask("kms:Decrypt", json!({"PolicyInputList": [more]})).await;
    assert_eq!(sources(&added), [(json!("PolicyInputList.1"), json!("none"))]);

    run!(house, &root, create_policy, {"PolicyName": "bound", "PolicyDocument": ALLOW_LIST}).unwrap();
    let bound = "arn:aws:iam::000000000001:policy/bound";
    run!(house, &root, put_user_permissions_boundary, {"UserName": "mara", "PermissionsBoundary": bound}).unwrap();
    let within = |answer: &Value| {
        answer["EvaluationResults"][0]["PermissionsBoundaryDecisionDetail"]["AllowedByPermissionsBoundary"].clone()
    };
    let inside = ask("kms:ListKeys", json!({})).await;
    assert_eq!((decision(&inside), within(&inside)), ("allowed", json!("true")));
    assert_eq!(sources(&inside)[2], (json!("bound"), json!("user-managed")));
    let outside = ask("kms:CreateKey", json!({})).await;
    assert_eq!((decision(&outside), within(&outside)), ("implicitDeny", json!("false")));
    let unbound = ask("kms:CreateKey", json!({"PolicyExclusionList": [{"PolicyType": "permission-boundary"}]})).await;
    assert_eq!((decision(&unbound), within(&unbound)), ("allowed", Value::Null));
    let wider = document(json!({"Effect": "Allow", "Action": "kms:*", "Resource": "*"}));
    let other = ask("kms:CreateKey", json!({"PermissionsBoundaryPolicyInputList": [wider]})).await;
    assert_eq!((decision(&other), within(&other)), ("allowed", json!("true")));
}

/// IAM API, EvaluationResult: one result for an action, the most restrictive over its resources, each of them apart.
#[tokio::test]
async fn each_resource_is_decided_apart() {
    let house = House::new().await;
    let policy = document(json!([
        {"Sid": "use", "Effect": "Allow", "Action": "kms:*", "Resource": KEY},
        {"Sid": "never", "Effect": "Deny", "Action": "kms:Encrypt", "Resource": "*",
         "Condition": {"StringEquals": {"aws:PrincipalTag/team": "red"}}}]));
    let other = KEY.replace("1234abcd", "aaaaaaaa");
    let ask = async |entries: Value| {
        let input = json!({"PolicyInputList": [policy], "ActionNames": ["kms:Encrypt", "kms:ListKeys"],
            "ResourceArns": [KEY, other], "ContextEntries": entries});
        custom(&house, input).await.unwrap()["EvaluationResults"].clone()
    };
    let results = ask(json!([])).await;
    assert_eq!(results.as_array().unwrap().len(), 2);
    let first = &results[0];
    assert_eq!(first["EvalResourceName"], "arn:${Partition}:kms:${Region}:${Account}:key/${KeyId}");
    assert_eq!((&first["EvalDecision"], &first["MatchedStatements"]), (&json!("implicitDeny"), &json!([])));
    assert_eq!(first["MissingContextValues"], json!(["aws:PrincipalTag/team"]));
    assert_eq!(first["EvalDecisionDetails"], json!({}));
    let parts = |first: &Value| {
        let each = first["ResourceSpecificResults"].as_array().unwrap().clone();
        let part = |one: Value| {
            let count = one["MatchedStatements"].as_array().unwrap().len();
            (one["EvalResourceName"].clone(), one["EvalResourceDecision"].clone(), count)
        };
        each.into_iter().map(part).collect::<Vec<_>>()
    };
    assert_eq!(parts(first), [(json!(KEY), json!("allowed"), 1), (json!(other), json!("implicitDeny"), 0)]);
    assert_eq!(first["ResourceSpecificResults"][0]["MissingContextValues"], json!(["aws:PrincipalTag/team"]));
    assert!(first["ResourceSpecificResults"][0].get("EvalDecisionDetails").is_none());
    assert_eq!(results[1]["EvalResourceName"], "*");

    let entry = |value: &str| json!([{"ContextKeyName": "AWS:principaltag/team", "ContextKeyValues": [value], "ContextKeyType": "string"}]);
    let denied = ask(entry("red")).await[0].clone();
    assert_eq!((&denied["EvalDecision"], &denied["MissingContextValues"]), (&json!("explicitDeny"), &json!([])));
    let matched = denied["MatchedStatements"].as_array().unwrap();
    let (start, end) = (&matched[0]["StartPosition"]["Column"], &matched[0]["EndPosition"]["Column"]);
    let column = |text: &Value| text.as_str().unwrap().parse::<usize>().unwrap() - 1;
    assert!(policy.get(column(start)..column(end)).unwrap().contains("never"));
    assert_eq!(matched.len(), 1);
    assert_eq!(ask(entry("blue")).await[0]["EvalDecision"], "implicitDeny");
}

/// IAM API, ResourcePolicy, ResourceOwner, CallerArn and EvalDecisionDetails: two accounts must both allow.
#[tokio::test]
async fn across_accounts_both_sides_must_allow() {
    let house = House::new().await;
    let own = document(json!({"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*"}));
    let silent = document(json!({"Effect": "Allow", "Action": "kms:Encrypt", "Resource": "*"}));
    let on_key = document(json!({"Effect": "Allow", "Principal": {"AWS": MARA}, "Action": "kms:*", "Resource": "*"}));
    let ask = async |own: &str, key: &str, policy: Option<&str>| {
        let mut input =
            json!({"PolicyInputList": [own], "ActionNames": ["kms:Decrypt"], "ResourceArns": [key], "CallerArn": MARA});
        if let Some(policy) = policy {
            input["ResourcePolicy"] = json!(policy);
        }
        custom(&house, input).await.unwrap()["EvaluationResults"][0]["ResourceSpecificResults"][0].clone()
    };
    let details = |own: &str, resource: &str| json!({"IAM Policy": own, "Resource Policy": resource});
    for (own, policy, decision, expected) in [
        (&own, Some(&on_key), "allowed", details("allowed", "allowed")),
        (&own, None, "implicitDeny", details("allowed", "implicitDeny")),
        (&silent, Some(&on_key), "implicitDeny", details("implicitDeny", "allowed")),
    ] {
        let answer = ask(own, AWAY, policy.map(String::as_str)).await;
        assert_eq!(answer["EvalResourceDecision"], decision, "{answer}");
        assert_eq!(answer["EvalDecisionDetails"], expected);
    }
    // Within one account the key's policy is enough, and for another caller it says nothing.
    let home = ask(&silent, KEY, Some(&on_key)).await;
    assert_eq!(home["EvalResourceDecision"], "allowed");
    assert_eq!(home["MatchedStatements"][0]["SourcePolicyType"], "resource");
    let stranger = json!({"PolicyInputList": [silent], "ActionNames": ["kms:Decrypt"], "ResourceArns": [KEY],
        "CallerArn": "arn:aws:iam::000000000001:role/reader", "ResourcePolicy": on_key});
    assert_eq!(decision(&custom(&house, stranger.clone()).await.unwrap()), "implicitDeny");
    let of_role = on_key.replace("user/mara", "role/reader");
    let mut input = stranger;
    input["ResourcePolicy"] = json!(of_role);
    assert_eq!(decision(&custom(&house, input).await.unwrap()), "allowed");
    // A resource that does not say whose it is belongs to the owner that is given.
    let bucket = async |owner: Value| {
        let policy = document(json!({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}));
        let mut input =
            json!({"PolicyInputList": [policy], "ActionNames": ["s3:GetObject"], "ResourceArns": ["arn:aws:s3:::b/*"]});
        if !owner.is_null() {
            input["ResourceOwner"] = owner;
        }
        decision(&custom(&house, input).await.unwrap()).to_owned()
    };
    assert_eq!(bucket(Value::Null).await, "allowed");
    assert_eq!(bucket(json!("arn:aws:iam::000000000001:root")).await, "allowed");
    assert_eq!(bucket(json!("arn:aws:iam::000000000002:root")).await, "implicitDeny");
}

/// IAM API, "Making query requests", pagination: MaxItems, IsTruncated, Marker.
#[tokio::test]
async fn results_come_in_pages() {
    let house = House::new().await;
    let actions = ["kms:ListKeys", "kms:CreateKey", "kms:Encrypt"];
    let ask = async |marker: Option<&str>| {
        let mut input = json!({"PolicyInputList": [ALLOW_LIST], "ActionNames": actions, "MaxItems": 2});
        if let Some(marker) = marker {
            input["Marker"] = json!(marker);
        }
        custom(&house, input).await
    };
    let names = |answer: &Value| {
        let results = answer["EvaluationResults"].as_array().unwrap().clone();
        results.into_iter().map(|one| one["EvalActionName"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let first = ask(None).await.unwrap();
    assert_eq!(
        (names(&first).as_slice(), &first["IsTruncated"]),
        (&["kms:ListKeys", "kms:CreateKey"].map(str::to_owned)[..], &json!("true"))
    );
    let second = ask(first["Marker"].as_str()).await.unwrap();
    assert_eq!((names(&second), second.get("Marker")), (vec!["kms:Encrypt".to_owned()], None));
    assert!(matches!(ask(Some("nonsense")).await, Err(IdentityError::Validation(_))));
}

/// IAM API, InvalidInput and NoSuchEntity: what a simulation cannot be about is refused.
#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let house = House::new().await;
    user(&house, "mara").await;
    let on_key = document(json!({"Effect": "Allow", "Principal": {"AWS": MARA}, "Action": "kms:*", "Resource": KEY}));
    let entry = |kind: &str, values: Value| json!([{"ContextKeyName": "a:key", "ContextKeyType": kind, "ContextKeyValues": values}]);
    for more in [
        json!({"ActionNames": ["ListKeys"]}),
        json!({"ActionNames": ["kms:List*"]}),
        json!({"ResourceArns": ["key/1"]}),
        json!({"ResourceOwner": "somebody"}),
        json!({"ResourceOwner": MARA}),
        json!({"ResourceHandlingOption": "EC2-VPC-EBS"}),
        json!({"CallerArn": "arn:aws:sts::000000000001:assumed-role/reader/ci"}),
        json!({"CallerArn": "elasticfilesystem.amazonaws.com"}),
        json!({"PolicyInputList": ["nonsense"]}),
        json!({"PolicyInputList": [on_key]}),
        json!({"ResourcePolicy": on_key}),
        json!({"ResourcePolicy": ALLOW_LIST, "CallerArn": MARA}),
        json!({"ResourcePolicy": on_key, "CallerArn": MARA, "ResourceArns": [AWAY]}),
        json!({"PermissionsBoundaryPolicyInputList": [ALLOW_LIST, ALLOW_LIST]}),
        json!({"OrderedOrganizationPolicyInputList": [{"ServiceControlPolicyInputList": [ALLOW_LIST]}]}),
        json!({"ContextEntries": entry("string", json!(["a", "b"]))}),
        json!({"ContextEntries": entry("numericList", json!(["7", "x"]))}),
        json!({"ContextEntries": entry("date", json!(["soon"]))}),
        json!({"ActionNames": vec!["kms:Encrypt"; 500], "ResourceArns": vec![KEY; 500]}),
    ] {
        let mut input = json!({"PolicyInputList": [ALLOW_LIST], "ActionNames": ["kms:ListKeys"]});
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let refused = custom(&house, input).await;
        assert!(matches!(refused, Err(IdentityError::InvalidInput(_))), "{more}: {refused:?}");
    }
    for list in [
        json!([{}]),
        json!([{"PolicyType": "inline", "PolicyArn": "arn:aws:iam::aws:policy/ReadOnlyAccess"}]),
        json!([{"PolicyArn": "arn:aws:iam::aws:policy/*Only*"}]),
        json!([{"PolicyArn": "arn:aws:iam::*:policy/ReadOnlyAccess"}]),
    ] {
        let input = json!({"PolicySourceArn": MARA, "ActionNames": ["kms:ListKeys"], "PolicyExclusionList": list});
        let refused = of_principal(&house, input).await;
        assert!(matches!(refused, Err(IdentityError::InvalidInput(_))), "{list}: {refused:?}");
    }
    for arn in ["arn:aws:iam::000000000001:user/nobody", "arn:aws:iam::000000000002:user/mara"] {
        let refused = of_principal(&house, json!({"PolicySourceArn": arn, "ActionNames": ["kms:ListKeys"]})).await;
        assert!(matches!(refused, Err(IdentityError::NoSuchEntity(_))), "{refused:?}");
    }
}

/// IAM API, GetContextKeysForCustomPolicy and GetContextKeysForPrincipalPolicy: the keys that the policies refer to.
#[tokio::test]
async fn context_keys_of_policies_are_listed() {
    let house = House::new().await;
    let root = house.root();
    user(&house, "mara").await;
    let policy = |key: &str| {
        document(json!({"Effect": "Allow", "Action": "kms:*", "Resource": "arn:aws:kms:::${aws:username}",
            "Condition": {"StringEquals": {key: "x"}}}))
    };
    run!(house, &root, put_user_policy, {"UserName": "mara", "PolicyName": "p", "PolicyDocument": policy("kms:ViaService")})
        .unwrap();
    let more = policy("AWS:UserName");
    let members =
        run!(house, &root, get_context_keys_for_principal_policy, {"PolicySourceArn": MARA, "PolicyInputList": [more]});
    assert_eq!(tree(&members.unwrap()), json!({"ContextKeyNames": ["aws:username", "kms:ViaService"]}));
    let members = run!(house, &root, get_context_keys_for_custom_policy, {"PolicyInputList": [policy("a:bcde")]});
    assert_eq!(tree(&members.unwrap()), json!({"ContextKeyNames": ["aws:username", "a:bcde"]}));
    let wrong = run!(house, &root, get_context_keys_for_custom_policy, {"PolicyInputList": ["{}"]});
    assert!(matches!(wrong, Err(IdentityError::InvalidInput(_))), "{wrong:?}");
    let nobody = MARA.replace("mara", "nobody");
    let missing = run!(house, &root, get_context_keys_for_principal_policy, {"PolicySourceArn": nobody});
    assert!(matches!(missing, Err(IdentityError::NoSuchEntity(_))), "{missing:?}");
}

/// IAM User Guide, "IAM identifiers": whoever is asked about is the one who would call, with all that hangs on it.
#[tokio::test]
async fn a_stand_in_is_the_caller_itself() {
    let house = House::new().await;
    let root = house.root();
    let (_, mara) = user(&house, "mara").await;
    let stand_in = |arn: &str| house.identities.stand_in(&aws_wire::Arn::parse(arn).unwrap());
    assert_eq!(stand_in(MARA), Some(aws_wire::Caller { access_key_id: None, ..mara }));
    let trust = document(json!({"Effect": "Allow", "Principal": {"AWS": "000000000001"}, "Action": "sts:AssumeRole"}));
    run!(house, &root, create_role, {"RoleName": "reader", "Path": "/a/", "AssumeRolePolicyDocument": trust}).unwrap();
    run!(house, &root, put_role_policy, {"RoleName": "reader", "PolicyName": "p", "PolicyDocument": ALLOW_LIST})
        .unwrap();
    for arn in ["arn:aws:iam::000000000001:role/a/reader", "arn:aws:sts::000000000001:assumed-role/reader/simulation"] {
        let reader = stand_in(arn).unwrap();
        assert_eq!(reader.arn.to_string(), "arn:aws:sts::000000000001:assumed-role/reader/simulation");
        assert!(super::may(&house, &reader, "kms:ListKeys") && !super::may(&house, &reader, "kms:CreateKey"));
    }
    assert_eq!(stand_in("arn:aws:iam::000000000001:root").unwrap().kind, aws_wire::CallerKind::Root);
    run!(house, &root, create_group, {"GroupName": "staff"}).unwrap();
    for nobody in ["user/eve", "group/staff", "role/reader"] {
        assert_eq!(stand_in(&format!("arn:aws:iam::000000000001:{nobody}")), None, "{nobody}");
    }
    assert_eq!(stand_in("arn:aws:iam::000000000009:root"), None);
}
