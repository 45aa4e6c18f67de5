"""The key of a user: one that others can have changed is not theirs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from mulde.data import ours
from mulde.data.ours import own_key

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="rights are others there")
KEY = bytes(range(32))


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A key in the user's folder."""
    for known in (ours._read_key, ours._warn):  # of a file of this path in another test
        known.cache_clear()
    monkeypatch.delenv("MULDE_KEY")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    path = tmp_path / "mulde" / "key"
    path.parent.mkdir()
    path.write_bytes(KEY)
    path.chmod(0o600)
    return path


def give_away(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a file belong to somebody else, in a group of this user's."""
    owner = path.stat().st_uid
    if owner == 0:
        os.chown(path, 12345, os.getegid())
    else:
        monkeypatch.setattr(os, "geteuid", lambda: owner + 1)


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640, 0o444])
def test_a_key_that_others_may_only_read_is_used(mode: int, key: Path) -> None:
    key.chmod(mode)
    assert own_key(make=False) == KEY


@pytest.mark.parametrize("mode", [0o620, 0o660, 0o602, 0o666])
@pytest.mark.parametrize("is_named", [False, True])
def test_a_key_that_others_may_write_is_not_used(
    mode: int, is_named: bool, key: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if is_named:
        monkeypatch.setenv("MULDE_KEY", str(key))
    key.chmod(mode)
    assert own_key(make=True) is None
    assert own_key(make=False) is None
    assert [f"{key} may be written by others" in said for said in caplog.messages] == [True]
    assert f"chmod go-w {key}" in caplog.text
    assert key.read_bytes() == KEY


def test_a_key_of_somebody_else_is_not_used(
    key: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    give_away(key, monkeypatch)
    key.chmod(0o644)
    assert own_key(make=True) is None
    assert f"{key} belongs to somebody else" in caplog.text


@pytest.mark.parametrize(("mode", "is_used"), [(0o640, True), (0o604, False)])
def test_a_key_of_a_team_is_used_where_it_is_named(
    mode: int, is_used: bool, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MULDE_KEY", str(key))
    give_away(key, monkeypatch)
    key.chmod(mode)
    assert (own_key(make=False) == KEY) is is_used
