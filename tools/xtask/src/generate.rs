//! Writes the services' `model.rs` from the public service models that botocore carries.
//!
//! `cargo xtask generate --models DIR`, where DIR is botocore's `data` directory (`pip install botocore`). The output
//! is committed and never edited; the models are Apache-2.0 (see NOTICE). Only what the served operations reach is
//! written.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use serde_json::{Map, Value};

/// One service: where its model is, where its output goes, which operations get types.
struct Source {
    model: &'static str,
    output: &'static str,
    title: &'static str,
    /// Served operations; empty means all of the model.
    operations: &'static [&'static str],
    /// Bounds that the service's own text has and its model has not: shape, bound, value.
    corrections: &'static [(&'static str, &'static str, i64)],
}

const SOURCES: &[Source] = &[
    Source {
        model: "efs/2015-02-01",
        output: "crates/control/src/model.rs",
        title: "Amazon EFS, API version 2015-02-01",
        operations: &[],
        // The guide: 1 to 50 tags a call.
        corrections: &[("Tags", "max", 50)],
    },
    Source {
        model: "kms/2014-11-01",
        output: "crates/kms/src/model.rs",
        title: "AWS KMS, API version 2014-11-01",
        operations: &[
            "CancelKeyDeletion",
            "CreateAlias",
            "CreateGrant",
            "CreateKey",
            "Decrypt",
            "DeleteAlias",
            "DeleteImportedKeyMaterial",
            "DeriveSharedSecret",
            "DescribeKey",
            "DisableKey",
            "DisableKeyRotation",
            "EnableKey",
            "EnableKeyRotation",
            "Encrypt",
            "GenerateDataKey",
            "GenerateDataKeyPair",
            "GenerateDataKeyPairWithoutPlaintext",
            "GenerateDataKeyWithoutPlaintext",
            "GenerateMac",
            "GenerateRandom",
            "GetKeyPolicy",
            "GetKeyRotationStatus",
            "GetParametersForImport",
            "GetPublicKey",
            "ImportKeyMaterial",
            "ListAliases",
            "ListGrants",
            "ListKeyPolicies",
            "ListKeyRotations",
            "ListKeys",
            "ListResourceTags",
            "ListRetirableGrants",
            "PutKeyPolicy",
            "ReEncrypt",
            "RetireGrant",
            "RevokeGrant",
            "RotateKeyOnDemand",
            "ScheduleKeyDeletion",
            "Sign",
            "TagResource",
            "UntagResource",
            "UpdateAlias",
            "UpdateKeyDescription",
            "Verify",
            "VerifyMac",
        ],
        // The service accepts 7 to 30 days and at most 50 tags, whatever its shapes say.
        corrections: &[
            ("PendingWindowInDaysType", "min", 7),
            ("PendingWindowInDaysType", "max", 30),
            ("TagList", "max", 50),
            ("TagKeyList", "max", 50),
        ],
    },
    Source {
        model: "iam/2010-05-08",
        output: "crates/identity/src/model/iam.rs",
        title: "AWS IAM, API version 2010-05-08",
        operations: &[
            "AddClientIDToOpenIDConnectProvider",
            "AddUserToGroup",
            "AttachGroupPolicy",
            "AttachRolePolicy",
            "AttachUserPolicy",
            "CreateAccessKey",
            "CreateGroup",
            "CreateOpenIDConnectProvider",
            "CreatePolicy",
            "CreatePolicyVersion",
            "CreateRole",
            "CreateUser",
            "DeleteAccessKey",
            "DeleteGroup",
            "DeleteGroupPolicy",
            "DeleteOpenIDConnectProvider",
            "DeletePolicy",
            "DeletePolicyVersion",
            "DeleteRole",
            "DeleteRolePermissionsBoundary",
            "DeleteRolePolicy",
            "DeleteUser",
            "DeleteUserPermissionsBoundary",
            "DeleteUserPolicy",
            "DetachGroupPolicy",
            "DetachRolePolicy",
            "DetachUserPolicy",
            "GetAccessKeyLastUsed",
            "GetContextKeysForCustomPolicy",
            "GetContextKeysForPrincipalPolicy",
            "GetGroup",
            "GetGroupPolicy",
            "GetOpenIDConnectProvider",
            "GetPolicy",
            "GetPolicyVersion",
            "GetRole",
            "GetRolePolicy",
            "GetUser",
            "GetUserPolicy",
            "ListAccessKeys",
            "ListAttachedGroupPolicies",
            "ListAttachedRolePolicies",
            "ListAttachedUserPolicies",
            "ListEntitiesForPolicy",
            "ListGroupPolicies",
            "ListGroups",
            "ListGroupsForUser",
            "ListOpenIDConnectProviderTags",
            "ListOpenIDConnectProviders",
            "ListPolicies",
            "ListPolicyTags",
            "ListPolicyVersions",
            "ListRolePolicies",
            "ListRoleTags",
            "ListRoles",
            "ListUserPolicies",
            "ListUserTags",
            "ListUsers",
            "PutGroupPolicy",
            "PutRolePermissionsBoundary",
            "PutRolePolicy",
            "PutUserPermissionsBoundary",
            "PutUserPolicy",
            "RemoveClientIDFromOpenIDConnectProvider",
            "RemoveUserFromGroup",
            "SetDefaultPolicyVersion",
            "SimulateCustomPolicy",
            "SimulatePrincipalPolicy",
            "TagOpenIDConnectProvider",
            "TagPolicy",
            "TagRole",
            "TagUser",
            "UntagOpenIDConnectProvider",
            "UntagPolicy",
            "UntagRole",
            "UntagUser",
            "UpdateAccessKey",
            "UpdateAssumeRolePolicy",
            "UpdateGroup",
            "UpdateOpenIDConnectProviderThumbprint",
            "UpdateRole",
            "UpdateRoleDescription",
            "UpdateUser",
        ],
        corrections: &[],
    },
    Source {
        model: "sts/2011-06-15",
        output: "crates/identity/src/model/sts.rs",
        title: "AWS STS, API version 2011-06-15",
        operations: &[
            "AssumeRole",
            "AssumeRoleWithWebIdentity",
            "GetAccessKeyInfo",
            "GetCallerIdentity",
            "GetSessionToken",
        ],
        corrections: &[("unrestrictedSessionPolicyDocumentType", "max", 2048)],
    },
];

