"""The key-state table over HTTP: every operation that takes a KMS key, on a key of every kind, in every state. KMS developer
guide, "Key states of AWS KMS keys", table "Key state table". A cell that goes wrong is named and the run goes on; it fails at the
end. Usage: key_states.py; the profile comes from AWS_SHARED_CREDENTIALS_FILE and AWS_CONFIG_FILE, as `coffer init` wrote them.
"""

import os
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding

SETTINGS = {"endpoint_url": os.environ["COFFER_ENDPOINT"],
            "config": Config(retries={"max_attempts": 0}, parameter_validation=False)}
kms = boto3.Session().client("kms", **SETTINGS)
STATES = ("Enabled", "Disabled", "PendingDeletion", "PendingImport")
GRANTEE = "arn:aws:iam::000000000001:user/mara"
LASTING = "KEY_MATERIAL_DOES_NOT_EXPIRE"

# What a cell says: the code, and the end of a text that begins with the key's ARN. `ok` alone leaves the state as it is,
# `ok:STATE` leads to another.
ANSWERS = {
    "disabled": ("DisabledException", " is disabled."),
    "deletion": ("KMSInvalidStateException", " is pending deletion."),
    "import": ("KMSInvalidStateException", " is pending import."),
    "waits-not": ("KMSInvalidStateException", " is not pending deletion."),
    "origin": ("UnsupportedOperationException", " which is not valid for this operation."),
    "spec": ("UnsupportedOperationException", " which is not valid for this operation."),
    "usage": ("InvalidKeyUsageException", None),
    # Not served at all, whatever the key.
    "refused": ("UnsupportedOperationException", " is not supported by this server."),
}

# The kinds: S symmetric, X symmetric with imported material, E RSA for encryption, G RSA for signatures, P P-256 for
# signatures, A P-256 for key agreement, H HMAC. A row holds for the kinds named; for all others the operation answers as
# its last column says whatever the state, since what a key can never do is told before what it cannot do now.
TABLE = """
Operation                           Kinds   Enabled         Disabled    PendingDeletion  PendingImport     others
CancelKeyDeletion                   SXEGPAH waits-not       waits-not   ok:Disabled      waits-not         -
CreateAlias                         SXEGPAH ok              ok          deletion         ok                -
CreateGrant                         SXEGPAH ok              disabled    deletion         import            -
Decrypt                             SXE     ok              disabled    deletion         import            usage
DeleteAlias                         SXEGPAH ok              ok          ok               ok                -
DeleteImportedKeyMaterial           X       ok:PendingImport ok:PendingImport ok         ok                origin
DeriveSharedSecret                  A       ok              disabled    deletion         -                 usage
DescribeKey                         SXEGPAH ok              ok          ok               ok                -
DisableKey                          SXEGPAH ok:Disabled     ok          deletion         import            -
DisableKeyRotation                  S       ok              disabled    deletion         -                 unrotated
EnableKey                           SXEGPAH ok              ok:Enabled  deletion         import            -
EnableKeyRotation                   S       ok              disabled    deletion         -                 unrotated
Encrypt                             SXE     ok              disabled    deletion         import            usage
GenerateDataKey                     SX      ok              disabled    deletion         import            usage
GenerateDataKeyPair                 SX      ok              disabled    deletion         import            usage
GenerateDataKeyPairWithoutPlaintext SX      ok              disabled    deletion         import            usage
GenerateDataKeyWithoutPlaintext     SX      ok              disabled    deletion         import            usage
GenerateMac                         H       ok              disabled    deletion         -                 usage
GetKeyLastUsage                     SXEGPAH refused         refused     refused          refused           -
GetKeyPolicy                        SXEGPAH ok              ok          ok               ok                -
GetKeyRotationStatus                S       ok              ok          ok               -                 unrotated
GetParametersForImport              X       ok              ok          deletion         ok                origin
GetPublicKey                        EGPA    ok              disabled    deletion         -                 spec
ImportKeyMaterial                   X       ok              ok          deletion         ok:Enabled        origin
ListAliases                         SXEGPAH ok              ok          ok               ok                -
ListGrants                          SXEGPAH ok              ok          ok               ok                -
ListKeyPolicies                     SXEGPAH ok              ok          ok               ok                -
ListKeyRotations                    SX      ok              ok          ok               ok                spec
ListResourceTags                    SXEGPAH ok              ok          ok               ok                -
PutKeyPolicy                        SXEGPAH ok              ok          ok               ok                -
ReEncrypt-from                      SXE     ok              disabled    deletion         import            usage
ReEncrypt-to                        SXE     ok              disabled    deletion         import            usage
ReplicateKey                        SXEGPAH refused         refused     refused          refused           -
RetireGrant                         SXEGPAH ok              ok          ok               ok                -
RevokeGrant                         SXEGPAH ok              ok          ok               ok                -
RotateKeyOnDemand                   SX      ok              disabled    deletion         import            spec
ScheduleKeyDeletion                 SXEGPAH ok:PendingDeletion ok:PendingDeletion deletion ok:PendingDeletion -
Sign                                GP      ok              disabled    deletion         -                 usage
TagResource                         SXEGPAH ok              ok          deletion         ok                -
UntagResource                       SXEGPAH ok              ok          deletion         ok                -
UpdateAlias-from                    SXEGPAH ok              ok          ok               ok                -
UpdateAlias-to                      SXEGPAH ok              ok          deletion         ok                -
UpdateKeyDescription                SXEGPAH ok              ok          deletion         ok                -
UpdatePrimaryRegion                 SXEGPAH refused         refused     refused          refused           -
Verify                              GP      ok              disabled    deletion         -                 usage
VerifyMac                           H       ok              disabled    deletion         -                 usage
"""

