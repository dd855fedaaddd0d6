"""Every served action through boto3, unmodified: its output, its errors, its HTTP status. Amazon EFS API 2015-02-01 and
AWS KMS API 2014-11-01; the profile comes from AWS_SHARED_CREDENTIALS_FILE and AWS_CONFIG_FILE, as `coffer init` wrote them.
"""

import base64
import hashlib
import os
import re
import time

import boto3
import botocore
from botocore.config import Config
from botocore.exceptions import ClientError
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding

ENDPOINT = os.environ["COFFER_ENDPOINT"]
SETTINGS = {"endpoint_url": ENDPOINT, "config": Config(retries={"max_attempts": 0}, parameter_validation=False)}
# What must have been visited at the end.
ACTIONS = {
    "efs": "CreateAccessPoint CreateFileSystem CreateMountTarget DeleteAccessPoint DeleteFileSystem DeleteMountTarget"
           " DescribeAccessPoints DescribeBackupPolicy DescribeFileSystemPolicy DescribeFileSystems"
           " DescribeLifecycleConfiguration DescribeMountTargetSecurityGroups DescribeMountTargets ListTagsForResource"
           " TagResource UntagResource",
    "kms": "DeriveSharedSecret GenerateDataKeyPair GenerateDataKeyPairWithoutPlaintext GenerateMac GetPublicKey ReEncrypt Sign"
           " Verify VerifyMac CancelKeyDeletion CreateAlias CreateGrant CreateKey Decrypt DeleteAlias DescribeKey DisableKey EnableKey Encrypt"
           " GenerateDataKey GenerateDataKeyWithoutPlaintext GetKeyPolicy GetKeyRotationStatus ListAliases ListGrants"
           " GetParametersForImport ImportKeyMaterial DeleteImportedKeyMaterial PutKeyPolicy EnableKeyRotation DisableKeyRotation RotateKeyOnDemand ListKeyRotations"
           " ListKeys ListResourceTags RevokeGrant ScheduleKeyDeletion",
    "sts": "GetCallerIdentity",
    "ec2": "DescribeAvailabilityZones",
}
visited = set()
session = boto3.Session()
session.events.register("before-call", lambda model, **_: visited.add((model.service_model.service_name, model.name)))
efs, kms, sts, ec2 = (session.client(name, **SETTINGS) for name in ("efs", "kms", "sts", "ec2"))
ACCOUNT = "000000000001"
REGION = session.region_name
SUBNET = "subnet-00000000"
checks = 0


def check(holds, what):
    global checks
    checks += 1
    assert holds, what


def same(found, wanted, what):
    check(found == wanted, f"{what}: {found!r}, {wanted!r} was wanted")


def refused(code, status, call, **members):
    """The call fails with this code and status; gives the error's answer."""
    try:
        answer = call(**members)
    except ClientError as error:
        answer = error.response
        same((answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]), (code, status),
             f"{call.__name__}({members}): {answer['Error'].get('Message')}")
        check(answer["ResponseMetadata"].get("RequestId"), f"{call.__name__}: no request id with its error")
        return answer
    raise AssertionError(f"{call.__name__}({members}) was not refused but answered {answer}")


def status(answer, wanted):
    same(answer["ResponseMetadata"]["HTTPStatusCode"], wanted, "HTTP status")
    check(answer["ResponseMetadata"].get("RequestId"), "no request id")
    return answer


def until(what, ask, wanted):
    end = time.monotonic() + 60
    while (found := ask()) != wanted:
        assert time.monotonic() < end, f"{what}: {found!r} after 60 s, {wanted!r} was wanted"
        time.sleep(0.1)
    check(True, what)