/// Writes every output; with `check` it only compares.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let models = match arguments {
        [flag, directory] if flag == "--models" => Path::new(directory),
        _ => return Err("usage: cargo xtask generate --models BOTOCORE_DATA_DIRECTORY".to_owned()),
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for source in SOURCES {
        let model = read(&models.join(source.model))?;
        let text = Model::new(&model, source)?.print(&version(models))?;
        let output = root.join(source.output);
        std::fs::write(&output, text).map_err(|error| format!("{}: {error}", output.display()))?;
        let formatted = Command::new("rustfmt").args(["--edition", "2024"]).arg(&output).status();
        if !formatted.is_ok_and(|status| status.success()) {
            return Err(format!("rustfmt refused {}", output.display()));
        }
        println!("wrote {}", source.output);
    }
    Ok(())
}

/// botocore's own version, from the file above its data directory; it says which model the output is from.
fn version(models: &Path) -> String {
    let text = std::fs::read_to_string(models.join("../__init__.py")).unwrap_or_default();
    let found = text.lines().find_map(|line| line.strip_prefix("__version__ = '")?.strip_suffix('\''));
    found.map_or_else(String::new, |version| format!(" {version}"))
}

/// Reads `service-2.json`, packed (as botocore ships it) or not.
fn read(directory: &Path) -> Result<Value, String> {
    let plain = directory.join("service-2.json");
    let packed = directory.join("service-2.json.gz");
    let text = if plain.exists() {
        std::fs::read(&plain).map_err(|error| format!("{}: {error}", plain.display()))?
    } else {
        let output = Command::new("gzip").arg("-dc").arg(&packed).output().map_err(|error| format!("gzip: {error}"))?;
        if !output.status.success() {
            return Err(format!("{}: {}", packed.display(), String::from_utf8_lossy(&output.stderr)));
        }
        output.stdout
    };
    serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", directory.display()))
}

