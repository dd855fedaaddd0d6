//! One provider: its calls, signed, each within its time, over connections that are kept.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_wire::{Arn, Timestamp};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto::Key;
use env::{Env, Instant};
use parking_lot::Mutex;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use zeroize::{Zeroize as _, Zeroizing};

use super::answer::{self, ProviderError};
use super::credentials::Credentials;
use super::endpoint::Endpoint;
use super::health::{Health, KeyWord, ProviderStatus};
use super::settings::ProviderSettings;
use super::wire::{self, Answer, Failure, Stream};
use crate::CofferError;

/// Connections kept for the next calls, and for how long: servers close idle ones after a minute or so.
const IDLE_MAX: usize = 8;
const IDLE_TIME: Duration = Duration::from_secs(30);
/// KMS developer guide, "Grants in AWS KMS": a grant is known everywhere after five minutes; its token bridges them.
const TOKEN_TIME: Duration = Duration::from_secs(600);
/// Where systems keep the roots that browsers trust.
const SYSTEM_BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

/// A key service elsewhere.
pub(crate) struct Provider {
    settings: ProviderSettings,
    endpoint: Endpoint,
    tls: Option<TlsConnector>,
    env: Env,
    idle: Mutex<Vec<(Box<dyn Stream>, Instant)>>,
    /// Tokens of grants that may not be known everywhere yet, by grant id.
    tokens: Mutex<HashMap<String, (String, Instant)>>,
    health: Health,
}

impl Provider {
    /// Reads the CA bundle; nobody is called.
    pub(crate) fn new(settings: ProviderSettings, env: Env) -> Result<Self, CofferError> {
        let told = |why: String| CofferError::Stopped(format!("kms_provider {:?}: {why}", settings.name));
        let endpoint = Endpoint::parse(&settings.endpoint).map_err(told)?;
        let tls = endpoint.secure.then(|| trust(settings.ca_file.as_deref())).transpose().map_err(told)?;
        let tls = tls.map(|config| TlsConnector::from(Arc::new(config)));
        let (idle, tokens) = (Mutex::default(), Mutex::default());
        Ok(Self { settings, endpoint, tls, env, idle, tokens, health: Health::default() })
    }

    pub(crate) fn settings(&self) -> &ProviderSettings {
        &self.settings
    }

    /// How it does.
    pub(crate) fn status(&self) -> ProviderStatus {
        self.health.status(&self.settings.name, self.endpoint.to_string(), &self.env)
    }

    /// What it said last of a KMS key.
    pub(crate) fn word(&self, key_arn: &str) -> Option<KeyWord> {
        self.health.word(key_arn)
    }

    /// Whether a lease may ask now; of a silent provider not all of them do.
    pub(crate) fn may_ask(&self) -> Result<(), ProviderError> {
        self.health.may_ask(self.limit(), &self.env).map_err(|why| self.unreachable(why))
    }

    fn limit(&self) -> Duration {
        Duration::from_secs(u64::from(self.settings.timeout_seconds))
    }

    /// What the audit record of a call says of where it went.
    pub(crate) fn whereabouts(&self) -> Value {
        json!({ "kmsProvider": self.settings.name, "kmsEndpoint": self.endpoint.to_string() })
    }

    /// How much longer than their usual time leases of its keys last while it does not answer.
    pub(crate) fn grace(&self) -> Duration {
        Duration::from_secs(u64::from(self.settings.grace_seconds))
    }

    /// DescribeKey: the ARN of a KMS key that can be used for data keys.
    pub(crate) async fn describe_key(&self, key: &Arn) -> Result<Arn, ProviderError> {
        #[derive(Deserialize)]
        struct Described {
            #[serde(rename = "KeyMetadata")]
            metadata: Metadata,
        }
        #[derive(Deserialize)]
        struct Metadata {
            #[serde(rename = "Arn")]
            arn: String,
            #[serde(rename = "KeyState", default)]
            state: String,
            #[serde(rename = "KeySpec", default)]
            spec: Option<String>,
        }
        let text = key.to_string();
        let found: Described = self.ask("DescribeKey", &text, &json!({ "KeyId": text })).await?;
        let Metadata { arn, state, spec } = found.metadata;
        let refused = |code: &str, message: String| {
            Err(ProviderError::Refused { provider: self.settings.name.clone(), code: code.to_owned(), message })
        };
        match Arn::parse(&arn) {
            // An alias must not lead out of what the configuration lets it serve.
            Some(arn) if arn.resource.starts_with("key/") && self.settings.serves(&arn) => match state.as_str() {
                "Enabled" if spec.as_deref().is_none_or(|spec| spec == "SYMMETRIC_DEFAULT") => Ok(arn),
                "Enabled" => refused("InvalidKeyUsageException", format!("{arn} is no symmetric encryption key.")),
                "Disabled" => refused("DisabledException", format!("{arn} is disabled.")),
                state => refused("KMSInvalidStateException", format!("{arn} is {state}.")),
            },
            Some(arn) => {
                refused("AccessDeniedException", format!("{text} is {arn}, which this provider may not serve."))
            }
            None => Err(self.unreachable(format!("DescribeKey answered with {:?} as an ARN", short(&arn)))),
        }
    }

