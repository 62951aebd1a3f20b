"""A hub on 127.0.0.1 that keeps what is pushed to it in memory: the part of the HTTP API that the client uses."""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import threading
from typing import Any
from urllib.parse import unquote, urlsplit


class FakeHub:
    """Repositories by name, each with its files as bytes; ``requests`` holds (method, path) of everything asked."""

    def __init__(self) -> None:
        self.files: dict[str, dict[str, bytes]] = {}
        self.requests: list[tuple[str, str]] = []
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                path = unquote(urlsplit(self.path).path)
                hub.requests.append((self.command, path))
                status, headers, content = hub.respond(self.command, path, body)
                self.send_response(status)
                for name, value in {"Content-Length": str(len(content)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            do_GET = do_POST = do_HEAD = answer

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def commit(self, name: str) -> str:
        """Return the number of the repository's present commit."""
        return hashlib.sha1(repr(sorted(self.files[name].items())).encode()).hexdigest()

    def respond(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and content."""
        parts = path.strip("/").split("/")
        if path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            self.files.setdefault(name, {})
            return self.json({"url": f"{self.url}/{name}", "name": name})
        if path == "/api/validate-yaml":
            return self.json({"errors": [], "warnings": []})
        if parts[:2] == ["api", "models"]:
            return self.api("/".join(parts[2:4]), parts[4:], body)
        return self.file("/".join(parts[:2]), "/".join(parts[4:]))

    def api(self, name: str, action: list[str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        if name not in self.files:
            return 404, {"X-Error-Code": "RepoNotFound"}, b"{}"
        if action[:1] == ["preupload"]:
            files = [{"path": one["path"], "uploadMode": "regular"} for one in json.loads(body)["files"]]
            return self.json({"files": [one | {"shouldIgnore": False} for one in files]})
        if action[:1] == ["commit"]:
            for line in map(json.loads, body.decode().splitlines()):
                if line["key"] == "file":
                    self.files[name][line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            sha = self.commit(name)
            address = f"{self.url}/{name}/commit/{sha}"
            return self.json({"commitUrl": address, "commitOid": sha, "success": True})
        siblings = [{"rfilename": file, "size": len(content)} for file, content in self.files[name].items()]
        if action[:1] == ["tree"]:
            tree = [
                {"type": "file", "path": one["rfilename"], "size": one["size"], "oid": "0" * 40} for one in siblings
            ]
            return self.json(tree)
        return self.json({"id": name, "sha": self.commit(name), "siblings": siblings, "private": False, "tags": []})

    def file(self, name: str, file: str) -> tuple[int, dict[str, str], bytes]:
        if file not in self.files.get(name, {}):
            return 404, {"X-Error-Code": "EntryNotFound" if name in self.files else "RepoNotFound"}, b""
        content = self.files[name][file]
        return 200, {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": self.commit(name)}, content

    @staticmethod
    def json(content: Any) -> tuple[int, dict[str, str], bytes]:
        return 200, {"Content-Type": "application/json"}, json.dumps(content).encode()
