"""Every served action of IAM and STS through boto3, unmodified: its output, its errors, its HTTP status. AWS IAM API
2010-05-08 and AWS STS API 2011-06-15; the profile is the root's, as `coffer init` wrote it.
"""

import base64
import http.server
import json
import os
import threading
import time

import boto3
import rsa
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT = os.environ["COFFER_ENDPOINT"]
CONFIG = Config(retries={"max_attempts": 0}, parameter_validation=False)
SETTINGS = {"endpoint_url": ENDPOINT, "config": CONFIG}
ACCOUNT = "000000000001"
visited = set()
session = boto3.Session()
session.events.register("before-call", lambda model, **_: visited.add((model.service_model.service_name, model.name)))
iam, sts = (session.client(name, **SETTINGS) for name in ("iam", "sts"))
ALLOW = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iam:List*", "Resource": "*"}]})
ACTIONS = {
    "iam": """AddClientIDToOpenIDConnectProvider AddUserToGroup AttachGroupPolicy AttachRolePolicy AttachUserPolicy
        CreateAccessKey CreateGroup CreateOpenIDConnectProvider CreatePolicy CreatePolicyVersion CreateRole CreateUser
        DeleteAccessKey DeleteGroup DeleteGroupPolicy DeleteOpenIDConnectProvider DeletePolicy DeletePolicyVersion
        DeleteRole DeleteRolePermissionsBoundary DeleteRolePolicy DeleteUser DeleteUserPermissionsBoundary
        DeleteUserPolicy DetachGroupPolicy DetachRolePolicy DetachUserPolicy GetAccessKeyLastUsed
        GetContextKeysForCustomPolicy GetContextKeysForPrincipalPolicy GetGroup
        GetGroupPolicy GetOpenIDConnectProvider GetPolicy GetPolicyVersion GetRole GetRolePolicy GetUser GetUserPolicy
        ListAccessKeys ListAttachedGroupPolicies ListAttachedRolePolicies ListAttachedUserPolicies
        ListEntitiesForPolicy ListGroupPolicies ListGroups ListGroupsForUser ListOpenIDConnectProviderTags
        ListOpenIDConnectProviders ListPolicies ListPolicyTags ListPolicyVersions ListRolePolicies ListRoleTags
        ListRoles ListUserPolicies ListUserTags ListUsers PutGroupPolicy PutRolePermissionsBoundary PutRolePolicy
        PutUserPermissionsBoundary PutUserPolicy RemoveClientIDFromOpenIDConnectProvider RemoveUserFromGroup
        SetDefaultPolicyVersion SimulateCustomPolicy SimulatePrincipalPolicy TagOpenIDConnectProvider TagPolicy TagRole
        TagUser UntagOpenIDConnectProvider UntagPolicy UntagRole UntagUser UpdateAccessKey UpdateAssumeRolePolicy
        UpdateGroup UpdateOpenIDConnectProviderThumbprint UpdateRole UpdateRoleDescription UpdateUser""",
    "sts": "AssumeRole AssumeRoleWithWebIdentity GetAccessKeyInfo GetCallerIdentity GetSessionToken",
}
checks = 0


def same(found, wanted, what):
    global checks
    checks += 1
    assert found == wanted, f"{what}: {found!r}, {wanted!r} was wanted"


def refused(code, status, call, **members):
    try:
        answer = call(**members)
    except ClientError as error:
        answer = error.response
        same((answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]), (code, status),
             f"{call.__name__}({members}): {answer['Error'].get('Message')}")
        assert answer["ResponseMetadata"].get("RequestId"), f"{call.__name__}: no request id"
        return answer["Error"]["Message"]
    raise AssertionError(f"{call.__name__}({members}) was not refused but answered {answer}")


def client(service, credentials):
    return session.client(
        service, aws_access_key_id=credentials["AccessKeyId"], aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials.get("SessionToken"), **SETTINGS)


def names(operation, key, name, **members):
    """All of a list, in pages of one."""
    pages = iam.get_paginator(operation).paginate(PaginationConfig={"PageSize": 1}, **members)
    return [entry if name is None else entry[name] for page in pages for entry in page[key]]


