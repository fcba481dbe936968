"""Files that nobody should ever have to read: cut, flipped, binary, endless, circular, far too large."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import NamedTuple

MANIFEST = """\
# A web shop.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  labels: &labels {app.kubernetes.io/name: web, "tier": 'front'}
spec:
  replicas: 3
  selector: {matchLabels: *labels}
  template:
    metadata:
      labels:
        <<: *labels
        version: "1"
    spec:
      containers:
      - name: web
        image: registry.example.com/web:1.2.3
        args: ["--listen", ":8080", "--greeting=नमस्ते"]
        command:
        - sh
        - -c
        - |
          echo starting
          exec web
        resources: {limits: {cpu: 500m, memory: 256Mi}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {ports: [{port: 80}]}
"""


_SIGNS = (b"{", b"]", b"'", b'"', b"&a ", b"*a", b"*labels", b"\t", b"\n", b": ", b"- ", b"!!", b"---\n", b"|", b"<<")


class Bad(NamedTuple):
    """A file. `code` is the problem that it must have; empty where it may turn out to be readable after all."""

    name: str
    data: bytes
    code: str = ""


def few(size: int) -> Iterator[Bad]:
    """One of each sort, the large ones of about `size` bytes."""
    yield from _unreadable()
    yield from _syntax()
    yield from _bombs()
    yield from _deep()
    yield from (large(name, size) for name in LARGE)


def many(count: int, seed: int) -> Iterator[Bad]:
    """Manifests that something happened to: cut, flipped, spliced, or nothing but noise."""
    chance = random.Random(seed)
    original = MANIFEST.encode()
    as_json = json.dumps({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": "a"}] * 5}}, indent=1)
    for number in range(count):
        source = original if number % 3 else as_json.encode()
        suffix = "yaml" if number % 3 else "json"
        match number % 5:
            case 0:
                data = source[: chance.randrange(1, len(source))]
            case 1:
                data = _flipped(source, chance)
            case 2:
                at, to = sorted(chance.sample(range(len(source)), 2))
                data = source[:at] + source[to:] + source[at:to]
            case 3:
                data = _sprinkled(source, chance)
            case _:
                data = chance.randbytes(chance.randrange(1, 3000))
        yield Bad(f"random-{number:04}.{suffix}", data)


def _flipped(data: bytes, chance: random.Random) -> bytes:
    made = bytearray(data)
    for _ in range(chance.randrange(1, 8)):
        made[chance.randrange(len(made))] ^= 1 << chance.randrange(8)
    return bytes(made)


def _sprinkled(data: bytes, chance: random.Random) -> bytes:
    """With signs that mean something to YAML wherever chance puts them."""
    made = bytearray(data)
    for _ in range(chance.randrange(1, 12)):
        at = chance.randrange(len(made))
        made[at:at] = chance.choice(
            (b"{", b"]", b"'", b'"', b"&a ", b"*a", b"*labels", b"\t", b"\n", b": ", b"- ", b"!!")
        )
    return bytes(made)


def _unreadable() -> Iterator[Bad]:
    yield Bad("png.yaml", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)) * 20, "binary")
    yield Bad("nul.yaml", MANIFEST.encode().replace(b"sh\n", b"s\0h\n"), "binary")
    yield Bad("latin.yaml", MANIFEST.encode() + "ключ: значение".encode("cp1251"), "not-utf-8")
    yield Bad("overlong.yaml", b"a: \xc0\xaf\n", "not-utf-8")
    yield Bad("surrogate.yaml", b"a: \xed\xa0\x80\n", "not-utf-8")
    yield Bad("utf-16.yaml", MANIFEST.encode("utf-16-le"), "binary")
    yield Bad("utf-16-odd.yaml", MANIFEST.encode("utf-16")[:-1], "not-utf-8")
    yield Bad("utf-32-odd.yaml", MANIFEST.encode("utf-32") + b"\xff\xff\xff\xff", "not-utf-8")
    yield Bad("control.yaml", b"kind: Pod\nname: a\x07b\n", "yaml-characters")
    yield Bad("c1.yaml", "kind: Pod\nname: a\x99b\n".encode(), "yaml-characters")
    yield Bad("truncated.gz.yaml", bytes.fromhex("1f8b0800") + bytes(40), "binary")


def _syntax() -> Iterator[Bad]:
    texts = {
        "tab": "a:\n\tb: c\n", "quote": "a: 'b\nc: d\n", "double": 'a: "b\nc: d\n', "bracket": "a: [b, c\nd: e\n",
        "brace": "a: {b: c\nd: e\n", "indent": "a: b\n c: d\n", "twice": "a: b: c\n", "percent": "%YAML 9.9\n---\na\n",
        "directive": "%TAG ! x\n%TAG ! y\n---\na: b\n", "anchor": "a: *nothing\n", "dash": "a: b\n- c\n",
        "escape": 'a: "\\q"\n', "tag": "a: !<tag b\n", "scalar": "a: |9999\n b\n", "at": "a: @b\n", "tick": "a: `b`\n",
        "end": "a: b\n... x\nc\n", "colon": ": :\n  :::\n- {\n", "star": "*: *\n", "unicode": 'a: "\\uZZZZ"\n',
    }  # fmt: skip
    for name, text in texts.items():
        yield Bad(f"syntax-{name}.yaml", text.encode(), "yaml-syntax")
    for name, text in {
        "trailing": '{"a": 1,}', "single": "{'a': 1}", "nan": '{"a": NaN}', "half": '{"a": {"b": [1, 2',
        "word": '{"a": nul}',
        "second": '{"a": 1} {"b": }', "closes": '{"a": 1}]', "escape": '{"a": "\\x"}', "raw": '{"a": "b\nc"}',
    }.items():  # fmt: skip
        yield Bad(f"json-{name}.json", text.encode(), "" if name == "single" else "json-syntax")
    yield Bad("key-list.yaml", b"? [a, b]\n: c\n", "yaml-key")
    yield Bad("key-null.yaml", b"kind: Pod\nspec: {~: a}\n", "yaml-key")
    yield Bad("merge.yaml", b"a:\n  <<: [1, 2]\n", "yaml-merge")
    yield Bad("infinite.yaml", b"a:\n- .inf\n", "yaml-value")
    yield Bad("not-a-number.yaml", b"a: !!int one\n", "yaml-value")
    yield Bad("list.yaml", b"- a\n- b\n", "not-an-object")
    yield Bad("word.yaml", b"hello\n", "not-an-object")
    yield Bad("items.yaml", b"kind: List\nitems: [1, [2], null]\n", "not-an-object")
    yield Bad("twice.yaml", b"a: 1\nb: 2\na: 3\n", "duplicate-key")
    yield Bad("template.yaml", b"kind: Pod\n{{- if .Values.x }}\nspec: {}\n{{- end }}\n", "template")


def _bombs() -> Iterator[Bad]:
    levels = [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 12)]
    yield Bad("laughs.yaml", ("l0: &l0 lol\n" + "\n".join(levels)).encode(), "yaml-bomb")
    maps = [f"m{n}: &m{n} {{{', '.join(f'k{i}: *m{n - 1}' for i in range(9))}}}" for n in range(1, 12)]
    yield Bad("laughing-maps.yaml", ("m0: &m0 {a: b}\n" + "\n".join(maps)).encode(), "yaml-bomb")
    merges = [f"m{n}: &m{n} {{<<: [{', '.join([f'*m{n - 1}'] * 9)}], k{n}: v}}" for n in range(1, 12)]
    yield Bad("merging.yaml", ("m0: &m0 {a: b}\n" + "\n".join(merges)).encode(), "too-large")
    long = f"a: &a {'x' * 100_000}\nb: [{', '.join(['*a'] * 100_000)}]"
    yield Bad("long-alias.yaml", long.encode(), "yaml-bomb")
    wide = f"a: &a [{'{},' * 100_000}]\nb: [{', '.join(['*a'] * 29)}]"
    yield Bad("wide-alias.yaml", wide.encode(), "too-large")
    tower = "\n".join(f"t{n}: &t{n} [[[[[[[[[[*t{n - 1}]]]]]]]]]]" for n in range(1, 40))
    yield Bad("tower.yaml", ("t0: &t0 a\n" + tower).encode(), "too-deep")
    yield Bad("cycle.yaml", b"a: &a\n  b: *a\n", "yaml-cycle")
    yield Bad("cycle-list.yaml", b"&a [*a, *a]\n", "yaml-cycle")
    yield Bad("cycle-merge.yaml", b"a: &a\n  <<: *a\n", "yaml-cycle")
    yield Bad("cycle-far.yaml", b"a: &a {b: {c: [1, {d: *a}]}}\n", "yaml-cycle")


def _deep() -> Iterator[Bad]:
    for name, (opens, closes) in {
        "lists": ("[", "]"),
        "maps": ("{a: ", "}"),
        "dashes": ("- ", ""),
    }.items():
        for levels in (300, 100_000):
            text = opens * levels + "x" + closes * levels
            yield Bad(f"deep-{name}-{levels}.yaml", text.encode(), "too-deep")
    yield Bad("deep-keys.yaml", b"? " * 100_000 + b"x", "yaml-key")
    lines = "\n".join(" " * n + "a:" for n in range(3000))
    yield Bad("deep-indent.yaml", lines.encode(), "too-deep")
    yield Bad("deep.json", b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "too-deep")
    yield Bad("deep-lists.json", b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "too-deep")


def large(name: str, size: int) -> Bad:
    """The large file of that name, of about `size` bytes."""
    make, code, least = _LARGE[name]
    return Bad(name, make(size), code if size >= least else "")


# By name: how to make it, what is wrong with it, and from what size on.
_LARGE: dict[str, tuple[Callable[[int], bytes], str, int]] = {
    "plain.yaml": (lambda size: b"a: " + b"x" * size, "", 0),
    "quoted.yaml": (lambda size: b'a: "' + b"x " * (size // 2) + b'"', "", 0),
    "unclosed.yaml": (lambda size: b'a: "' + b"x " * (size // 2), "yaml-syntax", 0),
    "block.yaml": (lambda size: b"a: |\n" + b"  x\n" * (size // 4), "", 0),
    "comment.yaml": (lambda size: b"# x\n" * (size // 4), "", 0),
    "blank.yaml": (lambda size: b"\n" * size + b"]", "yaml-syntax", 0),
    "blanks.yaml": (lambda size: b" " * size + b"]", "yaml-syntax", 0),
    "digits.yaml": (lambda size: b"a: " + b"9" * size, "", 0),
    "items.yaml": (lambda size: b"- x\n" * (size // 4), "too-large", 5_000_000),
    "empties.yaml": (lambda size: b"a: [" + b"[]," * (size // 3) + b"]", "too-large", 5_000_000),
    "keys.yaml": (lambda size: _numbered(b"k%d: 1\n", size // 12), "too-large", 20_000_000),
    "same-key.yaml": (lambda size: b"k: 1\n" * (size // 5), "duplicate-key", 0),
    "long-key.yaml": (lambda size: b"k" * size + b": 1\n", "yaml-syntax", 0),
    "documents.yaml": (lambda size: b"---\na: 1\n" * (size // 9), "too-large", 500_000),
    "separators.yaml": (lambda size: b"---\n" * (size // 4), "too-large", 250_000),
    "ends.yaml": (lambda size: b"a\n...\n" * (size // 6), "not-an-object", 0),
    "wrong-documents.yaml": (lambda size: b"---\n'\n" * (size // 6), "yaml-syntax", 0),
    "tags.yaml": (lambda size: _numbered(b"%%TAG !a%d! b\n", size // 14), "too-large", 0),
    "anchors.yaml": (lambda size: _numbered(b"- &a%d x\n", size // 12), "", 0),
    "braces.json": (lambda size: b"{}" * (size // 2), "too-large", 110_000),
    "list.json": (lambda size: b'{"a": [' + b"0," * (size // 2) + b"0]}", "too-large", 5_000_000),
    "string.json": (lambda size: b'{"a": "' + b"x" * size, "json-syntax", 0),
    "keys.json": (lambda size: b"{" + b",".join([b'"k":1'] * (size // 6)) + b"}", "duplicate-key", 0),
    "openings.yaml": (lambda size: b"{{ " * (size // 3), "template", 0),
}
LARGE = tuple(_LARGE)


def _numbered(line: bytes, count: int) -> bytes:
    return b"".join(line % number for number in range(count))
