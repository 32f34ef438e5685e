#!/usr/bin/env python3
"""A stranger's client: all that it knows is what rpc.discover says.  And
JSONTestSuite, through the daemon."""

import glob
import json
import os
import socket
import struct
import subprocess
import time

import ipfix
from front import Http, WebSocket, connect, request
from harness import (BUILDDIR, SRCDIR, Client, Daemon, Failure, Lab, Ovs,
                     Skip, equal, in_netns, main, wait_until)

CORPORA = os.environ.get("VENTURI_CORPORA",
                         os.path.join(SRCDIR, "..", "shared", "corpora"))

# What is named in an example of routing, say, is not in this lab: the error must
# be that, and such examples must be few.
NOT_FOUND = -32004

# Examples that an empty laboratory cannot answer with a result, and the error
# that it must answer with instead.
ELSEWHERE = {
    "session.login": -32009,            # The token of the example is nobody's.
    "flow.import": -32602,              # A file must come along.
    "route.import": -32602,             # And here.
}

# Whose examples come first, so that there is what an example is about.
FIRST = {"channel.add": ["profile.add"], "channel.series": ["channel.add"]}


def names(**kinds):
    """An object whose members are these; others only as extensions."""
    required = kinds.pop("required", [])
    return {"type": "object", "required": required, "properties": kinds,
            "patternProperties": {"^x-": {}}, "additionalProperties": False}


def meta_schema():
    """What the OpenRPC specification (1.2.6) asks of a document."""
    text, word = {"type": "string"}, {"type": "string", "minLength": 1}
    flag, link = {"type": "boolean"}, {"type": "string", "format": "uri"}
    schema = {"$ref": "http://json-schema.org/draft-07/schema#"}

    def each(kind):
        return {"type": "array", "items": {"oneOf": [kind, {
            "type": "object", "required": ["$ref"],
            "properties": {"$ref": text}, "additionalProperties": False}]}}

    descriptor = names(required=["name", "schema"], name=word,
                       description=text, summary=text, schema=schema,
                       deprecated=flag, **{})
    descriptor["properties"]["required"] = flag
    docs = names(required=["url"], description=text, url=link)
    tag = names(required=["name"], name=word, description=text,
                externalDocs=docs)
    error = names(required=["code", "message"], code={"type": "integer"},
                  message=text, data={})
    example = names(required=["name", "value"], name=word, summary=text,
                    description=text, value={})
    pairing = names(required=["name", "params", "result"], name=word,
                    description=text, params=each(example), result=example)
    method = names(required=["name", "params", "result"], name=word,
                   summary=text, description=text, tags=each(tag),
                   paramStructure={"enum": ["by-name", "by-position",
                                            "either"]},
                   params=each(descriptor), result=descriptor,
                   errors=each(error), examples=each(pairing),
                   deprecated=flag, externalDocs=docs)
    info = names(required=["title", "version"], title=text, version=text,
                 description=text, termsOfService=link,
                 license=names(name=text, url=text),
                 contact=names(name=text, email=text, url=text))
    components = {"type": "object", "properties": {
        "errors": {"type": "object", "additionalProperties": error},
        "schemas": {"type": "object", "additionalProperties": schema}}}
    return names(required=["openrpc", "info", "methods"],
                 openrpc={"type": "string", "pattern": r"^1\.[0-3]\.\d+$"},
                 info=info, methods=each(method), components=components,
                 servers={"type": "array"}, externalDocs=docs)


def validator():
    try:
        import jsonschema
    except ImportError as error:
        raise Skip("needs python3-jsonschema") from error
    return jsonschema.Draft7Validator


