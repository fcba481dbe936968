"""What an image is called, and which bytes are meant.

Names are compared in full: `nginx` is `docker.io/library/nginx:latest`. A digest says which bytes; a tag only said so
when somebody looked. Source: the reference grammar of github.com/distribution/reference. Pure.
"""

from __future__ import annotations

import re
from typing import NamedTuple

DOCKER_HUB = "docker.io"
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_HUB_NAMES = frozenset({"index.docker.io", "registry-1.docker.io"})


class Name(NamedTuple):
    """`repository` with its host; `tag` and `digest` empty where the name has none."""

    repository: str
    tag: str = ""
    digest: str = ""

    @classmethod
    def of(cls, text: str) -> Name:
        """The name that a pod, a report or a runtime writes."""
        text = text.strip().partition("://")[2] or text.strip()
        plain, _, rest = text.partition("@")
        last = plain.rpartition("/")[2]
        bare, colon, tag = last.partition(":")
        repository = plain[: len(plain) - len(last)] + bare if colon else plain
        digest = digest_of(rest)
        return cls(_full(repository), tag or ("" if digest else "latest"), digest)

    def __str__(self) -> str:
        """As a person would write it, with all that is known."""
        plain = self.repository.removeprefix(f"{DOCKER_HUB}/library/").removeprefix(f"{DOCKER_HUB}/")
        tag, digest = f":{self.tag}" if self.tag else "", f"@{self.digest}" if self.digest else ""
        return plain + tag + digest

    @property
    def key(self) -> str:
        """What names without a digest are compared by."""
        return f"{self.repository}:{self.tag or 'latest'}"


def _full(repository: str) -> str:
    host, slash, path = repository.partition("/")
    if not slash or not ("." in host or ":" in host or host == "localhost"):
        host, path = DOCKER_HUB, repository
    host = DOCKER_HUB if host in _HUB_NAMES else host
    return f"{host}/{path if '/' in path or host != DOCKER_HUB else 'library/' + path}"


def digest_of(text: object) -> str:
    """The digest in an imageID (`docker-pullable://name@sha256:…`, `name@sha256:…`, `sha256:…`) or any other text."""
    found = _DIGEST.search(text) if isinstance(text, str) else None
    return found.group() if found else ""
