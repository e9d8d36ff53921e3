from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

_Function = TypeVar("_Function", bound=Callable[..., Any])
_Value = TypeVar("_Value")

ptr8: TypeAlias = Any
ptr16: TypeAlias = Any
ptr32: TypeAlias = Any
Function: TypeAlias = Callable[..., Any]
IS_MICROPYTHON: bool
ALL: slice[None, None, None]
Buffer: TypeAlias = bytes | bytearray | memoryview

class _Identity:
    @staticmethod
    def viper(function: _Function) -> _Function: ...
    @staticmethod
    def native(function: _Function) -> _Function: ...

micropython: type[_Identity]

def const(value: _Value) -> _Value: ...
def uint(value: int) -> int: ...
