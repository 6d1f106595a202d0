"""What an expression can see while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from feldsher_cloud_api.fhir.fhirpath.values import Items, Node

Resolve = Callable[[str], "dict[str, object] | None"]
"""From a reference's text to the resource it names; None where there is none."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The resource, where evaluation began, and what `$this`, `$index` and `$total` are just now."""

    root: Node
    context: Items
    now: datetime
    resolve: Resolve | None = None
    this: Items | None = None
    index: int | None = None
    total: Items = field(default_factory=list[Node])


Compiled = Callable[[Scope, Items], Items]
