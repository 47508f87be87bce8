"""Desired state: what is wanted of a device and not yet reported.

A desired entry is a level under a path (`features/f/value`); its `number` is the
revision that set it, so a later wish has a larger number. What became of an entry the
device says in a report (`twin.apply_window` settles it).
"""


def feature_of(path: str) -> str | None:
    """The feature a desired path names, or None if it names none."""
    match path.split("/"):
        case ["features", name, "value"]:
            return name
        case _:
            return None
