"""Signatures that botocore makes of random requests, by header and by URL, against the server's verifier. AWS General
Reference, "Create a signed AWS API request".

Without arguments: on the server at COFFER_ENDPOINT every request is accepted as signed, and refused when anything of it
was changed. `--record FILE` writes requests of a fixed seed, key and time as test vectors and needs no server.
"""

import http.client
import json
import os
import random
import sys
import urllib.parse

import botocore.auth
import botocore.session
from botocore.awsrequest import AWSRequest
from botocore.compat import get_current_datetime
from botocore.credentials import Credentials

REGION = "us-east-1"
SIGNATURE_CODES = {
    "MissingAuthenticationTokenException", "MissingAuthenticationToken", "IncompleteSignatureException",
    "IncompleteSignature", "InvalidSignatureException", "SignatureDoesNotMatch", "UnrecognizedClientException",
    "InvalidClientTokenId", "ExpiredTokenException", "ExpiredToken", "AuthFailure",
}
# Of the documentation; good for nothing.
EXAMPLE = ("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
UNRESERVED = "-._~"
LETTERS = "abcXYZ019 -._~!$&'()*+,;=:@/?#%\"<>[]{}|\\^`\u00e4\u1234"


def text(dice, longest):
    return "".join(dice.choice(LETTERS) for _ in range(dice.randint(0, longest)))


def query(dice, pairs):
    """Random pairs, in random order, some of them without a value, some names more than once."""
    pairs = pairs + [(text(dice, 6) or "n", text(dice, 12)) for _ in range(dice.randint(0, 4))]
    pairs += [dice.choice(pairs)] if pairs and not dice.randint(0, 3) else []
    dice.shuffle(pairs)
    encode = lambda part: urllib.parse.quote(part, safe=UNRESERVED)
    return "&".join(f"{encode(name)}={encode(value)}" for name, value in pairs)


def headers(dice):
    found = {}
    for _ in range(dice.randint(0, 3)):
        name = dice.choice(["x-amz-meta-", "X-Custom-", "Accept-"]) + "".join(dice.choice("abcdef") for _ in range(5))
        printable = [chr(code) for code in range(0x21, 0x7f)] + [" "] * 12
        found[name] = "".join(dice.choice(printable) for _ in range(dice.randint(0, 40)))
    return found


def signed(dice, request, service, credentials, presigned):
    kind = botocore.auth.SigV4Auth
    if presigned:
        kind = lambda *what: botocore.auth.SigV4QueryAuth(*what, expires=dice.choice([1, 60, 3600, 604800]))
    kind(credentials, service, REGION).add_auth(request)
    return request.prepare()


def parts(prepared):
    """Method, path, query, headers and body as they go over the wire."""
    url = urllib.parse.urlsplit(prepared.url)
    sent = [(name.lower(), value.decode() if isinstance(value, bytes) else value)
            for name, value in prepared.headers.items()]
    if not any(name == "host" for name, _ in sent):
        sent.append(("host", url.netloc))
    body = prepared.body or b""
    body = body.encode() if isinstance(body, str) else bytes(body)
    return {"method": prepared.method, "path": url.path or "/", "query": url.query, "headers": sent, "body": body}


# Vectors.

def record(file, count=300):
    dice = random.Random(20310409)
    moment = get_current_datetime().replace(year=2031, month=4, day=9, hour=8, minute=15, second=27, microsecond=0)
    botocore.auth.get_current_datetime = lambda remove_tzinfo=True: moment
    vectors = []
    for number in range(count):
        token = text(dice, 40).replace("\u00e4", "a").replace("\u1234", "b").strip() if not dice.randint(0, 3) else None
        token = token or None
        presigned = number % 3 == 2
        method = dice.choice(["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH"])
        depth = dice.randint(0, 4)
        path = "/" + "/".join(dice.choice([urllib.parse.quote(text(dice, 8), safe=UNRESERVED), "..", ".", ""])
                              if not dice.randint(0, 3) else urllib.parse.quote(text(dice, 8) or "p", safe=UNRESERVED)
                              for _ in range(depth))
        if path.rsplit("/", 1)[1] in (".", ".."):
            # RFC 3986 section 5.2.4 leaves a slash there, as aws-sigv4 does, and botocore does not; no path of a service ends so.
            path += "/p"
        host = dice.choice(["127.0.0.1:4566", "kms.us-east-1.amazonaws.com", "[::1]:4566"])
        asked = query(dice, [])
        body = text(dice, 200).encode() if not presigned and method in ("POST", "PUT", "PATCH") else b""
        request = AWSRequest(method, f"http://{host}{path}{'?' + asked if asked else ''}", headers(dice), body)
        service = dice.choice(["kms", "elasticfilesystem", "sts", "iam", "ec2"])
        prepared = signed(dice, request, service, Credentials(*EXAMPLE, token), presigned)
        found = parts(prepared)
        found["body"] = found["body"].decode()
        found["headers"] = [pair for pair in found["headers"] if pair[0] != "content-length"]
        vectors.append({"service": service, "token": token, **found})
    with open(file, "w") as out:
        out.write("[\n" + ",\n".join(json.dumps(vector, sort_keys=True) for vector in vectors) + "\n]\n")
    print(f"{len(vectors)} vectors by botocore {botocore.__version__}")


# A server.

def send(endpoint, found):
    connection = http.client.HTTPConnection(endpoint, timeout=30)
    asked = f"?{found['query']}" if found["query"] else ""
    connection.putrequest(found["method"], found["path"] + asked, skip_host=True, skip_accept_encoding=True)
    for name, value in found["headers"]:
        if name != "content-length":
            connection.putheader(name, value)
    connection.putheader("content-length", str(len(found["body"])))
    connection.endheaders(found["body"])
    answer = connection.getresponse()
    body = answer.read().decode()
    code = answer.headers.get("x-amzn-errortype") or ""
    if "<Code>" in body:
        code = body.split("<Code>")[1].split("</Code>")[0]
    connection.close()
    return answer.status, code, body


def request_for(dice, endpoint):
    """A request that the server routes to an operation, and its service; what the operation says of it does not matter."""
    service = dice.choice(["kms", "elasticfilesystem", "sts"])
    more = headers(dice)
    if service == "kms":
        action = dice.choice(["ListKeys", "DescribeKey", "Decrypt", "ListAliases", "GenerateRandom"])
        more |= {"X-Amz-Target": f"TrentService.{action}", "Content-Type": "application/x-amz-json-1.1"}
        body = dice.choice(["{}", json.dumps({"KeyId": text(dice, 20)}), text(dice, 100)]).encode()
        return service, AWSRequest("POST", f"http://{endpoint}/?{query(dice, [])}".rstrip("?"), more, body)
    if service == "sts":
        pairs = [("Action", "GetCallerIdentity"), ("Version", "2011-06-15")]
        return service, AWSRequest("GET", f"http://{endpoint}/?{query(dice, pairs)}", more, b"")
    name = urllib.parse.quote(text(dice, 20) or "x", safe=UNRESERVED)
    path = dice.choice(["file-systems", "access-points", f"resource-tags/{name}"])
    return service, AWSRequest("GET", f"http://{endpoint}/2015-02-01/{path}?{query(dice, [])}".rstrip("?"), more, b"")


def changed(dice, found, presigned):
    """The same request, one thing of it being another; says which."""
    found = {**found, "headers": list(found["headers"])}
    authorization = next((at for at, pair in enumerate(found["headers"]) if pair[0] == "authorization"), None)
    kind = dice.choice(["signature", "query", "body", "header", "date"])
    if kind == "body":
        found["body"] += b" "
        # The form of a Query call is read from its body, if it has one.
    elif kind == "query":
        found["query"] += ("&" if found["query"] else "") + "added=1"
    elif kind == "header":
        name = dice.choice(["x-amz-added", "host"])
        if name == "host":
            found["headers"] = [(n, v + "x" if n == "host" else v) for n, v in found["headers"]]
        else:
            found["headers"].append((name, "1"))
    elif presigned:
        name, step = ("X-Amz-Signature=", 5) if kind == "signature" else ("X-Amz-Date=", 14)
        at = found["query"].index(name) + len(name) + step
        found["query"] = found["query"][:at] + turned(found["query"][at]) + found["query"][at + 1:]
    elif kind == "signature":
        name, value = found["headers"][authorization]
        found["headers"][authorization] = (name, value[:-1] + turned(value[-1]))
    else:
        found["headers"] = [(n, v[:14] + turned(v[14]) + v[15:] if n == "x-amz-date" else v)
                            for n, v in found["headers"]]
    return kind, found


def turned(digit):
    return "1" if digit == "0" else "0"


def judge(endpoint, count=300):
    seed = int.from_bytes(os.urandom(4), "big")
    dice = random.Random(seed)
    credentials = botocore.session.Session().get_credentials().get_frozen_credentials()
    credentials = Credentials(credentials.access_key, credentials.secret_key)
    accepted = refused = 0
    for _ in range(count):
        service, request = request_for(dice, endpoint)
        presigned = not request.data and bool(dice.randint(0, 1))
        found = parts(signed(dice, request, service, credentials, presigned))
        status, code, body = send(endpoint, found)
        assert status < 500 and code not in SIGNATURE_CODES, f"seed {seed}: refused with {status} {body}: {found}"
        accepted += 1
        if service == "sts" and not found["body"]:
            assert status == 200, f"seed {seed}: {status} {body}: {found}"
        kind, wrong = changed(dice, found, presigned)
        if service == "sts" and kind == "body":
            continue
        status, code, body = send(endpoint, wrong)
        assert code in SIGNATURE_CODES, f"seed {seed}: accepted with another {kind}: {status} {body}: {wrong}"
        refused += 1
    print(f"{accepted} signed requests accepted, {refused} changed ones refused, seed {seed}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--record"]:
        record(sys.argv[2])
    else:
        judge(urllib.parse.urlsplit(os.environ["COFFER_ENDPOINT"]).netloc)