def users():
    made = iam.create_user(UserName="mara", Path="/staff/", Tags=[{"Key": "team", "Value": "blue"}])["User"]
    same((made["Arn"], made["Path"], made["UserId"][:4], len(made["UserId"])),
         (f"arn:aws:iam::{ACCOUNT}:user/staff/mara", "/staff/", "AIDA", 21), "CreateUser")
    same(iam.get_user(UserName="mara")["User"]["Tags"], [{"Key": "team", "Value": "blue"}], "GetUser")
    same(iam.get_user()["User"]["Arn"], f"arn:aws:iam::{ACCOUNT}:root", "GetUser of the root")
    for name in ("bob", "carl"):
        iam.create_user(UserName=name)
    same(names("list_users", "Users", "UserName"), ["bob", "carl", "mara"], "ListUsers")
    same(names("list_users", "Users", "UserName", PathPrefix="/staff/"), ["mara"], "ListUsers by path")
    same(refused("EntityAlreadyExists", 409, iam.create_user, UserName="MARA"), "User with name MARA already exists.", "text")
    refused("NoSuchEntity", 404, iam.get_user, UserName="nobody")
    refused("ValidationError", 400, iam.create_user, UserName="a b")
    refused("ValidationError", 400, iam.create_user, UserName="x" * 65)
    refused("ValidationError", 400, iam.list_users, MaxItems=1001)
    refused("ValidationError", 400, iam.list_users, Marker="nonsense")
    iam.tag_user(UserName="mara", Tags=[{"Key": "Team", "Value": "red"}, {"Key": "x", "Value": ""}])
    iam.untag_user(UserName="mara", TagKeys=["x"])
    same(iam.list_user_tags(UserName="mara")["Tags"], [{"Key": "Team", "Value": "red"}], "ListUserTags")
    iam.update_user(UserName="carl", NewUserName="karl")
    refused("NoSuchEntity", 404, iam.get_user, UserName="carl")
    iam.delete_user(UserName="karl")


def keys():
    key = iam.create_access_key(UserName="mara")["AccessKey"]
    same((key["AccessKeyId"][:4], len(key["AccessKeyId"]), len(key["SecretAccessKey"]), key["Status"]),
         ("AKIA", 20, 40, "Active"), "CreateAccessKey")
    same(client("sts", key).get_caller_identity()["Arn"], f"arn:aws:iam::{ACCOUNT}:user/staff/mara", "GetCallerIdentity")
    used = iam.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])
    same((used["UserName"], used["AccessKeyLastUsed"]["ServiceName"]), ("mara", "sts"), "GetAccessKeyLastUsed")
    same(sts.get_access_key_info(AccessKeyId=key["AccessKeyId"])["Account"], ACCOUNT, "GetAccessKeyInfo")
    second = iam.create_access_key(UserName="mara")["AccessKey"]
    same(refused("LimitExceeded", 409, iam.create_access_key, UserName="mara"), "Cannot exceed quota for AccessKeysPerUser: 2", "text")
    iam.update_access_key(UserName="mara", AccessKeyId=second["AccessKeyId"], Status="Inactive")
    refused("InvalidClientTokenId", 403, client("sts", second).get_caller_identity)
    listed = {entry["AccessKeyId"]: entry["Status"] for entry in iam.list_access_keys(UserName="mara")["AccessKeyMetadata"]}
    same(listed, {key["AccessKeyId"]: "Active", second["AccessKeyId"]: "Inactive"}, "ListAccessKeys")
    iam.delete_access_key(UserName="mara", AccessKeyId=second["AccessKeyId"])
    refused("NoSuchEntity", 404, iam.delete_access_key, UserName="mara", AccessKeyId=second["AccessKeyId"])
    refused("DeleteConflict", 409, iam.delete_user, UserName="mara")
    return key