def test_document():
    """It is OpenRPC, and its schemas are JSON Schema."""
    validate = validator()
    daemon = Daemon(Lab())
    document = daemon.rpc("rpc.discover")
    schema = meta_schema()
    validate.check_schema(schema)
    problems = ["%s: %s" % ("/".join(map(str, e.path)), e.message[:200])
                for e in validate(schema).iter_errors(document)]
    if problems:
        raise Failure("not OpenRPC:\n" + "\n".join(problems[:10]))
    listed = [m["name"] for m in document["methods"]]
    equal(len(set(listed)), len(listed), "each method once")
    for method in document["methods"]:
        for descriptor in method["params"] + [method["result"]]:
            validate.check_schema(descriptor["schema"])
        for pairing in method["examples"]:
            errors = list(validate(method["result"]["schema"]).iter_errors(
                pairing["result"]["value"]))
            if errors:
                raise Failure("%s: its example: %s" % (method["name"],
                                                       errors[0].message))
    # This test itself must be able to fail.
    for damage in (lambda d: d.pop("info"),
                   lambda d: d["methods"][0].pop("params"),
                   lambda d: d["methods"][0].update(other=1),
                   lambda d: d["methods"][0]["result"].update(schema=7)):
        broken = json.loads(json.dumps(document))
        damage(broken)
        if validate(schema).is_valid(broken):
            raise Failure("a damaged document passes")
    daemon.stop()


def make_traffic(lab, daemon):
    """Some exporters, so that there is something to answer about."""
    run = subprocess.run(in_netns(lab.name, [
        os.path.join(BUILDDIR, "venturi-gen"), "--count", "100"]),
        capture_output=True, text=True, timeout=30, check=False)
    if run.returncode:
        raise Failure("venturi-gen: " + run.stderr)
    wait_until(lambda: daemon.rpc("exporter.list")["exporters"],
               what="an exporter")


def test_examples():
    """Every method's example is called; every answer fits its schema."""
    validate = validator()
    lab = Lab()
    ovs = Ovs(lab)
    ovs.add_bridge("br-int")
    ovs.add_bridge("br0")
    daemon = Daemon(lab, ovsdb=ovs.remote, expect=[r"\|WARN\|"])
    make_traffic(lab, daemon)
    document = daemon.rpc("rpc.discover")
    client = Client(daemon.api, timeout=60)
    asked, absent, problems = 0, [], []
    examples = {m["name"]: {p["name"]: p["value"]
                            for p in m["examples"][0]["params"]}
                for m in document["methods"]}
    for number, method in enumerate(document["methods"]):
        params = examples[method["name"]]
        for other in FIRST.get(method["name"], ()):
            daemon.rpc(other, **examples[other])
        client.send_text(json.dumps({
            "jsonrpc": "2.0", "id": number, "method": method["name"],
            "params": params}) + "\n")
        reply = client.receive()
        while reply.get("id") != number:        # News of a subscription.
            reply = client.receive()
        asked += 1
        want = ELSEWHERE.get(method["name"])
        code = reply.get("error", {}).get("code")
        if code == NOT_FOUND and not want:
            absent.append(method["name"])
            continue
        if want or code:
            if code != want:
                problems.append("%s: %s" % (method["name"], json.dumps(
                    reply.get("error", "no error"))[:300]))
            continue
        for error in validate(method["result"]["schema"]).iter_errors(
                reply["result"]):
            problems.append("%s: %s: %s" % (
                method["name"], "/".join(map(str, error.path)),
                error.message[:200]))
    if problems:
        raise Failure("%d of %d:\n%s" % (len(problems), asked,
                                         "\n".join(problems)))
    equal(asked, len(document["methods"]))
    print("    what the example is about is not in this lab: "
          + ", ".join(absent))
    if len(absent) > asked // 5:
        raise Failure("too many examples have nothing to be about")
    daemon.stop()


def refused(line):
    """Whether an answer, or each of a batch, is an error."""
    reply = json.loads(line)
    return all("error" in r for r in (reply if isinstance(reply, list)
                                      else [reply]))


