//! AssumeRoleWithWebIdentity against an OpenID Connect provider of our own making, in the clear and over TLS.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use aws_wire::sigv4::percent_encode;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use env::Env;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::house::{House, Reply};
use crate::identities::{Credentials, element, must};

/// A provider on a loopback port.
struct Provider {
    issuer: String,
    key: EcdsaKeyPair,
    asked: Arc<AtomicUsize>,
}

fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, issuer: &str, keys: &str) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte).await, Ok(1)) {
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head);
    let body = match head.split(' ').nth(1) {
        Some("/.well-known/openid-configuration") => {
            json!({"issuer": issuer, "jwks_uri": format!("{issuer}/keys")}).to_string()
        }
        Some("/keys") => keys.to_owned(),
        _ => String::new(),
    };
    let status = if body.is_empty() { "404 Not Found" } else { "200 OK" };
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
    _ = stream.write_all(answer.as_bytes()).await;
    _ = stream.shutdown().await;
}

impl Provider {
    async fn new(tls: Option<Arc<ServerConfig>>) -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let point = key.public_key().as_ref();
        let jwk = json!({"kty": "EC", "kid": "1", "use": "sig", "crv": "P-256", "x": encoded(&point[1..33]), "y": encoded(&point[33..])});
        let keys = json!({"keys": [jwk]}).to_string();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let scheme = if tls.is_some() { "https://localhost" } else { "http://127.0.0.1" };
        let issuer = format!("{scheme}:{port}");
        let asked = Arc::new(AtomicUsize::new(0));
        let (served, counted) = (issuer.clone(), asked.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                match &tls {
                    None => serve(stream, &served, &keys).await,
                    Some(config) => {
                        if let Ok(stream) = TlsAcceptor::from(config.clone()).accept(stream).await {
                            serve(stream, &served, &keys).await;
                        }
                    }
                }
            }
        });
        Self { issuer, key, asked }
    }

    fn place(&self) -> &str {
        self.issuer.split_once("://").unwrap().1
    }

    fn signed(&self, claims: &Value) -> String {
        let header = encoded(json!({"alg": "ES256", "kid": "1"}).to_string().as_bytes());
        let text = format!("{header}.{}", encoded(claims.to_string().as_bytes()));
        let signature = self.key.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
        format!("{text}.{}", encoded(signature.as_ref()))
    }

    fn claims(&self, subject: &str) -> Value {
        let now = Env::real().wall().seconds;
        json!({"iss": self.issuer, "sub": subject, "aud": "app", "iat": now, "exp": now + 300})
    }

    fn token(&self, subject: &str) -> String {
        self.signed(&self.claims(subject))
    }
}

/// The call as a client sends it: unsigned.
async fn assume(house: &House, token: &str) -> Reply {
    let body = format!(
        "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn={}&RoleSessionName=web&WebIdentityToken={}",
        percent_encode("arn:aws:iam::000000000001:role/web"),
        percent_encode(token)
    );
    let text =
        format!("POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    house.send(text.as_bytes()).await
}

/// Registers the provider, and a role that trusts its subject `ann`.
async fn register(house: &House, provider: &Provider, thumbprint: Option<&str>) {
    let mut members = vec![("Url", provider.issuer.as_str()), ("ClientIDList.member.1", "app")];
    members.extend(thumbprint.map(|thumbprint| ("ThumbprintList.member.1", thumbprint)));
    let made = must(house.iam("CreateOpenIDConnectProvider", &members).await);
    let arn = element(&made, "OpenIDConnectProviderArn").unwrap();
    assert_eq!(arn, format!("arn:aws:iam::000000000001:oidc-provider/{}", provider.place()));
    let trust = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": {"Federated": arn},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": {format!("{}:sub", provider.place()): "ann", format!("{}:aud", provider.place()): "app"}}}});
    let trust = trust.to_string();
    must(house.iam("CreateRole", &[("RoleName", "web"), ("AssumeRolePolicyDocument", &trust)]).await);
    let admin = "arn:aws:iam::aws:policy/AdministratorAccess";
    must(house.iam("AttachRolePolicy", &[("RoleName", "web"), ("PolicyArn", admin)]).await);
}

fn refused(reply: &Reply) -> (u16, String) {
    (reply.status, element(reply, "Code").unwrap_or_default())
}