def groups(key):
    mara = client("iam", key)
    refused("AccessDenied", 403, mara.list_users)
    iam.create_group(GroupName="staff")
    iam.put_group_policy(GroupName="staff", PolicyName="list", PolicyDocument=ALLOW)
    same(iam.get_group_policy(GroupName="staff", PolicyName="list")["PolicyDocument"], json.loads(ALLOW), "GetGroupPolicy")
    same(names("list_group_policies", "PolicyNames", None, GroupName="staff"), ["list"], "ListGroupPolicies")
    iam.add_user_to_group(GroupName="staff", UserName="mara")
    same(len(mara.list_users()["Users"]), 2, "ListUsers by a member")
    refused("AccessDenied", 403, mara.create_user, UserName="x")
    same([user["UserName"] for user in iam.get_group(GroupName="staff")["Users"]], ["mara"], "GetGroup")
    iam.update_group(GroupName="staff", NewGroupName="people")
    same(names("list_groups_for_user", "Groups", "GroupName", UserName="mara"), ["people"], "ListGroupsForUser")
    same(names("list_groups", "Groups", "GroupName"), ["people"], "ListGroups")
    refused("DeleteConflict", 409, iam.delete_group, GroupName="people")
    iam.delete_group_policy(GroupName="people", PolicyName="list")
    refused("NoSuchEntity", 404, iam.get_group_policy, GroupName="people", PolicyName="list")
    refused("AccessDenied", 403, mara.list_users)
    read = "arn:aws:iam::aws:policy/ReadOnlyAccess"
    iam.attach_group_policy(GroupName="people", PolicyArn=read)
    same(names("list_attached_group_policies", "AttachedPolicies", "PolicyArn", GroupName="people"), [read], "ListAttachedGroupPolicies")
    mara.list_users()
    same(iam.list_entities_for_policy(PolicyArn=read)["PolicyGroups"][0]["GroupName"], "people", "ListEntitiesForPolicy")
    iam.detach_group_policy(GroupName="people", PolicyArn=read)
    iam.remove_user_from_group(GroupName="people", UserName="mara")
    iam.delete_group(GroupName="people")


