"""A program that writes until it is killed, and tells of every write that was acknowledged. Run by test_crash."""

from __future__ import annotations

import asyncio
import itertools
import sys
from pathlib import Path

from dabbawala.cluster.store.entry import Key
from dabbawala.cluster.store.store import Settings, Store


async def main(path: Path, writers: int) -> None:
    store = await Store.open(path, settings=Settings(max_events=200))

    async def write(number: int) -> None:
        for count in itertools.count():
            name = f"w{number}-{count % 50}"
            entry = await store.put(Key("pods", "", name), lambda revision: b"x" * 500 + str(revision).encode())
            sys.stdout.write(f"{name} {entry.revision}\n")
            sys.stdout.flush()

    await asyncio.gather(*(write(number) for number in range(writers)))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
