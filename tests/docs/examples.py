"""Find the Python examples of a page, and run them: ``python -m tests.docs.examples PAGE``.

Each page runs in a process of its own, since its models and policies are registered for good.
"""

import ast
import asyncio
import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path

# A fence may be indented, such as in a list; its end has the same indent.
BLOCK = re.compile(
    r"(?P<mark>^[ ]*<!-- not run: (?P<reason>[^>]+) -->\n)?"
    r"^(?P<indent>[ ]*)```python[^\n]*\n(?P<code>.*?)^(?P=indent)```",
    re.MULTILINE | re.DOTALL,
)


def examples(page: Path) -> Iterator[tuple[int, str]]:
    """Yield line number and code of each example of a page that is to be run."""
    text = page.read_text(encoding="utf-8")
    for found in BLOCK.finditer(text):
        if found["mark"] is None:
            indent = len(found["indent"])
            lines = (line[indent:] for line in found["code"].splitlines())
            yield text.count("\n", 0, found.start("code")), "\n".join(lines)


def run(page: Path) -> None:
    """Run the examples of a page one after the other, as the parts of one module."""
    # A module of its own: annotations are resolved in the module that a class names as its own.
    module = types.ModuleType("example")
    sys.modules[module.__name__] = module
    for line, code in examples(page):
        tree = compile(code, str(page), "exec", flags=ast.PyCF_ONLY_AST | _AWAIT)
        program = compile(ast.increment_lineno(tree, line), str(page), "exec", flags=_AWAIT)
        outcome = eval(program, module.__dict__)  # noqa: S307  # Examples of this repository.
        if outcome is not None:
            asyncio.run(outcome)


# An example may await at its top level, as in an asynchronous shell.
_AWAIT = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT

if __name__ == "__main__":
    run(Path(sys.argv[1]))
