"""Features that turn out to be damaged when they are read: they go, so that extraction makes them again."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from mulde.data.atomic import WriteError
from mulde.data.cache.care import discard_damaged
from mulde.data.cache.storage import CacheFileError, Place
from mulde.pipeline.features.inventory import CachedVideo

_log = logging.getLogger(__name__)


@contextmanager
def discarding_damage(cache: Place, videos: Sequence[CachedVideo]) -> Iterator[list[CacheFileError]]:
    """Catch what says that cached features are damaged, and delete all of these videos' that are.

    Imported features stay, as does everything where the cache cannot be written.

    Args:
        cache: its folder or address.
        videos: whose features are read.

    Yields:
        A list that holds the error afterwards, if there was one.
    """
    errors: list[CacheFileError] = []
    try:
        yield errors
    except CacheFileError as error:
        errors.append(error)
        try:
            gone = discard_damaged(cache, [e.file for cached in videos for e in cached.entries.values()])
        except WriteError:
            raise error from None
        for path in gone:
            _log.warning("%s was damaged, and is deleted", path)