struct Model<'a> {
    source: &'a Source,
    metadata: &'a Map<String, Value>,
    operations: Vec<(&'a str, &'a Map<String, Value>)>,
    unsupported: Vec<&'a str>,
    shapes: &'a Map<String, Value>,
    /// Shapes reachable from inputs get tables; those reachable from inputs or outputs get types.
    tables: BTreeSet<&'a str>,
    types: BTreeSet<&'a str>,
}

fn object<'a>(value: &'a Value, key: &str) -> Result<&'a Map<String, Value>, String> {
    value.get(key).and_then(Value::as_object).ok_or_else(|| format!("the model has no {key}"))
}

fn text<'a>(shape: &'a Map<String, Value>, key: &str) -> &'a str {
    shape.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn target<'a>(shape: &'a Map<String, Value>, key: &str) -> &'a str {
    shape.get(key).and_then(Value::as_object).map_or("", |inner| text(inner, "shape"))
}

fn list<'a>(shape: &'a Map<String, Value>, key: &str) -> Vec<&'a str> {
    shape.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

fn flag(shape: &Map<String, Value>, key: &str) -> bool {
    shape.get(key).and_then(Value::as_bool).unwrap_or(false)
}

impl<'a> Model<'a> {
    fn new(model: &'a Value, source: &'a Source) -> Result<Self, String> {
        let all = object(model, "operations")?;
        let served = |name: &str| source.operations.is_empty() || source.operations.contains(&name);
        let operations: Vec<_> = all
            .iter()
            .filter(|(name, _)| served(name))
            .filter_map(|(name, operation)| Some((name.as_str(), operation.as_object()?)))
            .collect();
        if let Some(missing) = source.operations.iter().find(|name| !all.contains_key(**name)) {
            return Err(format!("the model has no operation {missing}"));
        }
        let mut this = Self {
            source,
            metadata: object(model, "metadata")?,
            unsupported: all.keys().map(String::as_str).filter(|name| !served(name)).collect(),
            shapes: object(model, "shapes")?,
            operations,
            tables: BTreeSet::new(),
            types: BTreeSet::new(),
        };
        for (_, operation) in this.operations.clone() {
            let mut inputs = std::mem::take(&mut this.tables);
            this.reach(target(operation, "input"), &mut inputs);
            this.tables = inputs;
            let mut outputs = std::mem::take(&mut this.types);
            this.reach(target(operation, "input"), &mut outputs);
            if !this.is_query() {
                this.reach(target(operation, "output"), &mut outputs);
            }
            this.types = outputs;
        }
        Ok(this)
    }

    /// Answers of the Query protocol are written element by element, so they need no types.
    fn is_query(&self) -> bool {
        text(self.metadata, "protocol") == "query"
    }

