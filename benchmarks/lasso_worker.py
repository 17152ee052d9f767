"""Verifies Responses with lasso, under the Python that Debian's python3-lasso is for, and times itself.

A line of JSON comes in, a line goes out: first the setting, then messages with a number of calls.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any


def prepare(setting: dict[str, Any]) -> Any:
    import lasso  # type: ignore[import-not-found,unused-ignore]

    folder = Path(setting["folder"])
    names = {}
    for name in ("sp_metadata", "private_key", "certificate", "idp_metadata"):
        names[name] = folder / f"lasso-{name}"
        names[name].write_text(setting[name])
    server = lasso.Server(str(names["sp_metadata"]), str(names["private_key"]), None, str(names["certificate"]))
    server.setEncryptionPrivateKey(str(names["private_key"]))
    server.addProvider(lasso.PROVIDER_ROLE_IDP, str(names["idp_metadata"]), None, None)

    def verify(value: str) -> object:
        login = lasso.Login(server)
        login.processAuthnResponseMsg(value)
        login.acceptSso()
        return login.assertion.attributeStatement

    return verify


def main() -> None:
    verify = prepare(json.loads(sys.stdin.readline()))
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        try:
            started = time.perf_counter()
            for _ in range(question["calls"]):
                verify(question["value"])
            answer: dict[str, object] = {"seconds": time.perf_counter() - started}
        except Exception as error:  # lasso's own, which the asker cannot import
            answer = {"error": type(error).__name__}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
