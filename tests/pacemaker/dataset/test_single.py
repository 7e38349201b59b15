"""Structures that come one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from aiida_autopipec.pacemaker.dataset.single import SingleStructure, structures_from_singles
from aiida_autopipec.pacemaker.errors import DatasetError

LABELS = {'energy': np.array(-1.0), 'forces': np.ones((2, 3))}


def single(name: str = 'a', **changes: Any) -> SingleStructure:
    """Return a dimer with labels, some fields exchanged."""
    fields: dict[str, Any] = {
        'symbols': ['Al', 'Cu'],
        'positions': np.arange(6.0).reshape(2, 3),
        'cell': np.eye(3) * 8,
        'pbc': (True, True, True),
        'labels': LABELS,
    }
    return SingleStructure(name=name, **(fields | changes))


def test_structures_of_any_size_are_put_together() -> None:
    """Each structure keeps its name, atoms, cell and labels; a stress that only some have is NaN for the others."""
    lone = single(
        'b',
        symbols=['Al'],
        positions=np.zeros((1, 3)),
        source='u',
        labels={'energy': np.array([-2.0]), 'forces': np.zeros((1, 3)), 'stress': np.eye(3)},
    )
    structures = structures_from_singles([single(), lone])
    assert structures.names.tolist() == ['a', 'b']
    assert structures.sources.tolist() == ['', 'u']
    assert structures.energy.tolist() == [-1.0, -2.0]
    assert structures.numbers.tolist() == [13, 29, 13]
    assert np.isnan(structures.stress[0]).all()
    assert structures.stress[1].tolist() == [1, 1, 1, 0, 0, 0]


@pytest.mark.parametrize(
    ('labels', 'sentence'),
    [
        ({'energy': np.array(-1.0), 'force': np.ones((2, 3))}, '`a` has no label `forces`; .*: energy, force'),
        ({'forces': np.ones((2, 3))}, '`a` has no label `energy`; .*: forces'),
        (LABELS | {'energy': np.zeros(2)}, r'energy of structure `a` has shape \(2,\)'),
        (LABELS | {'forces': np.zeros((3, 2))}, r'forces of structure `a` have shape \(3, 2\)'),
        (LABELS | {'energy': np.array('low')}, 'label `energy` of structure `a` does not hold numbers'),
        (LABELS | {'stress': np.zeros(5)}, 'structure `a`: a stress has 6 components'),
        (LABELS | {'energy': np.array(np.nan)}, r'energy in structure 0 \(`a`\)'),
    ],
)
def test_wrong_labels_name_the_structure(labels: dict[str, Any], sentence: str) -> None:
    """A missing, misnamed or misshapen label is refused with the structure's name."""
    with pytest.raises(DatasetError, match=sentence):
        structures_from_singles([single(labels=labels)])


@pytest.mark.parametrize('order', [(0, 1), (1, 0)])
def test_labels_of_some_structures_only_are_refused(order: tuple[int, int]) -> None:
    """One structure without labels among others is an error, wherever it stands."""
    pair = [single('a'), single('b', labels=None)]
    with pytest.raises(DatasetError, match='structure `b` has no label'):
        structures_from_singles([pair[i] for i in order])


def test_candidates_have_no_labels() -> None:
    """Without labels altogether the structures are candidates."""
    structures = structures_from_singles([single(labels=None)])
    assert structures.energy is None
    assert not structures.is_labelled


@pytest.mark.parametrize('symbol', ['X', 'Fe1'])
def test_unknown_element_is_refused(symbol: str) -> None:
    """A site of no element is refused with the structure's name."""
    with pytest.raises(DatasetError, match=f'structure `a`: `{symbol}` is not the symbol'):
        structures_from_singles([single(symbols=['Al', symbol])])


def test_no_structures_is_an_error() -> None:
    """There is no dataset without structures."""
    with pytest.raises(DatasetError, match='the dataset is empty'):
        structures_from_singles([])
