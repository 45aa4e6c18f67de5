"""Read tables as spreadsheets save them: commas, semicolons or tabs, UTF-8 or UTF-16, numbers and times."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path

from mulde.data.errors import InputError
from mulde.data.files import require_file

SHEET_SUFFIXES = frozenset({".csv", ".tsv"})
_DELIMITERS = ",;\t"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_CLOCK = re.compile(r"(?:([0-9]+):)?([0-9]+):([0-5]?[0-9](?:\.[0-9]*)?)")


@dataclass(frozen=True)
class Row:
    """One line of a table."""

    where: str
    """File and line, for messages."""
    cells: tuple[str, ...]
    """As many as the header has; "" for empty ones."""


@dataclass(frozen=True)
class Sheet:
    """A table with a header."""

    path: Path
    header: tuple[str, ...]
    """As in the file; () where it is empty."""
    rows: tuple[Row, ...]
    """Without empty ones."""
    delimiter: str

    @property
    def where(self) -> str:
        """The file and its first line, for messages."""
        return f"{self.path}:1"

    def number(self, text: str) -> float:
        """Read a number, with a decimal comma where commas do not part cells; raises ValueError."""
        return float(self._with_point(text))

    def whole(self, text: str) -> int:
        """Read a whole number, which spreadsheets may write as 40.0; raises ValueError."""
        number = self.number(text)
        if self.delimiter != "," and re.fullmatch("[0-9]{1,3}([.,][0-9]{3})+", text):
            raise ValueError(f"{text} may be a thousand times as much")  # 1.000 is a thousand to some
        if not number.is_integer():
            raise ValueError(f"{text} is no whole number")
        return int(number)

    def seconds(self, text: str) -> float:
        """Read a time in seconds, mm:ss or hh:mm:ss, with decimals or without; raises ValueError."""
        found = _CLOCK.fullmatch(self._with_point(text))
        if found is None:
            return self.number(text)
        hours, minutes, seconds = int(found[1] or 0), int(found[2]), float(found[3])
        if found[1] and minutes >= 60:
            raise ValueError(f"{text} has {minutes} minutes beside hours")
        return 3600 * hours + 60 * minutes + seconds

    def _with_point(self, text: str) -> str:
        return text if self.delimiter == "," else text.replace(",", ".")


def read_sheet(path: Path) -> Sheet:
    """Read a table.

    A first line `sep=;`, which spreadsheets write and obey, is obeyed; otherwise what parts the cells of the
    header parts all.

    Raises:
        InputError: it is no text, or a row has more cells than the header.
    """
    lines = _text(path).splitlines(keepends=True)
    skipped = 0
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ""
    if lines and re.fullmatch(r'"?sep=.?"?\s*', lines[0], flags=re.IGNORECASE):
        delimiter = lines[0].strip('"\r\n')[len("sep=") :] or "\t"
        lines, skipped = lines[1:], 1
    first = next((line for line in lines if line.strip()), "")
    if not delimiter or delimiter not in first:
        delimiter = max(_DELIMITERS, key=first.count)
    try:
        reader = csv.reader(lines, delimiter=delimiter)
        rows = [(reader.line_num + skipped, [cell.strip() for cell in row]) for row in reader]
    except (csv.Error, TypeError, ValueError) as error:
        raise InputError(f"{path} is no CSV text ({error}): save it as CSV UTF-8") from error
    rows = [(line, row) for line, row in rows if any(row)]
    if not rows:
        return Sheet(path, (), (), delimiter)
    header = tuple(_without_tail(rows[0][1]))
    return Sheet(
        path, header, tuple(_row(f"{path}:{line}", row, header) for line, row in rows[1:]), delimiter
    )


def _text(path: Path) -> str:
    require_file(path)
    content = path.read_bytes()
    encoding = "utf-16" if content.startswith(_UTF16) else "utf-8-sig"  # both with a byte-order mark
    try:
        return io.TextIOWrapper(io.BytesIO(content), encoding, newline="").read().lstrip("\ufeff")
    except UnicodeError as error:
        raise InputError(f"{path} is no CSV text in UTF-8 ({error}): save it as CSV UTF-8") from error


def _without_tail(row: list[str]) -> list[str]:
    """Drop empty cells at the end, which spreadsheets write where another row is longer."""
    while row and not row[-1]:
        row = row[:-1]
    return row


def _row(where: str, row: list[str], header: tuple[str, ...]) -> Row:
    cells = _without_tail(row)
    if len(cells) > len(header):
        raise InputError(f"{where}: expected {','.join(header)}, found {','.join(cells)!r}")
    return Row(where, tuple(cells + [""] * (len(header) - len(cells))))