def policies(key):
    policy = iam.create_policy(PolicyName="list", PolicyDocument=ALLOW, Description="lists")["Policy"]
    arn = policy["Arn"]
    same((arn, policy["DefaultVersionId"], policy["AttachmentCount"]), (f"arn:aws:iam::{ACCOUNT}:policy/list", "v1", 0), "CreatePolicy")
    refused("EntityAlreadyExists", 409, iam.create_policy, PolicyName="list", PolicyDocument=ALLOW)
    refused("MalformedPolicyDocument", 400, iam.create_policy, PolicyName="bad", PolicyDocument="{}")
    refused("LimitExceeded", 409, iam.create_policy, PolicyName="long", PolicyDocument=ALLOW.replace("iam:List*", "iam:" + "x" * 6144))
    iam.attach_user_policy(UserName="mara", PolicyArn=arn)
    same(names("list_attached_user_policies", "AttachedPolicies", "PolicyName", UserName="mara"), ["list"], "ListAttachedUserPolicies")
    same(iam.get_policy(PolicyArn=arn)["Policy"]["AttachmentCount"], 1, "AttachmentCount")
    client("iam", key).list_users()
    narrow = ALLOW.replace("iam:List*", "iam:ListRoles")
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=narrow, SetAsDefault=True)
    refused("AccessDenied", 403, client("iam", key).list_users)
    same(iam.get_policy_version(PolicyArn=arn, VersionId="v2")["PolicyVersion"]["Document"], json.loads(narrow), "GetPolicyVersion")
    same(names("list_policy_versions", "Versions", "VersionId", PolicyArn=arn), ["v2", "v1"], "ListPolicyVersions")
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v1")
    client("iam", key).list_users()
    refused("DeleteConflict", 409, iam.delete_policy_version, PolicyArn=arn, VersionId="v1")
    iam.delete_policy_version(PolicyArn=arn, VersionId="v2")
    iam.tag_policy(PolicyArn=arn, Tags=[{"Key": "a", "Value": "b"}])
    same(iam.list_policy_tags(PolicyArn=arn)["Tags"], [{"Key": "a", "Value": "b"}], "ListPolicyTags")
    iam.untag_policy(PolicyArn=arn, TagKeys=["a"])
    same([entry["PolicyName"] for entry in iam.list_policies(Scope="Local")["Policies"]], ["list"], "ListPolicies")
    aws = [entry["PolicyName"] for entry in iam.list_policies(Scope="AWS")["Policies"]]
    same({"AdministratorAccess", "AmazonElasticFileSystemClientReadWriteAccess", "AWSKeyManagementServicePowerUser"} <= set(aws), True, "AWS's own")
    refused("AccessDenied", 403, iam.delete_policy, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    simulated = iam.simulate_principal_policy(PolicySourceArn=f"arn:aws:iam::{ACCOUNT}:user/staff/mara", ActionNames=["iam:ListUsers", "iam:CreateUser"])
    same([entry["EvalDecision"] for entry in simulated["EvaluationResults"]], ["allowed", "implicitDeny"], "SimulatePrincipalPolicy")
    custom = iam.simulate_custom_policy(PolicyInputList=[ALLOW.replace("Allow", "Deny")], ActionNames=["iam:ListUsers"])
    same(custom["EvaluationResults"][0]["EvalDecision"], "explicitDeny", "SimulateCustomPolicy")
    simulations()
    boundary = "arn:aws:iam::aws:policy/AWSKeyManagementServicePowerUser"
    iam.put_user_permissions_boundary(UserName="mara", PermissionsBoundary=boundary)
    same(iam.get_user(UserName="mara")["User"]["PermissionsBoundary"]["PermissionsBoundaryArn"], boundary, "the boundary")
    refused("AccessDenied", 403, client("iam", key).list_policies)
    iam.delete_user_permissions_boundary(UserName="mara")
    client("iam", key).list_policies()
    refused("DeleteConflict", 409, iam.delete_policy, PolicyArn=arn)
    iam.detach_user_policy(UserName="mara", PolicyArn=arn)
    iam.delete_policy(PolicyArn=arn)
    refused("NoSuchEntity", 404, iam.get_policy, PolicyArn=arn)
    iam.put_user_policy(UserName="mara", PolicyName="own", PolicyDocument=ALLOW)
    same(iam.get_user_policy(UserName="mara", PolicyName="own")["PolicyDocument"], json.loads(ALLOW), "GetUserPolicy")
    same(names("list_user_policies", "PolicyNames", None, UserName="mara"), ["own"], "ListUserPolicies")
    iam.delete_user_policy(UserName="mara", PolicyName="own")


def simulations():
    key = f"arn:aws:kms:{session.region_name or 'us-east-1'}:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    caller = f"arn:aws:iam::{ACCOUNT}:user/staff/mara"
    own = json.dumps({"Version": "2012-10-17", "Statement": [
        {"Sid": "use", "Effect": "Allow", "Action": "kms:*", "Resource": key},
        {"Sid": "team", "Effect": "Deny", "Action": "kms:Encrypt", "Resource": "*",
         "Condition": {"StringEquals": {"aws:PrincipalTag/team": "red"}}}]}, indent=4)
    ask = dict(PolicyInputList=[own], ActionNames=["kms:Encrypt", "kms:ListKeys"], ResourceArns=[key, key[:-1] + "1"])
    first, second = iam.simulate_custom_policy(**ask)["EvaluationResults"]
    same((first["EvalDecision"], second["EvalDecision"], first["EvalDecisionDetails"]), ("implicitDeny", "implicitDeny", {}), "the most restrictive")
    same(first["MissingContextValues"], ["aws:PrincipalTag/team"], "MissingContextValues")
    same([entry["EvalResourceDecision"] for entry in first["ResourceSpecificResults"]], ["allowed", "implicitDeny"], "each resource")
    matched, = first["ResourceSpecificResults"][0]["MatchedStatements"]
    same(matched, {"SourcePolicyId": "PolicyInputList.1", "SourcePolicyType": "none", "StartPosition": {"Line": 3, "Column": 19},
                   "EndPosition": {"Line": 9, "Column": 10}}, "the statement's place")
    entry = {"ContextKeyName": "aws:PrincipalTag/team", "ContextKeyType": "string", "ContextKeyValues": ["red"]}
    denied = iam.simulate_custom_policy(**ask, ContextEntries=[entry])["EvaluationResults"][0]
    same((denied["EvalDecision"], denied["MissingContextValues"]), ("explicitDeny", []), "ContextEntries")
    pages = list(iam.get_paginator("simulate_custom_policy").paginate(**ask, PaginationConfig={"PageSize": 1}))
    same([page["EvaluationResults"][0]["EvalActionName"] for page in pages], ask["ActionNames"], "pages of one")
    bound = json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "iam:Get*", "Resource": "*"}})
    bounded = iam.simulate_principal_policy(PolicySourceArn=caller, ActionNames=["iam:ListUsers"], PermissionsBoundaryPolicyInputList=[bound])
    result, = bounded["EvaluationResults"]
    same((result["EvalDecision"], result["PermissionsBoundaryDecisionDetail"]), ("implicitDeny", {"AllowedByPermissionsBoundary": False}), "a boundary")
    foreign = key.replace(ACCOUNT, "000000000002")
    policy = json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": {"AWS": caller}, "Action": "kms:*", "Resource": "*"}})
    across = iam.simulate_custom_policy(PolicyInputList=[own.replace(key, "*")], ActionNames=["kms:Decrypt"], ResourceArns=[foreign],
                                        CallerArn=caller, ResourcePolicy=policy)["EvaluationResults"][0]
    same((across["EvalDecision"], set(across["EvalDecisionDetails"].values())), ("allowed", {"allowed"}), "across accounts")
    refused("InvalidInput", 400, iam.simulate_custom_policy, PolicyInputList=[own], ActionNames=["ListKeys"])
    refused("InvalidInput", 400, iam.simulate_custom_policy, PolicyInputList=["{}"], ActionNames=["kms:ListKeys"])
    refused("InvalidInput", 400, iam.simulate_custom_policy, **ask, ResourceHandlingOption="EC2-VPC-EBS")
    refused("NoSuchEntity", 404, iam.simulate_principal_policy, PolicySourceArn=caller + "x", ActionNames=["kms:ListKeys"])
    same(iam.get_context_keys_for_custom_policy(PolicyInputList=[own])["ContextKeyNames"], ["aws:PrincipalTag/team"], "GetContextKeysForCustomPolicy")
    keys = iam.get_context_keys_for_principal_policy(PolicySourceArn=caller, PolicyInputList=[own])["ContextKeyNames"]
    same(keys, ["aws:PrincipalTag/team"], "GetContextKeysForPrincipalPolicy")


