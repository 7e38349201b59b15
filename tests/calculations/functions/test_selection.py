"""Calculation functions of a selection in parts, where they refuse; what they do is seen in the work chain."""

from __future__ import annotations

import pytest
from aiida.orm import Dict, Float, Int

from aiida_autopipec.calculations.functions.selection import divide_for_selection, gather_finalists
from aiida_autopipec.pacemaker.errors import DatasetError, InputError


def test_structures_of_another_pool_are_refused(make_dataset):
    """What a part offers has to be in the pool, by name."""
    pool, other = make_dataset(4), make_dataset(6, seed=1)
    with pytest.raises(DatasetError, match='is not in the pool that it was selected from'):
        gather_finalists(dataset=pool, parameters=Dict({'max_structures': 2}), part_000=other)


def test_what_is_to_be_kept_has_to_be_there(make_dataset):
    """A name that the pool lacks is refused before anything is divided."""
    parameters = Dict({'max_structures': 2, 'keep_names': ['nowhere']})
    with pytest.raises(InputError, match='`nowhere`, which is not in the pool'):
        divide_for_selection(dataset=make_dataset(4), parameters=parameters, n_parts=Int(2), cutoff=Float(4.0))


def test_a_division_repeats_itself(make_dataset):
    """The same pool is divided into the same parts, whose files a cache could take."""
    inputs = {'parameters': Dict({'max_structures': 2}), 'n_parts': Int(2), 'cutoff': Float(4.0)}
    first, second = (divide_for_selection(dataset=make_dataset(12), **inputs) for _ in range(2))
    assert set(first) == {'part_000', 'part_001', 'settings_000', 'settings_001'}
    for key in ('part_000', 'part_001'):
        assert first[key].content_hash == second[key].content_hash
