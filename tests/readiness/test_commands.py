"""What the commands print and how they end: 0 approved, 1 not, 2 could not tell. Over records, without a cluster."""

from __future__ import annotations

import re
from pathlib import Path

import orjson
import pytest
import yaml
from click.testing import CliRunner, Result

from dabbawala.cli.readiness import readiness
from dabbawala.readiness import records
from dabbawala.readiness.assessment import assess
from dabbawala.readiness.roadmap import PHASES
from dabbawala.readiness.signing import Signer
from tests.readiness.given import LAB, NOW, attested, signed, spec
from tests.readiness.world import ALL, World, ready

OFFICE = Signer.make("office")
AT = NOW.isoformat()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for signer in (LAB, OFFICE):
        (tmp_path / f"{signer.name}.pub").write_bytes(signer.public_pem())
        (tmp_path / f"{signer.name}.key").write_bytes(signer.private_pem())
    return tmp_path


def saved(world: World, folder: Path) -> str:
    observed = world.observed()
    path = folder / "record.json"
    path.write_bytes(orjson.dumps(records.made(observed, assess(observed), OFFICE)))
    return str(path)


def dabba(*arguments: str) -> Result:
    return CliRunner().invoke(readiness, list(arguments), standalone_mode=True)


def trusting(folder: Path) -> list[str]:
    return ["--trust", str(folder / "lab.pub"), "--trust", str(folder / "office.pub")]


def rejected() -> World:
    world = ready()
    world.forget("disaster_recovery_tested", "incident_response_plan")
    return world


def test_an_approved_service_ends_with_0_and_a_rejected_one_with_1(folder: Path) -> None:
    good = dabba("check", "web", "--offline", saved(ready(), folder), *trusting(folder))
    assert (good.exit_code, "APPROVED" in good.output) == (0, True), good.output
    bad = dabba("check", "web", "--offline", saved(rejected(), folder), *trusting(folder))
    assert (bad.exit_code, "REJECTED" in bad.output) == (1, True)


UNPROVEN = (
    "dns_failover_setup", "rto_rpo_validated", "data_integrity_verified", "load_testing_completed",
    "stress_testing_passed", "incident_response_plan", "business_continuity_plan",
)  # fmt: skip


@pytest.mark.parametrize(
    ("passes", "approval", "status", "exit_code"),
    [(42, "approved", "passed", 0), (40, "approved", "passed", 0), (39, "conditional", "warning", 1),
     (36, "conditional", "warning", 1), (35, "rejected", "failed", 1)],
)  # fmt: skip
def test_the_boundaries_hold_for_worlds_that_lack_so_many_proofs(
    passes: int, approval: str, status: str, exit_code: int, folder: Path
) -> None:
    world = ready()
    world.forget(*UNPROVEN[: len(ALL) - passes])
    path = saved(world, folder)
    found = dabba("check", "web", "--offline", path, "-o", "json", *trusting(folder))
    told = orjson.loads(found.output)
    assert (told["passed"], told["approval"], told["status"]) == (passes, approval, status)
    assert (found.exit_code, told["blockers"]) == (exit_code, [])
    assert dabba("verify", path, "--at", AT, *trusting(folder)).exit_code == exit_code


def test_the_guide_says_on_what_its_parts_stand_also_where_all_is_well(folder: Path) -> None:
    text = dabba("guide", "web", "--offline", saved(ready(), folder), *trusting(folder)).output
    monitoring = text.partition("## 3. Monitoring")[2].partition("## 4.")[0]
    for words in ("Prometheus evaluates 1 alerts", "ships the logs of all 2 nodes", "dashboard 'web'"):
        assert words in monitoring


def test_the_terminal_shows_categories_blockers_changes_and_next_steps(folder: Path) -> None:
    shown = dabba("check", "web", "--offline", saved(rejected(), folder), *trusting(folder)).output
    for words in ("CATEGORY", "Blockers", "What raises the score most", "Next steps", "Do not release", "guide has"):
        assert words in shown
    assert "dabba readiness import FILE -n shop\n" in shown
    assert all(item in shown for item in ALL)
    assert re.search(r"◐ +Backup and recovery +5/6 +83\.3 %", shown)
    assert re.search(r"● +Security +6/6 +100\.0 %", shown)


def test_strict_is_said_in_its_own_words(folder: Path) -> None:
    path = saved(ready(), folder)
    assert "GO" in dabba("check", "web", "--offline", path, "--profile", "strict", *trusting(folder)).output
    found = dabba("check", "web", "--offline", saved(rejected(), folder), "--profile", "strict", *trusting(folder))
    assert "NO-GO" in found.output
    assert "disaster_recovery_tested is critical and is unknown" in found.output


def test_the_page_stands_by_itself_and_labels_what_was_imported(folder: Path) -> None:
    page = dabba("check", "web", "--offline", saved(ready(), folder), "-o", "html", *trusting(folder)).output
    assert "<script" not in page
    assert not re.search(r"(src|href)=", page)
    assert page.count('<span class="badge imported">imported</span>') >= 9
    assert page.count('<span class="badge attestation">attestation</span>') >= 8


