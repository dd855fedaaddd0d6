#!/usr/bin/env python3
"""boto3 visits every action of the EFS, KMS and STS APIs that Coffer serves, errors included.

Run by `cargo xtask test` in a virtual environment with a pinned boto3. By hand:
    api_tour.py --credentials DIR/aws-profile --config DIR/aws-config
"""

import datetime
import json
import re
import time
import uuid

import boto3
import botocore.config
import botocore.exceptions
from tour import Tour, settings

chosen = settings("api tour")
tour = Tour("api tour")
session = boto3.Session()
once = botocore.config.Config(retries={"total_max_attempts": 1}, read_timeout=60)


class Client:
    """A boto3 client that notes visits and turns expected errors into values."""

    def __init__(self, service, **settings):
        self.service = service
        self.client = session.client(service, endpoint_url=chosen.endpoint, config=once, **settings)
        # Bad input must reach the server, so there the client's own validation is off.
        lax = once.merge(botocore.config.Config(parameter_validation=False))
        self.lax = session.client(service, endpoint_url=chosen.endpoint, config=lax, **settings)
        self.names = self.client.meta.method_to_api_mapping

    def __getattr__(self, method):
        return lambda **arguments: self.call(self.client, method, arguments)

    def call(self, client, method, arguments):
        tour.visit(self.service, self.names[method])
        return getattr(client, method)(**arguments)

    def refused(self, method, code, status=None, text=None, members=None, **arguments):
        """Expects an error with that code; returns its response."""
        what = f"{self.service} {self.names[method]} refused with {code}"
        try:
            self.call(self.lax, method, arguments)
        except botocore.exceptions.ClientError as error:
            response = error.response
            tour.equal(what, response["Error"]["Code"], code)
            if status:
                tour.equal(f"{what}: status", response["ResponseMetadata"]["HTTPStatusCode"], status)
            if text:
                tour.check(f"{what}: text", re.search(text, response["Error"]["Message"]), response["Error"]["Message"])
            for name, value in (members or {}).items():
                tour.equal(f"{what}: {name}", response.get(name), value)
            return response
        tour.check(what, False, "it was accepted")
        return {}


def identity():
    tour.part("STS")
    sts = Client("sts")
    caller = sts.get_caller_identity()
    tour.check("the caller is the account's root", caller["Arn"] == f"arn:aws:iam::{caller['Account']}:root", caller)
    tour.equal("root's user id is the account", caller["UserId"], caller["Account"])
    tour.check("request id", len(caller["ResponseMetadata"]["RequestId"]) == 36)
    return caller["Account"]


def signatures():
    tour.part("signatures")
    key, secret = session.get_credentials().get_frozen_credentials()[:2]
    for name, settings, code, status in [
        ("unknown key", dict(aws_access_key_id="AKIAUNKNOWNUNKNOWN00", aws_secret_access_key=secret), "UnrecognizedClientException", 400),
        ("wrong secret", dict(aws_access_key_id=key, aws_secret_access_key="x" * 40), "InvalidSignatureException", 400),
        ("a session token", dict(aws_access_key_id=key, aws_secret_access_key=secret, aws_session_token="t"), "UnrecognizedClientException", 400),
    ]:
        tour.part(f"signatures: {name}")
        Client("kms", **settings).refused("list_keys", code, status)
        Client("efs", **settings).refused("describe_file_systems", code, 403)
    elsewhere = Client("kms", region_name="eu-west-1" if chosen.region != "eu-west-1" else "us-west-2")
    elsewhere.refused("list_keys", "InvalidSignatureException", 400, "valid region")
    Client("sts", aws_access_key_id=key, aws_secret_access_key="x" * 40).refused(
        "get_caller_identity", "SignatureDoesNotMatch", 403
    )
    unsigned = session.client(
        "kms", endpoint_url=chosen.endpoint, config=once.merge(botocore.config.Config(signature_version=botocore.UNSIGNED))
    )
    try:
        unsigned.list_keys()
        tour.check("unsigned calls are refused", False)
    except botocore.exceptions.ClientError as error:
        tour.equal("unsigned calls are refused", error.response["Error"]["Code"], "MissingAuthenticationTokenException")


