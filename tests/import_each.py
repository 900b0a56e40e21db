"""Import each module of the package first in a process of its own.

Third-party packages are loaded once and each module then runs in a fork: as fresh as a new
interpreter to everything of ours, and a hundred times as quick.

Usage: ``import_each.py FOLDER MODULE...``; FOLDER is that of the package.
"""

import contextlib
import importlib
import os
import sys
import traceback
from types import ModuleType

PACKAGE = "stockade"


def stand_in_for_root(folder: str) -> None:
    """Put an empty package in place of the real one, which imports nearly everything itself."""
    root = sys.modules[PACKAGE] = ModuleType(PACKAGE)
    root.__path__ = [folder]
    vars(root)["__version__"] = "0"


def third_party(folder: str, modules: list[str]) -> list[str]:
    """Return what the modules import that is not ours, as found out by a fork."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        stand_in_for_root(folder)
        for module in modules:
            # The error is reported when it is this module's turn.
            with contextlib.suppress(Exception):
                importlib.import_module(module)
        loaded = [name for name in sys.modules if name.partition(".")[0] != PACKAGE]
        with os.fdopen(writer, "w") as pipe:
            pipe.write("\n".join(loaded))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        return pipe.read().split()


def imports_alone(folder: str, module: str) -> bool:
    """Tell whether a module imports in a fork that has nothing of ours; print why not."""
    child = os.fork()
    if child == 0:
        if module != PACKAGE:
            stand_in_for_root(folder)
        try:
            importlib.import_module(module)
        except Exception:  # noqa: BLE001  # whatever it is, it is printed and fails the test
            print(f"-- {module}", file=sys.stderr)  # noqa: T201  # read by the test
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def main(folder: str, *modules: str) -> int:
    """Try every module, also after a failure."""
    for name in third_party(folder, list(modules)):
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    return sum(not imports_alone(folder, module) for module in modules)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
