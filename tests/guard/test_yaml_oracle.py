"""Words and keys of YAML mean to guard what they mean to Kubernetes' own reader, which Helm reads its values with."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from dabbawala.guard import composing

WORDS = """
yes no on off y n Y N Yes NO On OFF true True TRUE tRue false False null Null nULL 014 0o14 0O14 0x1F 0X1f 0b11 0B11
-0b11 +0b1 -014 +014 -0x10 +7 1_000 1__0 _1 1_ 0_7 08 09.5 1e3 1E3 1e+3 1e-3 1.0 1.5 .5 -.5 +.5 .5e1 .5_1 ._5 1. 1.e3
. .. ... -. e3 1e400 -1e400 2024-01-01 2024-1-1 22:30 1:2:3 2001-12-14t21:59:43.10-05:00 100m 1.2.3 1,000 0 -0 +0 00
0.0 -0.0 1e0 1e22 123456789.0 0.1 1e-7 0o9 0b2 0xg 0x 0b 0o = 1_0.5 1_0e1 0.1_5 -_1 0x_1f 0_x1f 12e03 << 1e-400 '1'
"yes" 123456789012345678901234567890
"""
TAGGED = ("!!str 1", "!!int '5'", "!!float 3", "!!bool yes", "!!binary aGVsbG8=", "!local 1", "!!timestamp 2024-01-01")
DOCUMENTS = (
    "a: &a {x: 1, z: 1}\nb: {z: 2, <<: *a}\n",
    "a: &a {x: 1, z: 1}\nb: {<<: *a, z: 2}\n",
    "a: &a {x: 1}\nb: &b {x: 2, z: 3}\nc: {<<: [*a, *b]}\n",
    "on: 1\n5: 2\n1.5: 3\n1e3: 4\n0x10: 5\n1.0: 6\n2024-01-01: 7\n",
    "a: 1\na: 2\n",
    '"<<": 1\n',
    "a: |\n  x\n   y\n\nb: >-\n  x\n  y\nc: |+\n  x\n\n",
    "a: 'it''s'\nb: \"tab\\tx\\u0928\"\nc: plain # comment\nd: a#b\n",
)
REFUSED = (
    "a: .inf\n",
    "? [a]\n: b\n",
    "~: a\n",
    "a: {<<: 1}\n",
    "a: !!int x\n",
    "a: !!binary 'a b'\n",
    "a: *b\n",
    "a: [\n",
)
SIGNS = "0123456789_.eE+-xob"
RANDOM_WORDS = 400

Oracle = Callable[[str], Any]


@pytest.fixture
def oracle(tools: dict[str, Path], tmp_path: Path) -> Oracle:
    """What Helm makes of a values file; None when it refuses it."""
    (tmp_path / "templates").mkdir()
    (tmp_path / "Chart.yaml").write_text("apiVersion: v2\nname: oracle\nversion: 0.1.0\n")
    (tmp_path / "templates" / "all.yaml").write_text("all: {{ toJson .Values | quote }}")

    def ask(text: str) -> Any:
        (tmp_path / "values.yaml").write_text(text)
        ran = subprocess.run(
            [str(tools["helm"]), "template", "x", str(tmp_path)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return json.loads(yaml.safe_load(ran.stdout)["all"]) if ran.returncode == 0 else None

    return ask


def ours(text: str) -> Any:
    try:
        return next(composing.documents(text)).value
    except composing.Unreadable:
        return None


def test_words_mean_the_same(oracle: Oracle) -> None:
    chance = random.Random(11)
    noise = ["".join(chance.choices(SIGNS, k=chance.randint(1, 6))) for _ in range(RANDOM_WORDS)]
    words = [word for word in (*WORDS.split(), *TAGGED, *noise) if word != "-"]
    text = "".join(f"k{number}: {word}\n" for number, word in enumerate(words))
    theirs, mine = oracle(text), ours(text)
    assert theirs is not None
    different = {
        word: (theirs.get(f"k{number}"), mine[f"k{number}"])
        for number, word in enumerate(words)
        if not same(theirs.get(f"k{number}"), mine[f"k{number}"])
    }
    assert not different


def same(theirs: Any, mine: Any) -> bool:
    """Numbers that floats cannot hold exactly are all the same to Helm."""
    return bool(theirs == mine or (abs(mine) > 2**53 and float(theirs) == float(mine))) and (
        isinstance(theirs, bool) == isinstance(mine, bool)
    )


@pytest.mark.parametrize("text", DOCUMENTS)
def test_documents_mean_the_same(oracle: Oracle, text: str) -> None:
    assert ours(text) == oracle(text)


@pytest.mark.parametrize("text", REFUSED)
def test_what_the_one_refuses_the_other_does_too(oracle: Oracle, text: str) -> None:
    assert (ours(text), oracle(text)) == (None, None)
