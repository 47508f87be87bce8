"""Things as people read them: values with their units, ages, tables that line up."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from twin_runtime.core.printable import printable

# UCUM's codes where a person writes something else.
SYMBOLS = {"1": "", "Cel": "°C", "By": "B", "By/s": "B/s", "Ohm": "Ω", "dB[mW]": "dBm"}
_PREFIXED = frozenset({"B", "B/s", "Hz", "W", "J"})
_PREFIXES = ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k"))
_LARGE = 1000  # from here on a fraction tells nobody anything
_HUGE = 10**15  # from here on nobody counts the digits
_PIPE_WIDTH = 100_000  # a line in a pipe: 256 features of 256 characters
_GAP = 2  # between columns
QUALITY_STYLES = {"good": "green", "uncertain": "yellow", "live": "cyan"}
_STATE_STYLES = {"serving": "green", "draining": "yellow", "lost": "red"}
# (seconds in one, from how many seconds on, name)
_AGES = ((86_400, 172_800, "d"), (3600, 7200, "h"), (60, 120, "min"), (1, 1, "s"))

Thing = Mapping[str, Any]


def print_table(table: Table, console: Console) -> None:
    """Fit a table to the terminal as far as its ids stay whole; in a pipe nothing is cut."""
    if console.is_terminal:
        console.width = max(console.width, sum(map(_narrowest, table.columns)))
    else:
        console.width = console.measure(
            table, options=console.options.update(width=_PIPE_WIDTH)
        ).maximum
    with console.capture() as printed:
        console.print(table)
    # The last column is filled up with spaces, which wrap where lines are long.
    lines = (line.rstrip() for line in printed.get().splitlines())
    console.file.write("".join(f"{line}\n" for line in lines))


def _narrowest(column: Column) -> int:
    """A column's width where every character counts; only VALUES may be cut to its name."""
    cells = (column.header, *column.cells) if column.no_wrap else (column.header,)
    return max(cell_len(str(cell)) for cell in cells) + _GAP


def things_table(things: Iterable[Thing], now_ms: int) -> Table:
    """One line per thing."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("THING", no_wrap=True)
    table.add_column("REV", justify="right", no_wrap=True)
    table.add_column("REPORTED", justify="right", no_wrap=True)
    # The one column that gives way where a terminal is narrow.
    table.add_column("VALUES")
    for thing in things:
        values = Text(_values_text(thing), no_wrap=True, overflow="ellipsis")
        table.add_row(
            thing["thingId"], str(thing["_revision"]), reported_text(thing, now_ms), values
        )
    return table


def edges_table(edges: Iterable[Mapping[str, Any]]) -> Table:
    """One line per edge."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("EDGE", no_wrap=True)
    table.add_column("STATE", no_wrap=True)
    table.add_column("PRESENCE", no_wrap=True)
    table.add_column("TWINS", justify="right")
    for edge in edges:
        state = Text(edge["state"], style=_STATE_STYLES.get(edge["state"], ""))
        table.add_row(edge["edge"], state, edge["presence"], str(edge["twins"]))
    return table


def thing_table(thing: Thing, now_ms: int) -> Table:
    """One line per feature."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("FEATURE", no_wrap=True)
    table.add_column("VALUE", justify="right")
    table.add_column("UNIT", no_wrap=True)
    table.add_column("OBSERVED", justify="right", no_wrap=True)
    table.add_column("QUALITY", no_wrap=True)
    table.add_column("DESIRED", justify="right")
    for name, feature in sorted(thing["features"].items()):
        state = feature.get("properties", {})
        quality = state.get("quality", "")
        value, unit = scaled(state.get("value"), unit_of(thing, name))
        table.add_row(
            name,
            Text(value_text(value)),
            Text(unit),
            age_text(now_ms - state["observed_ms"]) if state else "",
            Text(quality, style=QUALITY_STYLES.get(quality, "")),
            Text(_desired_text(feature) if "desiredProperties" in feature else ""),
        )
    return table


def heading(thing: Thing, now_ms: int) -> str:
    """What comes above a thing's table: title, position, revision."""
    description = thing["attributes"].get("description", {})
    parts = [thing["thingId"]]
    if title := description.get("title"):
        parts.append(printable(title))
    if position := description.get("position"):
        parts.append(f"at {' / '.join(value_text(metres) for metres in position.values())} m")
    parts.append(f"revision {thing['_revision']}, reported {reported_text(thing, now_ms)}")
    return " · ".join(parts)


