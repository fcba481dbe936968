"""What a list of names costs grows with its length, not with its square: a body may hold a hundred thousand."""

from __future__ import annotations

from typing import ClassVar

from dabbawala.api import field_checks
from dabbawala.cluster.apiserver import rest_meta

LENGTH = 2000


class Compared(str):
    """A name that counts how often it was compared."""

    times: ClassVar[int] = 0
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        Compared.times += 1
        return super().__eq__(other)


def test_names_are_looked_up_and_not_compared_each_with_each() -> None:
    Compared.times = 0
    names = [Compared(f"n{index}") for index in range(LENGTH)]
    assert list(field_checks.unique((name, name) for name in names)) == []
    again = list(field_checks.unique((str(index), name) for index, name in enumerate([*names, Compared("n7")])))
    assert [error.field for error in again] == [str(LENGTH)]
    assert Compared.times < 10 * LENGTH


def test_finalizers_are_looked_up_and_not_compared_each_with_each() -> None:
    Compared.times = 0
    old = {"metadata": {"deletionTimestamp": "t", "finalizers": [Compared(f"a.io/{i}") for i in range(LENGTH)]}}
    new = {"metadata": {"finalizers": [Compared(f"a.io/{i}") for i in reversed(range(LENGTH))]}}
    assert rest_meta.check_finalizers(new, old) == []
    assert Compared.times < 10 * LENGTH
