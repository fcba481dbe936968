"""The data of the frameworks and the annotations of the checks name the same clauses, and promise nothing."""

from __future__ import annotations

import pytest

from dabbawala.guard import checks
from dabbawala.guard.frameworks import catalogue
from dabbawala.guard.frameworks.catalogue import KINDS, MACHINE, NOT_VERIFIED, Framework
from tests.guard.frameworks.wording import promises

SHIPPED = catalogue.shipped()
SUPPORTS = catalogue.supports(checks.shipped().values())
CLAUSES = {clause.name: clause for framework in SHIPPED.values() for clause in framework.clauses}
MODEL = (
    "data_residency_check", "encryption_validation", "audit_trail_verification", "access_control_review",
    "network_segmentation", "access_control_validation", "encryption_verification", "vulnerability_management",
    "information_security_controls", "risk_assessment", "incident_response",
)  # fmt: skip


def frameworks() -> list[Framework]:
    return list(SHIPPED.values())


def test_every_clause_that_a_check_names_is_one_of_a_framework() -> None:
    assert not {f"{row.framework}/{row.clause}" for check in checks.shipped().values() for row in check.controls} - set(
        CLAUSES
    )


def test_a_clause_that_configuration_decides_has_a_check() -> None:
    assert not [clause.name for clause in CLAUSES.values() if clause.kind == MACHINE and not SUPPORTS.get(clause.name)]


@pytest.mark.parametrize("framework", frameworks(), ids=lambda framework: framework.name)
def test_a_framework_says_what_it_holds_and_who_has_read_it(framework: Framework) -> None:
    ids = [clause.id for clause in framework.clauses]
    assert len(set(ids)) == len(ids)
    assert framework.about.endswith(".")
    for clause in framework.clauses:
        assert clause.kind in KINDS
        assert clause.title
        assert clause.keep
        assert clause.verified == NOT_VERIFIED or clause.verified.startswith("2026-")
        assert not promises(f"{clause.title} {clause.keep}"), clause.name


def test_clauses_whose_text_nobody_has_read_are_only_supported() -> None:
    for clause in CLAUSES.values():
        if clause.like:
            assert clause.verified == NOT_VERIFIED, clause.name
            assert {support.control.strength for support in SUPPORTS[clause.name]} == {"supporting"}, clause.name
            assert all(SUPPORTS.get(name) for name in clause.like), clause.name


def test_all_of_the_cis_benchmark_is_there() -> None:
    sizes = {"1.1": 21, "1.2": 30, "1.3": 7, "1.4": 2, "2": 7, "3.1": 3, "3.2": 2, "4.1": 10, "4.2": 14, "4.3": 1,
             "5.1": 13, "5.2": 12, "5.3": 2, "5.4": 2, "5.5": 1, "5.6": 4}  # fmt: skip
    expected = [f"{section}.{number}" for section, size in sizes.items() for number in range(1, size + 1)]
    assert [clause.id for clause in SHIPPED["cis"].clauses] == expected
    assert len(expected) == 131


def test_all_controls_of_annex_a_are_there() -> None:
    sizes = {"A.5": 37, "A.6": 8, "A.7": 14, "A.8": 34}
    expected = [f"{theme}.{number}" for theme, size in sizes.items() for number in range(1, size + 1)]
    assert [clause.id for clause in SHIPPED["iso-27001-2022"].clauses if clause.id.startswith("A.")] == expected


def test_a_family_names_all_of_its_frameworks() -> None:
    assert {framework.name for framework in catalogue.resolve("rbi")} == {
        name for name in SHIPPED if name.startswith("rbi-")
    }
    for name in ("rbi", "pci-dss-4.0.1", "iso-27001-2022", "cis", "nsa", "pss-baseline", "pss-restricted", "cert-in",
                 "dpdp"):  # fmt: skip
        assert catalogue.resolve(name)


def test_an_unknown_name_is_refused_with_those_that_exist() -> None:
    with pytest.raises(catalogue.NoSuchFramework, match=r"no framework 'sox'; there are cert-in, .*rbi-itg-2023"):
        catalogue.resolve("sox")


@pytest.mark.parametrize("name", MODEL)
def test_the_framework_checks_of_the_configuration_model_have_checks_or_records_to_go_by(name: str) -> None:
    question = catalogue.named()[name]
    found = list(catalogue.clauses(question.clauses))
    assert found
    assert all(SUPPORTS.get(clause.name) or clause.kind != MACHINE for clause in found)


def test_questions_by_name_are_about_clauses_that_exist() -> None:
    for question in catalogue.named().values():
        assert set(question.clauses) <= set(CLAUSES), question.name
        assert catalogue.resolve(question.framework)
    flags = [question.name for question in catalogue.named().values() if question.flag]
    assert flags == [
        "data_localization", "encryption_at_rest", "encryption_in_transit", "audit_logging", "access_controls"
    ]  # fmt: skip