def identity():
    answer = status(sts.get_caller_identity(), 200)
    same((answer["Account"], answer["Arn"]), (ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root"), "GetCallerIdentity")
    stranger = boto3.client("sts", aws_access_key_id="AKIAXXXXXXXXXXXXXXXX", aws_secret_access_key="wrong", **SETTINGS)
    refused("InvalidClientTokenId", 403, stranger.get_caller_identity)
    key = session.get_credentials().access_key
    liar = {"aws_access_key_id": key, "aws_secret_access_key": "wrong"}
    refused("SignatureDoesNotMatch", 403, boto3.client("sts", **liar, **SETTINGS).get_caller_identity)
    refused("InvalidSignatureException", 400, boto3.client("kms", **liar, **SETTINGS).list_keys)
    refused("InvalidSignatureException", 403, boto3.client("efs", **liar, **SETTINGS).describe_file_systems)
    stranger = {"aws_access_key_id": "AKIAXXXXXXXXXXXXXXXX", "aws_secret_access_key": "wrong"}
    refused("UnrecognizedClientException", 400, boto3.client("kms", **stranger, **SETTINGS).list_keys)
    refused("UnrecognizedClientException", 403, boto3.client("efs", **stranger, **SETTINGS).describe_file_systems)
    # A long-lived key has no session token.
    secret = session.get_credentials().secret_key
    token = {"aws_access_key_id": key, "aws_secret_access_key": secret, "aws_session_token": "t"}
    refused("UnrecognizedClientException", 400, boto3.client("kms", **token, **SETTINGS).list_keys)
    refused("InvalidSignatureException", 400, boto3.client("kms", region_name="ap-south-9", **SETTINGS).list_keys)
    bare = SETTINGS["config"].merge(Config(signature_version=botocore.UNSIGNED))
    refused("MissingAuthenticationTokenException", 400, boto3.client("kms", **{**SETTINGS, "config": bare}).list_keys)


def zones():
    """As the official mount helper asks: first with DryRun, then by name."""
    refused("DryRunOperation", 412, ec2.describe_availability_zones, DryRun=True)
    found = status(ec2.describe_availability_zones(), 200)["AvailabilityZones"]
    check(found and found[0]["ZoneId"] and found[0]["ZoneName"].startswith(REGION), f"DescribeAvailabilityZones: {found}")
    named, = ec2.describe_availability_zones(ZoneNames=[found[0]["ZoneName"]])["AvailabilityZones"]
    same(named["ZoneId"], found[0]["ZoneId"], "a zone by name")
    refused("InvalidParameterValue", 400, ec2.describe_availability_zones, ZoneNames=["ap-south-9z"])


def keys():
    made = status(kms.create_key(Description="the tour's", Tags=[{"TagKey": "team", "TagValue": "blue"}]), 200)["KeyMetadata"]
    key, arn = made["KeyId"], made["Arn"]
    same(arn, f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{key}", "the key's ARN")
    same((made["KeyState"], made["Enabled"], made["KeyManager"], made["Origin"], made["KeySpec"], made["KeyUsage"],
          made["Description"], made["MultiRegion"], made["AWSAccountId"], made["EncryptionAlgorithms"]),
         ("Enabled", True, "CUSTOMER", "AWS_KMS", "SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT", "the tour's", False, ACCOUNT,
          ["SYMMETRIC_DEFAULT"]), "KeyMetadata")
    same(kms.describe_key(KeyId=key)["KeyMetadata"]["Arn"], arn, "DescribeKey by id")
    same(kms.describe_key(KeyId=arn)["KeyMetadata"]["KeyId"], key, "DescribeKey by ARN")
    same(kms.list_resource_tags(KeyId=key)["Tags"], [{"TagKey": "team", "TagValue": "blue"}], "ListResourceTags")
    policy = kms.get_key_policy(KeyId=key, PolicyName="default")
    check(f"arn:aws:iam::{ACCOUNT}:root" in policy["Policy"] and "kms:*" in policy["Policy"], "GetKeyPolicy")
    same(kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"], False, "GetKeyRotationStatus")
    kms.enable_key_rotation(KeyId=key, RotationPeriodInDays=90)
    rotation = kms.get_key_rotation_status(KeyId=key)
    same((rotation["KeyRotationEnabled"], rotation["RotationPeriodInDays"]), (True, 90), "EnableKeyRotation")
    check("NextRotationDate" in rotation, "EnableKeyRotation gives a date")
    refused("ValidationException", 400, kms.enable_key_rotation, KeyId=key, RotationPeriodInDays=89)
    kms.disable_key_rotation(KeyId=key)
    same(kms.rotate_key_on_demand(KeyId=key)["KeyId"], arn, "RotateKeyOnDemand")
    rotations = kms.list_key_rotations(KeyId=key)["Rotations"]
    same([entry["RotationType"] for entry in rotations], ["ON_DEMAND"], "ListKeyRotations")
    refused("MalformedPolicyDocumentException", 400, kms.put_key_policy, KeyId=key, PolicyName="default", Policy="{}")
    locked = policy["Policy"].replace("kms:*", "kms:Describe*")
    refused("MalformedPolicyDocumentException", 400, kms.put_key_policy, KeyId=key, PolicyName="default", Policy=locked)
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=policy["Policy"])
    # The policy of a key of a service is the service's.
    managed = kms.describe_key(KeyId="alias/aws/elasticfilesystem")["KeyMetadata"]
    same(managed["KeyManager"], "AWS", "the key of a service")
    refused("AccessDeniedException", 400, kms.put_key_policy, KeyId=managed["KeyId"], PolicyName="default", Policy=policy["Policy"])
    unchanged = kms.get_key_policy(KeyId=managed["KeyId"], PolicyName="default")["Policy"]
    check("kms:ViaService" in unchanged, "the policy of a service's key stays")
    listed = [entry["KeyId"] for page in kms.get_paginator("list_keys").paginate(PaginationConfig={"PageSize": 1})
              for entry in page["Keys"]]
    check(key in listed and len(listed) == len(set(listed)), f"ListKeys in pages of one: {listed}")

    refused("NotFoundException", 400, kms.describe_key, KeyId="00000000-0000-0000-0000-000000000000")
    refused("NotFoundException", 400, kms.describe_key, KeyId="alias/nobody")
    refused("InvalidArnException", 400, kms.describe_key, KeyId="arn:aws:kms:nonsense")
    refused("ValidationException", 400, kms.describe_key)
    refused("ValidationException", 400, kms.create_key, KeyUsage="NOTHING")
    refused("UnsupportedOperationException", 400, kms.get_public_key, KeyId=key)
    refused("UnsupportedOperationException", 400, kms.create_custom_key_store, CustomKeyStoreName="store")
    aliases(key, arn)
    data(key, arn)
    grants(key, arn)
    key_pairs(key, arn)
    imports(key)
    states(key, arn)
    return arn


def imports(own):
    """KMS developer guide, "Importing key material": material of one's own, wrapped as a client wraps it."""
    made = kms.create_key(Origin="EXTERNAL")["KeyMetadata"]
    key = made["KeyId"]
    same((made["Origin"], made["KeyState"], made["Enabled"]), ("EXTERNAL", "PendingImport", False), "CreateKey EXTERNAL")
    refused("KMSInvalidStateException", 400, kms.encrypt, KeyId=key, Plaintext=b"x")
    refused("UnsupportedOperationException", 400, kms.create_key, Origin="EXTERNAL", KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")
    get = dict(WrappingAlgorithm="RSAES_OAEP_SHA_256", WrappingKeySpec="RSA_2048")
    refused("UnsupportedOperationException", 400, kms.get_parameters_for_import, KeyId=own, **get)
    refused("UnsupportedOperationException", 400, kms.get_parameters_for_import, KeyId=key, **{**get, "WrappingAlgorithm": "RSAES_PKCS1_V1_5"})

    def wrapped(material, algorithm, spec, name):
        parameters = status(kms.get_parameters_for_import(KeyId=key, WrappingAlgorithm=algorithm, WrappingKeySpec=spec), 200)
        public = serialization.load_der_public_key(parameters["PublicKey"])
        oaep = padding.OAEP(mgf=padding.MGF1(name), algorithm=name, label=None)
        if algorithm.startswith("RSAES"):
            sealed = public.encrypt(material, oaep)
        else:
            aes = os.urandom(32)
            sealed = public.encrypt(aes, oaep) + keywrap.aes_key_wrap_with_padding(aes, material)
        return dict(KeyId=key, ImportToken=parameters["ImportToken"], EncryptedKeyMaterial=sealed)

    material, stays = os.urandom(32), dict(ExpirationModel="KEY_MATERIAL_DOES_NOT_EXPIRE")
    first = wrapped(material, "RSAES_OAEP_SHA_1", "RSA_2048", hashes.SHA1())
    refused("ValidationException", 400, kms.import_key_material, **first)
    refused("InvalidImportTokenException", 400, kms.import_key_material, **{**first, "ImportToken": b"none"}, **stays)
    refused("InvalidCiphertextException", 400, kms.import_key_material, **{**first, "EncryptedKeyMaterial": b"none"}, **stays)
    named = status(kms.import_key_material(**first, **stays), 200)["KeyMaterialId"]
    same(kms.describe_key(KeyId=key)["KeyMetadata"]["CurrentKeyMaterialId"], named, "CurrentKeyMaterialId of an import")
    blob = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    other = wrapped(os.urandom(32), "RSA_AES_KEY_WRAP_SHA_256", "RSA_3072", hashes.SHA256())
    refused("IncorrectKeyMaterialException", 400, kms.import_key_material, **other, **stays)
    kms.import_key_material(**other, **stays, ImportType="NEW_KEY_MATERIAL", KeyMaterialDescription="next")
    waiting = kms.list_key_rotations(KeyId=key, IncludeKeyMaterial="ALL_KEY_MATERIAL")["Rotations"][1]
    same((waiting["KeyMaterialState"], waiting["ImportState"], waiting["KeyMaterialDescription"]),
         ("PENDING_ROTATION", "IMPORTED", "next"), "new material")
    kms.rotate_key_on_demand(KeyId=key)
    refused("KMSInvalidStateException", 400, kms.rotate_key_on_demand, KeyId=key)
    same(status(kms.delete_imported_key_material(KeyId=key, KeyMaterialId=named), 200)["KeyMaterialId"], named, "what is deleted")
    refused("KMSInvalidStateException", 400, kms.decrypt, CiphertextBlob=blob)
    until = int(time.time()) + 86400
    again = wrapped(material, "RSA_AES_KEY_WRAP_SHA_1", "RSA_4096", hashes.SHA1())
    same(kms.import_key_material(**again, ValidTo=until)["KeyMaterialId"], named, "the same material")
    same(kms.decrypt(CiphertextBlob=blob)["Plaintext"], b"x", "after the material came back")
    found = kms.describe_key(KeyId=key)["KeyMetadata"]
    same((found["ExpirationModel"], int(found["ValidTo"].timestamp())), ("KEY_MATERIAL_EXPIRES", until), "ValidTo")


def aliases(key, arn):
    status(kms.create_alias(AliasName="alias/tour", TargetKeyId=key), 200)
    refused("AlreadyExistsException", 400, kms.create_alias, AliasName="alias/tour", TargetKeyId=key)
    refused("NotFoundException", 400, kms.create_alias, AliasName="alias/other", TargetKeyId=arn[:-1] + ("0" if arn[-1] != "0" else "1"))
    for name in ("alias/aws/mine", "tour"):
        error = None
        try:
            kms.create_alias(AliasName=name, TargetKeyId=key)
        except ClientError as failure:
            error = failure.response["Error"]["Code"]
        check(error in ("NotAuthorizedException", "InvalidAliasNameException", "ValidationException"), f"{name}: {error}")
    same(kms.describe_key(KeyId="alias/tour")["KeyMetadata"]["KeyId"], key, "DescribeKey by alias")
    same(kms.describe_key(KeyId=f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/tour")["KeyMetadata"]["KeyId"], key, "by alias ARN")
    entry, = kms.list_aliases(KeyId=key)["Aliases"]
    same((entry["AliasName"], entry["TargetKeyId"]), ("alias/tour", key), "ListAliases of a key")
    check("alias/tour" in [alias["AliasName"] for alias in kms.list_aliases()["Aliases"]], "ListAliases")
    status(kms.create_alias(AliasName="alias/short-lived", TargetKeyId=key), 200)
    status(kms.delete_alias(AliasName="alias/short-lived"), 200)
    refused("NotFoundException", 400, kms.delete_alias, AliasName="alias/short-lived")


def data(key, arn):
    context = {"purpose": "tour", "part": "1"}
    sealed = status(kms.encrypt(KeyId=key, Plaintext=b"a secret", EncryptionContext=context), 200)
    same((sealed["KeyId"], sealed["EncryptionAlgorithm"]), (arn, "SYMMETRIC_DEFAULT"), "Encrypt")
    blob = sealed["CiphertextBlob"]
    check(b"a secret" not in blob and base64.b64encode(b"a secret") not in blob, "the ciphertext shows the plaintext")
    opened = kms.decrypt(CiphertextBlob=blob, EncryptionContext=dict(reversed(context.items())))
    same((opened["Plaintext"], opened["KeyId"]), (b"a secret", arn), "Decrypt")
    same(kms.decrypt(CiphertextBlob=blob, EncryptionContext=context, KeyId="alias/tour")["Plaintext"], b"a secret", "Decrypt by alias")
    check(kms.encrypt(KeyId=key, Plaintext=b"a secret", EncryptionContext=context)["CiphertextBlob"] != blob, "Encrypt twice")
    refused("InvalidCiphertextException", 400, kms.decrypt, CiphertextBlob=blob, EncryptionContext={"purpose": "tour"})
    refused("InvalidCiphertextException", 400, kms.decrypt, CiphertextBlob=blob)
    for place in (0, 20, len(blob) // 2, len(blob) - 1):
        flipped = blob[:place] + bytes([blob[place] ^ 1]) + blob[place + 1:]
        refused("InvalidCiphertextException", 400, kms.decrypt, CiphertextBlob=flipped, EncryptionContext=context)
    refused("InvalidCiphertextException", 400, kms.decrypt, CiphertextBlob=b"nonsense")
    other = kms.create_key()["KeyMetadata"]["KeyId"]
    refused("IncorrectKeyException", 400, kms.decrypt, CiphertextBlob=blob, EncryptionContext=context, KeyId=other)
    refused("ValidationException", 400, kms.encrypt, KeyId=key, Plaintext=b"x" * 4097)
    refused("ValidationException", 400, kms.encrypt, KeyId=key, Plaintext=b"")
    same(len(kms.encrypt(KeyId=key, Plaintext=b"x" * 4096)["CiphertextBlob"]) > 4096, True, "4,096 bytes")

    made = status(kms.generate_data_key(KeyId="alias/tour", KeySpec="AES_256", EncryptionContext=context), 200)
    same((len(made["Plaintext"]), made["KeyId"]), (32, arn), "GenerateDataKey")
    same(kms.decrypt(CiphertextBlob=made["CiphertextBlob"], EncryptionContext=context)["Plaintext"], made["Plaintext"], "data key")
    same(len(kms.generate_data_key(KeyId=key, KeySpec="AES_128")["Plaintext"]), 16, "AES_128")
    same(len(kms.generate_data_key(KeyId=key, NumberOfBytes=1024)["Plaintext"]), 1024, "NumberOfBytes")
    refused("ValidationException", 400, kms.generate_data_key, KeyId=key, NumberOfBytes=1025)
    refused("ValidationException", 400, kms.generate_data_key, KeyId=key)
    refused("ValidationException", 400, kms.generate_data_key, KeyId=key, KeySpec="AES_256", NumberOfBytes=32)
    wrapped = status(kms.generate_data_key_without_plaintext(KeyId=key, KeySpec="AES_256"), 200)
    check("Plaintext" not in wrapped, "GenerateDataKeyWithoutPlaintext shows it")
    same(len(kms.decrypt(CiphertextBlob=wrapped["CiphertextBlob"])["Plaintext"]), 32, "the wrapped data key")


def new_pair(spec, usage):
    """A key of that spec and usage, with its public key as `cryptography` reads it."""
    made = status(kms.create_key(KeySpec=spec, KeyUsage=usage), 200)["KeyMetadata"]
    same((made["KeySpec"], made["KeyUsage"]), (spec, usage), "KeyMetadata of a key pair")
    same(kms.describe_key(KeyId=made["KeyId"])["KeyMetadata"], made, "DescribeKey of a key pair")
    public = status(kms.get_public_key(KeyId=made["Arn"]), 200)
    same((public["KeyId"], public["KeySpec"], public["KeyUsage"]), (made["Arn"], spec, usage), "GetPublicKey")
    return made, serialization.load_der_public_key(public["PublicKey"])


def verifies(public, algorithm, message, signature):
    """Whether `cryptography` takes a signature of KMS for one of this message."""
    try:
        if isinstance(public, ed25519.Ed25519PublicKey):
            public.verify(signature, message)
        elif isinstance(public, ec.EllipticCurvePublicKey):
            public.verify(signature, message, ec.ECDSA(getattr(hashes, "SHA" + algorithm[-3:])()))
        else:
            digest = getattr(hashes, "SHA" + algorithm[-3:])()
            pss = padding.PSS(padding.MGF1(digest), padding.PSS.DIGEST_LENGTH)
            public.verify(signature, message, pss if "PSS" in algorithm else padding.PKCS1v15(), digest)
    except InvalidSignature:
        return False
    return True


def key_pairs(symmetric, arn):
    """Asymmetric and HMAC keys, with another implementation on the other side."""
    for members in ({"KeySpec": "RSA_2048"}, {"KeySpec": "RSA_2048", "KeyUsage": "KEY_AGREEMENT"}, {"KeyUsage": "SIGN_VERIFY"},
                    {"KeySpec": "ECC_SECG_P256K1", "KeyUsage": "KEY_AGREEMENT"}, {"KeySpec": "HMAC_256", "KeyUsage": "SIGN_VERIFY"}):
        refused("ValidationException", 400, kms.create_key, **members)
    for spec in ("SM2", "ML_DSA_44"):
        refused("UnsupportedOperationException", 400, kms.create_key, KeySpec=spec, KeyUsage="SIGN_VERIFY")
    signatures(symmetric)
    rsa_encryption(symmetric)
    agreements()
    macs(symmetric)
    data_key_pairs(symmetric, arn)


def signatures(symmetric):
    message = b"signed by KMS"
    for spec, count in (("RSA_2048", 6), ("RSA_4096", 6), ("ECC_NIST_P256", 1), ("ECC_NIST_P384", 1), ("ECC_NIST_P521", 1),
                        ("ECC_SECG_P256K1", 1), ("ECC_NIST_EDWARDS25519", 2)):
        made, public = new_pair(spec, "SIGN_VERIFY")
        key = made["KeyId"]
        same(len(made["SigningAlgorithms"]), count, f"SigningAlgorithms of {spec}")
        for algorithm in made["SigningAlgorithms"]:
            use = {"KeyId": key, "SigningAlgorithm": algorithm}
            hashed = algorithm == "ED25519_PH_SHA_512"
            digest = hashlib.new("sha" + algorithm[-3:], message).digest()
            signed = status(kms.sign(Message=digest, MessageType="DIGEST", **use) if hashed else kms.sign(Message=message, **use), 200)
            same((signed["KeyId"], signed["SigningAlgorithm"]), (made["Arn"], algorithm), "Sign")
            signature = signed["Signature"]
            check(hashed or verifies(public, algorithm, message, signature), f"{algorithm} of {spec}: it does not verify elsewhere")
            given = {"Message": digest, "MessageType": "DIGEST"} if hashed else {"Message": message}
            same(status(kms.verify(Signature=signature, **given, **use), 200)["SignatureValid"], True, "Verify")
            if algorithm != "ED25519_SHA_512":
                by_digest = kms.sign(Message=digest, MessageType="DIGEST", **use)["Signature"]
                same(kms.verify(Message=digest, MessageType="DIGEST", Signature=by_digest, **use)["SignatureValid"], True, "by digest")
                check(hashed or verifies(public, algorithm, message, by_digest), f"{algorithm} of {spec} by digest")
                refused("ValidationException", 400, kms.sign, Message=digest[1:], MessageType="DIGEST", **use)
            changed = signature[:-1] + bytes([signature[-1] ^ 1])
            refused("KMSInvalidSignatureException", 400, kms.verify, **{**given, "Signature": changed, **use})
            refused("DryRunOperationException", 400, kms.sign, DryRun=True, **given, **use)
            refused("DryRunOperationException", 400, kms.verify, DryRun=True, Signature=changed, **given, **use)
        other = "ECDSA_SHA_256" if spec.startswith("RSA") else "RSASSA_PSS_SHA_256"
        refused("InvalidKeyUsageException", 400, kms.sign, KeyId=key, Message=message, SigningAlgorithm=other)
        refused("InvalidKeyUsageException", 400, kms.encrypt, KeyId=key, Plaintext=message)
    refused("InvalidKeyUsageException", 400, kms.sign, KeyId=symmetric, Message=message, SigningAlgorithm="ECDSA_SHA_256")
    refused("ValidationException", 400, kms.sign, KeyId=key, Message=b"x" * 4097, SigningAlgorithm="ED25519_SHA_512")
    refused("ValidationException", 400, kms.sign, KeyId=key, Message=message, SigningAlgorithm="ROT_13")
    refused("UnsupportedOperationException", 400, kms.get_key_rotation_status, KeyId=key)
    members = {"KeyId": key, "GranteePrincipal": f"arn:aws:iam::{ACCOUNT}:user/x"}
    refused("ValidationException", 400, kms.create_grant, Operations=["Decrypt"], **members)
    status(kms.create_grant(Operations=["Sign", "Verify", "GetPublicKey"], **members), 200)
    refused("BadRequest", 400, efs.create_file_system, CreationToken="signing", Encrypted=True, KmsKeyId=made["Arn"])
    status(kms.create_alias(AliasName="alias/signer", TargetKeyId=key), 200)
    refused("ValidationException", 400, kms.update_alias, AliasName="alias/signer", TargetKeyId=symmetric)
    kms.delete_alias(AliasName="alias/signer")
    kms.disable_key(KeyId=key)
    refused("DisabledException", 400, kms.sign, KeyId=key, Message=message, SigningAlgorithm="ED25519_SHA_512")
    refused("DisabledException", 400, kms.get_public_key, KeyId=key)


def rsa_encryption(symmetric):
    made, public = new_pair("RSA_3072", "ENCRYPT_DECRYPT")
    key = made["KeyId"]
    same(made["EncryptionAlgorithms"], ["RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256"], "EncryptionAlgorithms")
    for algorithm, digest, most in (("RSAES_OAEP_SHA_1", hashes.SHA1(), 342), ("RSAES_OAEP_SHA_256", hashes.SHA256(), 318)):
        use = {"KeyId": key, "EncryptionAlgorithm": algorithm}
        blob = public.encrypt(b"from outside", padding.OAEP(padding.MGF1(digest), digest, None))
        opened = status(kms.decrypt(CiphertextBlob=blob, **use), 200)
        same((opened["Plaintext"], opened["EncryptionAlgorithm"], opened["KeyId"]), (b"from outside", algorithm, made["Arn"]), "Decrypt")
        sealed = status(kms.encrypt(Plaintext=b"x" * most, **use), 200)["CiphertextBlob"]
        same(kms.decrypt(CiphertextBlob=sealed, **use)["Plaintext"], b"x" * most, "the longest plaintext")
        refused("ValidationException", 400, kms.encrypt, Plaintext=b"x" * (most + 1), **use)
        refused("ValidationException", 400, kms.encrypt, Plaintext=b"x", EncryptionContext={"a": "b"}, **use)
        refused("InvalidCiphertextException", 400, kms.decrypt, CiphertextBlob=sealed[:-1] + bytes([sealed[-1] ^ 1]), **use)
        refused("ValidationException", 400, kms.decrypt, CiphertextBlob=sealed, EncryptionAlgorithm=algorithm)
    refused("InvalidKeyUsageException", 400, kms.encrypt, KeyId=key, Plaintext=b"x")
    refused("InvalidKeyUsageException", 400, kms.decrypt, KeyId=key, CiphertextBlob=sealed)
    refused("InvalidKeyUsageException", 400, kms.generate_data_key, KeyId=key, KeySpec="AES_256")
    moved = status(kms.re_encrypt(CiphertextBlob=sealed, SourceKeyId=key, SourceEncryptionAlgorithm="RSAES_OAEP_SHA_256",
                                  DestinationKeyId=symmetric, DestinationEncryptionContext={"a": "b"}), 200)
    same((moved["SourceEncryptionAlgorithm"], moved["DestinationEncryptionAlgorithm"]), ("RSAES_OAEP_SHA_256", "SYMMETRIC_DEFAULT"),
         "ReEncrypt")
    same(kms.decrypt(CiphertextBlob=moved["CiphertextBlob"], EncryptionContext={"a": "b"})["Plaintext"], b"x" * 318, "what was moved")


def agreements():
    for spec, curve in (("ECC_NIST_P256", ec.SECP256R1()), ("ECC_NIST_P384", ec.SECP384R1()), ("ECC_NIST_P521", ec.SECP521R1())):
        made, public = new_pair(spec, "KEY_AGREEMENT")
        same(made["KeyAgreementAlgorithms"], ["ECDH"], "KeyAgreementAlgorithms")
        ours = ec.generate_private_key(curve)
        peer = ours.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        use = {"KeyId": made["KeyId"], "KeyAgreementAlgorithm": "ECDH"}
        derived = status(kms.derive_shared_secret(PublicKey=peer, **use), 200)
        same((derived["KeyId"], derived["KeyAgreementAlgorithm"], derived["KeyOrigin"]), (made["Arn"], "ECDH", "AWS_KMS"), "DeriveSharedSecret")
        same(derived["SharedSecret"], ours.exchange(ec.ECDH(), public), "the shared secret of both sides")
        refused("ValidationException", 400, kms.derive_shared_secret, PublicKey=peer[:-1] + bytes([peer[-1] ^ 1]), **use)
        refused("DryRunOperationException", 400, kms.derive_shared_secret, PublicKey=peer, DryRun=True, **use)
        refused("InvalidKeyUsageException", 400, kms.sign, KeyId=made["KeyId"], Message=b"x", SigningAlgorithm="ECDSA_SHA_256")


def macs(symmetric):
    for bits in ("224", "256", "384", "512"):
        made = status(kms.create_key(KeySpec=f"HMAC_{bits}", KeyUsage="GENERATE_VERIFY_MAC"), 200)["KeyMetadata"]
        same(made["MacAlgorithms"], [f"HMAC_SHA_{bits}"], "MacAlgorithms")
        use = {"KeyId": made["KeyId"], "MacAlgorithm": f"HMAC_SHA_{bits}", "Message": b"a message"}
        mac = status(kms.generate_mac(**use), 200)
        same((len(mac["Mac"]) * 8, mac["KeyId"]), (int(bits), made["Arn"]), "GenerateMac")
        same(status(kms.verify_mac(Mac=mac["Mac"], **use), 200)["MacValid"], True, "VerifyMac")
        refused("KMSInvalidMacException", 400, kms.verify_mac, Mac=mac["Mac"][:-1], **use)
        refused("KMSInvalidMacException", 400, kms.verify_mac, **{**use, "Mac": mac["Mac"], "Message": b"another"})
        refused("DryRunOperationException", 400, kms.generate_mac, DryRun=True, **use)
        refused("InvalidKeyUsageException", 400, kms.generate_mac, **{**use, "KeyId": symmetric})
        refused("UnsupportedOperationException", 400, kms.get_public_key, KeyId=made["KeyId"])
    refused("InvalidKeyUsageException", 400, kms.generate_mac, **{**use, "MacAlgorithm": "HMAC_SHA_256"})


def data_key_pairs(symmetric, arn):
    for spec in ("RSA_2048", "ECC_NIST_P256", "ECC_NIST_P384", "ECC_NIST_P521", "ECC_SECG_P256K1", "ECC_NIST_EDWARDS25519"):
        members = {"KeyId": symmetric, "KeyPairSpec": spec, "EncryptionContext": {"a": "b"}}
        made = status(kms.generate_data_key_pair(**members), 200)
        same((made["KeyId"], made["KeyPairSpec"]), (arn, spec), "GenerateDataKeyPair")
        private = serialization.load_der_private_key(made["PrivateKeyPlaintext"], None)
        public = private.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        same(public, made["PublicKey"], f"the public key of a data key pair {spec}")
        opened = kms.decrypt(CiphertextBlob=made["PrivateKeyCiphertextBlob"], EncryptionContext={"a": "b"})["Plaintext"]
        same(opened, made["PrivateKeyPlaintext"], "the sealed private key")
        refused("InvalidCiphertextException", 400, kms.decrypt, CiphertextBlob=made["PrivateKeyCiphertextBlob"])
        wrapped = status(kms.generate_data_key_pair_without_plaintext(**members), 200)
        check("PrivateKeyPlaintext" not in wrapped, "GenerateDataKeyPairWithoutPlaintext shows it")
        opened = kms.decrypt(CiphertextBlob=wrapped["PrivateKeyCiphertextBlob"], EncryptionContext={"a": "b"})["Plaintext"]
        public = serialization.load_der_private_key(opened, None).public_key()
        same(public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo), wrapped["PublicKey"],
             "the wrapped private key")
    refused("DryRunOperationException", 400, kms.generate_data_key_pair, DryRun=True, **members)
    refused("UnsupportedOperationException", 400, kms.generate_data_key_pair, KeyId=symmetric, KeyPairSpec="SM2")


def grants(key, arn):
    members = {"KeyId": key, "GranteePrincipal": f"arn:aws:iam::{ACCOUNT}:user/somebody", "Operations": ["Decrypt", "DescribeKey"],
               "Constraints": {"EncryptionContextEquals": {"a": "b"}}, "Name": "tour"}
    made = status(kms.create_grant(**members), 200)
    check(re.fullmatch("[0-9a-f]{64}", made["GrantId"]) and made["GrantToken"], "CreateGrant")
    same(kms.create_grant(**members)["GrantId"], made["GrantId"], "the same name and parameters give the same grant")
    entry, = kms.list_grants(KeyId=key)["Grants"]
    same((entry["KeyId"], entry["GrantId"], entry["Name"], sorted(entry["Operations"]), entry["Constraints"], entry["IssuingAccount"]),
         (arn, made["GrantId"], "tour", ["Decrypt", "DescribeKey"], members["Constraints"], f"arn:aws:iam::{ACCOUNT}:root"), "ListGrants")
    refused("ValidationException", 400, kms.create_grant, **{**members, "Operations": ["Fly"]})
    status(kms.revoke_grant(KeyId=key, GrantId=made["GrantId"]), 200)
    same(kms.list_grants(KeyId=key)["Grants"], [], "after RevokeGrant")
    refused("NotFoundException", 400, kms.revoke_grant, KeyId=key, GrantId=made["GrantId"])
    refused("NotFoundException", 400, kms.list_grants, KeyId="00000000-0000-0000-0000-000000000000")


def states(key, arn):
    """The table of key states: what each operation answers in each."""
    blob = kms.encrypt(KeyId=key, Plaintext=b"before")["CiphertextBlob"]
    uses = [(kms.encrypt, {"KeyId": key, "Plaintext": b"x"}), (kms.decrypt, {"CiphertextBlob": blob}),
            (kms.generate_data_key, {"KeyId": key, "KeySpec": "AES_256"}),
            (kms.generate_data_key_without_plaintext, {"KeyId": key, "KeySpec": "AES_256"}),
            (kms.generate_data_key_pair, {"KeyId": key, "KeyPairSpec": "ECC_NIST_P256"}),
            (kms.create_grant, {"KeyId": key, "GranteePrincipal": f"arn:aws:iam::{ACCOUNT}:user/x", "Operations": ["Decrypt"]})]
    status(kms.disable_key(KeyId=key), 200)
    same((kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"], kms.describe_key(KeyId=key)["KeyMetadata"]["Enabled"]),
         ("Disabled", False), "after DisableKey")
    for call, members in uses:
        answer = refused("DisabledException", 400, call, **members)
        same(answer["Error"]["Message"], f"{arn} is disabled.", "its message")
    refused("KMSInvalidStateException", 400, kms.cancel_key_deletion, KeyId=key)
    status(kms.disable_key(KeyId=key), 200)
    status(kms.enable_key(KeyId=key), 200)
    same(kms.decrypt(CiphertextBlob=blob)["Plaintext"], b"before", "Decrypt after EnableKey")

    refused("ValidationException", 400, kms.schedule_key_deletion, KeyId=key, PendingWindowInDays=6)
    pending = status(kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7), 200)
    same((pending["KeyId"], pending["KeyState"], pending["PendingWindowInDays"]), (arn, "PendingDeletion", 7), "ScheduleKeyDeletion")
    days = (pending["DeletionDate"].timestamp() - time.time()) / 86400
    check(6.9 < days < 8.1, f"DeletionDate in {days} days")
    for call, members in uses:
        refused("KMSInvalidStateException", 400, call, **members)
    for call in (kms.enable_key, kms.disable_key, kms.schedule_key_deletion):
        refused("KMSInvalidStateException", 400, call, KeyId=key)
    refused("KMSInvalidStateException", 400, kms.create_alias, AliasName="alias/late", TargetKeyId=key)
    check("DeletionDate" in kms.describe_key(KeyId=key)["KeyMetadata"], "DescribeKey of a pending key")
    check(kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"], "GetKeyPolicy of a pending key")
    same(kms.cancel_key_deletion(KeyId=key)["KeyId"], arn, "CancelKeyDeletion")
    same(kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"], "Disabled", "after CancelKeyDeletion")
    kms.enable_key(KeyId=key)
    same(kms.decrypt(CiphertextBlob=blob)["Plaintext"], b"before", "Decrypt after all")


def file_system(**members):
    answer = status(efs.create_file_system(**members), 201)
    until("the file system", lambda: describe(answer["FileSystemId"])["LifeCycleState"], "available")
    return answer


def describe(file_system_id):
    found, = efs.describe_file_systems(FileSystemId=file_system_id)["FileSystems"]
    return found


def file_systems(key_arn):
    key = key_arn.rsplit("/", 1)[1]
    made = file_system(CreationToken="tour-1", Encrypted=True, KmsKeyId=key, Tags=[{"Key": "Name", "Value": "first"}, {"Key": "a", "Value": "b"}])
    first = made["FileSystemId"]
    check(re.fullmatch("fs-[0-9a-f]{17}", first), first)
    found = describe(first)
    same((found["OwnerId"], found["CreationToken"], found["Name"], found["Encrypted"], found["KmsKeyId"], found["NumberOfMountTargets"],
          found["PerformanceMode"], found["ThroughputMode"], found["FileSystemArn"]),
         (ACCOUNT, "tour-1", "first", True, key_arn, 0, "generalPurpose", found["ThroughputMode"],
          f"arn:aws:elasticfilesystem:{REGION}:{ACCOUNT}:file-system/{first}"), "DescribeFileSystems")
    check(found["SizeInBytes"]["Value"] >= 0 and abs(found["CreationTime"].timestamp() - time.time()) < 300, "size and time")
    others = []
    for number, spelling in enumerate((key_arn, "alias/tour", f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/tour")):
        other = file_system(CreationToken=f"spelling-{number}", Encrypted=True, KmsKeyId=spelling)
        same(other["KmsKeyId"], key_arn, f"KmsKeyId given as {spelling}")
        others.append(other["FileSystemId"])
    own = file_system(CreationToken="own key", Encrypted=True)
    service = kms.describe_key(KeyId=own["KmsKeyId"])["KeyMetadata"]
    same(service["KeyManager"], "AWS", "the service's own key")
    check("alias/aws/elasticfilesystem" in [alias["AliasName"] for alias in kms.list_aliases(KeyId=service["KeyId"])["Aliases"]], "its alias")
    plain = file_system(CreationToken="plain")
    same((plain["Encrypted"], "KmsKeyId" in plain), (False, False), "an unencrypted file system")
    grant = [grant for grant in kms.list_grants(KeyId=key)["Grants"] if first in str(grant["Constraints"])]
    same([grant["Constraints"]["EncryptionContextEquals"] for grant in grant],
         [{"aws:elasticfilesystem:filesystem:id": first}], "the file system's grant")

    again = refused("FileSystemAlreadyExists", 409, efs.create_file_system, CreationToken="tour-1", Encrypted=True)
    same(again["FileSystemId"], first, "the existing file system's id")
    before = len(efs.describe_file_systems()["FileSystems"])
    kms.disable_key(KeyId=key)
    refused("BadRequest", 400, efs.create_file_system, CreationToken="unusable", Encrypted=True, KmsKeyId=key)
    kms.enable_key(KeyId=key)
    for members in ({"KmsKeyId": key}, {"Encrypted": False, "KmsKeyId": key}, {"Encrypted": True, "KmsKeyId": "alias/nobody"},
                    {"Encrypted": True, "KmsKeyId": ""}, {"PerformanceMode": "sideways"}, {"Tags": [{"Key": "aws:x", "Value": "y"}]}):
        refused("BadRequest", 400, efs.create_file_system, CreationToken="refused", **members)
    refused("BadRequest", 400, efs.create_file_system, CreationToken="x" * 65)
    same(len(efs.describe_file_systems()["FileSystems"]), before, "refused creations leave nothing behind")
    same(len([grant for grant in kms.list_grants(KeyId=key)["Grants"]]), 4, "grants after refused creations")

    same(efs.describe_file_systems(CreationToken="tour-1")["FileSystems"][0]["FileSystemId"], first, "by token")
    paged, marker = [], {}
    while True:
        page = efs.describe_file_systems(MaxItems=2, **marker)
        paged += [entry["FileSystemId"] for entry in page["FileSystems"]]
        if "NextMarker" not in page:
            break
        marker = {"Marker": page["NextMarker"]}
    same((len(paged), len(set(paged))), (before, before), "pages of two")
    refused("FileSystemNotFound", 404, efs.describe_file_systems, FileSystemId="fs-00000000000000000")
    refused("BadRequest", 400, efs.describe_file_systems, FileSystemId="nonsense")
    refused("BadRequest", 400, efs.describe_file_systems, FileSystemId=first, CreationToken="tour-1")
    tags(first)
    answers_of_tools(first)
    mount_targets(first)
    access_points(first)
    for other in [*others, own["FileSystemId"], plain["FileSystemId"]]:
        status(efs.delete_file_system(FileSystemId=other), 204)
    for other in others:
        gone(other)
    return first, key


def gone(file_system_id):
    def ask():
        try:
            return describe(file_system_id)["LifeCycleState"]
        except ClientError as error:
            return error.response["Error"]["Code"]
    until("the deleted file system", ask, "FileSystemNotFound")


def tags(first):
    for resource in (first, f"arn:aws:elasticfilesystem:{REGION}:{ACCOUNT}:file-system/{first}"):
        status(efs.tag_resource(ResourceId=resource, Tags=[{"Key": "team", "Value": "red"}, {"Key": "empty", "Value": ""}]), 200)
        listed = {tag["Key"]: tag["Value"] for tag in efs.list_tags_for_resource(ResourceId=resource)["Tags"]}
        same(listed, {"Name": "first", "a": "b", "team": "red", "empty": ""}, "ListTagsForResource")
        status(efs.untag_resource(ResourceId=resource, TagKeys=["team", "empty"]), 200)
    # In pages of one, with keys as long as they may be: a token has at most 128 characters all the same.
    long = ["\u00e4" * 127 + last for last in "12"]
    efs.tag_resource(ResourceId=first, Tags=[{"Key": key, "Value": ""} for key in long])
    paged, token = [], {}
    while token is not None:
        page = efs.list_tags_for_resource(ResourceId=first, MaxResults=1, **token)
        paged += [tag["Key"] for tag in page["Tags"]]
        token = {"NextToken": page["NextToken"]} if "NextToken" in page else None
    same(sorted(paged), sorted(["Name", "a", *long]), "ListTagsForResource in pages of one")
    efs.untag_resource(ResourceId=first, TagKeys=long)
    efs.tag_resource(ResourceId=first, Tags=[{"Key": "Name", "Value": "renamed"}])
    same(describe(first)["Name"], "renamed", "the Name tag is the name")
    refused("FileSystemNotFound", 404, efs.list_tags_for_resource, ResourceId="fs-00000000000000000")
    refused("BadRequest", 400, efs.tag_resource, ResourceId=first, Tags=[{"Key": "aws:reserved", "Value": "x"}])


def answers_of_tools(first):
    same(efs.describe_lifecycle_configuration(FileSystemId=first)["LifecyclePolicies"], [], "DescribeLifecycleConfiguration")
    try:
        same(efs.describe_backup_policy(FileSystemId=first)["BackupPolicy"]["Status"], "DISABLED", "DescribeBackupPolicy")
    except ClientError as error:
        same(error.response["Error"]["Code"], "PolicyNotFound", "DescribeBackupPolicy")
    refused("PolicyNotFound", 404, efs.describe_file_system_policy, FileSystemId=first)
    refused("BadRequest", 400, efs.put_backup_policy, FileSystemId=first, BackupPolicy={"Status": "ENABLED"})
    refused("BadRequest", 400, efs.update_file_system, FileSystemId=first, ThroughputMode="elastic")
    for call in (efs.describe_lifecycle_configuration, efs.describe_backup_policy, efs.describe_file_system_policy):
        refused("FileSystemNotFound", 404, call, FileSystemId="fs-00000000000000000")


def mount_targets(first):
    made = status(efs.create_mount_target(FileSystemId=first, SubnetId=SUBNET), 200)
    target = made["MountTargetId"]
    check(re.fullmatch("fsmt-[0-9a-f]{17}", target), target)
    find = lambda: efs.describe_mount_targets(MountTargetId=target)["MountTargets"][0]
    until("the mount target", lambda: find()["LifeCycleState"], "available")
    found = find()
    check(found["IpAddress"] and found["AvailabilityZoneName"].startswith(REGION), f"DescribeMountTargets: {found}")
    same((found["FileSystemId"], found["SubnetId"], found["OwnerId"]), (first, SUBNET, ACCOUNT), "DescribeMountTargets")
    same(efs.describe_mount_targets(FileSystemId=first)["MountTargets"][0]["MountTargetId"], target, "by file system")
    same(describe(first)["NumberOfMountTargets"], 1, "NumberOfMountTargets")
    status(efs.describe_mount_target_security_groups(MountTargetId=target), 200)
    refused("MountTargetConflict", 409, efs.create_mount_target, FileSystemId=first, SubnetId=SUBNET)
    refused("SubnetNotFound", 400, efs.create_mount_target, FileSystemId=first, SubnetId="subnet-0123456789abcdef0")
    refused("FileSystemNotFound", 404, efs.create_mount_target, FileSystemId="fs-00000000000000000", SubnetId=SUBNET)
    refused("MountTargetNotFound", 404, efs.describe_mount_targets, MountTargetId="fsmt-00000000000000000")
    refused("MountTargetNotFound", 404, efs.describe_mount_target_security_groups, MountTargetId="fsmt-00000000000000000")
    refused("BadRequest", 400, efs.describe_mount_targets)
    refused("BadRequest", 400, efs.describe_mount_targets, FileSystemId=first, MountTargetId=target)
    refused("FileSystemInUse", 409, efs.delete_file_system, FileSystemId=first)
    status(efs.delete_mount_target(MountTargetId=target), 204)
    until("no mount target", lambda: describe(first)["NumberOfMountTargets"], 0)
    refused("MountTargetNotFound", 404, efs.delete_mount_target, MountTargetId=target)


def access_points(first):
    members = {"FileSystemId": first, "ClientToken": "tour", "PosixUser": {"Uid": 1001, "Gid": 1002, "SecondaryGids": [5, 6]},
               "RootDirectory": {"Path": "/home/ann", "CreationInfo": {"OwnerUid": 1001, "OwnerGid": 1002, "Permissions": "0750"}},
               "Tags": [{"Key": "Name", "Value": "ann"}]}
    made = status(efs.create_access_point(**members), 200)
    point = made["AccessPointId"]
    check(re.fullmatch("fsap-[0-9a-f]{17}", point), point)
    find = lambda **by: efs.describe_access_points(**by)["AccessPoints"]
    until("the access point", lambda: find(AccessPointId=point)[0]["LifeCycleState"], "available")
    found, = find(FileSystemId=first)
    same((found["AccessPointId"], found["Name"], found["PosixUser"], found["RootDirectory"], found["OwnerId"], found["AccessPointArn"]),
         (point, "ann", members["PosixUser"], members["RootDirectory"], ACCOUNT,
          f"arn:aws:elasticfilesystem:{REGION}:{ACCOUNT}:access-point/{point}"), "DescribeAccessPoints")
    same(len(find()), 1, "DescribeAccessPoints of all")
    again = refused("AccessPointAlreadyExists", 409, efs.create_access_point, **members)
    same(again["AccessPointId"], point, "the existing access point's id")
    efs.tag_resource(ResourceId=point, Tags=[{"Key": "x", "Value": "y"}])
    same(len(efs.list_tags_for_resource(ResourceId=point)["Tags"]), 2, "an access point's tags")
    refused("FileSystemNotFound", 404, efs.create_access_point, FileSystemId="fs-00000000000000000", ClientToken="t")
    for path in ("no-slash", "/a/b/c/d/e", "/a*b", "/" + "x" * 100):
        refused("BadRequest", 400, efs.create_access_point, FileSystemId=first, ClientToken="bad", RootDirectory={"Path": path})
    refused("BadRequest", 400, efs.create_access_point, FileSystemId=first, ClientToken="bad",
            PosixUser={"Uid": 1, "Gid": 1, "SecondaryGids": list(range(17))})
    refused("AccessPointNotFound", 404, efs.describe_access_points, AccessPointId="fsap-00000000000000000")
    status(efs.delete_access_point(AccessPointId=point), 204)
    until("no access point", lambda: find(FileSystemId=first), [])
    refused("AccessPointNotFound", 404, efs.delete_access_point, AccessPointId=point)


identity()
zones()
first, key = file_systems(keys())
status(efs.delete_file_system(FileSystemId=first), 204)
gone(first)
until("the file systems' grants are retired", lambda: kms.list_grants(KeyId=key)["Grants"], [])
refused("FileSystemNotFound", 404, efs.delete_file_system, FileSystemId=first)
missed = {(service, action) for service, actions in ACTIONS.items() for action in actions.split()} - visited
same(missed, set(), "actions that were not visited")
print(f"{checks} checks")