/// STS API, AssumeRoleWithWebIdentity: whom the provider vouches for and the role trusts gets credentials; everybody else
/// the errors of the page.
#[tokio::test]
async fn a_web_identity_assumes_the_role_that_trusts_it() {
    let house = House::of_identities().await;
    let provider = Provider::new(None).await;
    let early = assume(&house, &provider.token("ann")).await;
    assert_eq!(refused(&early), (400, "InvalidIdentityToken".to_owned()));
    register(&house, &provider, None).await;
    let made = must(assume(&house, &provider.token("ann")).await);
    assert_eq!(element(&made, "SubjectFromWebIdentityToken").unwrap(), "ann");
    assert_eq!(element(&made, "Audience").unwrap(), "app");
    let session = Credentials::of(&made);
    must(house.list_keys_by(&session).await);
    let identity = must(house.sts_by(&session, "GetCallerIdentity", &[]).await);
    assert_eq!(element(&identity, "Arn").unwrap(), "arn:aws:sts::000000000001:assumed-role/web/web");

    assert_eq!(refused(&assume(&house, &provider.token("bob")).await), (403, "AccessDenied".to_owned()));
    let mut stale = provider.claims("ann");
    stale["exp"] = json!(Env::real().wall().seconds - 1);
    assert_eq!(refused(&assume(&house, &provider.signed(&stale)).await), (400, "ExpiredTokenException".to_owned()));
    let mut other = provider.claims("ann");
    other["aud"] = json!("another");
    assert_eq!(refused(&assume(&house, &provider.signed(&other)).await), (400, "InvalidIdentityToken".to_owned()));
    let stranger = Provider { issuer: provider.issuer.clone(), ..Provider::new(None).await };
    let before = provider.asked.load(Ordering::Relaxed);
    for _ in 0..5 {
        let forged = assume(&house, &stranger.token("ann")).await;
        assert_eq!(refused(&forged), (400, "InvalidIdentityToken".to_owned()));
    }
    // An unsigned peer does not make this server ask the provider at its pace.
    assert!(provider.asked.load(Ordering::Relaxed) - before <= 2);
    assert_eq!(refused(&assume(&house, "nonsense").await), (400, "InvalidIdentityToken".to_owned()));

    let records = house.records().await;
    let mut found = records.iter().filter(|line| {
        line["phase"] == "complete"
            && line["record"]["eventName"] == "AssumeRoleWithWebIdentity"
            && line["record"]["errorCode"].is_null()
    });
    let record = &found.next().unwrap()["record"];
    assert_eq!(record["userIdentity"]["type"], "WebIdentityUser");
    assert_eq!(record["userIdentity"]["userName"], "ann");
    assert_eq!(record["requestParameters"]["roleArn"], "arn:aws:iam::000000000001:role/web");
    let all = serde_json::to_string(&records).unwrap();
    assert!(!all.contains(&session.secret) && !all.contains("eyJhbGci"), "a token is in no record");
}

/// IAM User Guide, "Obtain the thumbprint for an OpenID Connect identity provider": a private authority is trusted by the
/// fingerprint of its certificate, and only with it.
#[tokio::test]
async fn a_private_authority_is_trusted_by_its_thumbprint() {
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::new(Vec::<String>::new()).unwrap();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = parameters.self_signed(&authority_key).unwrap();
    let issuer = Issuer::new(parameters, authority_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let chain = vec![leaf.der().clone(), authority.der().clone()];
    let private = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, private).unwrap();
    let provider = Provider::new(Some(Arc::new(config))).await;
    let thumbprint = identity::thumbprint(authority.der());

    let house = House::of_identities().await;
    register(&house, &provider, Some(&"0".repeat(40))).await;
    let token = provider.token("ann");
    assert_eq!(refused(&assume(&house, &token).await), (400, "InvalidIdentityToken".to_owned()));
    let arn = format!("arn:aws:iam::000000000001:oidc-provider/{}", provider.place());
    let update = [("OpenIDConnectProviderArn", arn.as_str()), ("ThumbprintList.member.1", &thumbprint)];
    must(house.iam("UpdateOpenIDConnectProviderThumbprint", &update).await);
    must(assume(&house, &token).await);
}
