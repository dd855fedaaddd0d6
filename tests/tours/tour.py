"""What both tours share: the connection's settings, and a list of checks that ends with a verdict.

The settings come from the files that `coffer init` writes: a credentials file and a config file with the region and the
endpoint. Nothing else of the machine's AWS configuration is read.
"""

import argparse
import configparser
import os
import sys
import time

# Every action that the tours must visit: `service:Action`.
ACTIONS = {
    "efs": """CreateFileSystem DescribeFileSystems DeleteFileSystem CreateMountTarget DescribeMountTargets
        DeleteMountTarget CreateAccessPoint DescribeAccessPoints DeleteAccessPoint TagResource UntagResource
        ListTagsForResource DescribeLifecycleConfiguration DescribeBackupPolicy DescribeFileSystemPolicy
        DescribeMountTargetSecurityGroups""".split(),
    "kms": """CreateKey DescribeKey ListKeys CreateAlias DeleteAlias ListAliases EnableKey DisableKey
        ScheduleKeyDeletion CancelKeyDeletion Encrypt Decrypt GenerateDataKey GenerateDataKeyWithoutPlaintext
        CreateGrant ListGrants RevokeGrant GetKeyPolicy GetKeyRotationStatus ListResourceTags""".split(),
    "sts": ["GetCallerIdentity"],
}


class Tour:
    """Runs checks, prints each, and remembers which actions were visited."""

    def __init__(self, name):
        self.name, self.visited, self.failed, self.count = name, set(), [], 0
        self.started = time.monotonic()

    def check(self, what, holds, detail=""):
        self.count += 1
        if not holds:
            self.failed.append(what)
            print(f"  FAILED {what} {detail}", flush=True)
        return holds

    def equal(self, what, found, expected):
        return self.check(what, found == expected, f"\n    found    {found!r}\n    expected {expected!r}")

    def part(self, title):
        print(f"{self.name}: {title}", flush=True)

    def visit(self, service, action):
        self.visited.add(f"{service}:{action}")

    def end(self):
        wanted = {f"{service}:{action}" for service, actions in ACTIONS.items() for action in actions}
        missed = sorted(wanted - self.visited)
        self.check("every action was visited", not missed, ", ".join(missed))
        verdict = "passed" if not self.failed else f"{len(self.failed)} FAILED"
        seconds = time.monotonic() - self.started
        print(f"{self.name}: {self.count} checks, {len(self.visited)} actions, {seconds:.1f} s: {verdict}", flush=True)
        sys.exit(1 if self.failed else 0)


def settings(name):
    """Reads the command line and points the AWS libraries at the given files only."""
    parser = argparse.ArgumentParser(description=f"{name}: visits every action that Coffer serves")
    parser.add_argument("--credentials", required=True, help="the aws-profile file of `coffer init`")
    parser.add_argument("--config", required=True, help="the aws-config file of `coffer init`")
    parser.add_argument("--endpoint", help="overrides the config file's endpoint_url")
    parser.add_argument("--subnet", default="subnet-00000000", help="a subnet of the server's configuration")
    parser.add_argument("--only", choices=["kms", "efs"], help="visits one service only")
    chosen = parser.parse_args()
    config = configparser.ConfigParser()
    config.read(chosen.config)
    chosen.endpoint = chosen.endpoint or config["default"]["endpoint_url"]
    chosen.region = config["default"]["region"]
    for variable in [key for key in os.environ if key.startswith("AWS_")]:
        del os.environ[variable]
    os.environ.update(
        AWS_SHARED_CREDENTIALS_FILE=chosen.credentials,
        AWS_CONFIG_FILE=chosen.config,
        AWS_EC2_METADATA_DISABLED="true",
        AWS_MAX_ATTEMPTS="1",
        AWS_PAGER="",
    )
    return chosen
