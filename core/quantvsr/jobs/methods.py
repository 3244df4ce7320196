"""The list of methods and of their switches."""

from dataclasses import dataclass
from typing import Any

from quantvsr.jobs.base import Job, Result, register
from quantvsr.methods import methods
from quantvsr.progress import Progress


@dataclass(frozen=True, kw_only=True)
class MethodsResult(Result):
    """All methods.

    Attributes:
        methods: By name: title, summary, source, what was simplified, and `switches` with their meaning.
    """

    methods: dict[str, dict[str, Any]]

    def rows(self) -> list[tuple[str, str]]:
        """A few lines per method."""
        rows: list[tuple[str, str]] = []
        for name, method in self.methods.items():
            rows += [(name, f"{method['title']} ({method['source']})"), ("", method["summary"])]
            if method["simplified"]:
                rows.append(("", f"Simplified: {method['simplified']}"))
            rows += [(f"  +{switch}", title) for switch, title in method["switches"].items()]
        return rows


@register("methods")
@dataclass(frozen=True, kw_only=True)
class MethodsJob(Job):
    """List all methods."""

    summary = "List the methods that --method and 'sweep --methods' take, and the switches they have."
    example = "quantvsr methods --json"
    group = "quantize"

    def run(self, progress: Progress) -> MethodsResult:
        """Run it."""
        found = {}
        for name, method in methods().items():
            switches = {switch: each.title for switch, each in method.recipe.switches().items()}
            found[name] = {**method.to_json(), "switches": switches}
        return MethodsResult(methods=found)
