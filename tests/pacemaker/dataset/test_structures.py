"""Labelled structures as flat arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from aiida_autopipec.pacemaker.dataset.atoms import structures_from_atoms
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.errors import DatasetError


def pair(**changes: Any) -> LabelledStructures:
    """Return a dimer `a` and an atom `b` with labels, some fields exchanged."""
    fields: dict[str, Any] = {
        'numbers': [13, 29, 13],
        'positions': np.arange(9.0).reshape(3, 3),
        'cells': np.zeros((2, 3, 3)),
        'pbc': np.zeros((2, 3), dtype=bool),
        'offsets': [0, 2, 3],
        'energy': [-1.0, -2.0],
        'forces': np.ones((3, 3)),
        'energy_weights': [1.0, 2.0],
        'force_weights': [1.0, 2.0, 3.0],
        'names': ['a', 'b'],
    }
    return LabelledStructures(**(fields | changes))


def with_nan(shape: tuple[int, ...], *index: int) -> np.ndarray:
    """Return zeros with one NaN."""
    array = np.zeros(shape)
    array[index] = np.nan
    return array


def test_sizes_and_elements() -> None:
    """Sizes, atoms and elements follow from the offsets and the atomic numbers."""
    structures = pair()
    assert len(structures) == 2
    assert structures.n_atoms == 3
    assert structures.sizes.tolist() == [2, 1]
    assert structures.elements == ('Al', 'Cu')


@pytest.mark.parametrize(
    ('field', 'value'),
    [
        ('positions', np.zeros((2, 3))),
        ('forces', np.zeros((3, 2))),
        ('energy', np.zeros(3)),
        ('energy_corrected', np.zeros(1)),
        ('stress', np.zeros((2, 9))),
        ('cells', np.zeros((1, 3, 3))),
        ('pbc', np.zeros((2,), dtype=bool)),
        ('names', ['a']),
        ('sources', ['u', 'v', 'w']),
        ('force_weights', np.zeros(2)),
        ('energy_weights', np.zeros(3)),
    ],
)
def test_wrong_shape_names_the_field(field: str, value: Any) -> None:
    """An array of the wrong shape is refused with the name of the field, what it has and what it needs."""
    with pytest.raises(DatasetError, match=rf'`{field}` has shape .* but 2 structures with 3 atoms need'):
        pair(**{field: value})


@pytest.mark.parametrize(
    ('field', 'value', 'sentence'),
    [
        ('energy', with_nan((2,), 1), 'the energy in structure 1 (`b`)'),
        ('energy_corrected', with_nan((2,), 1), 'the corrected energy in structure 1 (`b`)'),
        ('forces', with_nan((3, 3), 2, 1), 'the forces of atom 0 in structure 1 (`b`)'),
        ('forces', [[0.0] * 3, [0.0] * 3, [0.0, -1e200, 0.0]], '(`b`) is too large to be real'),
        ('positions', with_nan((3, 3), 1, 0), 'the positions of atom 1 in structure 0 (`a`)'),
        ('cells', with_nan((2, 3, 3), 0, 0, 0), 'the cell in structure 0 (`a`)'),
        ('energy', [np.inf, 0.0], 'the energy in structure 0 (`a`)'),
        ('force_weights', with_nan((3,), 2), 'the force weights of atom 0 in structure 1 (`b`)'),
        ('numbers', [13, 13, 0], 'structure 1 (`b`) has atomic number 0'),
        ('numbers', [13, 119, 13], 'structure 0 (`a`) has atomic number 119'),
        ('stress', [[0.0] * 6, [0.0] * 5 + [np.nan]], 'the stress of structure 1 (`b`)'),
        ('stress', [[0.0] * 6, [np.inf] * 6], 'the stress of structure 1 (`b`)'),
        ('offsets', [0, 3, 3], 'structure 1 (`b`) has no atoms'),
        ('energy_weights', [1.0, -1.0], '`energy_weights` contains a negative weight'),
        ('names', ['a', 'a'], 'the name `a` is used by 2 structures'),
    ],
)
def test_wrong_value_names_the_structure(field: str, value: Any, sentence: str) -> None:
    """A value that cannot be is refused with the structure that has it."""
    with pytest.raises(DatasetError) as raised:
        pair(**{field: value})
    assert sentence in str(raised.value)


@pytest.mark.parametrize('value', [[13.5, 29, 13], np.array([2**32 + 13, 29, 13]), [2**40, 29, 13]])
def test_atomic_numbers_are_never_rounded(value: Any) -> None:
    """Atomic numbers that are no whole numbers, or too large, are refused instead of cut to others."""
    with pytest.raises(DatasetError, match='numbers'):
        pair(numbers=value)


def test_ragged_forces_are_refused() -> None:
    """Something that is no regular array is refused with a sentence."""
    with pytest.raises(DatasetError, match='`forces` is not a regular array'):
        pair(forces=[[0.0, 0.0, 0.0], [0.0], [0.0]])


@pytest.mark.parametrize('offsets', [[1, 2, 3], [0, 2, 1], []])
def test_offsets_start_at_zero_and_rise(offsets: list[int]) -> None:
    """Offsets that describe no division are refused."""
    with pytest.raises(DatasetError, match='`offsets` must start with 0'):
        pair(offsets=np.array(offsets, dtype=int))


def test_empty_set_is_refused() -> None:
    """There is no dataset without structures."""
    with pytest.raises(DatasetError, match='the dataset is empty'):
        LabelledStructures(
            numbers=[], positions=np.zeros((0, 3)), cells=np.zeros((0, 3, 3)), pbc=np.zeros((0, 3)), offsets=[0]
        )


@pytest.mark.parametrize(
    'cell', [np.zeros((3, 3)), np.diag([4.0, 4.0, 0.0]), [[4.0, 0.0, 0.0], [0.0, 4.0, 0.0], [4.0, 4.0, 0.0]]]
)
def test_periodic_structure_needs_a_cell(cell: Any) -> None:
    """Periodic boundary conditions with a cell that has no volume are refused, naming the structure."""
    cells = np.array([np.eye(3) * 5.0, cell])
    with pytest.raises(DatasetError, match=r'structure 1 \(`b`\) is periodic, but its cell'):
        pair(cells=cells, pbc=np.ones((2, 3), dtype=bool))


def test_slab_needs_no_third_vector() -> None:
    """A structure that is not periodic along a vector may lack it."""
    cells = np.array([np.eye(3) * 5.0, np.diag([4.0, 4.0, 0.0])])
    assert len(pair(cells=cells, pbc=[[True, True, True], [True, True, False]])) == 2


def test_arrays_are_read_only(mixed: LabelledStructures) -> None:
    """Nobody can change what a hash was made of."""
    for name, array in mixed.fields().items():
        assert not array.flags.writeable, name
        with pytest.raises(ValueError, match='read-only'):
            array[0] = array[0]


def test_take_picks_rows_in_the_order_asked_for(mixed: LabelledStructures) -> None:
    """Rows come in the order of the indices, each with its own atoms and labels."""
    taken = mixed.take([3, 0])
    assert taken.names.tolist() == [mixed.names[3], mixed.names[0]]
    assert taken.sizes.tolist() == [4, 2]
    np.testing.assert_array_equal(taken.forces[:4], mixed.forces[mixed.offsets[3] : mixed.offsets[4]])
    np.testing.assert_array_equal(taken.positions[4:], mixed.positions[:2])
    np.testing.assert_array_equal(taken.energy, mixed.energy[[3, 0]])
    np.testing.assert_array_equal(taken.pbc, mixed.pbc[[3, 0]])


def test_take_with_a_mask(mixed: LabelledStructures) -> None:
    """A boolean mask means the rows where it is true."""
    mask = np.array([True, False, False, True])
    assert mixed.take(mask).content_hash == mixed.take([0, 3]).content_hash


def test_parts_put_together_are_the_whole(mixed: LabelledStructures) -> None:
    """Dividing and concatenating gives the same content."""
    parts = [mixed.take([0]), mixed.take([1, 2]), mixed.take([3])]
    assert LabelledStructures.concatenate(parts).content_hash == mixed.content_hash


def test_concatenate_refuses_labels_of_some_parts_only(mixed: LabelledStructures) -> None:
    """Putting parts together never invents a label."""
    first, second = mixed.take([0]), mixed.take([1]).replace(energy=None)
    with pytest.raises(DatasetError, match='dataset 0 has `energy` and dataset 1 has not'):
        LabelledStructures.concatenate([first, second])


def test_concatenate_fills_missing_stress_with_nan(mixed: LabelledStructures) -> None:
    """Stress may be known for some parts only; for the others it is NaN, not zero."""
    first, second = mixed.take([0]), mixed.take([2]).replace(stress=None)
    stress = LabelledStructures.concatenate([first, second]).stress
    np.testing.assert_array_equal(stress[0], mixed.stress[0])
    assert np.isnan(stress[1]).all()


def test_concatenate_refuses_clashing_names(mixed: LabelledStructures) -> None:
    """Names stay unique across parts."""
    with pytest.raises(DatasetError, match='names are unique'):
        LabelledStructures.concatenate([mixed, mixed])


def test_concatenate_nothing_is_an_error() -> None:
    """There is nothing to put together without parts."""
    with pytest.raises(DatasetError, match='no dataset to put together'):
        LabelledStructures.concatenate([])


def test_replace_checks_again(mixed: LabelledStructures) -> None:
    """An exchanged field is checked like a new one."""
    with pytest.raises(DatasetError, match='`energy` has shape'):
        mixed.replace(energy=np.zeros(1))


def test_taking_a_row_twice_needs_other_names(mixed: LabelledStructures) -> None:
    """A row taken twice would have its name twice, which is refused."""
    with pytest.raises(DatasetError, match='is used by 2 structures'):
        mixed.take([0, 0])


def test_names_are_made_of_formula_and_geometry(mixed: LabelledStructures) -> None:
    """Names made from content say the formula and part of the fingerprint; copies are numbered."""
    images = mixed.to_atoms()
    twice = structures_from_atoms(
        [images[3].copy(), images[3].copy(), images[1].copy()], use_names=False, require_labels=False
    )
    stem = f'Cu4-{mixed.fingerprints[3][:12].decode()}'
    assert twice.names.tolist() == [stem, f'{stem}-2', f'H2O-{mixed.fingerprints[1][:12].decode()}']


def test_content_hash_ignores_the_sources(mixed: LabelledStructures) -> None:
    """Where structures come from is no content."""
    assert mixed.replace(sources=['u'] * 4).content_hash == mixed.content_hash


def test_content_hash_depends_on_every_field() -> None:
    """A change in any field but the sources changes the content hash."""
    changes: dict[str, Any] = {
        'numbers': [13, 29, 28],
        'positions': np.arange(9.0).reshape(3, 3) + 1e-9,
        'cells': np.array([np.eye(3), np.zeros((3, 3))]),
        'pbc': [[False, False, False], [False, False, True]],
        'offsets': [0, 1, 3],
        'energy': [-1.0, -2.0000001],
        'energy_corrected': [0.0, 0.0],
        'forces': np.ones((3, 3)) * 1.0000001,
        'stress': np.zeros((2, 6)),
        'energy_weights': [1.0, 2.5],
        'force_weights': [1.0, 2.0, 3.5],
        'names': ['a', 'c'],
    }
    needs = {'pbc': {'cells': np.array([np.zeros((3, 3)), np.eye(3)])}}
    for field, value in changes.items():
        basis = pair(**needs.get(field, {}))
        assert basis.replace(**{field: value}).content_hash != basis.content_hash, field


def test_energy_and_corrected_energy_are_different_content() -> None:
    """The same numbers under another meaning are other content."""
    values = [-1.0, -2.0]
    assert pair(energy=values).content_hash != pair(energy=None, energy_corrected=values).content_hash


def test_unknown_stress_is_no_content() -> None:
    """No stress, and a stress that is unknown for every structure, are the same content."""
    assert pair(stress=np.full((2, 6), np.nan)).content_hash == pair().content_hash


def test_labelled_needs_energy_and_forces() -> None:
    """A set is labelled if it has forces and any energy."""
    assert pair().is_labelled
    assert pair(energy=None, energy_corrected=[0.0, 0.0]).is_labelled
    assert not pair(energy=None).is_labelled
    assert not pair(forces=None).is_labelled


def test_a_stretch_is_what_taking_its_rows_gives_without_a_copy(mixed: LabelledStructures) -> None:
    """Consecutive rows are views of the same memory, read-only like the whole."""
    part, taken = mixed.stretch(1, 3), mixed.take([1, 2])
    assert part.content_hash == taken.content_hash
    np.testing.assert_array_equal(part.fingerprints, taken.fingerprints)
    np.testing.assert_array_equal(part.sources, taken.sources)
    assert np.shares_memory(part.positions, mixed.positions)
    assert not any(array.flags.writeable for array in part.fields().values())