def test_json_suite():
    """y_ is taken, n_ refused with a proper error, nothing hangs."""
    files = sorted(glob.glob(os.path.join(
        CORPORA, "public", "nst+JSONTestSuite", "test_parsing", "*.json")))
    if not files:
        raise Skip("no JSONTestSuite in " + CORPORA)
    lab = Lab()
    daemon = Daemon(lab)
    token = daemon.rpc("token.create", name="t", role="viewer")["token"]
    daemon.rpc("config.edit", config={"venturi:venturi": {"api": {
        "rate-limit": 0}}})
    counts = {"y": 0, "n": 0, "i": 0}
    for path in files:
        kind, name = os.path.basename(path)[0], os.path.basename(path)
        with open(path, "rb") as f:
            text = f.read()
        counts[kind] += 1
        web = Http(connect(lab, 8780), token)
        status, _, body = web.ask(body=text)
        web.close()
        reply = json.loads(body) if body else None
        first = reply[0] if isinstance(reply, list) and reply else reply
        code = first["error"]["code"] if first and "error" in first else None
        if kind == "y" and code == -32700:
            raise Failure("%s is refused: %s" % (name, body))
        if kind == "n" and (code not in (-32700, -32000, -32600)
                            or status not in (400, 413)):
            raise Failure("%s is taken: %d %s" % (name, status, body))
        if kind == "n" and code == -32600 and text.strip():
            raise Failure("%s: not for its JSON: %s" % (name, body))
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(10)
        s.connect(daemon.api)
        s.sendall(text)
        s.shutdown(socket.SHUT_WR)
        said = b""
        while True:
            more = s.recv(65536)
            if not more:
                break
            said += more
        s.close()
        if kind != "i" and text.strip() and not said:
            raise Failure("%s: no answer over the unix socket" % name)
        if kind == "y" and b"-32700" in said:
            raise Failure("%s is refused: %s" % (name, said))
        # A stream may hold several texts: each of them must be refused.
        if kind == "n" and not all(map(refused, said.splitlines())):
            raise Failure("%s is taken: %s" % (name, said))
    if counts["y"] < 40 or counts["n"] < 80:
        raise Failure("only %s" % counts)
    equal(daemon.rpc("system.health")["status"], "ok")
    daemon.stop()


def test_integers():
    """64-bit integers come back digit by digit."""
    lab = Lab()
    daemon = Daemon(lab)
    for number in (2**53 + 1, 2**63 - 1, 2**64 - 1, -2**63):
        daemon.client.send_text('{"jsonrpc":"2.0","id":%d,"method":'
                                '"session.get"}' % number)
        equal(daemon.client.receive()["id"], number)
    # For JavaScript: what a double does not hold comes as text.
    now = int(time.time() * 1000)
    fields = (ipfix.SRC, ipfix.DST, ipfix.BYTES, ipfix.PACKETS, (152, 8),
              (153, 8))
    for number in (2**53 - 1, 2**53, 2**63 + 7):
        ipfix.udp(lab.name).sendto(ipfix.message(
            ipfix.template(fields=fields), ipfix.data(struct.pack(
                "!4s4sQQQQ", bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2)),
                number, 1, now, now))), ("127.0.0.1", 4739))
    question = {"fields": ["bytes"], "observations": "all", "from": "-1h",
                "to": "+1h"}
    wait_until(lambda: len(daemon.rpc("flow.records", **question)["rows"])
               == 3, what="three records")
    token = daemon.rpc("token.create", name="js", role="viewer")["token"]
    for path, want in (("/rpc", [2**53 - 1, 2**53, 2**63 + 7]),
                       ("/rpc?integers=text", [2**53 - 1, str(2**53),
                                               str(2**63 + 7)])):
        web = Http(connect(lab, 8780), token)
        _, _, body = web.ask(path=path, body=request("flow.records", question,
                                                     2**60))
        reply = json.loads(body)
        equal((sorted((r[1] for r in reply["result"]["rows"]), key=int),
               reply["id"]), (want, 2**60), path)
        socket_ = WebSocket(connect(lab, 8780), path=path, headers=[
            ("Authorization", "Bearer " + token)])
        rows = socket_.call("flow.records", **question)["result"]["rows"]
        equal(sorted((r[1] for r in rows), key=int), want, "WebSocket")
    daemon.stop()


if __name__ == "__main__":
    main(needs=("root", "ovs", "venturid"))