KINDS = {
    "S": {},
    "X": {"Origin": "EXTERNAL"},
    "E": {"KeySpec": "RSA_2048", "KeyUsage": "ENCRYPT_DECRYPT"},
    "G": {"KeySpec": "RSA_2048", "KeyUsage": "SIGN_VERIFY"},
    "P": {"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"},
    "A": {"KeySpec": "ECC_NIST_P256", "KeyUsage": "KEY_AGREEMENT"},
    "H": {"KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC"},
}
USE = {
    "S": {"EncryptionAlgorithm": "SYMMETRIC_DEFAULT"},
    "X": {"EncryptionAlgorithm": "SYMMETRIC_DEFAULT"},
    "E": {"EncryptionAlgorithm": "RSAES_OAEP_SHA_256"},
    "G": {"SigningAlgorithm": "RSASSA_PSS_SHA_256"},
    "P": {"SigningAlgorithm": "ECDSA_SHA_256"},
    "A": {"KeyAgreementAlgorithm": "ECDH"},
    "H": {"MacAlgorithm": "HMAC_SHA_256"},
}


def new_key(kind):
    return kms.create_key(**KINDS[kind])["KeyMetadata"]


def import_into(key, material, kind="EXISTING_KEY_MATERIAL"):
    """What ImportKeyMaterial takes: the material under a fresh wrapping key."""
    given = kms.get_parameters_for_import(KeyId=key, WrappingAlgorithm="RSAES_OAEP_SHA_256", WrappingKeySpec="RSA_2048")
    wrapping = serialization.load_der_public_key(given["PublicKey"])
    wrapped = wrapping.encrypt(material, padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None))
    return {"KeyId": key, "ImportToken": given["ImportToken"], "EncryptedKeyMaterial": wrapped,
            "ExpirationModel": LASTING, "ImportType": kind}


