//! The shape of an API error: code, HTTP status, sentence, extra members. Smithy, "Operation error serialization".

use crate::shape::Protocol;

/// One row of a service's error table, generated from its model.
#[derive(Debug, PartialEq, Eq)]
pub struct ErrorShape {
    /// The code that clients match on.
    pub code: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// Extra members besides the code and the message, by wire name.
    pub members: &'static [&'static str],
}

/// What a caller gets instead of a result. The message is safe to show; causes belong into the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// The code that clients match on.
    pub code: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// One sentence for the caller.
    pub message: String,
    /// Extra members of the model, such as `FileSystemId`.
    pub members: Vec<(&'static str, String)>,
}

impl ApiError {
    /// An error of a row of the service's table.
    pub fn of(shape: &ErrorShape, message: impl Into<String>) -> Self {
        Self { code: shape.code, status: shape.status, message: message.into(), members: Vec::new() }
    }

    /// An error that is in no service's table (signature, routing, denial).
    pub fn new(code: &'static str, status: u16, message: impl Into<String>) -> Self {
        Self { code, status, message: message.into(), members: Vec::new() }
    }

    /// The same error with an extra member.
    #[must_use]
    pub fn with(mut self, member: &'static str, value: impl Into<String>) -> Self {
        self.members.push((member, value.into()));
        self
    }

    /// The text AWS uses for every denial; the reason goes to the audit record only.
    pub fn denied(protocol: Protocol, caller: &str, action: &str) -> Self {
        let message = format!("User: {caller} is not authorized to perform: {action} on the specified resource.");
        match protocol {
            Protocol::Json11 => Self::new("AccessDeniedException", 400, message),
            Protocol::RestJson => Self::new("AccessDeniedException", 403, message),
            Protocol::Query => Self::new("AccessDenied", 403, message),
            Protocol::Ec2Query => Self::new("UnauthorizedOperation", 403, message),
        }
    }
}