    /// An error's code on the wire: in the Query protocol that is a trait of its own, else the shape's name.
    fn code<'b>(&self, name: &'b str) -> &'b str
    where
        'a: 'b,
    {
        let error = self.shapes.get(name).and_then(|shape| shape.get("error"));
        let wire = error.and_then(|error| error.get("code")).and_then(Value::as_str);
        wire.filter(|_| self.is_query()).unwrap_or(name)
    }

    fn shape(&self, name: &str) -> Result<&'a Map<String, Value>, String> {
        self.shapes.get(name).and_then(Value::as_object).ok_or_else(|| format!("the model has no shape {name}"))
    }

    fn reach(&self, name: &'a str, reached: &mut BTreeSet<&'a str>) {
        let Ok(shape) = self.shape(name) else { return };
        if !reached.insert(name) {
            return;
        }
        for key in ["member", "key", "value"] {
            self.reach(target(shape, key), reached);
        }
        for member in members(shape) {
            self.reach(member.shape, reached);
        }
    }

    fn print(&self, version: &str) -> Result<String, String> {
        let mut out = String::new();
        self.print_service(&mut out)?;
        for name in &self.types {
            let shape = self.shape(name)?;
            match text(shape, "type") {
                "structure" => self.print_structure(&mut out, name, shape)?,
                "string" if shape.contains_key("enum") => print_enum(&mut out, name, shape),
                _ => {}
            }
        }
        for name in &self.tables {
            self.print_table(&mut out, name)?;
        }
        self.print_errors(&mut out)?;
        Ok(self.head(&out, version) + &out)
    }

    /// The head of the file; it imports what the body uses.
    fn head(&self, body: &str, version: &str) -> String {
        let title = self.source.title;
        let map = if body.contains("BTreeMap<") { "use std::collections::BTreeMap;\n\n" } else { "" };
        let values: Vec<&str> =
            [("Blob", "<Blob>"), ("Pattern", "Pattern"), ("SecretBlob", "SecretBlob"), ("Timestamp", "Timestamp")]
                .into_iter()
                .filter(|(_, used)| body.contains(used))
                .map(|(name, _)| name)
                .collect();
        format!(
            "//! {title}: types, constraints, operations and errors.\n//!\n\
             //! @generated by `cargo xtask generate` from the service model in botocore{version} (Apache-2.0, see NOTICE). Do not edit.\n\n\
             {map}use aws_wire::shape::{{Input, Location, Member, Operation, Protocol, Service, Shape}};\n\
             use aws_wire::{{{}}};\nuse serde::{{Deserialize, Serialize}};\n\n",
            values.join(", ")
        )
    }

    fn print_service(&self, out: &mut String) -> Result<(), String> {
        let protocol = match text(self.metadata, "protocol") {
            "json" => "Json11",
            "rest-json" => "RestJson",
            "query" => "Query",
            other => return Err(format!("no way to speak {other}")),
        };
        let prefix = match text(self.metadata, "targetPrefix") {
            "" => "None".to_owned(),
            prefix => format!("Some({prefix:?})"),
        };
        push(
            out,
            &format!(
                "/// The service, as its model has it.\npub static SERVICE: Service = Service {{\n\
                 signing_name: {:?}, api_version: {:?}, protocol: Protocol::{protocol}, target_prefix: {prefix},\n\
                 operations: OPERATIONS, unsupported: &{:?}, errors: errors::ALL }};\n\n\
                 /// The operations that have types here.\npub static OPERATIONS: &[Operation] = &[",
                text(self.metadata, "endpointPrefix"),
                text(self.metadata, "apiVersion"),
                self.unsupported,
            ),
        );
        for (name, operation) in &self.operations {
            let http = operation.get("http").and_then(Value::as_object).ok_or("an operation without http")?;
            let status = http.get("responseCode").and_then(Value::as_u64).unwrap_or(200);
            let input = match target(operation, "input") {
                "" => "None".to_owned(),
                input => format!("Some(&{})", constant(input)),
            };
            let errors: Vec<&str> = operation
                .get("errors")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(|error| error.get("shape").and_then(Value::as_str))
                .map(|name| self.code(name))
                .collect();
            push(
                out,
                &format!(
                    "Operation {{ name: {name:?}, method: {:?}, path: {:?}, status: {status}, input: {input}, output: {}, errors: &{errors:?} }},",
                    text(http, "method"),
                    text(http, "requestUri"),
                    operation.contains_key("output"),
                ),
            );
        }
        push(out, "];\n");
        Ok(())
    }

    fn print_structure(&self, out: &mut String, name: &str, shape: &Map<String, Value>) -> Result<(), String> {
        let required = list(shape, "required");
        let members = members(shape);
        let default = if self.has_default(shape) { "Default, " } else { "" };
        push(
            out,
            &format!("/// The shape `{name}`.\n#[derive(Debug, Clone, {default}PartialEq, Serialize, Deserialize)]"),
        );
        push(out, &format!("pub struct {} {{", type_name(name)));
        for member in &members {
            let kind = self.type_of(member.shape)?;
            let must = required.contains(&member.name);
            push(out, &format!("/// {}", self.describe(member, must)?));
            if must {
                push(out, &format!("#[serde(rename = {:?})]\npub {}: {kind},", member.name, field(member.name)));
            } else {
                push(
                    out,
                    &format!(
                        "#[serde(rename = {:?}, default, skip_serializing_if = \"Option::is_none\")]\npub {}: Option<{kind}>,",
                        member.name,
                        field(member.name)
                    ),
                );
            }
        }
        push(out, "}\n");
        if self.operations.iter().any(|(_, operation)| target(operation, "input") == name) {
            push(
                out,
                &format!(
                    "impl Input for {} {{ fn shape() -> &'static Shape {{ &{} }} }}\n",
                    type_name(name),
                    constant(name)
                ),
            );
        }
        Ok(())
    }

    /// A structure has a default when each required member has one: enums have none on purpose.
    fn has_default(&self, shape: &Map<String, Value>) -> bool {
        list(shape, "required").iter().all(|name| {
            let Some(member) = members(shape).into_iter().find(|member| member.name == *name) else { return false };
            let Ok(inner) = self.shape(member.shape) else { return false };
            match text(inner, "type") {
                "structure" => self.has_default(inner),
                "string" => !inner.contains_key("enum"),
                _ => true,
            }
        })
    }

    fn describe(&self, member: &ModelMember<'_>, required: bool) -> Result<String, String> {
        let shape = self.shape(member.shape)?;
        let mut words = format!("`{}`: {}", member.name, member.shape);
        let (min, max) = self.bounds(member.shape, shape);
        match (min, max) {
            (Some(min), Some(max)) => _ = write!(words, ", {min} to {max}"),
            (Some(min), None) => _ = write!(words, ", {min} or more"),
            (None, Some(max)) => _ = write!(words, ", at most {max}"),
            (None, None) => {}
        }
        words.push_str(if required { ", required." } else { "." });
        Ok(words)
    }

    fn bounds(&self, name: &str, shape: &Map<String, Value>) -> (Option<Value>, Option<Value>) {
        let bound = |key: &str| {
            let corrected = self.source.corrections.iter().find(|(shape, which, _)| *shape == name && *which == key);
            corrected.map(|(_, _, value)| Value::from(*value)).or_else(|| shape.get(key).cloned())
        };
        (bound("min"), bound("max"))
    }

    fn type_of(&self, name: &str) -> Result<String, String> {
        let shape = self.shape(name)?;
        Ok(match text(shape, "type") {
            "structure" => type_name(name),
            "string" if shape.contains_key("enum") => type_name(name),
            "string" => "String".to_owned(),
            "integer" => "i32".to_owned(),
            "long" => "i64".to_owned(),
            "double" => "f64".to_owned(),
            "boolean" => "bool".to_owned(),
            "timestamp" => "Timestamp".to_owned(),
            "blob" if flag(shape, "sensitive") => "SecretBlob".to_owned(),
            "blob" => "Blob".to_owned(),
            "list" => format!("Vec<{}>", self.type_of(target(shape, "member"))?),
            "map" => format!("BTreeMap<String, {}>", self.type_of(target(shape, "value"))?),
            other => return Err(format!("{name}: no type for {other}")),
        })
    }

    fn print_table(&self, out: &mut String, name: &str) -> Result<(), String> {
        let shape = self.shape(name)?;
        let (min, max) = self.bounds(name, shape);
        let number = |bound: &Option<Value>| bound.as_ref().map_or("None".to_owned(), |value| format!("Some({value})"));
        let double = |bound: &Option<Value>| {
            bound.as_ref().and_then(Value::as_f64).map_or("None".to_owned(), |value| format!("Some({value:?})"))
        };
        let (least, most) = (number(&min), number(&max));
        let body = match text(shape, "type") {
            "structure" => format!("Shape::Structure(&[{}])", self.member_rows(shape)),
            "list" => {
                format!("Shape::List {{ member: &{}, min: {least}, max: {most} }}", constant(target(shape, "member")))
            }
            "map" => format!(
                "Shape::Map {{ key: &{}, value: &{}, min: {least}, max: {most} }}",
                constant(target(shape, "key")),
                constant(target(shape, "value"))
            ),
            "string" => {
                let pattern = match text(shape, "pattern") {
                    "" => "None".to_owned(),
                    pattern => {
                        let constant = format!("{}_PATTERN", constant(name));
                        push(out, &format!("static {constant}: Pattern = Pattern::new(r#\"{pattern}\"#);"));
                        format!("Some(&{constant})")
                    }
                };
                let sensitive = flag(shape, "sensitive");
                let values = list(shape, "enum");
                format!(
                    "Shape::Text {{ min: {least}, max: {most}, pattern: {pattern}, values: &{values:?}, sensitive: {sensitive} }}"
                )
            }
            "blob" => {
                format!("Shape::Blob {{ min: {least}, max: {most}, sensitive: {} }}", flag(shape, "sensitive"))
            }
            "integer" => format!("Shape::Integer {{ min: {least}, max: {most} }}"),
            "long" => format!("Shape::Long {{ min: {least}, max: {most} }}"),
            "double" => format!("Shape::Double {{ min: {}, max: {} }}", double(&min), double(&max)),
            "boolean" => "Shape::Boolean".to_owned(),
            "timestamp" => "Shape::Timestamp".to_owned(),
            other => return Err(format!("{name}: no table for {other}")),
        };
        push(out, &format!("static {}: Shape = {body};\n", constant(name)));
        Ok(())
    }

    fn member_rows(&self, shape: &Map<String, Value>) -> String {
        let required = list(shape, "required");
        members(shape)
            .iter()
            .map(|member| {
                let location = match member.location {
                    "uri" => "Location::Uri".to_owned(),
                    "querystring" => format!("Location::Query({:?})", member.location_name),
                    _ => "Location::Body".to_owned(),
                };
                format!(
                    "Member {{ name: {:?}, required: {}, location: {location}, shape: &{} }}, ",
                    member.name,
                    required.contains(&member.name),
                    constant(member.shape)
                )
            })
            .collect()
    }

    fn print_errors(&self, out: &mut String) -> Result<(), String> {
        let mut reached = BTreeSet::new();
        for (_, operation) in &self.operations {
            for error in operation.get("errors").and_then(Value::as_array).into_iter().flatten() {
                reached.extend(error.get("shape").and_then(Value::as_str));
            }
        }
        // Refusing an operation outright needs this one even when no served operation lists it.
        reached.extend(
            self.shapes.contains_key("UnsupportedOperationException").then_some("UnsupportedOperationException"),
        );
        push(
            out,
            "/// The errors of the model: code, HTTP status, extra members.\npub mod errors {\nuse aws_wire::ErrorShape;\n",
        );
        for name in &reached {
            let shape = self.shape(name)?;
            let declared = shape.get("error").and_then(|error| error.get("httpStatusCode")).and_then(Value::as_u64);
            let status = declared.unwrap_or(if flag(shape, "fault") { 500 } else { 400 });
            let code = self.code(name);
            let plain = ["message", "errorcode"];
            let extra: Vec<&str> = members(shape)
                .iter()
                .map(|member| member.name)
                .filter(|member| !plain.contains(&member.to_lowercase().as_str()))
                .collect();
            push(
                out,
                &format!(
                    "/// `{name}`, HTTP {status}.\npub const {}: ErrorShape = ErrorShape {{ code: {code:?}, status: {status}, members: &{extra:?} }};",
                    constant(name)
                ),
            );
        }
        let all: Vec<String> = reached.iter().map(|name| format!("&{}", constant(name))).collect();
        push(out, &format!("\n/// Every error above.\npub const ALL: &[&ErrorShape] = &[{}];\n}}", all.join(", ")));
        Ok(())
    }
}

