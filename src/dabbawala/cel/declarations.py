"""What the front end declares: functions with typed overloads, as Kubernetes' libraries declare them, by the first
server version in whose new policies they may be used.

A line is `overload_id receiver.name(argument, …) -> result`; `name(…)` stands alone for a function without receiver,
and an operator is `_<_(…)`. Where Kubernetes adds overloads to a function of the standard library, that one is left
out there and declared here as a whole. Source: apiserver/pkg/cel/environment/base.go and the libraries that it names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from dabbawala.cel.types import declaration, split

OLDEST = "1.30"
_LINE = re.compile(r"(\S+) (?:([a-zA-Z._]+(?:<.*>)?)::)?([@\w.<>=]+)\((.*)\) -> (.+)")

STRINGS = """
string_char_at_int string::charAt(int) -> string
string_index_of_string string::indexOf(string) -> int
string_index_of_string_int string::indexOf(string, int) -> int
string_last_index_of_string string::lastIndexOf(string) -> int
string_last_index_of_string_int string::lastIndexOf(string, int) -> int
list_join list<string>::join() -> string
list_join_string list<string>::join(string) -> string
string_lower_ascii string::lowerAscii() -> string
string_upper_ascii string::upperAscii() -> string
string_replace_string_string string::replace(string, string) -> string
string_replace_string_string_int string::replace(string, string, int) -> string
string_split_string string::split(string) -> list<string>
string_split_string_int string::split(string, int) -> list<string>
string_substring_int string::substring(int) -> string
string_substring_int_int string::substring(int, int) -> string
string_trim string::trim() -> string
string_format string::format(list<dyn>) -> string
strings_quote strings.quote(string) -> string
string_find_string string::find(string) -> string
string_find_all_string string::findAll(string) -> list<string>
string_find_all_string_int string::findAll(string, int) -> list<string>
"""
SETS = """
list_sets_contains_list sets.contains(list<T>, list<T>) -> bool
list_sets_equivalent_list sets.equivalent(list<T>, list<T>) -> bool
list_sets_intersects_list sets.intersects(list<T>, list<T>) -> bool
list_a_index_of_int list<T>::indexOf(T) -> int
list_a_last_index_of_int list<T>::lastIndexOf(T) -> int
"""
URLS = """
string_to_url url(string) -> kubernetes.URL
is_url_string isURL(string) -> bool
url_get_scheme kubernetes.URL::getScheme() -> string
url_get_host kubernetes.URL::getHost() -> string
url_get_hostname kubernetes.URL::getHostname() -> string
url_get_port kubernetes.URL::getPort() -> string
url_get_escaped_path kubernetes.URL::getEscapedPath() -> string
url_get_query kubernetes.URL::getQuery() -> map<string, list<string>>
"""
AUTHORIZER = """
authorizer_path authorizer::path(string) -> path_check
authorizer_group authorizer::group(string) -> group_check
authorizer_serviceaccount authorizer::serviceAccount(string, string) -> authorizer
groupcheck_resource group_check::resource(string) -> resource_check
resourcecheck_subresource resource_check::subresource(string) -> resource_check
resourcecheck_namespace resource_check::namespace(string) -> resource_check
resourcecheck_name resource_check::name(string) -> resource_check
pathcheck_check path_check::check(string) -> decision
resourcecheck_check resource_check::check(string) -> decision
decision_errored decision::errored() -> bool
decision_error decision::error() -> string
decision_allowed decision::allowed() -> bool
decision_reason decision::reason() -> string
"""
QUANTITIES = """
string_to_quantity quantity(string) -> quantity
is_quantity_string isQuantity(string) -> bool
quantity_sign sign(quantity) -> int
quantity_is_greater_than quantity::isGreaterThan(quantity) -> bool
quantity_is_less_than quantity::isLessThan(quantity) -> bool
quantity_compare_to quantity::compareTo(quantity) -> int
quantity_get_float quantity::asApproximateFloat() -> double
quantity_get_int quantity::asInteger() -> int
quantity_is_integer quantity::isInteger() -> bool
quantity_add quantity::add(quantity) -> quantity
quantity_add_int quantity::add(int) -> quantity
quantity_sub quantity::sub(quantity) -> quantity
quantity_sub_int quantity::sub(int) -> quantity
"""
CONVERSIONS = """
int64_to_int64 int(int) -> int
uint64_to_int64 int(uint) -> int
double_to_int64 int(double) -> int
string_to_int64 int(string) -> int
timestamp_to_int64 int(timestamp) -> int
duration_to_int64 int(duration) -> int
string_to_string string(string) -> string
bool_to_string string(bool) -> string
int64_to_string string(int) -> string
uint64_to_string string(uint) -> string
double_to_string string(double) -> string
bytes_to_string string(bytes) -> string
timestamp_to_string string(timestamp) -> string
duration_to_string string(duration) -> string
duration_to_duration duration(duration) -> duration
int64_to_duration duration(int) -> duration
string_to_duration duration(string) -> duration
"""
ADDRESSES = """
string_to_ip ip(string) -> net.IP
is_ip isIP(string) -> bool
ip_is_canonical ip.isCanonical(string) -> bool
ip_family net.IP::family() -> int
ip_is_unspecified net.IP::isUnspecified() -> bool
ip_is_loopback net.IP::isLoopback() -> bool
ip_is_link_local_multicast net.IP::isLinkLocalMulticast() -> bool
ip_is_link_local_unicast net.IP::isLinkLocalUnicast() -> bool
ip_is_global_unicast net.IP::isGlobalUnicast() -> bool
string_to_cidr cidr(string) -> net.CIDR
is_cidr isCIDR(string) -> bool
cidr_contains_ip_string net.CIDR::containsIP(string) -> bool
cidr_contains_ip_ip net.CIDR::containsIP(net.IP) -> bool
cidr_contains_cidr_string net.CIDR::containsCIDR(string) -> bool
cidr_contains_cidr net.CIDR::containsCIDR(net.CIDR) -> bool
cidr_ip net.CIDR::ip() -> net.IP
cidr_prefix_length net.CIDR::prefixLength() -> int
cidr_masked net.CIDR::masked() -> net.CIDR
ip_to_string string(net.IP) -> string
cidr_to_string string(net.CIDR) -> string
"""
SELECTORS = """
authorizer_fieldselector resource_check::fieldSelector(string) -> resource_check
authorizer_labelselector resource_check::labelSelector(string) -> resource_check
"""
_SUMMABLE = ("int", "uint", "double", "duration")
_SORTABLE = (*_SUMMABLE, "bool", "timestamp", "string", "bytes")
_WIRE_NAMES = {"int": "int64", "uint": "uint64"}
_COMPARISONS = {"_<_": "less", "_<=_": "less_equals", "_>_": "greater", "_>=_": "greater_equals"}
# Left out of the standard library: declared here with more overloads.
_REPLACED = (*_COMPARISONS, "int", "string", "duration")

# Functions by the first version that has them; those after a version are refused by name.
_BY_VERSION: dict[str, tuple[str, ...]] = {
    OLDEST: (STRINGS, SETS, URLS, AUTHORIZER, QUANTITIES, CONVERSIONS),
    "1.31": (ADDRESSES,),
    "1.32": (SELECTORS,),
}
_NAMES_BY_VERSION = {
    "1.31": """ip isIP ip.isCanonical family isUnspecified isLoopback isLinkLocalMulticast isLinkLocalUnicast
        isGlobalUnicast cidr isCIDR containsIP containsCIDR prefixLength masked""",
    "1.32": "fieldSelector labelSelector format.named format.dns1123Label format.dns1123Subdomain format.dns1035Label "
    "format.uri format.uuid format.byte format.date format.datetime format.qualifiedName format.labelValue validate",
    "1.33": "transformList transformMap transformMapEntry",
    "1.34": "semver isSemver major minor patch",
    "1.35": "slice flatten sort sortBy distinct lists.range reverse first last",
    "1.38": "includes",
}


_MACROS, _MACROS_SINCE = ("all", "exists", "exists_one", "existsOne"), "1.33"


def number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def introduced(name: str, version: str) -> str | None:
    """Why a function of a newer library is not known to a server of a version, as a sentence."""
    if name in _MACROS:
        return f"{name} with two variables may be used in policies of servers from {_MACROS_SINCE}, and not yet here"
    for since, names in _NAMES_BY_VERSION.items():
        if name in names.split() or name in (one.partition(".")[2] for one in names.split()):
            newer = number(since) > number(version)
            known = f"this one is of {version}" if newer else "this engine does not know it yet"
            return f"{name}() may be used in policies of servers from {since}; {known}"
    return None


def configuration(version: str, extra: Sequence[tuple[str, tuple[str, ...], str, bool]]) -> dict[str, Any]:
    """The front end's configuration for a server's version, without variables."""
    functions = {name: list(overloads) for name, overloads in _declared(version).items()}
    for place, (name, arguments, result, receiver) in enumerate(extra):
        functions.setdefault(name, []).append(_overload(f"extra_{place}", arguments, result, receiver))
    return {
        "stdlib": {"exclude_functions": [{"name": name} for name in _REPLACED]},
        "extensions": [{"name": "optional", "version": 1}],
        "functions": [{"name": name, "overloads": overloads} for name, overloads in functions.items()],
    }


@cache
def _declared(version: str) -> dict[str, list[dict[str, Any]]]:
    functions: dict[str, list[dict[str, Any]]] = {}
    for line in _lines(version):
        found = _LINE.fullmatch(line)
        if found is None:
            raise ValueError(f"not a declaration: {line}")
        id, receiver, name, arguments, result = found.groups()
        listed = [part.strip() for part in split(arguments)] if arguments else []
        overload = _overload(id, [receiver, *listed] if receiver else listed, result, receiver is not None)
        functions.setdefault(name, []).append(overload)
    return functions


def _lines(version: str) -> Iterator[str]:
    for first, tables in _BY_VERSION.items():
        if number(first) <= number(version):
            yield from (line for table in tables for line in table.split("\n") if line)
    for kind in _SORTABLE:
        yield f"list_{kind}_is_sorted_bool list<{kind}>::isSorted() -> bool"
        yield f"list_{kind}_min_{kind} list<{kind}>::min() -> {kind}"
        yield f"list_{kind}_max_{kind} list<{kind}>::max() -> {kind}"
    for kind in _SUMMABLE:
        yield f"list_{kind}_sum_{kind} list<{kind}>::sum() -> {kind}"
    for operator, word in _COMPARISONS.items():
        for kind in _SORTABLE:
            yield f"{word}_{_WIRE_NAMES.get(kind, kind)} {operator}({kind}, {kind}) -> bool"
        for left, right in _MIXED:
            names = f"{_WIRE_NAMES.get(left, left)}_{_WIRE_NAMES.get(right, right)}"
            yield f"{word}_{names} {operator}({left}, {right}) -> bool"


_MIXED = tuple((left, right) for left in _SUMMABLE[:3] for right in _SUMMABLE[:3] if left != right)


def _overload(id: str, arguments: Sequence[str], result: str, member: bool) -> dict[str, Any]:
    types = [declaration(argument) for argument in arguments]
    made: dict[str, Any] = {"id": id, "return": declaration(result)}
    if member:
        made["target"] = types.pop(0)
    return {**made, "args": types}