@pytest.mark.parametrize("content", ["{", "[]", '{"kind": "Pod"}'])
def test_what_is_no_record_could_not_be_told(content: str, folder: Path) -> None:
    (folder / "bad.json").write_text(content)
    for command in (["check", "web", "--offline", str(folder / "bad.json")], ["verify", str(folder / "bad.json")]):
        found = dabba(*command)
        assert (found.exit_code, "Error: " in found.output) == (2, True), found.output


def test_a_record_of_another_service_could_not_be_told(folder: Path) -> None:
    found = dabba("check", "other", "--offline", saved(ready(), folder))
    assert (found.exit_code, "is about web, not about other" in found.output) == (2, True)


def test_verify_says_which_record_and_why(folder: Path) -> None:
    path = saved(ready(), folder)
    good = dabba("verify", path, "--at", AT, *trusting(folder))
    assert (good.exit_code, "the verdict follows" in good.output) == (0, True), good.output
    later = dabba("verify", path, "--at", "2026-06-20T00:00:00Z", *trusting(folder))
    assert later.exit_code == 1
    assert "stale: observed at" in later.output
    unsure = dabba("verify", path, "--at", AT, "--trust", str(folder / "office.pub"))
    assert "'lab', which is no trusted key" in unsure.output
    assert dabba("verify", path, "--at", "noon").exit_code == 2


def test_a_record_that_holds_but_rejects_ends_with_1(folder: Path) -> None:
    found = dabba("verify", saved(rejected(), folder), "--at", AT, *trusting(folder))
    assert (found.exit_code, "rejected" in found.output, "refused" in found.output) == (1, True, False)


@pytest.mark.parametrize("ratio", ["1%", "nan"])
def test_a_setting_that_is_no_number_stops_neither_the_check_nor_the_guide(folder: Path, ratio: str) -> None:
    world = ready()
    world["namespaces"]["metadata"]["annotations"]["readiness.dabbawala.dev/failed-ratio"] = ratio
    path = saved(world, folder)
    found = dabba("check", "web", "--offline", path, *trusting(folder))
    assert (found.exit_code, "failed-ratio must be numbers" in " ".join(found.output.split())) == (0, True), (
        found.output
    )
    assert "- P95 and failures: **not known**" in dabba("guide", "web", "--offline", path, *trusting(folder)).output


def test_the_list_of_17_is_ticked_only_with_evidence(folder: Path) -> None:
    world = ready()
    found = dabba("checklist", "web", "--offline", saved(world, folder), *trusting(folder))
    assert (found.exit_code, "12 of 17 are ticked" in found.output) == (1, True), found.output
    own = ("return_on_investment", "team_trained", "documentation_complete", "success_metrics_defined")
    world.records += [attested(item) for item in (*own, "stakeholder_approval")]
    found = dabba("checklist", "web", "--offline", saved(world, folder), *trusting(folder))
    assert (found.exit_code, "17 of 17 are ticked" in found.output) == (0, True), found.output


def test_the_roadmap_says_what_is_open(folder: Path) -> None:
    assert dabba("roadmap", "web", "--offline", saved(ready(), folder), *trusting(folder)).exit_code == 0
    found = dabba("roadmap", "web", "--offline", saved(rejected(), folder), *trusting(folder))
    assert (found.exit_code, "disaster_recovery_tested" in found.output) == (1, True)


def test_every_item_is_on_the_roadmap_once() -> None:
    assert sorted(item for phase in PHASES for item in phase.items) == sorted(ALL)


def test_a_key_is_made_for_one_pair_of_eyes_and_never_over_another(tmp_path: Path) -> None:
    made = dabba("key", str(tmp_path / "ci"))
    assert made.exit_code == 0
    assert (tmp_path / "ci.key").stat().st_mode & 0o777 == 0o600
    assert dabba("key", str(tmp_path / "ci")).exit_code == 2


def test_what_is_signed_is_what_import_takes(folder: Path) -> None:
    said = [spec("stress_testing_passed"), spec("data_integrity_verified", details={"mismatches": "0"})]
    (folder / "e.yaml").write_text(yaml.safe_dump_all(said))
    found = dabba("sign", str(folder / "e.yaml"), "--key", str(folder / "lab.key"), "-n", "shop")
    assert list(yaml.safe_load_all(found.output)) == [signed(item) for item in said]


def test_a_broken_chain_is_said_first(folder: Path) -> None:
    world = ready()
    observed = world.observed()
    del observed.objects["evidences.readiness.dabbawala.dev"][2]  # type: ignore[attr-defined]
    path = folder / "broken.json"
    path.write_bytes(orjson.dumps(records.made(observed, assess(observed), OFFICE)))
    found = dabba("check", "web", "--offline", str(path), *trusting(folder))
    assert "Evidence is not whole, so none of it counts" in found.output
    assert "Evidence shop/web-000003: missing" in found.output