def keys(account):
    tour.part("KMS keys")
    kms = Client("kms")
    tags = [{"TagKey": "team", "TagValue": "storage"}]
    made = kms.create_key(Description="tour", Tags=tags)["KeyMetadata"]
    arn, key = made["Arn"], made["KeyId"]
    tour.equal("key ARN", arn, f"arn:aws:kms:{chosen.region}:{account}:key/{key}")
    tour.check("key id is a UUID", str(uuid.UUID(key)) == key)
    for member, value in dict(
        AWSAccountId=account, Enabled=True, Description="tour", KeyUsage="ENCRYPT_DECRYPT", KeyState="Enabled",
        Origin="AWS_KMS", KeyManager="CUSTOMER", KeySpec="SYMMETRIC_DEFAULT", CustomerMasterKeySpec="SYMMETRIC_DEFAULT",
        EncryptionAlgorithms=["SYMMETRIC_DEFAULT"], MultiRegion=False,
    ).items():
        tour.equal(f"KeyMetadata.{member}", made.get(member), value)
    tour.check("creation date", isinstance(made["CreationDate"], datetime.datetime))

    alias = f"alias/tour-{uuid.uuid4().hex[:8]}"
    kms.create_alias(AliasName=alias, TargetKeyId=key)
    kms.refused("create_alias", "AlreadyExistsException", 400, AliasName=alias, TargetKeyId=key)
    kms.refused("create_alias", "NotFoundException", 400, AliasName=alias + "x", TargetKeyId=str(uuid.uuid4()))
    alias_arn = f"arn:aws:kms:{chosen.region}:{account}:{alias}"
    for spelling in [key, arn, alias, alias_arn]:
        tour.equal(f"DescribeKey by {spelling.split(':')[-1][:12]}", kms.describe_key(KeyId=spelling)["KeyMetadata"]["Arn"], arn)
    kms.refused("describe_key", "NotFoundException", 400, KeyId=str(uuid.uuid4()))
    kms.refused("describe_key", "NotFoundException", 400, KeyId="alias/none")

    tour.check("ListKeys has it", any(entry["KeyArn"] == arn for entry in pages(kms, "list_keys", "Keys", Limit=1)))
    kms.refused("list_keys", "ValidationException", 400, "Member must have value less than or equal to 1000", Limit=1001)
    kms.refused("list_keys", "InvalidMarkerException", 400, Marker="nonsense")
    listed = [entry for entry in pages(kms, "list_aliases", "Aliases") if entry["AliasName"] == alias]
    tour.equal("ListAliases has it", [entry.get("TargetKeyId") for entry in listed], [key])
    tour.equal("ListAliases by key", [entry["AliasArn"] for entry in kms.list_aliases(KeyId=key)["Aliases"]], [alias_arn])
    tour.equal("ListResourceTags", kms.list_resource_tags(KeyId=key)["Tags"], tags)
    policy = json.loads(kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"])
    tour.check("the default key policy trusts root", f"arn:aws:iam::{account}:root" in json.dumps(policy), policy)
    tour.equal("GetKeyRotationStatus", kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"], False)
    kms.delete_alias(AliasName=alias)
    kms.refused("delete_alias", "NotFoundException", 400, AliasName=alias)
    kms.refused("describe_key", "NotFoundException", 400, KeyId=alias)
    return kms, key, arn


def pages(client, method, member, **arguments):
    """All pages of a KMS list."""
    found = []
    while True:
        page = getattr(client, method)(**arguments)
        found += page[member]
        if not page.get("Truncated"):
            return found
        arguments["Marker"] = page["NextMarker"]


def ciphers(kms, key, arn):
    tour.part("KMS encryption")
    context = {"aws:elasticfilesystem:filesystem:id": "fs-0123456789abcdef0", "b": "2"}
    sealed = kms.encrypt(KeyId=key, Plaintext=b"tour", EncryptionContext=context)
    tour.equal("Encrypt names the key", (sealed["KeyId"], sealed["EncryptionAlgorithm"]), (arn, "SYMMETRIC_DEFAULT"))
    blob = sealed["CiphertextBlob"]
    tour.check("ciphertext does not show the plaintext", b"tour" not in blob)
    turned = dict(reversed(context.items()))
    tour.equal("Decrypt", kms.decrypt(CiphertextBlob=blob, EncryptionContext=turned)["Plaintext"], b"tour")
    tour.equal("Decrypt with the key named", kms.decrypt(CiphertextBlob=blob, EncryptionContext=context, KeyId=arn)["KeyId"], arn)
    kms.refused("decrypt", "InvalidCiphertextException", 400, CiphertextBlob=blob, EncryptionContext={"b": "2"})
    kms.refused("decrypt", "InvalidCiphertextException", 400, CiphertextBlob=blob)
    kms.refused("decrypt", "InvalidCiphertextException", 400, CiphertextBlob=blob[:-1] + bytes([blob[-1] ^ 1]), EncryptionContext=context)
    kms.refused("decrypt", "InvalidCiphertextException", 400, CiphertextBlob=b"x")
    other = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.refused("decrypt", "IncorrectKeyException", 400, CiphertextBlob=blob, EncryptionContext=context, KeyId=other)
    kms.schedule_key_deletion(KeyId=other, PendingWindowInDays=7)
    largest = kms.encrypt(KeyId=key, Plaintext=b"x" * 4096)["CiphertextBlob"]
    tour.check("the largest plaintext's blob can be decrypted", len(largest) <= 6144)
    kms.refused("encrypt", "ValidationException", 400, "Member must have length less than or equal to 4096", KeyId=key, Plaintext=b"x" * 4097)
    kms.refused("encrypt", "ValidationException", 400, "Member must have length greater than or equal to 1", KeyId=key, Plaintext=b"")

    for arguments, length in [({"KeySpec": "AES_256"}, 32), ({"KeySpec": "AES_128"}, 16), ({"NumberOfBytes": 64}, 64)]:
        made = kms.generate_data_key(KeyId=key, EncryptionContext=context, **arguments)
        tour.equal(f"GenerateDataKey {arguments}", len(made["Plaintext"]), length)
        opened = kms.decrypt(CiphertextBlob=made["CiphertextBlob"], EncryptionContext=context)
        tour.equal("the wrapped data key opens", opened["Plaintext"], made["Plaintext"])
    hidden = kms.generate_data_key_without_plaintext(KeyId=key, KeySpec="AES_256")
    tour.check("no plaintext", "Plaintext" not in hidden and hidden["KeyId"] == arn)
    tour.equal("but it opens", len(kms.decrypt(CiphertextBlob=hidden["CiphertextBlob"])["Plaintext"]), 32)
    kms.refused("generate_data_key", "ValidationException", 400, KeyId=key)
    kms.refused("generate_data_key", "ValidationException", 400, KeyId=key, NumberOfBytes=1025)
    return blob, context


def grants(kms, key, arn, account):
    tour.part("KMS grants")
    grantee = f"arn:aws:iam::{account}:user/tour"
    constraints = {"EncryptionContextEquals": {"aws:elasticfilesystem:filesystem:id": "fs-0123456789abcdef0"}}
    arguments = dict(KeyId=key, GranteePrincipal=grantee, Operations=["Decrypt", "DescribeKey"], Constraints=constraints)
    made = kms.create_grant(**arguments)
    tour.check("grant id and token", re.fullmatch("[0-9a-f]{64}", made["GrantId"]) and made["GrantToken"])
    named = kms.create_grant(Name="tour", **arguments)
    tour.equal("a named grant is made once", kms.create_grant(Name="tour", **arguments)["GrantId"], named["GrantId"])
    tour.check("an unnamed one each time", kms.create_grant(**arguments)["GrantId"] != made["GrantId"])
    listed = pages(kms, "list_grants", "Grants", KeyId=key, Limit=1)
    tour.equal("ListGrants pages", len(listed), 3)
    found = next(entry for entry in listed if entry["GrantId"] == made["GrantId"])
    tour.equal("grant's key", found["KeyId"], arn)
    tour.equal("grant's issuer", found["IssuingAccount"], f"arn:aws:iam::{account}:root")
    tour.equal("grant's constraints", found["Constraints"], constraints)
    tour.equal("grant's operations", sorted(found["Operations"]), ["Decrypt", "DescribeKey"])
    kms.refused("create_grant", "ValidationException", 400, "Member must satisfy enum value set", **{**arguments, "Operations": ["Nonsense"]})
    kms.revoke_grant(KeyId=key, GrantId=made["GrantId"])
    kms.refused("revoke_grant", "NotFoundException", 400, KeyId=key, GrantId=made["GrantId"])
    tour.equal("it is gone", len(kms.list_grants(KeyId=key)["Grants"]), 2)


def states(kms, key, arn, blob, context):
    tour.part("KMS key states")
    kms.disable_key(KeyId=key)
    tour.equal("disabled", kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"], "Disabled")
    kms.refused("encrypt", "DisabledException", 400, "is disabled", KeyId=key, Plaintext=b"x")
    kms.refused("decrypt", "DisabledException", 400, CiphertextBlob=blob, EncryptionContext=context)
    kms.refused("generate_data_key", "DisabledException", 400, KeyId=key, KeySpec="AES_256")
    kms.refused("generate_data_key_without_plaintext", "DisabledException", 400, KeyId=key, KeySpec="AES_256")
    kms.refused("create_grant", "DisabledException", 400, KeyId=key, GranteePrincipal="arn:aws:iam::000000000001:root", Operations=["Decrypt"])
    kms.enable_key(KeyId=key)
    tour.equal("enabled: it decrypts again", kms.decrypt(CiphertextBlob=blob, EncryptionContext=context)["Plaintext"], b"tour")
    kms.refused("schedule_key_deletion", "ValidationException", 400, "greater than or equal to 7", KeyId=key, PendingWindowInDays=6)
    kms.refused("schedule_key_deletion", "ValidationException", 400, "less than or equal to 30", KeyId=key, PendingWindowInDays=31)
    pending = kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    tour.equal("pending", (pending["KeyId"], pending["KeyState"], pending["PendingWindowInDays"]), (arn, "PendingDeletion", 7))
    days = (pending["DeletionDate"] - datetime.datetime.now(datetime.timezone.utc)).total_seconds() / 86400
    tour.check("the date is seven days away", 6.9 < days < 8.1, days)
    tour.check("DescribeKey has the date", "DeletionDate" in kms.describe_key(KeyId=key)["KeyMetadata"])
    kms.refused("encrypt", "KMSInvalidStateException", 400, "pending deletion", KeyId=key, Plaintext=b"x")
    kms.refused("enable_key", "KMSInvalidStateException", 400, KeyId=key)
    kms.refused("disable_key", "KMSInvalidStateException", 400, KeyId=key)
    kms.refused("schedule_key_deletion", "KMSInvalidStateException", 400, KeyId=key)
    kms.refused("create_alias", "KMSInvalidStateException", 400, AliasName="alias/tour-pending", TargetKeyId=key)
    tour.equal("CancelKeyDeletion", kms.cancel_key_deletion(KeyId=key)["KeyId"], arn)
    tour.equal("cancelled: disabled", kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"], "Disabled")
    kms.refused("cancel_key_deletion", "KMSInvalidStateException", 400, "not pending deletion", KeyId=key)
    kms.enable_key(KeyId=key)
    kms.refused("sign", "UnsupportedOperationException", 400, KeyId=key, Message=b"x", SigningAlgorithm="ECDSA_SHA_256")
    kms.refused("disable_key", "NotFoundException", 400, KeyId=str(uuid.uuid4()))
    kms.refused("enable_key", "InvalidArnException", 400, KeyId="arn:aws:kms:nonsense")
    kms.refused("create_key", "ValidationException", 400, "enum value set", KeySpec="NONSENSE")
    kms.refused("create_key", "MalformedPolicyDocumentException", 400, Policy="{")
    kms.refused("create_alias", "ValidationException", 400, AliasName="no-prefix", TargetKeyId=key)
    kms.refused("create_alias", "NotAuthorizedException", 400, AliasName="alias/aws/tour", TargetKeyId=key)


def until(what, probe, seconds=60):
    """Polls as tools do."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if probe():
            return True
        time.sleep(0.2)
    return tour.check(what, False, f"not within {seconds} s")


def file_systems(kms, key, arn, account):
    tour.part("EFS file systems")
    efs = Client("efs")
    token = f"tour-{uuid.uuid4()}"
    tags = [{"Key": "Name", "Value": "tour"}, {"Key": "team", "Value": "st\u00f6rage +-=._:/@"}]
    made = efs.create_file_system(CreationToken=token, Encrypted=True, KmsKeyId=key, Tags=tags)
    system = made["FileSystemId"]
    tour.equal("status 201", made["ResponseMetadata"]["HTTPStatusCode"], 201)
    tour.check("id has 17 digits", re.fullmatch("fs-[0-9a-f]{17}", system), system)
    for member, value in dict(
        OwnerId=account, CreationToken=token, Encrypted=True, KmsKeyId=arn, Name="tour", PerformanceMode="generalPurpose",
        ThroughputMode="bursting", NumberOfMountTargets=0,
        FileSystemArn=f"arn:aws:elasticfilesystem:{chosen.region}:{account}:file-system/{system}",
    ).items():
        tour.equal(f"FileSystemDescription.{member}", made.get(member), value)
    tour.check("state creating or available", made["LifeCycleState"] in ("creating", "available"), made["LifeCycleState"])
    tour.equal("tags", sorted(tag["Key"] for tag in made["Tags"]), ["Name", "team"])
    tour.check("size", made["SizeInBytes"]["Value"] >= 0 and isinstance(made["CreationTime"], datetime.datetime))
    efs.refused("create_file_system", "FileSystemAlreadyExists", 409, members={"FileSystemId": system}, CreationToken=token)

    def describe(**by):
        return efs.describe_file_systems(**by)["FileSystems"]

    until("the file system becomes available", lambda: describe(FileSystemId=system)[0]["LifeCycleState"] == "available")
    tour.equal("by token", [one["FileSystemId"] for one in describe(CreationToken=token)], [system])
    tour.equal("by ARN", [one["FileSystemId"] for one in describe(FileSystemId=made["FileSystemArn"])], [system])
    tour.equal("by a token nobody used", describe(CreationToken="nobody"), [])
    efs.refused("describe_file_systems", "FileSystemNotFound", 404, FileSystemId="fs-00000000000000000")
    efs.refused("describe_file_systems", "BadRequest", 400, FileSystemId="nonsense")
    efs.refused("describe_file_systems", "BadRequest", 400, MaxItems=0)

    alias = f"alias/tour-{uuid.uuid4().hex[:8]}"
    kms.create_alias(AliasName=alias, TargetKeyId=key)
    others = []
    for spelling in [arn, alias, f"arn:aws:kms:{chosen.region}:{account}:{alias}"]:
        other = efs.create_file_system(CreationToken=str(uuid.uuid4()), Encrypted=True, KmsKeyId=spelling)
        tour.equal("KmsKeyId comes back as the key ARN", other["KmsKeyId"], arn)
        others.append(other["FileSystemId"])
    kms.delete_alias(AliasName=alias)
    default = efs.create_file_system(CreationToken=str(uuid.uuid4()), Encrypted=True)
    tour.check("the default key is the service's", default["KmsKeyId"].startswith(f"arn:aws:kms:{chosen.region}:{account}:key/"))
    manager = kms.describe_key(KeyId="alias/aws/elasticfilesystem")["KeyMetadata"]
    tour.equal("which AWS manages", (manager["Arn"], manager["KeyManager"]), (default["KmsKeyId"], "AWS"))
    plain = efs.create_file_system(CreationToken=str(uuid.uuid4()))
    tour.equal("the API's default is unencrypted", (plain["Encrypted"], plain.get("KmsKeyId")), (False, None))
    others += [default["FileSystemId"], plain["FileSystemId"]]
    mine = {system, *others}
    paginator = efs.client.get_paginator("describe_file_systems")
    seen = [one["FileSystemId"] for page in paginator.paginate(PaginationConfig={"PageSize": 2}) for one in page["FileSystems"]]
    tour.check("pages cover all once", mine <= set(seen) and len(seen) == len(set(seen)), seen)

    before = len(efs.describe_file_systems()["FileSystems"])
    for name, arguments in {
        "a key without encryption": dict(KmsKeyId=key),
        "a key that is not there": dict(Encrypted=True, KmsKeyId=str(uuid.uuid4())),
        "an empty key": dict(Encrypted=True, KmsKeyId=""),
        "an unknown mode": dict(PerformanceMode="nonsense"),
        "provisioned without a value": dict(ThroughputMode="provisioned"),
        "a reserved tag": dict(Tags=[{"Key": "aws:x", "Value": "y"}]),
    }.items():
        tour.part(f"EFS refuses {name}")
        efs.refused("create_file_system", "BadRequest", 400, CreationToken=str(uuid.uuid4()), **arguments)
    kms.disable_key(KeyId=key)
    efs.refused("create_file_system", "BadRequest", 400, "(?i)disabled", CreationToken=str(uuid.uuid4()), Encrypted=True, KmsKeyId=key)
    kms.enable_key(KeyId=key)
    tour.equal("refusals leave nothing behind", len(efs.describe_file_systems()["FileSystems"]), before)
    return efs, system, others, made["FileSystemArn"]


def described(efs, system):
    tour.part("EFS descriptions that tools ask for at once")
    tour.equal("lifecycle", efs.describe_lifecycle_configuration(FileSystemId=system)["LifecyclePolicies"], [])
    efs.refused("describe_lifecycle_configuration", "FileSystemNotFound", 404, FileSystemId="fs-00000000000000000")
    efs.refused("describe_file_system_policy", "PolicyNotFound", 404, FileSystemId=system)
    efs.refused("describe_file_system_policy", "FileSystemNotFound", 404, FileSystemId="fs-00000000000000000")
    try:
        status = efs.describe_backup_policy(FileSystemId=system)["BackupPolicy"]["Status"]
        tour.equal("backup policy", status, "DISABLED")
    except botocore.exceptions.ClientError as error:
        tour.equal("backup policy", error.response["Error"]["Code"], "PolicyNotFound")


def tags_of(efs, system, system_arn):
    tour.part("EFS tags")
    efs.tag_resource(ResourceId=system, Tags=[{"Key": "team", "Value": "new"}, {"Key": "a b", "Value": ""}])
    found = {tag["Key"]: tag["Value"] for tag in efs.list_tags_for_resource(ResourceId=system_arn)["Tags"]}
    tour.equal("tags after TagResource", found, {"Name": "tour", "team": "new", "a b": ""})
    efs.untag_resource(ResourceId=system, TagKeys=["team", "a b", "absent"])
    tour.equal("tags after UntagResource", efs.list_tags_for_resource(ResourceId=system)["Tags"], [{"Key": "Name", "Value": "tour"}])
    efs.refused("tag_resource", "FileSystemNotFound", 404, ResourceId="fs-00000000000000000", Tags=[])
    efs.refused("tag_resource", "AccessPointNotFound", 404, ResourceId="fsap-00000000000000000", Tags=[])
    efs.refused("tag_resource", "BadRequest", 400, ResourceId=system, Tags=[{"Key": "AWS:x", "Value": ""}])
    efs.refused("list_tags_for_resource", "FileSystemNotFound", 404, ResourceId="fs-00000000000000000")
    efs.refused("untag_resource", "BadRequest", 400, ResourceId=system, TagKeys=["#"])


def mount_targets(efs, system):
    tour.part("EFS mount targets")
    made = efs.create_mount_target(FileSystemId=system, SubnetId=chosen.subnet)
    target = made["MountTargetId"]
    tour.check("id", re.fullmatch("fsmt-[0-9a-f]{17}", target), target)
    for member in ["OwnerId", "IpAddress", "AvailabilityZoneName", "AvailabilityZoneId", "VpcId", "SubnetId", "NetworkInterfaceId"]:
        tour.check(f"MountTargetDescription.{member}", made.get(member), made)
    efs.refused("create_mount_target", "MountTargetConflict", 409, FileSystemId=system, SubnetId=chosen.subnet)
    efs.refused("create_mount_target", "SubnetNotFound", 400, FileSystemId=system, SubnetId="subnet-0123456789abcdef0")
    efs.refused("create_mount_target", "FileSystemNotFound", 404, FileSystemId="fs-00000000000000000", SubnetId=chosen.subnet)

    def state():
        return efs.describe_mount_targets(MountTargetId=target)["MountTargets"][0]["LifeCycleState"]

    until("the mount target becomes available", lambda: state() == "available")
    by_system = efs.describe_mount_targets(FileSystemId=system)["MountTargets"]
    tour.equal("by file system", [one["MountTargetId"] for one in by_system], [target])
    tour.equal("counted", efs.describe_file_systems(FileSystemId=system)["FileSystems"][0]["NumberOfMountTargets"], 1)
    efs.refused("describe_mount_targets", "MountTargetNotFound", 404, MountTargetId="fsmt-00000000000000000")
    efs.refused("describe_mount_targets", "FileSystemNotFound", 404, FileSystemId="fs-00000000000000000")
    efs.refused("describe_mount_targets", "BadRequest", 400)
    efs.refused("describe_mount_targets", "BadRequest", 400, FileSystemId=system, MountTargetId=target)
    tour.check("security groups", isinstance(efs.describe_mount_target_security_groups(MountTargetId=target)["SecurityGroups"], list))
    efs.refused("describe_mount_target_security_groups", "MountTargetNotFound", 404, MountTargetId="fsmt-00000000000000000")
    efs.refused("delete_file_system", "FileSystemInUse", 409, FileSystemId=system)
    return target


def access_points(efs, system):
    tour.part("EFS access points")
    token = str(uuid.uuid4())
    arguments = dict(
        FileSystemId=system,
        PosixUser={"Uid": 1000, "Gid": 1001, "SecondaryGids": [5, 6]},
        RootDirectory={"Path": "/a/b", "CreationInfo": {"OwnerUid": 1, "OwnerGid": 2, "Permissions": "0750"}},
        Tags=[{"Key": "Name", "Value": "point"}],
    )
    made = efs.create_access_point(ClientToken=token, **arguments)
    point = made["AccessPointId"]
    tour.check("id", re.fullmatch("fsap-[0-9a-f]{17}", point), point)
    for member in ["FileSystemId", "PosixUser", "RootDirectory", "Tags"]:
        tour.equal(f"AccessPointDescription.{member}", made.get(member), arguments[member])
    tour.equal("name and token", (made.get("Name"), made.get("ClientToken")), ("point", token))
    tour.check("ARN", made["AccessPointArn"].endswith(f":access-point/{point}"))
    efs.refused("create_access_point", "AccessPointAlreadyExists", 409, members={"AccessPointId": point}, ClientToken=token, **arguments)
    until("the access point becomes available", lambda: efs.describe_access_points(AccessPointId=point)["AccessPoints"][0]["LifeCycleState"] == "available")
    bare = efs.create_access_point(ClientToken=str(uuid.uuid4()), FileSystemId=system)
    tour.equal("the default root", bare["RootDirectory"], {"Path": "/"})
    listed = efs.describe_access_points(FileSystemId=system, MaxResults=1000)["AccessPoints"]
    tour.equal("by file system", {one["AccessPointId"] for one in listed}, {point, bare["AccessPointId"]})
    paginator = efs.client.get_paginator("describe_access_points")
    seen = [one["AccessPointId"] for page in paginator.paginate(FileSystemId=system, PaginationConfig={"PageSize": 1}) for one in page["AccessPoints"]]
    tour.equal("pages", sorted(seen), sorted([point, bare["AccessPointId"]]))
    tour.equal("tags by ARN", efs.list_tags_for_resource(ResourceId=made["AccessPointArn"])["Tags"], arguments["Tags"])
    efs.refused("describe_access_points", "AccessPointNotFound", 404, AccessPointId="fsap-00000000000000000")
    efs.refused("describe_access_points", "FileSystemNotFound", 404, FileSystemId="fs-00000000000000000")
    efs.refused("create_access_point", "FileSystemNotFound", 404, ClientToken="x", FileSystemId="fs-00000000000000000")
    for path in ["relative", "/a/b/c/d/e", "/a$b", "/.hidden", ""]:
        efs.refused("create_access_point", "BadRequest", 400, ClientToken=str(uuid.uuid4()), FileSystemId=system, RootDirectory={"Path": path})
    efs.refused("create_access_point", "BadRequest", 400, ClientToken=str(uuid.uuid4()), FileSystemId=system, PosixUser={"Uid": -1, "Gid": 0})
    efs.refused("create_access_point", "BadRequest", 400, ClientToken=str(uuid.uuid4()), FileSystemId=system, PosixUser={"Uid": 1, "Gid": 0, "SecondaryGids": list(range(17))})
    efs.refused("create_access_point", "BadRequest", 400, ClientToken=str(uuid.uuid4()), FileSystemId=system, RootDirectory={"Path": "/x", "CreationInfo": {"OwnerUid": 1, "OwnerGid": 2, "Permissions": "9"}})
    for one in [point, bare["AccessPointId"]]:
        tour.equal("DeleteAccessPoint", efs.delete_access_point(AccessPointId=one)["ResponseMetadata"]["HTTPStatusCode"], 204)
    until("access points go", lambda: not efs.describe_access_points(FileSystemId=system)["AccessPoints"])
    efs.refused("delete_access_point", "AccessPointNotFound", 404, AccessPointId=point)


def deletion(efs, system, others, target):
    tour.part("EFS deletion")
    tour.equal("DeleteMountTarget", efs.delete_mount_target(MountTargetId=target)["ResponseMetadata"]["HTTPStatusCode"], 204)
    until("the mount target goes", lambda: not efs.describe_mount_targets(FileSystemId=system)["MountTargets"])
    efs.refused("delete_mount_target", "MountTargetNotFound", 404, MountTargetId=target)
    for one in [system, *others]:
        until("it is available before it is deleted", lambda: efs.describe_file_systems(FileSystemId=one)["FileSystems"][0]["LifeCycleState"] == "available")
        tour.equal("DeleteFileSystem", efs.delete_file_system(FileSystemId=one)["ResponseMetadata"]["HTTPStatusCode"], 204)

    def gone(one):
        try:
            return not efs.describe_file_systems(FileSystemId=one)["FileSystems"]
        except botocore.exceptions.ClientError as error:
            return error.response["Error"]["Code"] == "FileSystemNotFound"

    for one in [system, *others]:
        until("the file system goes", lambda: gone(one))
    efs.refused("delete_file_system", "FileSystemNotFound", 404, FileSystemId=system)


def zones():
    tour.part("EC2 zones, as the mount helper asks")
    ec2 = Client("ec2")
    ec2.refused("describe_availability_zones", "DryRunOperation", 412, DryRun=True)
    found = ec2.describe_availability_zones()["AvailabilityZones"]
    tour.check("a zone with name and id", found and found[0]["ZoneName"] and found[0]["ZoneId"], found)
    named = ec2.describe_availability_zones(ZoneNames=[found[0]["ZoneName"]])["AvailabilityZones"]
    tour.equal("by name", [one["ZoneId"] for one in named], [found[0]["ZoneId"]])


def main():
    account = identity()
    signatures()
    zones()
    kms, key, arn = keys(account)
    blob, context = ciphers(kms, key, arn)
    grants(kms, key, arn, account)
    states(kms, key, arn, blob, context)
    if chosen.only != "kms":
        efs, system, others, system_arn = file_systems(kms, key, arn, account)
        described(efs, system)
        tags_of(efs, system, system_arn)
        target = mount_targets(efs, system)
        access_points(efs, system)
        deletion(efs, system, others, target)
    kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    tour.end()


main()
