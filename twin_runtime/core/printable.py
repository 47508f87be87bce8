"""Text of others as a terminal shows it, and does not obey it."""

from unicodedata import category


def printable(text: str) -> str:
    """`text`, with the escape that Python writes for each character that nobody can see.

    A device, or whoever names an attribute, could else clear a screen, retitle a window or
    turn a line around.
    """
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(char: str) -> str:
    is_shown = char.isprintable() or category(char) == "Zs"  # spaces of any width
    return char if is_shown else char.encode("unicode_escape").decode()
