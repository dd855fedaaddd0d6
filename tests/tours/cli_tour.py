#!/usr/bin/env python3
"""The AWS CLI (version 1, from PyPI) visits every action that Coffer serves, errors included.

Run by `cargo xtask test` in a virtual environment with a pinned awscli, as
    cli_tour.py --credentials DIR/aws-profile --config DIR/aws-config
"""

import base64
import json
import re
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

from tour import Tour, settings

chosen = settings("cli tour")
tour = Tour("cli tour")


def run(service, command, *arguments):
    """Runs one command; returns its exit status, its parsed output and its error text."""
    action = "".join(word.capitalize() for word in command.split("-"))
    tour.visit(service, action)
    line = [sys.executable, "-m", "awscli", "--endpoint-url", chosen.endpoint, "--output", "json", service, command]
    done = subprocess.run(line + list(arguments), capture_output=True, text=True, timeout=120)
    try:
        output = json.loads(done.stdout) if done.stdout.strip() else {}
    except json.JSONDecodeError:
        output = done.stdout
    return done.returncode, output, done.stderr


def aws(service, command, *arguments):
    """Expects success."""
    status, output, error = run(service, command, *arguments)
    tour.check(f"{service} {command}", status == 0, error.strip())
    return output


def refused(code, service, command, *arguments):
    """Expects an error with that code, said as the CLI says it."""
    status, _, error = run(service, command, *arguments)
    action = "".join(word.capitalize() for word in command.split("-"))
    said = f"An error occurred ({code}) when calling the {action} operation"
    tour.check(f"{service} {command} refused with {code}", status != 0 and said in error, error.strip())


