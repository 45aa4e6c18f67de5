"""The tests on every Python that pyproject.toml allows with the newest dependencies, once with the lowest."""

from __future__ import annotations

import nox

nox.needs_version = ">=2025.2.9"
nox.options.error_on_missing_interpreters = False

PYTHONS = nox.project.python_versions(nox.project.load_toml("pyproject.toml"))


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests with what a fresh install gives today."""
    session.install(".[all,dev]")
    session.run("pytest", "-n", "auto", *session.posargs)


@nox.session(python=PYTHONS[0], venv_backend="uv")
def lowest(session: nox.Session) -> None:
    """Run the tests with the lowest versions that pyproject.toml allows."""
    session.install(".[all,dev]", "--resolution", "lowest-direct")
    session.run("pytest", "-n", "auto", *session.posargs)
