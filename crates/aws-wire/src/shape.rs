//! The tables that describe a service: operations and the shapes of their inputs. Generated from the public models.

use crate::{ErrorShape, Pattern};

/// How a service speaks. Smithy, "AWS protocols".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// `POST /` with `X-Amz-Target`, JSON in and out (KMS).
    Json11,
    /// HTTP method and path name the operation, JSON bodies (EFS).
    RestJson,
    /// Form in, XML out (STS).
    Query,
    /// Form in, XML out in EC2's dialect.
    Ec2Query,
}

/// One service's model.
#[derive(Debug)]
pub struct Service {
    /// The name in credential scopes and ARNs.
    pub signing_name: &'static str,
    /// The version of the API, as its paths and CloudTrail have it.
    pub api_version: &'static str,
    /// How it speaks.
    pub protocol: Protocol,
    /// What stands before the dot in `X-Amz-Target`.
    pub target_prefix: Option<&'static str>,
    /// The operations with generated types.
    pub operations: &'static [Operation],
    /// Operations of the model without generated types: known, refused.
    pub unsupported: &'static [&'static str],
    /// Every error of the model.
    pub errors: &'static [&'static ErrorShape],
}

impl Service {
    /// The operation of that name.
    pub fn operation(&self, name: &str) -> Option<&'static Operation> {
        self.operations.iter().find(|operation| operation.name == name)
    }
}

/// One operation.
#[derive(Debug)]
pub struct Operation {
    /// Its name, as the API has it.
    pub name: &'static str,
    /// HTTP method.
    pub method: &'static str,
    /// Path template with `{Member}` labels.
    pub path: &'static str,
    /// HTTP status of success.
    pub status: u16,
    /// The input's shape; none when it takes nothing.
    pub input: Option<&'static Shape>,
    /// Whether it answers with a body.
    pub output: bool,
    /// Codes of the errors that its model lists.
    pub errors: &'static [&'static str],
}

/// Where a member of a REST input travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Location {
    /// In the JSON body.
    Body,
    /// In the path, at the label of the member's name.
    Uri,
    /// In the query string, under this key.
    Query(&'static str),
}

/// One member of a structure.
#[derive(Debug)]
pub struct Member {
    /// Wire name.
    pub name: &'static str,
    /// Whether it must be there.
    pub required: bool,
    /// Where it travels.
    pub location: Location,
    /// What it is.
    pub shape: &'static Shape,
}

/// What a value must be. `min` and `max` bound lengths of texts (in characters), blobs, lists and maps, and numbers.
#[derive(Debug)]
pub enum Shape {
    /// A structure: members in the model's order of names.
    Structure(&'static [Member]),
    /// A list of one shape.
    List {
        /// What each element is.
        member: &'static Self,
        /// Fewest elements.
        min: Option<u64>,
        /// Most elements.
        max: Option<u64>,
    },
    /// A map from strings.
    Map {
        /// What each key is.
        key: &'static Self,
        /// What each value is.
        value: &'static Self,
        /// Fewest pairs.
        min: Option<u64>,
        /// Most pairs.
        max: Option<u64>,
    },
    /// A string.
    Text {
        /// Fewest characters.
        min: Option<u64>,
        /// Most characters.
        max: Option<u64>,
        /// A pattern that the whole text matches.
        pattern: Option<&'static Pattern>,
        /// The allowed values, empty when any.
        values: &'static [&'static str],
        /// Whether messages and audit records must not repeat it.
        sensitive: bool,
    },
    /// Base64 on the wire.
    Blob {
        /// Fewest bytes.
        min: Option<u64>,
        /// Most bytes.
        max: Option<u64>,
        /// Whether messages must not mention it.
        sensitive: bool,
    },
    /// A 32-bit integer.
    Integer {
        /// Least value.
        min: Option<i64>,
        /// Greatest value.
        max: Option<i64>,
    },
    /// A 64-bit integer.
    Long {
        /// Least value.
        min: Option<i64>,
        /// Greatest value.
        max: Option<i64>,
    },
    /// A floating-point number.
    Double {
        /// Least value.
        min: Option<f64>,
        /// Greatest value.
        max: Option<f64>,
    },
    /// True or false.
    Boolean,
    /// Epoch seconds.
    Timestamp,
}

/// A generated input type and its shape.
pub trait Input: serde::de::DeserializeOwned {
    /// The table that [`crate::validate::decode`] judges a request by.
    fn shape() -> &'static Shape;
}
