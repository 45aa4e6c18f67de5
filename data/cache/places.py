"""The storage at a place: a folder, or an address."""

from __future__ import annotations

from pathlib import Path

from mulde.data.cache.folders import FolderStorage
from mulde.data.cache.storage import Place, Storage, is_address


def open_storage(place: Place) -> Storage:
    """Return the storage at a place; nothing is looked at yet.

    Raises:
        InputError: it is an address, and what it needs is not installed.
    """
    if not is_address(place):
        return FolderStorage(Path(place))
    from mulde.data.cache.objects import ObjectStorage  # only here, for hardly anybody needs it

    return ObjectStorage(str(place))