    /// CreateGrant for one encryption context, if the configuration asks for it. The same call again gives the same grant.
    pub(crate) async fn create_grant(
        &self,
        key_arn: &str,
        name: &str,
        context: &BTreeMap<String, String>,
    ) -> Result<Option<String>, ProviderError> {
        #[derive(Deserialize)]
        struct Granted {
            #[serde(rename = "GrantId")]
            id: String,
            #[serde(rename = "GrantToken")]
            token: String,
        }
        let Some(grantee) = &self.settings.grant_to else { return Ok(None) };
        let input = json!({
            "KeyId": key_arn,
            "Name": name,
            "GranteePrincipal": grantee,
            "RetiringPrincipal": grantee,
            "Operations": kms::SERVICE_OPERATIONS,
            "Constraints": { "EncryptionContextEquals": context },
        });
        let granted: Granted = self.ask("CreateGrant", key_arn, &input).await?;
        let mut tokens = self.tokens.lock();
        let now = self.env.now();
        tokens.retain(|_, (_, made)| now.since(*made) < TOKEN_TIME);
        tokens.insert(granted.id.clone(), (granted.token, now));
        Ok(Some(granted.id))
    }

    /// RetireGrant.
    pub(crate) async fn retire_grant(&self, key_arn: &str, grant_id: &str) -> Result<(), ProviderError> {
        let input = json!({ "KeyId": key_arn, "GrantId": grant_id });
        self.tokens.lock().remove(grant_id);
        match self.call("RetireGrant", key_arn, &input).await {
            Err(ProviderError::Refused { code, .. }) if code == "NotFoundException" => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    /// GenerateDataKeyWithoutPlaintext: a 256-bit key that nobody has seen.
    pub(crate) async fn generate_data_key(
        &self,
        key_arn: &str,
        grant_id: &str,
        context: &BTreeMap<String, String>,
    ) -> Result<Vec<u8>, ProviderError> {
        #[derive(Deserialize)]
        struct Generated {
            #[serde(rename = "CiphertextBlob")]
            blob: String,
        }
        let mut input = json!({ "KeyId": key_arn, "KeySpec": "AES_256", "EncryptionContext": context });
        self.add_token(&mut input, grant_id);
        let made: Generated = self.ask("GenerateDataKeyWithoutPlaintext", key_arn, &input).await?;
        match STANDARD.decode(&made.blob) {
            Ok(blob) if !blob.is_empty() && blob.len() <= BLOB_BYTES_MAX => Ok(blob),
            Ok(_) | Err(_) => Err(self.unreachable("it answered without a ciphertext".to_owned())),
        }
    }

    /// Decrypt of such a key.
    pub(crate) async fn decrypt(
        &self,
        key_arn: &str,
        grant_id: &str,
        blob: &[u8],
        context: &BTreeMap<String, String>,
    ) -> Result<Key, ProviderError> {
        let mut input =
            json!({ "KeyId": key_arn, "CiphertextBlob": STANDARD.encode(blob), "EncryptionContext": context });
        self.add_token(&mut input, grant_id);
        let body = self.call("Decrypt", key_arn, &input).await?;
        let wrong = || self.unreachable("it answered Decrypt without a 256-bit key of this KMS key".to_owned());
        let mut told: Decrypted<'_> = serde_json::from_slice(&body).map_err(|_| wrong())?;
        let mut plaintext = Zeroizing::new(Vec::with_capacity(KEY_TEXT_MAX));
        let read = STANDARD.decode_vec(told.plaintext.as_bytes(), &mut plaintext).is_ok();
        if let std::borrow::Cow::Owned(text) = &mut told.plaintext {
            text.zeroize();
        }
        if !read || told.key_id != key_arn {
            return Err(wrong());
        }
        Key::take(&mut plaintext).map_err(|_| wrong())
    }

    fn add_token(&self, input: &mut Value, grant_id: &str) {
        let tokens = self.tokens.lock();
        let fresh = tokens.get(grant_id).filter(|(_, made)| self.env.now().since(*made) < TOKEN_TIME);
        if let (Some((token, _)), Some(members)) = (fresh, input.as_object_mut()) {
            members.insert("GrantTokens".to_owned(), json!([token]));
        }
    }

    async fn ask<T: DeserializeOwned>(&self, action: &str, key: &str, input: &Value) -> Result<T, ProviderError> {
        let body = self.call(action, key, input).await?;
        serde_json::from_slice(&body).map_err(|_| self.unreachable(format!("its answer to {action} is none of KMS")))
    }

    /// One call; how it ended is noted.
    async fn call(&self, action: &str, key: &str, input: &Value) -> Result<Zeroizing<Vec<u8>>, ProviderError> {
        let limit = self.limit();
        let outcome = tokio::select! {
            outcome = self.exchange(action, input) => outcome,
            () = self.env.sleep(limit) => Err(self.unreachable(format!("no answer within {} s", limit.as_secs()))),
        };
        self.health.note(&self.settings.name, key, outcome.as_ref().err(), &self.env);
        outcome
    }

    async fn exchange(&self, action: &str, input: &Value) -> Result<Zeroizing<Vec<u8>>, ProviderError> {
        let settings = &self.settings;
        let file = settings.credentials_file.as_deref();
        let credentials = Credentials::read(file, &settings.profile, &settings.region).await;
        let credentials = credentials.map_err(|why| self.unreachable(format!("it cannot be asked: {why}")))?;
        let request = self.request(action, input, &credentials);
        let answer = self.send(&request).await?;
        if answer.status == 200 { Ok(answer.body) } else { Err(answer::error(&settings.name, &answer)) }
    }

    fn request(&self, action: &str, input: &Value, credentials: &Credentials) -> Vec<u8> {
        let (host, path) = (self.endpoint.host_header(), self.endpoint.path());
        let target = format!("TrentService.{action}");
        let body = input.to_string();
        let headers =
            [("host", host.as_str()), ("content-type", "application/x-amz-json-1.1"), ("x-amz-target", &target)];
        let wall = self.env.wall();
        let now = Timestamp::from_unix(wall.seconds, wall.nanoseconds);
        let added = credentials.signer().sign("POST", &path, "", &headers, body.as_bytes(), now);
        let mut head = format!("POST {path} HTTP/1.1\r\ncontent-length: {}\r\nuser-agent: coffer\r\n", body.len());
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        for (name, value) in added {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        format!("{head}\r\n{body}").into_bytes()
    }

    /// Over a kept connection if there is one; one that the peer has closed meanwhile is replaced.
    async fn send(&self, request: &[u8]) -> Result<Answer, ProviderError> {
        loop {
            let kept = self.kept();
            let is_fresh = kept.is_none();
            let mut stream = match kept {
                Some(stream) => stream,
                None => self.connect().await.map_err(|why| self.unreachable(why))?,
            };
            match wire::exchange(&mut *stream, request).await {
                Ok(answer) => {
                    if answer.keep {
                        self.keep(stream);
                    }
                    return Ok(answer);
                }
                // Every call here may be made twice: nothing but a grant by its name is made at the provider.
                Err(_) if !is_fresh => {}
                Err(Failure::Closed) => return Err(self.unreachable("it closed the connection".to_owned())),
                Err(Failure::Broken(why)) => return Err(self.unreachable(why)),
            }
        }
    }

    fn kept(&self) -> Option<Box<dyn Stream>> {
        let now = self.env.now();
        let mut idle = self.idle.lock();
        idle.retain(|(_, since)| now.since(*since) < IDLE_TIME);
        idle.pop().map(|(stream, _)| stream)
    }

    fn keep(&self, stream: Box<dyn Stream>) {
        let mut idle = self.idle.lock();
        if idle.len() < IDLE_MAX {
            idle.push((stream, self.env.now()));
        }
    }

    async fn connect(&self) -> Result<Box<dyn Stream>, String> {
        let Endpoint { host, port, .. } = &self.endpoint;
        let socket = TcpStream::connect((host.as_str(), *port)).await.map_err(|error| error.to_string())?;
        // A head and a small body: not to be held back for the peer's acknowledgement.
        socket.set_nodelay(true).map_err(|error| error.to_string())?;
        let Some(tls) = &self.tls else { return Ok(Box::new(socket)) };
        let name = ServerName::try_from(host.clone()).map_err(|error| error.to_string())?;
        Ok(Box::new(tls.connect(name, socket).await.map_err(|error| error.to_string())?))
    }

    fn unreachable(&self, why: String) -> ProviderError {
        ProviderError::Unreachable { provider: self.settings.name.clone(), why }
    }
}

/// KMS API, CiphertextBlob.
const BLOB_BYTES_MAX: usize = 6144;
/// Room for a plaintext key as it is decoded, so that no copy of it is left behind where it grew.
const KEY_TEXT_MAX: usize = 4096;

#[derive(Deserialize)]
struct Decrypted<'a> {
    #[serde(rename = "KeyId")]
    key_id: String,
    /// Borrowed from the answer, which is wiped, unless its JSON has escapes.
    #[serde(rename = "Plaintext", borrow)]
    plaintext: std::borrow::Cow<'a, str>,
}

fn short(text: &str) -> String {
    text.chars().take(100).collect()
}

/// The roots of the file, else the system's.
fn trust(file: Option<&Path>) -> Result<ClientConfig, String> {
    let usual = || SYSTEM_BUNDLES.iter().map(PathBuf::from).find(|path| path.exists());
    let bundle = file.map(Path::to_owned).or_else(usual).ok_or("no CA bundle on this system; set ca_file")?;
    let told = |why: String| format!("{}: {why}", bundle.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(&bundle).map_err(|error| told(error.to_string()))? {
        // A bundle may hold certificates that are no usable roots; one that is suffices.
        drop(roots.add(certificate.map_err(|error| told(error.to_string()))?));
    }
    if roots.is_empty() {
        return Err(told("no usable CA certificate".to_owned()));
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Ok(builder.map_err(|error| error.to_string())?.with_root_certificates(roots).with_no_client_auth())
}