class Subject:
    """A key of one kind with all that the operations need, made while it was enabled."""

    def __init__(self, kind, columns):
        self.kind = kind
        made = new_key(kind)
        self.key, self.arn = made["KeyId"], made["Arn"]
        self.material, self.spare_import = os.urandom(32), None
        if kind == "X":
            kms.import_key_material(**import_into(self.key, self.material, "NEW_KEY_MATERIAL"))
        self.aliases = 0
        self.other = new_key(kind)["KeyId"]
        self.symmetric = new_key("S")["KeyId"]
        self.blob = b"a ciphertext that nobody can read"
        if kind in "SXE":
            self.blob = kms.encrypt(KeyId=self.key, Plaintext=b"before", **USE[kind])["CiphertextBlob"]
        self.foreign = kms.encrypt(KeyId=self.symmetric, Plaintext=b"before")["CiphertextBlob"]
        sign = {"Message": b"a message", **(USE[kind] if kind in "GP" else USE["P"])}
        self.sign = {"KeyId": self.key, **sign}
        self.signature = kms.sign(**self.sign)["Signature"] if kind in "GP" else b"a signature"
        self.mac = {"KeyId": self.key, "Message": b"a message", **USE["H"]}
        self.tag = kms.generate_mac(**self.mac)["Mac"] if kind == "H" else b"m" * 32
        self.peer = ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        self.policy = kms.get_key_policy(KeyId=self.key, PolicyName="default")["Policy"]
        kms.tag_resource(KeyId=self.key, Tags=[{"TagKey": "team", "TagValue": "blue"}])
        # Some use up what they work on: one for each state.
        self.grants = {(name, state): kms.create_grant(KeyId=self.key, Name=f"{name}/{state}", **self.granted())["GrantId"]
                       for name in ("RetireGrant", "RevokeGrant") for state in columns}
        self.names = {(name, state): self.new_alias(self.other if name == "UpdateAlias-to" else self.key)
                      for name in ("DeleteAlias", "UpdateAlias-from", "UpdateAlias-to") for state in columns}

    def granted(self):
        return {"GranteePrincipal": GRANTEE, "Operations": ["DescribeKey"]}

    def next_alias(self):
        self.aliases += 1
        return f"alias/states/{self.key}/{self.aliases}"

    def new_alias(self, key):
        name = self.next_alias()
        kms.create_alias(AliasName=name, TargetKeyId=key)
        return name

    def restore(self):
        """Brings the current material back."""
        kms.import_key_material(**import_into(self.key, self.material))

    def state(self):
        return kms.describe_key(KeyId=self.key)["KeyMetadata"]["KeyState"]

    def bring(self, wanted):
        """Into that state, from any."""
        if self.state() == wanted:
            return
        if self.state() == "PendingDeletion":
            kms.cancel_key_deletion(KeyId=self.key)
        if wanted == "PendingImport":
            kms.delete_imported_key_material(KeyId=self.key)
        elif self.state() == "PendingImport":
            self.restore()
        if wanted == "Enabled":
            kms.enable_key(KeyId=self.key)
        elif wanted == "Disabled":
            kms.disable_key(KeyId=self.key)
        elif wanted == "PendingDeletion":
            kms.enable_key(KeyId=self.key)
            kms.schedule_key_deletion(KeyId=self.key, PendingWindowInDays=7)
        assert self.state() == wanted, f"{self.arn} is {self.state()}, not {wanted}"

    def request(self, operation, state):
        """The method and the members of the operation's call."""
        key = {"KeyId": self.key}
        grant = {**key, "GrantId": self.grants.get((operation, state))}
        alias = self.names.get((operation, state))
        cipher = USE[self.kind] if self.kind in "SXE" else {}
        source = {f"Source{name}": value for name, value in cipher.items()}
        destination = {f"Destination{name}": value for name, value in cipher.items()}
        members = {
            "CreateAlias": lambda: {"AliasName": self.next_alias(), "TargetKeyId": self.key},
            "CreateGrant": lambda: {**key, **self.granted()},
            "Decrypt": lambda: {**key, "CiphertextBlob": self.blob, **cipher},
            "DeleteAlias": lambda: {"AliasName": alias},
            "DeriveSharedSecret": lambda: {**key, **USE["A"], "PublicKey": self.peer},
            "Encrypt": lambda: {**key, "Plaintext": b"x", **cipher},
            "GenerateDataKey": lambda: {**key, "KeySpec": "AES_256"},
            "GenerateDataKeyPair": lambda: {**key, "KeyPairSpec": "ECC_NIST_P256"},
            "GenerateDataKeyPairWithoutPlaintext": lambda: {**key, "KeyPairSpec": "ECC_NIST_P256"},
            "GenerateDataKeyWithoutPlaintext": lambda: {**key, "KeySpec": "AES_256"},
            "GenerateMac": lambda: self.mac,
            "GetKeyPolicy": lambda: {**key, "PolicyName": "default"},
            "GetParametersForImport": lambda: {**key, "WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048"},
            "ImportKeyMaterial": self.import_request,
            "PutKeyPolicy": lambda: {**key, "PolicyName": "default", "Policy": self.policy},
            "ReEncrypt-from": lambda: {"SourceKeyId": self.key, "CiphertextBlob": self.blob,
                                       "DestinationKeyId": self.symmetric, **source},
            "ReEncrypt-to": lambda: {"CiphertextBlob": self.foreign, "DestinationKeyId": self.key, **destination},
            "ReplicateKey": lambda: {**key, "ReplicaRegion": "eu-west-9"},
            "RetireGrant": lambda: grant,
            "RevokeGrant": lambda: grant,
            "RotateKeyOnDemand": self.rotate_request,
            "ScheduleKeyDeletion": lambda: {**key, "PendingWindowInDays": 7},
            "Sign": lambda: self.sign,
            "TagResource": lambda: {**key, "Tags": [{"TagKey": "part", "TagValue": state}]},
            "UntagResource": lambda: {**key, "TagKeys": ["part"]},
            "UpdateAlias-from": lambda: {"AliasName": alias, "TargetKeyId": self.other},
            "UpdateAlias-to": lambda: {"AliasName": alias, "TargetKeyId": self.key},
            "UpdateKeyDescription": lambda: {**key, "Description": f"while {state}"},
            "UpdatePrimaryRegion": lambda: {**key, "PrimaryRegion": "eu-west-9"},
            "Verify": lambda: {**self.sign, "Signature": self.signature},
            "VerifyMac": lambda: {**self.mac, "Mac": self.tag},
        }.get(operation, lambda: key)()
        return boto3_method(operation), members

    def import_request(self):
        if self.kind != "X":
            return {"KeyId": self.key, "ImportToken": b"t", "EncryptedKeyMaterial": b"m" * 256, "ExpirationModel": LASTING}
        # A token is not to be had while the key waits for its deletion; one of before lives on.
        if self.state() != "PendingDeletion":
            self.spare_import = import_into(self.key, self.material)
        return self.spare_import

    def rotate_request(self):
        # What is imported makes the next version.
        if self.kind == "X" and self.state() == "Enabled":
            self.material = os.urandom(32)
            kms.import_key_material(**import_into(self.key, self.material, "NEW_KEY_MATERIAL"))
        return {"KeyId": self.key}


