"""What single fields of `site.toml` may hold: names, hosts, numbers, paths.

Promises: nothing is coerced, and a refusal says what to write instead. Left to others: which tables
have which fields (`site.py`, `site_nodes.py`), rules between fields (`site_rules.py`).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
)

from gateway.site_rules import hint
from wire import units


class Table(BaseModel):
    """One table of the file: unknown keys are refused, and it never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def one_of(kind: str, known: Sequence[str]) -> AfterValidator:
    """Return a validator that accepts the known names and suggests the nearest one."""

    def check(value: str) -> str:
        if value not in known:
            raise ValueError(f"{value!r} is not a known {kind}; {hint(value, known)}")
        return value

    return AfterValidator(check)


def _under_site_file(value: object, info: ValidationInfo) -> object:
    """Read a path as relative to the folder of the site file."""
    if not isinstance(value, str) or not value:
        return value
    return Path(info.context) / value if isinstance(info.context, Path) else Path(value)


def _not_empty(value: object) -> object:
    """Refuse an empty list before its rows are looked at, so that only this is said."""
    if value == []:
        raise ValueError("is empty; add at least one")
    return value


def _is_host(value: str) -> str:
    """Refuse a name that no resolver takes: the codec is the one every socket uses."""
    try:
        value.encode("idna")
    except UnicodeError:
        raise ValueError(
            f"{value!r} has an empty part or one of more than 63 characters between its dots; "
            "write a name such as plc.local, or an address"
        ) from None
    return value


NotEmpty = BeforeValidator(_not_empty)
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=32)]
"""SenML name characters without ":" and "/", which separate source, channel and topic level."""
TopicLevel = Annotated[str, Field(pattern=r"^[^+#/\x00-\x1f]+$", max_length=64)]
Host = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9.:_-]+$", max_length=253), AfterValidator(_is_host)
]
Port = Annotated[int, Field(ge=1, le=65535)]
ListenPort = Annotated[int, Field(ge=0, le=65535)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Probability = Annotated[float, Field(gt=0, lt=1)]
Unit = Annotated[str, one_of("SenML unit", [unit.senml for unit in units.UNITS])]
Quantity = Annotated[str, one_of("quantity", list(units.QUANTITIES))]
FilePath = Annotated[Path, BeforeValidator(_under_site_file)]