def changes(before: Thing, after: Thing) -> list[str]:
    """One line per difference that shows between two states of a thing."""
    lines = []
    for name in sorted({*before["features"], *after["features"]}):
        old, new = (thing["features"].get(name, {}) for thing in (before, after))
        was, now = (_state_text(thing, name) for thing in (before, after))
        if was != now:
            lines.append(f"{name}  {was} → {now}")
        wanted, wants = map(_desired_text, (old, new))
        if wanted != wants:
            lines.append(f"{name}  desired {wanted} → {wants}{_why(new)}")
    return lines


def refusals(thing: Thing) -> list[str]:
    """One line per wish that a device gave a reason not to carry out."""
    features = sorted(thing["features"].items())
    return [
        f"{name}  desired {_desired_text(each)}{why}"
        for name, each in features
        if (why := _why(each))
    ]


def reported_text(thing: Thing, now_ms: int) -> str:
    """The age of a thing's last report."""
    if "_modified" not in thing:
        return "never"
    return age_text(now_ms - round(datetime.fromisoformat(thing["_modified"]).timestamp() * 1000))


def age_text(age_ms: int) -> str:
    """`3 s ago`; a device's clock may be ahead of ours: `in 3 s`."""
    age_s = abs(age_ms) / 1000
    for unit_s, from_s, name in _AGES:
        if age_s >= from_s:
            amount = f"{int(age_s / unit_s)} {name}"
            return f"{amount} ago" if age_ms > 0 else f"in {amount}"
    return "now"


def value_text(value: Any) -> str:
    """A value with as many digits as a person reads: four, and no fraction from 1,000 on."""
    match value:
        case None:
            return "–"
        case bool():
            return "true" if value else "false"
        case int() | float() if abs(value) >= _HUGE:
            return f"{value:.3e}"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:,.0f}" if abs(value) >= _LARGE else f"{value:.4g}"
        case _:
            return printable(str(value))


def scaled(value: Any, unit: str) -> tuple[Any, str]:
    """A large quantity with an SI prefix to its unit, where people write one: 24.9 GB."""
    factor, prefixed = _prefix(value, unit)
    return (value / factor, prefixed) if factor > 1 else (value, unit)


def aligned(values: Sequence[Any], unit: str) -> list[str]:
    """Values below one another, all of one width: one prefix, and points above points."""
    largest = max((abs(value) for value in values if is_number(value)), default=0)
    factor, prefixed = _prefix(largest, unit)
    texts = [value_text(value / factor if is_number(value) else value) for value in values]
    tails = [
        len(text) - len(text.partition(".")[0]) if is_number(value) else 0
        for value, text in zip(values, texts, strict=True)
    ]
    longest = max(tails, default=0)
    symbol = f" {prefixed}" if prefixed else ""
    lines = [
        f"{text}{' ' * (longest - tail)}{symbol}" if is_number(value) else text
        for value, text, tail in zip(values, texts, tails, strict=True)
    ]
    width = max(map(cell_len, lines), default=0)
    return [" " * (width - cell_len(line)) + line for line in lines]


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _prefix(value: Any, unit: str) -> tuple[int, str]:
    """By what a quantity is divided, and its unit then."""
    if unit in _PREFIXED and isinstance(value, int | float):
        for factor, prefix in _PREFIXES:
            if abs(value) >= factor:
                return factor, prefix + unit
    return 1, unit


def unit_of(thing: Thing, feature: str) -> str:
    """The unit the device declared for `feature`, as people write it."""
    declared = thing["attributes"].get("description", {}).get("features", {})
    unit: str = declared.get(feature, {}).get("unit", "")
    return symbol_of(unit)


def symbol_of(unit: str) -> str:
    """A unit as people write it."""
    return printable(SYMBOLS.get(unit, unit))


def _values_text(thing: Thing) -> str:
    return ", ".join(f"{name} {_state_text(thing, name)}" for name in sorted(thing["features"]))


def _state_text(thing: Thing, feature: str) -> str:
    state = thing["features"].get(feature, {}).get("properties")
    if state is None:
        return "–"
    value, unit = scaled(state.get("value"), unit_of(thing, feature))
    text = f"{value_text(value)} {unit}".rstrip() if value is not None else value_text(None)
    return text if state["quality"] == "good" else f"{text} ({state['quality']})"


def _desired_text(feature: Mapping[str, Any]) -> str:
    """What is wanted, and how far that is."""
    if "desiredProperties" not in feature:
        return value_text(None)
    state = feature.get("desiredState", {}).get("state")
    text = value_text(feature["desiredProperties"]["value"])
    return f"{text} ({state})" if state else text


def _why(feature: Mapping[str, Any]) -> str:
    reason = feature.get("desiredState", {}).get("reason")
    return f": {printable(reason)}" if reason else ""
