"""Put the demo application into the wheel."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

DEMO_SOURCE = "examples/multi_tenant"
DEMO_TARGET = "stockade/_demo"


class DemoBuildHook(BuildHookInterface[Any]):
    """Include the demo's files, so that ``stockade demo`` works from an installed wheel.

    An editable build leaves them out: the command finds them in the checkout, and a second
    ``stockade`` folder in site-packages would shadow the sources.
    """

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        source = Path(self.root, DEMO_SOURCE)
        if version != "editable" and source.is_dir():
            build_data["force_include"][str(source)] = DEMO_TARGET
