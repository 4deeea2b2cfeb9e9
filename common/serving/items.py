"""PUT and DELETE /CASE/items: what may be shown changes while the case is served. Checked against schema.Item, durable, known on return."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, make_dataclass
from typing import Annotated, Any

import orjson
from pydantic import ConfigDict, Field, TypeAdapter

from common.contract import Platform
from common.serving.guards import refused_fields

MAX_BATCH = 1000
Id = Annotated[int, Field(ge=0, lt=2**53)]
_STRICT = ConfigDict(extra="forbid", strict=True)


@dataclass(frozen=True, kw_only=True)
class Gone:
    __pydantic_config__ = _STRICT

    ids: Annotated[list[Id], Field(min_length=1, max_length=MAX_BATCH)]


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """`version` is the case's count of changes with these in it."""

    accepted: int
    version: int


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What a case takes: schema.Item, and schema.ITEM, one that works."""

    item: type
    example: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id_name(self) -> str:
        """An item's id is its first field."""
        return fields(self.item)[0].name

    def batch(self) -> TypeAdapter[Any]:
        """{"items": [...]}"""
        items = Annotated[list[self.item], Field(min_length=1, max_length=MAX_BATCH)]  # type: ignore[name-defined]
        strict = {"__pydantic_config__": _STRICT}
        return TypeAdapter(make_dataclass("Items", [("items", items)], namespace=strict, frozen=True, kw_only=True))


def kind_of(schema: Any) -> Kind | None:
    """Of a case's schema module; None where the case takes no items."""
    item = getattr(schema, "Item", None)
    return None if item is None else Kind(item=item, example=getattr(schema, "ITEM", {}))


GONE = TypeAdapter(Gone)


def put(items: Sequence[Any], id_name: str, platform: Platform) -> Accepted:
    """All of them or, if one is wrong, none. In no answer as they were before, from now on; in answers as they are now, soon."""
    ids = [getattr(item, id_name) for item in items]
    first = {item_id: at for at, item_id in reversed(list(enumerate(ids)))}
    again = [at for at, item_id in enumerate(ids) if first[item_id] != at]
    if again:
        raise refused_fields([{"loc": ("items", at, id_name), "msg": "each id once in a batch"} for at in again])
    bodies = {item_id: orjson.dumps(item) for item_id, item in zip(ids, items, strict=True)}
    return Accepted(accepted=len(ids), version=platform.items.put(bodies, platform.clock.now()))


def delete(ids: Sequence[int], platform: Platform) -> Accepted:
    """In no answer that begins from now on. An id nobody knows is as gone as any."""
    return Accepted(accepted=len(set(ids)), version=platform.items.delete(ids, platform.clock.now()))
