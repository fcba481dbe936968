"""What was scanned, so that a result can be told from another one's: each source with its hash; and what its objects
declare.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dabbawala.apimachinery.meta import Object
from dabbawala.guard import sources
from dabbawala.guard.documents import Document
from dabbawala.guard.frameworks import catalogue, declared, ledger
from dabbawala.guard.frameworks.declared import Declaration
from dabbawala.guard.sources import STDIN, Source


def hashed(paths: Iterable[str]) -> list[Object]:
    """Of each source its name and hash: of its bytes, or of the objects that it is rendered to."""
    return [{"file": source.file, "hash": _hash(source)} for source in sources.find(_files(paths))]


def declarations(paths: Iterable[str]) -> list[Declaration]:
    """What the objects of these paths declare about named questions; nothing of the standard input, which was read."""
    asked = [each for each in catalogue.named().values() if each.settings]
    return declared.of_documents(_documents(paths), asked)


def _files(paths: Iterable[str]) -> list[str]:
    return [path for path in paths if path != STDIN]


def _documents(paths: Iterable[str]) -> Iterator[Document]:
    for source in sources.find(_files(paths)):
        yield from (document for document in source.read().documents if document.is_object)


def _hash(source: Source) -> str:
    if source.render is None:
        return ledger.digest_of_bytes(source.data)
    return ledger.digest([document.object for document in source.read().documents])
