"""Spell names so that they can be compared, shown, logged and written into any file."""

from __future__ import annotations

import re
import unicodedata

_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # control characters: a terminal obeys them, a newline ends a line of a log
    "\u2028\u2029"  # line ends
    "\u202a-\u202e\u2066-\u2069"  # they turn the direction of what follows
    "\ud800-\udfff]"  # what Python makes of bytes of names that are not UTF-8, and halves of characters
)


def printable(text: str, *, keep: str = "") -> str:
    r"""Spell what cannot be shown or encoded as in a URL: "x\xff\n.mp4" -> "x%FF%0A.mp4".

    Args:
        keep: characters that stay as they are, such as "\n".
    """
    plain = text
    for kept in keep:
        plain = plain.replace(kept, "")
    if plain.isprintable():  # most is, and a page as a whole is long
        return text
    return _UNPRINTABLE.sub(lambda found: found[0] if found[0] in keep else _percent(found[0]), text)


def spell(name: str) -> str:
    """Return the one spelling of a name: `printable`, and an accent is part of its letter (Unicode's NFC).

    macOS writes letter and accent apart, where other systems and most keyboards write one character.
    """
    if name.isascii() and name.isprintable():
        return name
    return printable(unicodedata.normalize("NFC", name))


def counted(number: int, noun: str) -> str:
    """Return a number with what is counted: "1 video", "0 videos"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _percent(character: str) -> str:
    try:
        content = character.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half a character, from Windows
        content = character.encode("utf-8", "surrogatepass")
    return "".join(f"%{byte:02X}" for byte in content)
