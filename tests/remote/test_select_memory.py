"""How much memory a selection is expected to take, and how it is divided to take less."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

MB = 2**20


@pytest.fixture(scope='session')
def plan(select):
    """Return a function that plans a selection from structures of ten atoms with 100 functions each."""

    def make(n=1000, *, limit_mb=None, size=10, functions=100, **options):
        settings = {'base': 100 * MB, 'surroundings': 2000, 'atoms': n * size} | options
        return select.memory.Plan(
            limit=None if limit_mb is None else limit_mb * MB,
            counts={'Al': np.full(n, size)},
            functions={'Al': functions},
            **settings,
        )

    return make


@given(limit_mb=st.integers(150, 4000), n=st.integers(1, 10**6))
@settings(deadline=None)
def test_what_is_planned_stays_below_the_limit(plan, limit_mb, n):
    """Whatever the size of the pool, the prediction is less than what may be used, or the work is refused."""
    try:
        planned = plan(n, limit_mb=limit_mb)
    except ValueError:
        assert limit_mb < 400 or n > 5 * 10**5
        return
    assert planned.predicted < limit_mb * MB


def test_a_small_pool_is_done_at_once(plan):
    """With room for everything, nothing is divided."""
    planned = plan()
    assert planned.on_disk is False
    assert planned.maxvol_bytes is None
    assert len(list(planned.chunks(np.full(1000, 10)))) == 1


def test_projections_that_do_not_fit_go_to_disk(plan):
    """800 MB of projections do not fit into 500 MB: they are put on disk, and MaxVol is divided."""
    planned = plan(10**5, limit_mb=500)
    assert planned.on_disk is True
    assert planned.maxvol_bytes < 400 * MB
    assert planned.predicted > 100 * MB


def test_the_strategy_decides_whether_maxvol_is_divided(plan):
    """Where a few structures are chosen otherwise, MaxVol runs over those alone, and needs no division."""
    assert plan(10**5, limit_mb=500, atoms=1000).maxvol_bytes is None


def test_too_little_is_refused_with_what_is_needed(plan, select):
    """The message has the largest structure, the functions, and both numbers."""
    with pytest.raises(
        select.memory.TooLittleMemoryError, match=r'at least 1\d\d MB for 100 functions.*10 atoms.* 110 MB'
    ):
        plan(limit_mb=110)
    with pytest.raises(select.memory.TooLittleMemoryError, match='100000 atoms'):
        plan(1, size=100000, limit_mb=300)


@given(sizes=st.lists(st.integers(1, 50), min_size=1, max_size=60), atoms=st.integers(50, 200))
@settings(deadline=None)
def test_chunks_cover_everything_once(plan, sizes, atoms):
    """They follow each other, and none has more atoms than planned, unless it is one structure."""
    planned = plan()
    planned.chunk_atoms = atoms
    chunks = list(planned.chunks(np.array(sizes)))
    assert [begin for begin, _ in chunks] == [0, *(end for _, end in chunks[:-1])]
    assert chunks[-1][1] == len(sizes)
    assert all(sum(sizes[begin:end]) <= atoms for begin, end in chunks)


def test_a_stated_number_of_structures_is_obeyed(plan):
    """`batch_size` says how many structures are looked at together."""
    assert list(plan(structures=3).chunks(np.full(7, 10))) == [(0, 3), (3, 6), (6, 7)]


def test_the_limit_is_what_is_stated_or_found(select, tmp_path):
    """Without a statement it is a part of what the probe found, and unknown without a probe."""
    (tmp_path / 'environment.json').write_text(json.dumps({'memory_limit_mb': 1000}))
    limit = select.memory.limit_bytes
    assert limit(500, tmp_path / 'environment.json') == 500 * MB
    assert limit(None, tmp_path / 'environment.json') == 800 * MB
    (tmp_path / 'environment.json').write_text('{"memory_limit_mb": null}')
    assert limit(None, tmp_path / 'environment.json') is None
    assert limit(None, tmp_path / 'nowhere.json') is None
