"""The search parameters of types, as searches look them up.

Not here, because no expression says what they look at: `_has`, `_list`, `_text`, `_content`, `_filter`, `_query`.
"""

from __future__ import annotations

from functools import lru_cache

from feldsher_cloud_api.fhir.kinds import kind as kind_of
from feldsher_cloud_api.fhir.r4 import SearchParameter


def parameters(kind: str) -> dict[str, SearchParameter]:
    """Return the search parameters of a resource type by name, those of every type among them."""
    return kind_of(kind).search


@lru_cache(512)
def common(kinds: tuple[str, ...]) -> dict[str, SearchParameter]:
    """Return the search parameters that several types share: the same name and the same kind in each."""
    first, *rest = (parameters(kind) for kind in kinds)
    return {
        name: parameter
        for name, parameter in first.items()
        if all(name in other and other[name].kind == parameter.kind for other in rest)
    }


def component_kinds(kind: str, parameter: SearchParameter) -> tuple[str, ...]:
    """Return the kinds of the parts of a composite parameter of a type."""
    return tuple(parameters(kind)[component.name].kind for component in parameter.components)
