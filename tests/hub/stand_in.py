"""A stand-in of the Hugging Face hub: the part of its HTTP interface that uploads and downloads use, in memory."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import unquote, urlsplit

import yaml

TOKEN, OWNER = "hf_right", "me"
LARGE = (".safetensors", ".parquet")
"""Files that go the way of large ones."""


LICENCES = ("apache-2.0", "mit")


@dataclass
class Repository:
    private: bool
    commits: list[dict[str, bytes]] = field(default_factory=list)

    @property
    def files(self) -> dict[str, bytes]:
        return self.commits[-1] if self.commits else {}

    @property
    def sha(self) -> str:
        return f"{len(self.commits):040x}"


class Hub(ThreadingHTTPServer):
    """Listens on a free port of this machine."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories: dict[str, Repository] = {}
        """By kind and name: ``models/me/first``."""
        self.blobs: dict[str, bytes] = {}
        self.requests: list[str] = []
        Thread(target=self.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, status: int, content: object = b"", **headers: str) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        headers.setdefault("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_any(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.path_ = unquote(urlsplit(self.path).path).strip("/")
        self.server.requests.append(f"{self.command} /{self.path_}")
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if not self.path_ or self.path_.startswith("lfs/"):
            self.store()
        elif token and token != TOKEN:
            self.answer(401, {"error": "Invalid user token."})
        elif self.path_ == "api/whoami-v2":
            self.answer(200, {"name": OWNER, "type": "user", "orgs": []})
        elif self.path_ == "api/repos/create":
            self.create()
        elif self.path_.endswith(".git/info/lfs/objects/batch"):
            self.batch()
        elif self.path_.startswith(("api/models/", "api/datasets/")):
            self.about_repository(token)
        elif self.path_ == "api/validate-yaml":
            card = json.loads(self.body)["content"]
            known = yaml.safe_load(card.split("---\n")[1])["license"] in LICENCES
            errors = [] if known else [{"message": "license"}]
            self.answer(400 if errors else 200, {"errors": errors, "warnings": []})
        elif self.path_.startswith("api/"):
            self.answer(404, {"error": "Not found"})
        else:
            self.resolve(token)

    do_GET = do_HEAD = do_POST = do_PUT = do_any  # noqa: N815

    def store(self) -> None:
        """A large file, under the hash that its uploader promised."""
        if self.command == "PUT":
            oid = self.path_.removeprefix("lfs/")
            assert hashlib.sha256(self.body).hexdigest() == oid
            self.server.blobs[oid] = self.body
        self.answer(200)

    def create(self) -> None:
        asked = json.loads(self.body)
        owner = asked.get("organization") or OWNER
        name = f"{asked.get('type', 'model')}s/{owner}/{asked['name']}"
        if owner != OWNER:
            self.answer(403, {"error": f"You don't have the rights to create a model under {owner}."})
        elif name in self.server.repositories:
            self.answer(409, {"url": f"{self.server.address}/{name.removeprefix('models/')}"})
        else:
            self.server.repositories[name] = Repository(asked.get("visibility") == "private")
            self.answer(200, {"url": f"{self.server.address}/{name.removeprefix('models/')}"})

    def batch(self) -> None:
        objects = [
            {**each, "actions": {"upload": {"href": f"{self.server.address}/lfs/{each['oid']}"}}}
            for each in json.loads(self.body)["objects"]
        ]
        self.answer(200, {"transfer": "basic", "objects": objects}, Content_Type="application/vnd.git-lfs+json")

    def found(self, name: str, token: str) -> Repository | None:
        repository = self.server.repositories.get(name)
        if repository is None or (repository.private and not token):
            self.answer(404, {"error": "Repository not found"}, X_Error_Code="RepoNotFound")
            return None
        return repository

    def about_repository(self, token: str) -> None:
        _, kind, owner, name, *rest = self.path_.split("/")
        repository = self.found(f"{kind}/{owner}/{name}", token)
        if repository is None:
            return
        what = rest[0] if rest else "revision"
        if what == "preupload":
            asked = json.loads(self.body)["files"]
            modes = [(each["path"], "lfs" if each["path"].endswith(LARGE) else "regular") for each in asked]
            files = [{"path": path, "uploadMode": mode, "shouldIgnore": False} for path, mode in modes]
            self.answer(200, {"files": files})
        elif what == "commit":
            self.commit(repository, f"{kind}/{owner}/{name}".removeprefix("models/"))
        elif len(rest) > 1 and rest[1] not in ("main", repository.sha):
            self.answer(404, {"error": "Invalid rev id"}, X_Error_Code="RevisionNotFound")
        elif what == "tree":
            self.answer(200, [self.entry(path, content) for path, content in repository.files.items()])
        else:
            siblings = [{"rfilename": path} for path in repository.files]
            self.answer(200, {"id": f"{owner}/{name}", "sha": repository.sha, "siblings": siblings})

    def entry(self, path: str, content: bytes) -> dict[str, object]:
        about = {"type": "file", "path": path, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
        if path.endswith(LARGE):
            sha256 = hashlib.sha256(content).hexdigest()
            about["lfs"] = {"oid": sha256, "size": len(content), "pointerSize": 130}
        return about

    def commit(self, repository: Repository, name: str) -> None:
        files = dict(repository.files)
        for line in self.body.splitlines():
            each = json.loads(line)
            if each["key"] == "file":
                files[each["value"]["path"]] = base64.b64decode(each["value"]["content"])
            elif each["key"] == "lfsFile":
                files[each["value"]["path"]] = self.server.blobs[each["value"]["oid"]]
        repository.commits.append(files)
        self.answer(
            200, {"commitUrl": f"{self.server.address}/{name}/commit/{repository.sha}", "commitOid": repository.sha}
        )

    def resolve(self, token: str) -> None:
        kind, rest = ("datasets", self.path_[9:]) if self.path_.startswith("datasets/") else ("models", self.path_)
        owner, name, _, _, path = [*rest.split("/", 4), "", ""][:5]
        repository = self.found(f"{kind}/{owner}/{name}", token)
        if repository is None:
            return
        content = repository.files.get(path)
        if content is None:
            self.answer(404, {"error": "Entry not found"}, X_Error_Code="EntryNotFound", X_Repo_Commit=repository.sha)
            return
        tag = self.entry(path, content)
        etag = tag.get("lfs", {}).get("oid", tag["oid"])
        self.answer(200, content, ETag=f'"{etag}"', X_Repo_Commit=repository.sha)
