"""Names in the cache of what is being imported."""

from __future__ import annotations

STAGING = ".import-"
"""Begins the name of a folder in the cache in which an import is being put together."""


def import_claim(stream: str, split: str) -> tuple[str, str]:
    """Return what `FeatureCache.claim_name` takes for a stream of an imported split."""
    return f"{STAGING}{stream}", split