struct ModelMember<'a> {
    name: &'a str,
    shape: &'a str,
    location: &'a str,
    location_name: &'a str,
}

fn members(shape: &Map<String, Value>) -> Vec<ModelMember<'_>> {
    let all = shape.get("members").and_then(Value::as_object);
    all.into_iter()
        .flatten()
        .filter_map(|(name, member)| {
            let member = member.as_object()?;
            Some(ModelMember {
                name,
                shape: text(member, "shape"),
                location: text(member, "location"),
                location_name: text(member, "locationName"),
            })
        })
        .collect()
}

fn print_enum(out: &mut String, name: &str, shape: &Map<String, Value>) {
    let values = list(shape, "enum");
    let (kind, variants): (_, Vec<String>) = (type_name(name), values.iter().map(|value| variant(value)).collect());
    push(
        out,
        &format!(
            "/// The values of `{name}`.\n#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]"
        ),
    );
    push(out, &format!("pub enum {kind} {{"));
    for (value, variant) in values.iter().zip(&variants) {
        push(out, &format!("/// `{value}`.\n#[serde(rename = {value:?})]\n{variant},"));
    }
    push(out, "}\n");
    push(
        out,
        &format!("impl {kind} {{\n/// The value on the wire.\npub fn as_str(self) -> &'static str {{ match self {{"),
    );
    for (value, variant) in values.iter().zip(&variants) {
        push(out, &format!("Self::{variant} => {value:?},"));
    }
    push(out, "} } }\n");
}

