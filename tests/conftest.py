"""Fixtures for all tests: a throw-away AiiDA profile per session, and small sets of structures."""

from __future__ import annotations

import pytest

pytest_plugins = ['aiida.tools.pytest_fixtures']
