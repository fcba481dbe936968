"""Building images from Dockerfiles, and keeping them."""

from __future__ import annotations

import io
import random
import signal
import subprocess
import tarfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dabbawala.cluster.kubelet import stopping
from dabbawala.cluster.kubelet.images import build as building
from dabbawala.cluster.kubelet.images import python_environment
from dabbawala.cluster.kubelet.images.dockerfile import BadDockerfile, expand
from dabbawala.cluster.kubelet.images.store import Image, ImageStore

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HERE = python_environment.here()


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(tmp_path / "store")


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "app.py").write_text("print('hello')\n")
    return folder


def build(store: ImageStore, context: Path, text: str, tag: str = "shop/app:v1", **arguments: str) -> Image:
    (context / "Dockerfile").write_text(text)
    return building.build(store, context, tag, arguments, NOW)


def test_a_whole_dockerfile_becomes_a_program(store: ImageStore, context: Path) -> None:
    (context / "conf").mkdir()
    (context / "conf" / "v2.json").write_text("{}")
    image = build(
        store,
        context,
        f"""ARG PYTHON={HERE}
FROM python:${{PYTHON}}-slim AS final
# a comment
ARG VERSION=v1
ENV PORT=8080 GREETING="hello world" \\
    VERSION=$VERSION
WORKDIR /srv
WORKDIR app
COPY app.py ./
COPY conf/${{VERSION}}.json version.json
LABEL team=search
EXPOSE 8080 9090/udp
USER 1000
STOPSIGNAL SIGINT
ENTRYPOINT ["python"]
CMD ["app.py"]
""",
        VERSION="v2",
    )
    assert (image.entrypoint, image.cmd, image.workdir, image.user) == (("python",), ("app.py",), "/srv/app", "1000")
    assert (image.env["PORT"], image.env["GREETING"], image.env["VERSION"]) == ("8080", "hello world", "v2")
    assert (image.exposed, image.stop_signal, image.labels) == (("8080", "9090/udp"), "SIGINT", {"team": "search"})
    assert (image.root / "srv/app/app.py").read_text() == "print('hello')\n"
    assert (image.root / "srv/app/version.json").is_file()
    assert store.resolve("docker.io/shop/app:v1") == image


def test_pip_installs_go_into_an_environment_that_versions_share(store: ImageStore, context: Path) -> None:
    package = context / "greeter"
    package.mkdir()
    (package / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "greeter"\nversion = "1.0"\n'
    )
    (package / "backend.py").write_text(BACKEND)
    text = (
        f"FROM python:{HERE}\nCOPY greeter /src/greeter\nRUN pip install --no-cache-dir /src/greeter\nCOPY app.py /\n"
    )
    first = build(store, context, text, "shop/app:v1")
    (context / "app.py").write_text("print('hello again')\n")
    second = build(store, context, text, "shop/app:v2")
    assert first.id != second.id
    assert len(list(store.environments.iterdir())) == 1
    python = second.root / "opt/image/env/bin/python"
    said = subprocess.run(
        [python, "-c", "import greeter; print(greeter.word)"], capture_output=True, text=True, check=True
    )
    assert said.stdout == "namaste\n"