fn push(out: &mut String, line: &str) {
    out.push_str(line);
    out.push('\n');
}

/// `KMSInternalException` as words: kms, internal, exception.
fn words(name: &str) -> Vec<String> {
    let characters: Vec<char> = name.chars().collect();
    let mut words: Vec<String> = Vec::new();
    for (position, character) in characters.iter().enumerate() {
        if !character.is_ascii_alphanumeric() {
            words.push(String::new());
            continue;
        }
        let before = position.checked_sub(1).and_then(|before| characters.get(before));
        let after = characters.get(position + 1);
        let starts = character.is_ascii_uppercase()
            && (before.is_some_and(|before| !before.is_ascii_uppercase())
                || (before.is_some() && after.is_some_and(char::is_ascii_lowercase)));
        if words.is_empty() || starts {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.push(character.to_ascii_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn capitalised(words: &[String]) -> String {
    words
        .iter()
        .map(|word| {
            let mut letters = word.chars();
            let first: String = letters.next().map(|first| first.to_ascii_uppercase()).into_iter().collect();
            first + letters.as_str()
        })
        .collect()
}

fn type_name(name: &str) -> String {
    capitalised(&words(name))
}

fn constant(name: &str) -> String {
    words(name).join("_").to_ascii_uppercase()
}

fn field(name: &str) -> String {
    let name = words(name).join("_");
    if ["type", "ref", "use"].contains(&name.as_str()) { format!("r#{name}") } else { name }
}

fn variant(value: &str) -> String {
    let all_capitals = !value.contains(|character: char| character.is_ascii_lowercase());
    let words: Vec<String> =
        if all_capitals { value.split(['_', '-', ' ']).map(str::to_ascii_lowercase).collect() } else { words(value) };
    let name = capitalised(&words);
    // `Self` is the one value whose name Rust keeps for itself.
    if name == "Self" { "OneSelf".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::{constant, field, type_name, variant};

    /// Architecture section 1, "Names": wire types keep their names in Rust case.
    #[test]
    fn names_become_rust_names() {
        assert_eq!(type_name("CreateKeyRequest"), "CreateKeyRequest");
        assert_eq!(constant("KMSInternalException"), "KMS_INTERNAL_EXCEPTION");
        assert_eq!(field("AWSAccountId"), "aws_account_id");
        assert_eq!(field("ValueInIA"), "value_in_ia");
        assert_eq!(field("Ipv6Address"), "ipv6_address");
        assert_eq!(variant("SYMMETRIC_DEFAULT"), "SymmetricDefault");
        assert_eq!(variant("generalPurpose"), "GeneralPurpose");
        assert_eq!(variant("AFTER_1_DAY"), "After1Day");
    }
}
