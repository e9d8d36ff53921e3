"""A Python file as the architecture tests look at it."""

import ast
from dataclasses import dataclass
from functools import cached_property

PACKAGES = ("wire", "drivers", "firmware", "boards", "gateway", "hil")


@dataclass(frozen=True)
class Source:
    """A Python file: its path below the root, its text and its syntax tree."""

    path: str
    text: str

    @property
    def folder(self) -> str:
        """The top folder, or the file name of a module in the root."""
        return self.path.split("/", maxsplit=1)[0]

    @property
    def is_for_device(self) -> bool:
        """Whether MicroPython runs the file."""
        return (
            self.path.startswith(("wire/", "drivers/", "firmware/", "tests/device/test_"))
            or self.path.startswith(("boards/rig_", "boards/node_"))
            or (self.folder == "boards" and self.path.endswith("/hal.py"))
        )

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """Every node of the syntax tree."""
        return list(ast.walk(ast.parse(self.text, self.path)))

    def at(self, node: ast.AST) -> str:
        """`path:line` of a node, for a message one can click on."""
        return f"{self.path}:{node.lineno}"