BACKEND = """
import zipfile
def build_wheel(folder, settings=None, metadata=None):
    name = "greeter-1.0-py3-none-any.whl"
    with zipfile.ZipFile(f"{folder}/{name}", "w") as wheel:
        wheel.writestr("greeter.py", "word = 'namaste'\\n")
        wheel.writestr("greeter-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: greeter\\nVersion: 1.0\\n")
        about = "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
        wheel.writestr("greeter-1.0.dist-info/WHEEL", about)
        wheel.writestr("greeter-1.0.dist-info/RECORD", "")
    return name
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("FROM nginx:1.27", r"line 1: FROM nginx:1.27: nginx:1.27 is not a local image.*local image by name"),
        ("FROM python:2.7", r"line 1: .*no Python 2.7; install it"),
        (f"FROM python:{HERE}\n\nRUN apt-get install -y curl", r"line 3: RUN apt-get .*cannot be run while building"),
        ("FROM debian\nRUN pip install x", r"line 2: .*the image has no Python"),
        ("FROM debian\nCOPY nothing.txt /", r"line 2: COPY nothing.txt /: nothing.txt is not in"),
        ("FROM debian\nCOPY ../secret /", r"line 2: .*leaves the build context"),
        ("FROM debian\nCOPY --from=builder /a /b", r"line 2: .*only the last stage is built"),
        ("FROM debian\nADD https://example.com/x /x", r"line 2: .*nothing is downloaded"),
        ("FROM debian\nCMD [broken", r"line 2: CMD .*JSON list"),
        ("FROM debian\nCOPY app.py", r"line 2: .*a source and a destination"),
        ("FROM debian\nINSTALL curl", r"line 2: INSTALL curl: this is no instruction"),
        ("FROM debian\nRUN <<EOF\nls\nEOF", r"line 2: .*here-documents"),
        ("COPY app.py /", r"there is no FROM"),
        (f"FROM python:{HERE}\nRUN pip install -r nothing.txt", r"line 2: .*nothing.txt is not in the image; COPY it"),
    ],
)
def test_what_cannot_be_honoured_is_refused_with_its_line_and_a_remedy(
    store: ImageStore, context: Path, text: str, message: str
) -> None:
    with pytest.raises(BadDockerfile, match=message):
        build(store, context, text)
    assert store.list() == []
    assert not list(store.root.glob("content/*"))


def test_a_package_that_cannot_be_installed_says_what_pip_said(store: ImageStore, context: Path) -> None:
    with pytest.raises(BadDockerfile, match="pip install failed"):
        build(store, context, f"FROM python:{HERE}\nRUN pip install --no-index no-such-package-at-all")
    assert list(store.environments.iterdir()) == []


@pytest.mark.parametrize("step", ["COPY conf.json /srv/", "COPY folder/ /srv/", "ADD conf.tar /srv/"])
def test_a_file_placed_over_one_of_the_base_leaves_the_base_as_it_was(
    store: ImageStore, context: Path, step: str
) -> None:
    (context / "conf.json").write_text("old")
    base = build(store, context, "FROM debian\nCOPY conf.json /srv/", "base:v1")
    (context / "conf.json").write_text("new")
    (context / "folder").mkdir()
    (context / "folder/conf.json").write_text("new")
    with tarfile.open(context / "conf.tar", "w") as archive:
        archive.add(context / "conf.json", "conf.json")
        archive.add(context / "conf.json", "below/other.json")
    image = build(store, context, f"FROM base:v1\n{step}")
    assert (image.root / "srv/conf.json").read_text() == "new"
    assert (image.root / "srv/below/other.json").exists() == step.startswith("ADD")
    assert (base.root / "srv/conf.json").read_text() == "old"
    assert sorted(entry.name for entry in image.root.parent.iterdir()) == ["image.json", "root"]


def member(name: str, kind: bytes = tarfile.REGTYPE, *, to: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.mode, made.uid = kind, to, mode, 4321
    return made


def packed(context: Path, *members: tarfile.TarInfo) -> None:
    with tarfile.open(context / "a.tar", "w") as archive:
        for each in members:
            archive.addfile(each)


def test_an_archive_gives_its_files_links_and_modes_but_no_owners(store: ImageStore, context: Path) -> None:
    packed(
        context,
        member("bin/", tarfile.DIRTYPE, mode=0o755),
        member("bin/tool", mode=0o4755),
        member("bin/tool-1", tarfile.SYMTYPE, to="tool"),
        member("bin/copy", tarfile.LNKTYPE, to="bin/tool"),
    )
    root = build(store, context, "FROM debian\nADD a.tar /opt/").root / "opt/bin"
    assert (root / "tool").stat().st_mode & 0o7777 == 0o755
    assert (root / "tool").stat().st_uid == root.parent.stat().st_uid
    assert (root / "tool-1").readlink() == Path("tool")
    assert (root / "copy").is_file()


@pytest.mark.parametrize(
    ("members", "message"),
    [
        pytest.param([member("../out")], "out leads out of the archive", id="by its name"),
        pytest.param(
            [member("here", tarfile.SYMTYPE, to="/tmp"), member("here/out")], "leads out", id="through its own link"
        ),
        pytest.param([member("copy", tarfile.LNKTYPE, to="../out")], "leads out", id="by a hard link"),
        pytest.param(
            [member("copy", tarfile.LNKTYPE, to="next"), member("next")], "does not come before it", id="early"
        ),
        pytest.param([member("copy", tarfile.LNKTYPE, to="copy")], "does not come before it", id="its own link"),
        pytest.param(
            [member("a", tarfile.SYMTYPE, to="b"), member("b", tarfile.SYMTYPE, to="a"), member("a/file")],
            "cannot be unpacked",
            id="through a circle",
        ),
        pytest.param([member("pipe", tarfile.FIFOTYPE)], "neither a file nor a folder nor a link", id="no file"),
    ],
)
def test_an_archive_that_would_do_more_is_refused(
    store: ImageStore, context: Path, members: list[tarfile.TarInfo], message: str
) -> None:
    packed(context, *members)
    with pytest.raises(BadDockerfile, match=f"line 2: ADD a.tar /opt/: .*{message}"):
        build(store, context, "FROM debian\nADD a.tar /opt/")


def test_a_hard_link_to_a_link_is_the_same_link(store: ImageStore, context: Path) -> None:
    circle = member("a", tarfile.SYMTYPE, to="b"), member("b", tarfile.SYMTYPE, to="a")
    packed(context, *circle, member("copy", tarfile.LNKTYPE, to="a"))
    root = build(store, context, "FROM debian\nADD a.tar /opt/").root / "opt"
    assert (root / "copy").readlink() == Path("b")


@pytest.mark.parametrize("compression", ["gz", "bz2", "xz"])
@pytest.mark.parametrize("damage", ["cut", "overwritten"])
def test_a_damaged_archive_is_refused_by_its_line(
    store: ImageStore, context: Path, compression: str, damage: str
) -> None:
    content = random.Random(1).randbytes(100_000)
    packed_content = io.BytesIO()
    with tarfile.open(fileobj=packed_content, mode=f"w:{compression}") as archive:  # type: ignore[call-overload]
        info = member("data")
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    whole = packed_content.getvalue()
    half = len(whole) // 2
    broken = whole[:half] if damage == "cut" else whole[:half] + b"\xff" * 2000 + whole[half + 2000 :]
    (context / f"a.tar.{compression}").write_bytes(broken)
    with pytest.raises(BadDockerfile, match=f"line 2: .*a.tar.{compression} cannot be unpacked: "):
        build(store, context, f"FROM debian\nADD a.tar.{compression} /opt/")


def test_an_image_can_stand_on_a_local_one(store: ImageStore, context: Path) -> None:
    build(store, context, 'FROM debian\nWORKDIR /app\nCOPY app.py .\nENV A=1\nCMD ["old"]', "base:v1")
    image = build(store, context, 'FROM base:v1\nENV B=2\nCMD ["new"]', "shop/app:v1")
    assert (image.env["A"], image.env["B"], image.cmd, image.workdir) == ("1", "2", ("new",), "/app")
    assert (image.root / "app/app.py").is_file()


def test_what_dockerignore_names_is_not_copied(store: ImageStore, context: Path) -> None:
    (context / ".dockerignore").write_text("*.secret\n!keep.secret\nlogs\n")
    for name in ("a.secret", "keep.secret"):
        (context / name).write_text("x")
    (context / "logs").mkdir()
    (context / "logs" / "today").write_text("x")
    image = build(store, context, "FROM scratch\nCOPY . /app/")
    assert sorted(path.name for path in (image.root / "app").iterdir() if not path.name.startswith(".")) == [
        "Dockerfile",
        "app.py",
        "keep.secret",
    ]


def test_the_same_content_is_the_same_image_under_two_names(store: ImageStore, context: Path) -> None:
    text = "FROM scratch\nCOPY app.py /\n"
    first, second = build(store, context, text, "one"), build(store, context, text, "two:v2")
    assert first.id == second.id
    assert [image.name for image in store.list()] == ["one:latest", "two:v2"]
    assert store.remove("one")
    assert (second.root / "app.py").is_file()
    assert store.remove("two:v2")
    assert not second.root.exists()
    assert not store.remove("two:v2")


def test_what_an_interrupted_build_left_is_swept_by_the_next(store: ImageStore, context: Path) -> None:
    left = store.root / "content" / ".building-999999999-dead"
    (left / "root").mkdir(parents=True)
    build(store, context, "FROM scratch\nCOPY app.py /\n")
    assert not left.exists()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$A-${A}", "1-1"),
        ("${B:-two}", "two"),
        ("${A:-two}", "1"),
        ("${A:+yes}${B:+no}", "yes"),
        (r"\$A", "$A"),
        ("$C", ""),
    ],
)
def test_variables_are_replaced_as_docker_does(text: str, expected: str) -> None:
    assert expand(text, {"A": "1"}) == expected


@pytest.mark.parametrize("step", ["COPY app.py ../../../escaped.py", "WORKDIR ../../..\nCOPY app.py escaped.py"])
def test_a_path_of_the_image_ends_at_its_root(store: ImageStore, context: Path, step: str) -> None:
    image = build(store, context, f"FROM scratch\nWORKDIR /srv\n{step}\n")
    assert (image.root / "escaped.py").is_file()


def test_a_copied_link_leads_nothing_out_of_the_image(store: ImageStore, context: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (context / "tree").mkdir()
    (context / "tree" / "away").symlink_to(outside)
    for step in ("COPY app.py away/", "COPY app.py away/app.py", "COPY tree away/below", "RUN mkdir away/below"):
        with pytest.raises(BadDockerfile, match=r"line 3: .*leads out of the image"):
            build(store, context, f"FROM scratch\nCOPY tree /\n{step}\n")
    assert list(outside.iterdir()) == []


def test_a_stop_signal_is_a_name_or_a_number(store: ImageStore, context: Path) -> None:
    assert build(store, context, "FROM scratch\nSTOPSIGNAL 3\n").stop_signal == "3"
    with pytest.raises(BadDockerfile, match=r"line 2: .*NONSENSE is no signal"):
        build(store, context, "FROM scratch\nSTOPSIGNAL NONSENSE\n")
    names = ("SIGQUIT", "quit", "3", "SIGRTMIN+1", "SIGNONE", "999")
    assert [stopping.signal_number(name) for name in names] == [3, 3, 3, signal.SIGRTMIN + 1, None, None]
