"""How far what is drawn stands out from what is behind it, by WCAG 2.2 (1.4.3 and 1.4.11).

Colours are those that the browser computed; a background is that of the nearest ancestors, laid
over one another until one is opaque; text and graphics fade with their ancestors' opacity.
"""

from pathlib import Path

from playwright.sync_api import Page

TEXT_MIN = 4.5
LARGE_TEXT_MIN = 3.0
GRAPHICS_MIN = 3.0
# What is drawn and told by no text beside it, and the property that has its colour.
GRAPHICS = {
    ".dots": "stroke",
    ".own": "stroke",
    ".edge rect": "stroke",
    ".scale path": "stroke",
    "input, select, textarea": "borderTopColor",
    "nav a[aria-current]": "borderBottomColor",
    "#link": "color",
}
# Colours that no element tells a script of: charts, meters, marks and outlines.
TOKENS = (
    *(("--accent", ground) for ground in ("--panel", "--ground", "--faint")),
    ("--move", "--panel"),
    ("--dot", "--faint"),
)
_FAINT = Path(__file__).with_suffix(".js").read_text()


def too_faint(page: Page) -> list[str]:
    """What does not stand out enough, as it is drawn now, each with its colour and ratio."""
    told = page.evaluate(_FAINT, [GRAPHICS, TOKENS, TEXT_MIN, LARGE_TEXT_MIN, GRAPHICS_MIN])
    assert told["looked"] > len(TOKENS), "nothing is drawn"
    faint: list[str] = told["found"]
    return faint