def until(what, probe, seconds=60):
    """Polls as scripts do."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if probe():
            return
        time.sleep(0.2)
    tour.check(what, False, f"not within {seconds} s")


def kms(directory):
    tour.part("KMS")
    made = aws("kms", "create-key", "--description", "cli", "--tags", "TagKey=team,TagValue=storage")["KeyMetadata"]
    key, arn, alias = made["KeyId"], made["Arn"], f"alias/cli-{uuid.uuid4().hex[:8]}"
    aws("kms", "create-alias", "--alias-name", alias, "--target-key-id", key)
    tour.equal("by alias", aws("kms", "describe-key", "--key-id", alias)["KeyMetadata"]["Arn"], arn)
    tour.check("list-keys", any(one["KeyId"] == key for one in aws("kms", "list-keys")["Keys"]))
    tour.check("list-aliases", any(one["AliasName"] == alias for one in aws("kms", "list-aliases")["Aliases"]))
    tour.equal("tags", aws("kms", "list-resource-tags", "--key-id", key)["Tags"], [{"TagKey": "team", "TagValue": "storage"}])
    aws("kms", "get-key-policy", "--key-id", key, "--policy-name", "default")
    tour.equal("rotation", aws("kms", "get-key-rotation-status", "--key-id", key)["KeyRotationEnabled"], False)
    plain, blob = Path(directory, "plain"), Path(directory, "blob")
    plain.write_bytes(b"from the command line")
    context = ["--encryption-context", "purpose=tour"]
    sealed = aws("kms", "encrypt", "--key-id", alias, "--plaintext", f"fileb://{plain}", *context)
    blob.write_bytes(base64.b64decode(sealed["CiphertextBlob"]))
    opened = aws("kms", "decrypt", "--ciphertext-blob", f"fileb://{blob}", *context)
    tour.equal("decrypt", base64.b64decode(opened["Plaintext"]), plain.read_bytes())
    refused("InvalidCiphertextException", "kms", "decrypt", "--ciphertext-blob", f"fileb://{blob}")
    data = aws("kms", "generate-data-key", "--key-id", key, "--key-spec", "AES_256")
    tour.equal("data key", len(base64.b64decode(data["Plaintext"])), 32)
    hidden = aws("kms", "generate-data-key-without-plaintext", "--key-id", key, "--key-spec", "AES_256")
    tour.check("no plaintext", "Plaintext" not in hidden)
    principal = "arn:aws:iam::000000000001:user/cli"
    grant = aws("kms", "create-grant", "--key-id", key, "--grantee-principal", principal, "--operations", "Decrypt")
    listed = aws("kms", "list-grants", "--key-id", key)["Grants"]
    tour.equal("grants", [one["GrantId"] for one in listed], [grant["GrantId"]])
    aws("kms", "revoke-grant", "--key-id", key, "--grant-id", grant["GrantId"])
    aws("kms", "disable-key", "--key-id", key)
    refused("DisabledException", "kms", "encrypt", "--key-id", key, "--plaintext", f"fileb://{plain}")
    aws("kms", "schedule-key-deletion", "--key-id", key, "--pending-window-in-days", "7")
    refused("KMSInvalidStateException", "kms", "enable-key", "--key-id", key)
    aws("kms", "cancel-key-deletion", "--key-id", key)
    aws("kms", "enable-key", "--key-id", key)
    aws("kms", "delete-alias", "--alias-name", alias)
    refused("NotFoundException", "kms", "describe-key", "--key-id", alias)
    refused("ValidationException", "kms", "schedule-key-deletion", "--key-id", key, "--pending-window-in-days", "6")
    return key, arn


def efs(key, arn):
    tour.part("EFS")
    token = f"cli-{uuid.uuid4()}"
    create = ["--creation-token", token, "--encrypted", "--kms-key-id", key, "--tags", "Key=Name,Value=cli"]
    made = aws("efs", "create-file-system", *create)
    system = made["FileSystemId"]
    tour.equal("encrypted under the key", (made["Encrypted"], made["KmsKeyId"], made["Name"]), (True, arn, "cli"))
    refused("FileSystemAlreadyExists", "efs", "create-file-system", *create)

    def described():
        return aws("efs", "describe-file-systems", "--file-system-id", system)["FileSystems"][0]

    until("available", lambda: described()["LifeCycleState"] == "available")
    refused("FileSystemNotFound", "efs", "describe-file-systems", "--file-system-id", "fs-00000000000000000")
    refused("BadRequest", "efs", "create-file-system", "--creation-token", "cli-bad", "--kms-key-id", key)
    tour.equal("lifecycle", aws("efs", "describe-lifecycle-configuration", "--file-system-id", system)["LifecyclePolicies"], [])
    refused("PolicyNotFound", "efs", "describe-file-system-policy", "--file-system-id", system)
    status, output, error = run("efs", "describe-backup-policy", "--file-system-id", system)
    tour.check("backup policy", "PolicyNotFound" in error or output["BackupPolicy"]["Status"] == "DISABLED", error)
    aws("efs", "tag-resource", "--resource-id", system, "--tags", "Key=a,Value=b")
    tour.equal("tags", len(aws("efs", "list-tags-for-resource", "--resource-id", system)["Tags"]), 2)
    aws("efs", "untag-resource", "--resource-id", system, "--tag-keys", "a")
    target = aws("efs", "create-mount-target", "--file-system-id", system, "--subnet-id", chosen.subnet)["MountTargetId"]
    refused("MountTargetConflict", "efs", "create-mount-target", "--file-system-id", system, "--subnet-id", chosen.subnet)

    def targets():
        return aws("efs", "describe-mount-targets", "--file-system-id", system)["MountTargets"]

    until("mount target available", lambda: targets()[0]["LifeCycleState"] == "available")
    aws("efs", "describe-mount-target-security-groups", "--mount-target-id", target)
    refused("FileSystemInUse", "efs", "delete-file-system", "--file-system-id", system)
    point = aws(
        "efs", "create-access-point", "--file-system-id", system, "--posix-user", "Uid=1000,Gid=1000",
        "--root-directory", "Path=/home,CreationInfo={OwnerUid=1000,OwnerGid=1000,Permissions=0755}",
    )["AccessPointId"]
    listed = aws("efs", "describe-access-points", "--file-system-id", system)["AccessPoints"]
    tour.equal("access points", [(one["AccessPointId"], one["RootDirectory"]["Path"]) for one in listed], [(point, "/home")])
    aws("efs", "delete-access-point", "--access-point-id", point)
    refused("AccessPointNotFound", "efs", "delete-access-point", "--access-point-id", point)
    aws("efs", "delete-mount-target", "--mount-target-id", target)
    until("mount target gone", lambda: not targets())
    aws("efs", "delete-file-system", "--file-system-id", system)
    until("gone", lambda: "FileSystemNotFound" in run("efs", "describe-file-systems", "--file-system-id", system)[2])


def main():
    tour.part("STS")
    caller = aws("sts", "get-caller-identity")
    tour.check("root", re.fullmatch(r"arn:aws:iam::\d{12}:root", caller["Arn"]), caller)
    with tempfile.TemporaryDirectory() as directory:
        key, arn = kms(directory)
    if chosen.only != "kms":
        efs(key, arn)
    aws("kms", "schedule-key-deletion", "--key-id", key, "--pending-window-in-days", "7")
    tour.end()


main()
