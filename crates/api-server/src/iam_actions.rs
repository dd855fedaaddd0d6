//! The rows of IAM: action, handler, class, who decides. IAM API Reference, 2010-05-08.
// tidy: table

use std::sync::Arc;

use aws_wire::{ApiError, Arn};
use identity::Identities;

use crate::action::ServiceActions;
use crate::query_rows::query_rows;

/// The namespace of its answers.
pub(crate) const NAMESPACE: &str = "https://iam.amazonaws.com/doc/2010-05-08/";

/// The rows over the identities.
pub(crate) fn actions(identities: &Arc<Identities>) -> ServiceActions {
    let actions = query_rows! { identities: identity::model::iam, NAMESPACE;
        "AddClientIDToOpenIDConnectProvider"      add_client_id_to_open_id_connect_provider      Mutate Before [];
        "AddUserToGroup"                          add_user_to_group                              Mutate Before [];
        "AttachGroupPolicy"                       attach_group_policy                            Mutate Before [];
        "AttachRolePolicy"                        attach_role_policy                             Mutate Before [];
        "AttachUserPolicy"                        attach_user_policy                             Mutate Before [];
        "CreateAccessKey"                         create_access_key                              Mutate Before [];
        "CreateGroup"                             create_group                                   Mutate Before [];
        "CreateOpenIDConnectProvider"             create_open_id_connect_provider                Mutate Before [];
        "CreatePolicy"                            create_policy                                  Mutate Before [];
        "CreatePolicyVersion"                     create_policy_version                          Mutate Before [];
        "CreateRole"                              create_role                                    Mutate Before [];
        "CreateUser"                              create_user                                    Mutate Before [];
        "DeleteAccessKey"                         delete_access_key                              Mutate Before [];
        "DeleteGroup"                             delete_group                                   Mutate Before [];
        "DeleteGroupPolicy"                       delete_group_policy                            Mutate Before [];
        "DeleteOpenIDConnectProvider"             delete_open_id_connect_provider                Mutate Before [];
        "DeletePolicy"                            delete_policy                                  Mutate Before [];
        "DeletePolicyVersion"                     delete_policy_version                          Mutate Before [];
        "DeleteRole"                              delete_role                                    Mutate Before [];
        "DeleteRolePermissionsBoundary"           delete_role_permissions_boundary               Mutate Before [];
        "DeleteRolePolicy"                        delete_role_policy                             Mutate Before [];
        "DeleteUser"                              delete_user                                    Mutate Before [];
        "DeleteUserPermissionsBoundary"           delete_user_permissions_boundary               Mutate Before [];
        "DeleteUserPolicy"                        delete_user_policy                             Mutate Before [];
        "DetachGroupPolicy"                       detach_group_policy                            Mutate Before [];
        "DetachRolePolicy"                        detach_role_policy                             Mutate Before [];
        "DetachUserPolicy"                        detach_user_policy                             Mutate Before [];
        "GetAccessKeyLastUsed"                    get_access_key_last_used                       Read   Before [];
        "GetContextKeysForCustomPolicy"           get_context_keys_for_custom_policy             Read   Before [];
        "GetContextKeysForPrincipalPolicy"        get_context_keys_for_principal_policy          Read   Before [];
        "GetGroup"                                get_group                                      Read   Before [];
        "GetGroupPolicy"                          get_group_policy                               Read   Before [];
        "GetOpenIDConnectProvider"                get_open_id_connect_provider                   Read   Before [];
        "GetPolicy"                               get_policy                                     Read   Before [];
        "GetPolicyVersion"                        get_policy_version                             Read   Before [];
        "GetRole"                                 get_role                                       Read   Before [];
        "GetRolePolicy"                           get_role_policy                                Read   Before [];
        "GetUser"                                 get_user                                       Read   Before [];
        "GetUserPolicy"                           get_user_policy                                Read   Before [];
        "ListAccessKeys"                          list_access_keys                               Read   Before [];
        "ListAttachedGroupPolicies"               list_attached_group_policies                   Read   Before [];
        "ListAttachedRolePolicies"                list_attached_role_policies                    Read   Before [];
        "ListAttachedUserPolicies"                list_attached_user_policies                    Read   Before [];
        "ListEntitiesForPolicy"                   list_entities_for_policy                       Read   Before [];
        "ListGroupPolicies"                       list_group_policies                            Read   Before [];
        "ListGroups"                              list_groups                                    Read   Before [];
        "ListGroupsForUser"                       list_groups_for_user                           Read   Before [];
        "ListOpenIDConnectProviderTags"           list_open_id_connect_provider_tags             Read   Before [];
        "ListOpenIDConnectProviders"              list_open_id_connect_providers                 Read   Before [];
        "ListPolicies"                            list_policies                                  Read   Before [];
        "ListPolicyTags"                          list_policy_tags                               Read   Before [];
        "ListPolicyVersions"                      list_policy_versions                           Read   Before [];
        "ListRolePolicies"                        list_role_policies                             Read   Before [];
        "ListRoleTags"                            list_role_tags                                 Read   Before [];
        "ListRoles"                               list_roles                                     Read   Before [];
        "ListUserPolicies"                        list_user_policies                             Read   Before [];
        "ListUserTags"                            list_user_tags                                 Read   Before [];
        "ListUsers"                               list_users                                     Read   Before [];
        "PutGroupPolicy"                          put_group_policy                               Mutate Before [];
        "PutRolePermissionsBoundary"              put_role_permissions_boundary                  Mutate Before [];
        "PutRolePolicy"                           put_role_policy                                Mutate Before [];
        "PutUserPermissionsBoundary"              put_user_permissions_boundary                  Mutate Before [];
        "PutUserPolicy"                           put_user_policy                                Mutate Before [];
        "RemoveClientIDFromOpenIDConnectProvider" remove_client_id_from_open_id_connect_provider Mutate Before [];
        "RemoveUserFromGroup"                     remove_user_from_group                         Mutate Before [];
        "SetDefaultPolicyVersion"                 set_default_policy_version                     Mutate Before [];
        "SimulateCustomPolicy"                    simulate_custom_policy                         Read   Before [];
        "SimulatePrincipalPolicy"                 simulate_principal_policy                      Read   Before [];
        "TagOpenIDConnectProvider"                tag_open_id_connect_provider                   Mutate Before [];
        "TagPolicy"                               tag_policy                                     Mutate Before [];
        "TagRole"                                 tag_role                                       Mutate Before [];
        "TagUser"                                 tag_user                                       Mutate Before [];
        "UntagOpenIDConnectProvider"              untag_open_id_connect_provider                 Mutate Before [];
        "UntagPolicy"                             untag_policy                                   Mutate Before [];
        "UntagRole"                               untag_role                                     Mutate Before [];
        "UntagUser"                               untag_user                                     Mutate Before [];
        "UpdateAccessKey"                         update_access_key                              Mutate Before [];
        "UpdateAssumeRolePolicy"                  update_assume_role_policy                      Mutate Before [];
        "UpdateGroup"                             update_group                                   Mutate Before [];
        "UpdateOpenIDConnectProviderThumbprint"   update_open_id_connect_provider_thumbprint     Mutate Before [];
        "UpdateRole"                              update_role                                    Mutate Before [];
        "UpdateRoleDescription"                   update_role_description                        Mutate Before [];
        "UpdateUser"                              update_user                                    Mutate Before [];
    };
    let all = identities.clone();
    ServiceActions {
        service: &identity::model::iam::SERVICE,
        event_source: "iam.amazonaws.com",
        event_version: None,
        arn: |cx, _| Arn::new("iam", "", &cx.account, "*"),
        locate: Some(Arc::new(move |cx, action, input| identity::resource(&all, cx, action, input))),
        global: true,
        resource_kind: "AWS::IAM::User",
        decides: false,
        actions,
        refuse: |name| {
            let text = format!("Could not find operation {name} for version 2010-05-08");
            ApiError::new("InvalidAction", 400, text)
        },
    }
}
