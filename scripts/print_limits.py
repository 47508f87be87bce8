"""Prints docs/limits.md from twin_runtime/core/limits.py: names, values and reasons.

    .venv/bin/python scripts/print_limits.py > docs/limits.md

The reason is the comment above a limit or behind it; of a pair `..._FIRST_...` and
`..._LAST_...`, one comment speaks for both.
"""

import re
import runpy
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).parents[1] / "twin_runtime/core/limits.py"
HEADER = """\
# Limits

Nothing in diten grows without a bound, and no bound is without a reason.
This page is printed from `twin_runtime/core/limits.py` by `scripts/print_limits.py`;
`tests/test_docs.py` keeps the two in step.
Units are the last or last but one part of a name: `_s` seconds, `_bytes` bytes.
"""
TABLE = "| Limit | Value | Why |\n| --- | ---: | --- |\n"
SECTION = re.compile(r"# --- (?P<title>.+?) -+$")
LIMIT = re.compile(r"(?P<name>[A-Z][A-Z0-9_]*) = (?P<expression>[^#]+?)(?:  # (?P<reason>.*))?$")


class Limit(NamedTuple):
    """One named bound; `reason` is empty where the source gives none."""

    section: str
    name: str
    value: float
    reason: str


def read_limits() -> list[Limit]:
    """Return the limits in the order of the source, each with its section."""
    values = runpy.run_path(str(SOURCE))
    limits: list[Limit] = []
    above: list[str] = []
    section = ""
    for line in SOURCE.read_text(encoding="utf-8").splitlines():
        if title := SECTION.match(line):
            section, above = title["title"], []
        elif line.startswith("# "):
            above.append(line[2:])
        elif found := LIMIT.match(line):
            words = " ".join([*above, *filter(None, [found["reason"]])])
            limits.append(Limit(section, found["name"], values[found["name"]], words))
            above = []
        else:
            above = []
    assert {limit.name for limit in limits} == {name for name in values if name.isupper()}
    return [paired(limit, limits) for limit in limits]


def paired(limit: Limit, limits: list[Limit]) -> Limit:
    """Return `limit` with the reason of its other half where it has none of its own."""
    twins = {limit.name.replace("_FIRST_", "_LAST_"), limit.name.replace("_LAST_", "_FIRST_")}
    reasons = [limit.reason, *(other.reason for other in limits if other.name in twins)]
    return limit._replace(reason=next(filter(None, reasons), ""))


def shown(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.10g}"


def page(limits: list[Limit]) -> str:
    """Return docs/limits.md."""
    text, section = HEADER, ""
    for limit in limits:
        if limit.section != section:
            section = limit.section
            text += f"\n## {section.capitalize()}\n\n{TABLE}"
        reason = limit.reason.replace("|", "\\|")
        text += f"| `{limit.name}` | {shown(limit.value)} | {reason} |\n"
    return text


if __name__ == "__main__":
    print(page(read_limits()), end="")