def boto3_method(operation):
    names = {wire: method for method, wire in kms.meta.method_to_api_mapping.items()}
    return getattr(kms, names[operation.partition("-")[0]])


def missed(rows):
    """The operations of boto3 that name a KMS key and have no row."""
    model = kms.meta.service_model
    there = {row[0].partition("-")[0] for row in rows}
    members = {name: model.operation_model(name).input_shape for name in model.operation_names}
    takes = {name for name, shape in members.items() if shape and set(shape.members) & {"KeyId", "SourceKeyId", "TargetKeyId"}}
    return takes - there


def cells():
    """Each cell of the table: kind, operation, state, what it says."""
    head, *rows = [line.split() for line in TABLE.strip().splitlines()]
    assert head == ["Operation", "Kinds", *STATES, "others"], head
    assert not missed(rows), f"operations without a row: {missed(rows)}"
    for kind in KINDS:
        for state, column in zip(STATES, range(2, 6)):
            if state == "PendingImport" and kind != "X":
                continue
            for row in rows:
                operation, kinds, others = row[0], row[1], row[6]
                said = row[column] if kind in kinds else others
                if said == "unrotated":
                    said = "origin" if kind == "X" else "spec"
                assert said != "-", f"the table says nothing of {operation} on {kind} in {state}"
                yield kind, operation, state, said


def judge(subject, operation, state, said):
    """What is wrong with the cell; nothing if it holds."""
    call, members = subject.request(operation, state)
    wanted, _, after = said.partition(":")
    try:
        answer = call(**members)["ResponseMetadata"]["HTTPStatusCode"]
        if wanted != "ok":
            return f"it was done, {ANSWERS[wanted][0]} was wanted"
        if answer != 200:
            return f"HTTP {answer}"
    except ClientError as error:
        found, status = error.response["Error"], error.response["ResponseMetadata"]["HTTPStatusCode"]
        if wanted == "ok":
            return f"refused: {found}"
        code, end = ANSWERS[wanted]
        text = found.get("Message", "")
        begin = operation if wanted == "refused" else subject.arn
        sound = subject.arn in text if end is None else text.startswith(begin) and text.endswith(end)
        if (found["Code"], status) != (code, 400) or not sound:
            return f"HTTP {status} {found}, {code} with {end!r} was wanted"
    now, wanted = subject.state(), after or state
    return None if now == wanted else f"the key is {now} then, not {wanted}"


def main():
    subjects, counted, wrong = {}, 0, []
    for kind, operation, state, said in cells():
        if kind not in subjects:
            subjects[kind] = Subject(kind, STATES if kind == "X" else STATES[:3])
        subject = subjects[kind]
        subject.bring(state)
        counted += 1
        why = judge(subject, operation, state, said)
        if why is not None:
            wrong.append(f"{operation} on {KINDS[kind] or 'a symmetric key'} while {state}: {why}")
            print(wrong[-1], file=sys.stderr)
    # What was encrypted before all of this is still what it was.
    for subject in (subjects[kind] for kind in subjects if kind in "SXE"):
        subject.bring("Enabled")
        opened = kms.decrypt(KeyId=subject.key, CiphertextBlob=subject.blob, **USE[subject.kind])["Plaintext"]
        assert opened == b"before", f"{subject.arn} decrypts to {opened!r}"
    if wrong:
        sys.exit(f"{len(wrong)} of {counted} cells are wrong")
    print(f"{counted} cells of the key-state table")


main()
