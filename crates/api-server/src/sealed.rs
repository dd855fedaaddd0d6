//! The API while the root key is not there: `/health` says so, and every call gets an error that is tried again. Who calls
//! cannot be known: the identities are sealed, too.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use aws_wire::ApiError;
use aws_wire::shape::Service;
use env::Env;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming as Body;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::reply::{self, Health, Reply};

const CONNECTIONS_MAX: usize = 256;
const HEAD_BYTES: usize = 64 * 1024;
const BODY_BYTES: usize = 1024 * 1024;
/// How long one exchange may take from its connection to its end.
const EXCHANGE_MAX: Duration = Duration::from_secs(15);
const WHY: &str = "The server is sealed: its root key is not there yet. Try again later.";

/// Answers on the listener until it is dropped.
pub async fn serve_sealed(listener: TcpListener, env: Env) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        match accepted {
            Ok((stream, _)) => {
                let env = env.clone();
                connections.spawn(async move {
                    connection(stream, env).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted while sealed");
                env.sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, env: Env) {
    let service = service_fn(|request| {
        let id = env.uuid();
        async move { Ok::<Reply, std::convert::Infallible>(respond(request, &id).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(EXCHANGE_MAX)
        .max_buf_size(HEAD_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    let served = pin!(served);
    tokio::select! {
        outcome = served => if let Err(error) = outcome {
            tracing::debug!(%error, "a connection ended early while sealed");
        },
        () = env.sleep(EXCHANGE_MAX) => {}
    }
}

async fn respond(request: hyper::Request<Body>, id: &str) -> Reply {
    let (head, body) = request.into_parts();
    let mut reply = if head.uri.path() == "/health" {
        reply::health(Health::Sealed, id)
    } else {
        let (service, error) = refusal(head.headers.contains_key("x-amz-target"), head.uri.path());
        reply::error(service, id, &error)
    };
    // Read to its end, so that the answer is not lost with a connection that is reset; what it says does not matter.
    let _ = Limited::new(body, BODY_BYTES).collect().await;
    reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    reply
}

/// The error that each protocol's clients try again, and the service that says it.
fn refusal(target: bool, path: &str) -> (Option<&'static Service>, ApiError) {
    let version = format!("/{}/", control::model::SERVICE.api_version);
    if target {
        (Some(&kms::model::SERVICE), ApiError::of(&kms::model::errors::KMS_INTERNAL_EXCEPTION, WHY))
    } else if path.starts_with(&version) {
        (Some(&control::model::SERVICE), ApiError::of(&control::model::errors::INTERNAL_SERVER_ERROR, WHY))
    } else {
        (Some(&identity::model::sts::SERVICE), ApiError::new("ServiceUnavailable", 503, WHY))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn ask(request: &str) -> String {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(serve_sealed(listener, Env::real()));
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        task.abort();
        text
    }

    /// KMS API Reference, "Common Errors"; EFS API, InternalServerError: a sealed server refuses in each protocol with an error
    /// of class 5xx, which SDKs try again.
    #[tokio::test]
    async fn every_call_is_refused_for_now() {
        let kms = "POST / HTTP/1.1\r\nhost: x\r\nx-amz-target: TrentService.Decrypt\r\ncontent-length: 2\r\n\r\n{}";
        let kms = ask(kms).await;
        assert!(kms.starts_with("HTTP/1.1 500 ") && kms.contains("KMSInternalException"), "{kms}");
        let efs = ask("GET /2015-02-01/file-systems HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert!(efs.starts_with("HTTP/1.1 500 ") && efs.contains("InternalServerError"), "{efs}");
        let form = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 24\r\n\r\nAction=GetCallerIdentity";
        let sts = ask(form).await;
        assert!(sts.starts_with("HTTP/1.1 503 ") && sts.contains("ServiceUnavailable"), "{sts}");
    }

    /// docs/operations.md, "A sealed server": `/health` says what it waits for.
    #[tokio::test]
    async fn health_says_sealed() {
        let health = ask("GET /health HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert!(health.starts_with("HTTP/1.1 503 ") && health.ends_with("{\"status\":\"sealed\"}"), "{health}");
    }
}
