"""Reports are read as their scanners write them, and none that is broken reads as clean."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dabbawala.guard.images import reading
from dabbawala.guard.images.names import Name
from dabbawala.guard.images.records import DESCRIPTION_MAX, Attested, Sbom, Scan, Unreadable
from tests.guard.images.worlds import DIGEST, FOLDER, reason, records, report, scan, state

NAMES = ("trivy", "grype", "ecr", "cyclonedx", "spdx")


def test_a_vulnerability_of_trivy_has_all_that_an_adapter_must_tell() -> None:
    found = scan(report("trivy"))
    worst = (found.vulnerabilities or ())[0]
    assert (worst.id, worst.severity, worst.package) == ("CVE-2024-5535", "critical", "openssl")
    assert (worst.installed, worst.fixed, worst.score) == ("3.0.11-1", "3.0.15-1", 9.1)
    assert worst.published == datetime(2024, 6, 27, 11, 15, 24, 447000, tzinfo=UTC)
    assert len(worst.description) == DESCRIPTION_MAX
    assert "\n" not in worst.description
    assert found.at == datetime(2025, 12, 30, 20, 30, 13, 123456, tzinfo=UTC)
    assert DIGEST in found.digests


def test_trivy_tells_of_leaks_the_distribution_and_the_configuration() -> None:
    found = scan(report("trivy"))
    assert [(leak.rule, leak.file) for leak in found.leaks or ()] == [("aws-secret-access-key", "/app/.env")]
    assert str(found.distribution) == "debian 12.5"
    assert found.config is not None
    assert found.config.root
    assert found.config.ports == ("22/tcp", "8443/tcp")
    assert found.misconfigurations is None


def test_grype_tells_the_cve_of_an_advisory_nvds_score_and_what_is_exploited() -> None:
    first, second = scan(report("grype")).vulnerabilities or ()
    assert (first.id, first.severity, first.score, first.fixed) == ("CVE-2023-32681", "high", 7.5, "2.31.0")
    assert (first.exploited, first.epss, first.description) == (True, 0.72, "requests leaks a header")
    assert (second.severity, second.fixed, second.exploited) == ("low", "", False)


def test_grype_tells_how_the_image_starts_but_nothing_of_leaks() -> None:
    found = scan(report("grype"))
    assert found.config is not None
    assert not found.config.root
    assert found.leaks is None


def test_a_registry_tells_what_it_found_by_digest() -> None:
    found = scan(report("ecr"))
    assert found.digests == {DIGEST}
    assert [(one.id, one.package, one.score) for one in found.vulnerabilities or ()] == [
        ("CVE-2024-5535", "openssl", 9.1)
    ]


@pytest.mark.parametrize(("name", "form", "count"), [("cyclonedx", "CycloneDX", 2), ("spdx", "SPDX", 1)])
def test_an_sbom_is_of_a_digest(name: str, form: str, count: int) -> None:
    (found,) = records(report(name))
    assert isinstance(found, Sbom)
    assert (found.form, found.components, DIGEST in found.digests) == (form, count, True)


def test_syft_writes_the_digest_as_the_version() -> None:
    about = {"type": "container", "name": "registry.example.com/upi-switch:2.3", "version": DIGEST}
    (found,) = records(report("cyclonedx", metadata={"timestamp": "2025-12-30T00:00:00Z", "component": about}))
    assert isinstance(found, Sbom)
    assert found.digests == {DIGEST}


def test_cosign_writes_signatures_as_a_list_and_attestations_as_lines() -> None:
    image = {"docker-manifest-digest": DIGEST}
    identity = {"docker-reference": "registry.example.com/upi-switch"}
    signature = {"critical": {"identity": identity, "image": image, "type": "cosign container image signature"}}
    statement = {
        "_type": "https://in-toto.io/Statement/v0.1", "predicateType": "https://slsa.dev/provenance/v1",
        "subject": [{"name": "registry.example.com/upi-switch", "digest": {"sha256": "a" * 64}}], "predicate": {},
    }  # fmt: skip
    payload = base64.b64encode(orjson.dumps(statement)).decode()
    envelope = {"payloadType": "application/vnd.in-toto+json", "payload": payload, "signatures": []}
    listed = reading.records(orjson.dumps([signature]), "s.json")
    lined = reading.records(b"\n".join([orjson.dumps(envelope)] * 2), "p.json")
    assert [(one.digest, one.provenance) for one in listed if isinstance(one, Attested)] == [(DIGEST, False)]
    assert [(one.digest, one.provenance) for one in lined if isinstance(one, Attested)] == [(DIGEST, True)] * 2


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"Results": None}, "has no results"), ({"Results": []}, "has no results"),
        ({"SchemaVersion": 1}, "schema version 1"), ({"SchemaVersion": None}, "schema version None"),
        ({"CreatedAt": None}, "when it was made"), ({"CreatedAt": "yesterday"}, "when it was made"),
        ({"ArtifactType": "filesystem"}, "not about an image"), ({"Results": [7]}, "no object"),
        ({"Results": [{"Class": "os-pkgs", "Vulnerabilities": [{"Severity": "LOW"}]}]}, "no VulnerabilityID"),
        ({"Results": {"a": 1}}, "no list"), ({"Metadata": []}, "no dict"),
        ({"dabbawala.dev/failed": "exit status 1"}, "the scan failed: exit status 1"),
    ],
)  # fmt: skip
def test_a_broken_report_of_trivy_says_why(changed: dict[str, Any], why: str) -> None:
    broken = report("trivy", **changed)
    assert why in reason(broken)
    assert state(broken).word == "error"
    assert why in state(broken).reason


@pytest.mark.parametrize(
    ("name", "changed", "why"),
    [
        ("grype", {"matches": None}, "no matches"), ("grype", {"descriptor": {"name": "grype"}}, "when it was made"),
        ("grype", {"source": {"type": "directory", "target": "/app"}}, "not about an image"),
        ("grype", {"matches": [{"vulnerability": {}}]}, "no vulnerability.id"),
        ("cyclonedx", {"specVersion": "2.0"}, "is not known"), ("cyclonedx", {"components": []}, "no component"),
        ("cyclonedx", {"metadata": {}}, "no container"), ("spdx", {"spdxVersion": "SPDX-3.0"}, "is not known"),
        ("spdx", {"creationInfo": {}}, "when it was made"),
        ("ecr", {"imageScanStatus": {"status": "FAILED"}}, "FAILED"),
        ("ecr", {"nextToken": "x"}, "one page"), ("ecr", {"imageScanFindings": {}}, "no findings"),
    ],
)  # fmt: skip
def test_other_broken_reports_say_why(name: str, changed: dict[str, Any], why: str) -> None:
    assert why in reason(report(name, **changed))


@pytest.mark.parametrize("name", NAMES)
def test_a_report_that_was_cut_off_tells_nothing(name: str) -> None:
    data = (FOLDER / f"{name}.json").read_bytes()
    for end in range(0, len(data.rstrip()) - 1, 97):
        (found,) = reading.records(data[:end], "cut.json")
        assert isinstance(found, Unreadable)


@pytest.mark.parametrize("data", [b"", b" \n", b"null", b"[]", b"7", b"{}", b"\xff\xfe", b"[" * 100_000, b"{}\n{}"])
def test_what_is_no_report_says_so(data: bytes) -> None:
    found = reading.records(data, "odd.json")
    assert found
    assert all(isinstance(one, Unreadable) and one.reason for one in found)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=150)
@given(st.sampled_from(NAMES), st.data())
def test_no_odd_field_makes_the_reader_fail_or_the_image_clean(name: str, data: st.DataObject) -> None:
    """Something anywhere in a report is replaced by anything."""
    changed = report(name)
    at: Any = changed
    while True:
        key = data.draw(st.sampled_from(sorted(at))) if isinstance(at, dict) else 0
        if not isinstance(at[key], dict | list) or not at[key] or data.draw(st.booleans()):
            break
        at = at[key]
    at[key] = data.draw(JSON)
    found = records(changed)
    assert found
    if not any(isinstance(one, Scan) for one in found):
        assert state(changed).word in ("error", "unknown")


@pytest.mark.parametrize(
    ("text", "key", "digest"),
    [
        ("nginx", "docker.io/library/nginx:latest", ""), ("index.docker.io/a/b:1", "docker.io/a/b:1", ""),
        ("localhost:5000/a:1", "localhost:5000/a:1", ""),
        (f"r.example.com/a@{DIGEST}", "r.example.com/a:latest", DIGEST),
        (f"docker-pullable://r.example.com:1/a/b:2@{DIGEST}", "r.example.com:1/a/b:2", DIGEST),
    ],
)  # fmt: skip
def test_names_are_compared_in_full(text: str, key: str, digest: str) -> None:
    name = Name.of(text)
    assert (name.key, name.digest) == (key, digest)
    assert Name.of(str(name)) == name
