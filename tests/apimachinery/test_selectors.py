import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dabbawala.apimachinery import selectors
from dabbawala.apimachinery.status import BadRequest

WEB = {"app": "web", "tier": "front", "n": "5"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", True),
        ("app", True),
        ("!app", False),
        ("!gone", True),
        ("app=web", True),
        ("app==web", True),
        ("app = web , tier=front", True),
        ("app=web,app=web", True),
        ("app=web,app=api", False),
        ("app!=web", False),
        ("gone!=web", True),
        ("app in (web,api)", True),
        ("app in (web, api),tier notin (back)", True),
        ("gone notin (x)", True),
        ("gone in (x)", False),
        ("app=", False),
        ("n>4", True),
        ("n<4", False),
        ("app>4", False),
        ("in in (in)", False),
        ("example.com/x notin (a,b),!example.com/y", True),
    ],
)
def test_a_label_selector_selects_what_kubectl_says_it_does(text: str, expected: bool) -> None:
    assert selectors.parse_label_selector(text).matches(WEB) is expected


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("app in", "expected: '('"),
        ("app in (a", "expected: ',', or ')'"),
        ("app=web,", "expected: identifier after ','"),
        (",app", "expected: !, identifier"),
        ("a b", "expected: in, notin, =, ==, !=, >, <"),
        ("-a=b", "alphanumeric"),
        ("a=b b", "expected: ',' or end of string"),
        ("a=" + "x" * 64, "63 bytes"),
        ("UPPER.example/x=1", None),
        ("a>b", "must be an integer"),
    ],
)
def test_a_malformed_label_selector_is_refused_with_its_reason(text: str, part: str | None) -> None:
    with pytest.raises(BadRequest) as caught:
        selectors.parse_label_selector(text)
    assert "unable to parse requirement" in caught.value.message
    assert part is None or part in caught.value.message


def test_the_object_form_joins_labels_and_expressions() -> None:
    chosen = selectors.from_label_selector(
        {"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["back"]}]}
    )
    assert chosen.matches(WEB)
    assert not chosen.matches({**WEB, "tier": "back"})
    assert str(chosen) == "app=web,tier!=back"


def test_an_absent_selector_selects_nothing_and_an_empty_one_everything() -> None:
    assert not selectors.from_label_selector(None).matches(WEB)
    assert selectors.from_label_selector({}).matches(WEB)
    assert not selectors.from_labels({}).matches(WEB)


@pytest.mark.parametrize(
    "expression",
    [
        {"key": "a", "operator": "In"},
        {"key": "a", "operator": "Exists", "values": ["x"]},
        {"key": "a", "operator": "Near"},
        {"key": "a", "operator": "Gt", "values": ["1", "2"]},
    ],
)
def test_a_contradictory_expression_is_refused(expression: dict[str, object]) -> None:
    with pytest.raises(BadRequest):
        selectors.from_label_selector({"matchExpressions": [expression]})


_labels = st.dictionaries(st.sampled_from("abc"), st.sampled_from("xyz"), max_size=3)
_terms = st.builds(
    selectors.Requirement,
    st.sampled_from("abc"),
    st.sampled_from(["In", "NotIn"]),
    st.frozensets(st.sampled_from("xyz"), min_size=1),
) | st.builds(selectors.Requirement, st.sampled_from("abc"), st.sampled_from(["Exists", "DoesNotExist"]))


@settings(max_examples=60)
@given(st.lists(_terms, min_size=1, max_size=4), _labels)
def test_a_selector_means_the_same_after_printing_and_reading(terms: list[selectors.Requirement], labels) -> None:
    chosen = selectors.LabelSelector(tuple(terms))
    assert selectors.parse_label_selector(str(chosen)).matches(labels) is chosen.matches(labels)


def _read(fields: dict[str, str]):
    return lambda path: fields.get(path, "")


def test_field_selectors_compare_by_path_and_repeat_freely() -> None:
    chosen = selectors.parse_field_selector("metadata.name=x,metadata.name==x,status.phase!=Failed")
    assert chosen.matches(_read({"metadata.name": "x"}))
    assert not chosen.matches(_read({"metadata.name": "x", "status.phase": "Failed"}))
    assert chosen.exact("metadata.name") == "x"
    assert chosen.exact("status.phase") is None


def test_field_selectors_understand_escapes_and_empty_terms() -> None:
    chosen = selectors.parse_field_selector(r",a=1\,2\=3\\,,b=")
    assert chosen.terms == (("a", True, r"1,2=3\ ".strip()), ("b", True, ""))
    assert selectors.parse_field_selector(str(chosen)) == chosen


@pytest.mark.parametrize("text", ["a", "=b", "a=b=c", r"a=b\x", "a=b\\", pytest.param("a" * 200_000 + "\\", id="long")])
def test_a_malformed_field_selector_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="can't understand"):
        selectors.parse_field_selector(text)