def roles(key):
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:user/staff/mara"},
                                                     "Action": ["sts:AssumeRole", "sts:TagSession"]}]}
    role = iam.create_role(RoleName="reader", AssumeRolePolicyDocument=json.dumps(trust), Description="reads", MaxSessionDuration=7200)["Role"]
    same((role["Arn"], role["AssumeRolePolicyDocument"]), (f"arn:aws:iam::{ACCOUNT}:role/reader", trust), "CreateRole")
    same(iam.get_role(RoleName="reader")["Role"]["MaxSessionDuration"], 7200, "GetRole")
    iam.put_role_policy(RoleName="reader", PolicyName="list", PolicyDocument=ALLOW)
    same(iam.get_role_policy(RoleName="reader", PolicyName="list")["PolicyDocument"], json.loads(ALLOW), "GetRolePolicy")
    same(names("list_role_policies", "PolicyNames", None, RoleName="reader"), ["list"], "ListRolePolicies")
    mara = client("sts", key)
    answer = mara.assume_role(RoleArn=role["Arn"], RoleSessionName="tour", DurationSeconds=900, Tags=[{"Key": "a", "Value": "b"}])
    same(answer["AssumedRoleUser"]["Arn"], f"arn:aws:sts::{ACCOUNT}:assumed-role/reader/tour", "AssumeRole")
    left = answer["Credentials"]["Expiration"].timestamp() - time.time()
    same(880 < left <= 900, True, f"a quarter of an hour: {left}")
    reader = answer["Credentials"]
    same(client("sts", reader).get_caller_identity()["Arn"], answer["AssumedRoleUser"]["Arn"], "GetCallerIdentity of a session")
    client("iam", reader).list_users()
    refused("AccessDenied", 403, client("iam", reader).create_user, UserName="x")
    refused("InvalidClientTokenId", 403, client("sts", {**reader, "SessionToken": "wrong"}).get_caller_identity)
    refused("SignatureDoesNotMatch", 403, client("sts", {**reader, "SecretAccessKey": "wrong"}).get_caller_identity)
    narrowed = mara.assume_role(RoleArn=role["Arn"], RoleSessionName="tour", Policy=ALLOW.replace("List*", "ListRoles"))["Credentials"]
    refused("AccessDenied", 403, client("iam", narrowed).list_users)
    same([entry["RoleName"] for entry in client("iam", narrowed).list_roles()["Roles"]], ["reader"], "ListRoles")
    refused("AccessDenied", 403, sts.assume_role, RoleArn=role["Arn"], RoleSessionName="tour")
    refused("ValidationError", 400, mara.assume_role, RoleArn=role["Arn"], RoleSessionName="tour", DurationSeconds=7201)
    refused("ValidationError", 400, mara.assume_role, RoleArn=role["Arn"], RoleSessionName="t")
    own = mara.get_session_token(DurationSeconds=900)["Credentials"]
    same(client("sts", own).get_caller_identity()["Arn"], f"arn:aws:iam::{ACCOUNT}:user/staff/mara", "GetSessionToken")
    refused("InvalidClientTokenId", 403, client("iam", own).list_users)
    refused("AccessDenied", 403, client("sts", own).get_session_token)
    iam.update_role(RoleName="reader", MaxSessionDuration=3600)
    iam.update_role_description(RoleName="reader", Description="reads more")
    iam.tag_role(RoleName="reader", Tags=[{"Key": "a", "Value": "b"}])
    same(iam.list_role_tags(RoleName="reader")["Tags"], [{"Key": "a", "Value": "b"}], "ListRoleTags")
    iam.untag_role(RoleName="reader", TagKeys=["a"])
    boundary = "arn:aws:iam::aws:policy/AWSKeyManagementServicePowerUser"
    iam.put_role_permissions_boundary(RoleName="reader", PermissionsBoundary=boundary)
    refused("AccessDenied", 403, client("iam", reader).list_policies)
    iam.delete_role_permissions_boundary(RoleName="reader")
    trust["Statement"][0]["Principal"]["AWS"] = f"arn:aws:iam::{ACCOUNT}:user/bob"
    iam.update_assume_role_policy(RoleName="reader", PolicyDocument=json.dumps(trust))
    refused("AccessDenied", 403, mara.assume_role, RoleArn=role["Arn"], RoleSessionName="tour")
    refused("MalformedPolicyDocument", 400, iam.update_assume_role_policy, RoleName="reader",
            PolicyDocument=json.dumps(trust).replace("bob", "nobody"))
    refused("DeleteConflict", 409, iam.delete_role, RoleName="reader")
    iam.delete_role_policy(RoleName="reader", PolicyName="list")
    admin = "arn:aws:iam::aws:policy/AdministratorAccess"
    iam.attach_role_policy(RoleName="reader", PolicyArn=admin)
    same(names("list_attached_role_policies", "AttachedPolicies", "PolicyArn", RoleName="reader"), [admin], "ListAttachedRolePolicies")
    client("iam", reader).list_users()
    iam.detach_role_policy(RoleName="reader", PolicyArn=admin)
    iam.delete_role(RoleName="reader")
    refused("AccessDenied", 403, client("iam", reader).list_users)


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Issuer:
    """An OpenID Connect provider on loopback, with an RSA key of its own."""

    def __init__(self):
        public, private = rsa.newkeys(2048)
        modulus = public.n.to_bytes(256, "big")
        self.sign = lambda text: rsa.sign(text, private, "SHA-256")
        keys = {"keys": [{"kty": "RSA", "kid": "tour", "use": "sig", "alg": "RS256", "n": encoded(modulus), "e": "AQAB"}]}
        issuer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                found = {"/.well-known/openid-configuration": {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/keys"}, "/keys": keys}
                body = json.dumps(found.get(self.path, {})).encode()
                self.send_response(200 if self.path in found else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def token(self, **claims):
        now = int(time.time())
        claims = {"iss": self.url, "sub": "ann", "aud": "tour", "iat": now, "exp": now + 300, **claims}
        text = ".".join(encoded(json.dumps(part).encode()) for part in ({"alg": "RS256", "kid": "tour"}, claims)).encode()
        return f"{text.decode()}.{encoded(self.sign(text))}"


def web_identities():
    issuer = Issuer()
    made = iam.create_open_id_connect_provider(Url=issuer.url, ClientIDList=["other"], ThumbprintList=["a" * 40])
    arn = made["OpenIDConnectProviderArn"]
    refused("EntityAlreadyExists", 409, iam.create_open_id_connect_provider, Url=issuer.url)
    refused("InvalidInput", 400, iam.create_open_id_connect_provider, Url="http://id.example")
    iam.update_open_id_connect_provider_thumbprint(OpenIDConnectProviderArn=arn, ThumbprintList=["b" * 40])
    iam.tag_open_id_connect_provider(OpenIDConnectProviderArn=arn, Tags=[{"Key": "a", "Value": "b"}])
    same(iam.list_open_id_connect_provider_tags(OpenIDConnectProviderArn=arn)["Tags"], [{"Key": "a", "Value": "b"}], "its tags")
    iam.untag_open_id_connect_provider(OpenIDConnectProviderArn=arn, TagKeys=["a"])
    same([entry["Arn"] for entry in iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]], [arn], "ListOpenIDConnectProviders")
    place = issuer.url.split("://")[1]
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Federated": arn}, "Action": "sts:AssumeRoleWithWebIdentity",
                                                     "Condition": {"StringEquals": {f"{place}:sub": "ann", f"{place}:aud": "tour"}}}]}
    role = iam.create_role(RoleName="web", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    iam.put_role_policy(RoleName="web", PolicyName="list", PolicyDocument=ALLOW)
    stranger = session.client("sts", **{**SETTINGS, "config": CONFIG.merge(Config(signature_version=UNSIGNED))})
    ask = stranger.assume_role_with_web_identity
    refused("InvalidIdentityToken", 400, ask, RoleArn=role, RoleSessionName="web", WebIdentityToken=issuer.token())
    iam.add_client_id_to_open_id_connect_provider(OpenIDConnectProviderArn=arn, ClientID="tour")
    iam.remove_client_id_from_open_id_connect_provider(OpenIDConnectProviderArn=arn, ClientID="other")
    provider = iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    same((provider["Url"], provider["ClientIDList"], provider["ThumbprintList"]), (place, ["tour"], ["b" * 40]), "GetOpenIDConnectProvider")
    answer = ask(RoleArn=role, RoleSessionName="web", WebIdentityToken=issuer.token())
    same((answer["SubjectFromWebIdentityToken"], answer["Audience"], answer["Provider"]), ("ann", "tour", arn), "AssumeRoleWithWebIdentity")
    client("iam", answer["Credentials"]).list_users()
    refused("AccessDenied", 403, ask, RoleArn=role, RoleSessionName="web", WebIdentityToken=issuer.token(sub="bob"))
    refused("ExpiredTokenException", 400, ask, RoleArn=role, RoleSessionName="web", WebIdentityToken=issuer.token(exp=int(time.time()) - 1))
    head, body, _ = issuer.token().split(".")
    forged = f"{head}.{body}.{encoded(bytes(256))}"
    refused("InvalidIdentityToken", 400, ask, RoleArn=role, RoleSessionName="web", WebIdentityToken=forged)
    iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    refused("InvalidIdentityToken", 400, ask, RoleArn=role, RoleSessionName="web", WebIdentityToken=issuer.token())
    iam.delete_role_policy(RoleName="web", PolicyName="list")
    iam.delete_role(RoleName="web")


users()
key = keys()
groups(key)
policies(key)
roles(key)
web_identities()
iam.delete_access_key(UserName="mara", AccessKeyId=key["AccessKeyId"])
for name in ("mara", "bob"):
    iam.delete_user(UserName=name)
same(iam.list_users()["Users"], [], "nobody is left")
missed = {(service, action) for service, actions in ACTIONS.items() for action in actions.split()} - visited
same(missed, set(), "actions that were not visited")
print(f"{checks} checks")
