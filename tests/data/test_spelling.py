"""Names as they are shown and compared."""

from __future__ import annotations

import os

import pytest

from mulde.data.errors import InputError
from mulde.data.files import name_without_suffix
from mulde.data.spelling import counted, printable, spell


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("a b-ü-日本-😀%.mp4", "a b-ü-日本-😀%.mp4"),
        (os.fsdecode(b"x\xff.mp4"), "x%FF.mp4"),
        (os.fsdecode(b"f\xfcr"), "f%FCr"),  # Latin-1
        ("\x1b[31mred", "%1B[31mred"),
        ("a\nb\r\tc\x7f\x85", "a%0Ab%0D%09c%7F%C2%85"),
        ("\u202egpj.exe\u2028", "%E2%80%AEgpj.exe%E2%80%A8"),
        ("\ud83d", "%ED%A0%BD"),
        ("[red]x[/red]", "[red]x[/red]"),
    ],
)
def test_printable(text: str, expected: str) -> None:
    assert printable(text) == spell(text) == expected
    assert spell(expected) == expected
    expected.encode()


def test_what_is_kept() -> None:
    assert printable("a\nb\x1b", keep="\n") == "a\nb%1B"


def test_an_accent_is_part_of_its_letter() -> None:
    assert spell("cafe\u0301") == spell("caf\xe9") == "caf\xe9"
    assert name_without_suffix("Tu\u0308r/cafe\u0301.mp4") == "T\xfcr/caf\xe9"


def test_an_error_names_any_file() -> None:
    name = os.fsdecode(b"x\xff")
    assert str(InputError(f"{name} \x1b[2J is not there")) == "x%FF %1B[2J is not there"


@pytest.mark.parametrize(("number", "expected"), [(0, "0 videos"), (1, "1 video"), (2, "2 videos")])
def test_numbers_of_things(number: int, expected: str) -> None:
    assert counted(number, "video") == expected
