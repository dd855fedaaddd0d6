//! The rows of STS: action, handler, class, who decides. STS API Reference, 2011-06-15.

use std::sync::Arc;

use aws_wire::Arn;
use identity::Identities;

use crate::action::ServiceActions;
use crate::query_rows::query_rows;
use crate::xml;

/// The namespace of its answers.
pub(crate) const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// The rows over the identities.
pub(crate) fn actions(identities: &Arc<Identities>) -> ServiceActions {
    // Credentials are a secret that is made: their record comes first, and nothing is changed.
    let actions = query_rows! { identities: identity::model::sts, NAMESPACE;
    //  action                      file                          class   decision   resource
        "AssumeRole"                assume_role                   Crypto  ByHandler  ["RoleArn"];
        "AssumeRoleWithWebIdentity" assume_role_with_web_identity Crypto  ByToken    ["RoleArn"];
        "GetAccessKeyInfo"          get_access_key_info           Read    Before     [];
        "GetCallerIdentity"         get_caller_identity           Read    ByHandler  [];
        "GetSessionToken"           get_session_token             Crypto  ByHandler  [];
    };
    ServiceActions {
        service: &identity::model::sts::SERVICE,
        event_source: "sts.amazonaws.com",
        event_version: None,
        arn: |cx, named| named.and_then(Arn::parse).unwrap_or_else(|| Arn::new("sts", "", &cx.account, "*")),
        locate: None,
        global: true,
        resource_kind: "AWS::IAM::Role",
        decides: false,
        actions,
        refuse: |_| xml::unknown(),
    }
}
