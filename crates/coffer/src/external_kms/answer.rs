//! What an answer of a provider means: a result, a refusal, or no answer. KMS API Reference, "Common Errors" and the errors
//! of each action.

use serde::Deserialize;

use super::wire::Answer;

/// Texts that a peer chose are cut at this length.
const TEXT_MAX: usize = 512;

/// Why a provider gave nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProviderError {
    /// It decided: about the KMS key, the ciphertext, or our right to use them.
    #[error("the KMS provider {provider} refuses it: {code}: {message}")]
    Refused {
        /// The provider.
        provider: String,
        /// Its code.
        code: String,
        /// Its sentence.
        message: String,
    },
    /// It did not decide: nobody can say now whether the KMS key may be used.
    #[error("the KMS provider {provider} does not answer: {why}")]
    Unreachable {
        /// The provider.
        provider: String,
        /// What happened instead.
        why: String,
    },
}

impl ProviderError {
    /// Whether this is a decision, as opposed to no answer.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }

    /// Code and sentence for the audit record.
    pub(crate) fn shown(&self) -> (String, String) {
        match self {
            Self::Refused { code, message, .. } => (code.clone(), message.clone()),
            // KMS API, the error of a system that timed out.
            Self::Unreachable { .. } => ("DependencyTimeoutException".to_owned(), self.to_string()),
        }
    }
}

/// What a KMS says when it has decided. Everything else is no decision: throttling, errors of its own, and signatures that
/// are not taken, for a clock or a credentials file that is behind is not the will of the key's owner.
const REFUSALS: &[&str] = &[
    "AccessDeniedException",
    "DisabledException",
    "IncorrectKeyException",
    "InvalidArnException",
    "InvalidCiphertextException",
    "InvalidGrantTokenException",
    "InvalidKeyUsageException",
    "KMSInvalidStateException",
    "LimitExceededException",
    "NotAuthorizedException",
    "NotFoundException",
    "UnsupportedOperationException",
    "ValidationException",
];

/// JSON 1.1's error; AWS writes the message in either case.
#[derive(Default, Deserialize)]
struct Told {
    #[serde(rename = "__type", default)]
    kind: String,
    #[serde(rename = "message", alias = "Message", default)]
    message: String,
}

/// The error of an answer that is no success.
pub(super) fn error(provider: &str, answer: &Answer) -> ProviderError {
    let told: Told = serde_json::from_slice(&answer.body).unwrap_or_default();
    let named = answer.error_type.as_deref().filter(|_| told.kind.is_empty()).unwrap_or(&told.kind);
    let code = bare(named);
    let message = printable(&told.message);
    let provider = provider.to_owned();
    if (400..500).contains(&answer.status) && REFUSALS.contains(&code) {
        return ProviderError::Refused { provider, code: code.to_owned(), message };
    }
    let why = match (printable(code), message) {
        (code, _) if code.is_empty() => format!("HTTP status {} without an error of KMS", answer.status),
        (code, message) if message.is_empty() => format!("{code} (HTTP status {})", answer.status),
        (code, message) => format!("{code} (HTTP status {}): {message}", answer.status),
    };
    ProviderError::Unreachable { provider, why }
}

/// The code in `namespace#Code:address`.
fn bare(kind: &str) -> &str {
    let kind = kind.rsplit_once('#').map_or(kind, |(_, code)| code);
    kind.split_once(':').map_or(kind, |(code, _)| code)
}

fn printable(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(TEXT_MAX).collect()
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;

    fn judged(status: u16, body: &str) -> ProviderError {
        let body = Zeroizing::new(body.as_bytes().to_vec());
        error("p", &Answer { status, error_type: None, body, keep: true })
    }

    /// Architecture section 5, "Lease": a decision about the key is a refusal; what is no decision is no answer. KMS API,
    /// "Common Errors".
    #[test]
    fn refusals_are_told_from_silence() {
        let of = |code: &str| format!("{{\"__type\":\"{code}\",\"message\":\"m\"}}");
        for code in REFUSALS {
            assert!(judged(400, &of(code)).is_refusal(), "{code}");
        }
        assert!(judged(400, &of("com.amazonaws.kms#DisabledException")).is_refusal());
        for (status, code) in [
            (400, "ThrottlingException"),
            (400, "UnrecognizedClientException"),
            (400, "InvalidSignatureException"),
            (400, "ExpiredTokenException"),
            (500, "KMSInternalException"),
            (500, "KeyUnavailableException"),
            (503, "DependencyTimeoutException"),
            // A decision does not come with a server's error.
            (500, "DisabledException"),
        ] {
            assert!(!judged(status, &of(code)).is_refusal(), "{status} {code}");
        }
    }

    /// RFC 9110 §15.5: a proxy's page is no word of the key service.
    #[test]
    fn a_page_of_a_proxy_is_no_answer() {
        let found = judged(403, "<html>Forbidden</html>");
        assert_eq!(found.to_string(), "the KMS provider p does not answer: HTTP status 403 without an error of KMS");
        assert!(!judged(404, "").is_refusal());
    }

    /// AWS JSON 1.1: the header may carry the code instead of the body; what a peer says is bounded and printable.
    #[test]
    fn the_header_carries_the_code_too() {
        let body = Zeroizing::new(format!("{{\"Message\":\"a\\n{}\"}}", "x".repeat(9000)).into_bytes());
        let kind = Some("DisabledException:http://example/".to_owned());
        let found = error("p", &Answer { status: 400, error_type: kind, body, keep: true });
        let ProviderError::Refused { code, message, .. } = found else { panic!("{found}") };
        assert_eq!((code.as_str(), message.len()), ("DisabledException", TEXT_MAX));
        assert!(message.starts_with("axx"));
    }
}
