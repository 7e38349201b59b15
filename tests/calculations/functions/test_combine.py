"""Merging, dividing and referencing datasets, with provenance."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import ase
import numpy as np
import pytest
from aiida import orm
from aiida.manage.caching import enable_caching
from ase.calculators.singlepoint import SinglePointCalculator

from aiida_autopipec.calculations.functions.combine import merge_datasets, split_dataset
from aiida_autopipec.calculations.functions.reference import subtract_reference
from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.data.shards import DIRECTORY_SHARDS, MAX_SMALL
from aiida_autopipec.pacemaker.dataset import storage
from aiida_autopipec.pacemaker.dataset.merge import MAX_LISTED
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.errors import DatasetError

pytestmark = pytest.mark.usefixtures('aiida_profile')

MakeAtoms = Callable[..., list[ase.Atoms]]


@pytest.fixture
def structures(make_atoms: MakeAtoms) -> LabelledStructures:
    """Return twenty labelled structures."""
    return LabelledStructures.from_atoms(make_atoms(20))


def dataset(structures: LabelledStructures, **options: Any) -> PaceDatasetData:
    """Return a stored dataset."""
    return PaceDatasetData.from_structures(structures, **options).store()


def shards(node: PaceDatasetData) -> list[str]:
    """Return the names under which AiiDA's repository stores the shards of a node."""
    content = node.base.repository.metadata['o'][DIRECTORY_SHARDS]['o']
    return [content[name]['k'] for name in sorted(content)]


def test_merge_keeps_one_of_each(structures: LabelledStructures) -> None:
    """Copies in several datasets are removed and reported; all datasets are inputs."""
    parts = {'a': dataset(structures.take(range(8))), 'b': dataset(structures.take(range(4, 20)))}
    results, node = merge_datasets.run_get_node(**parts)
    merged = results['dataset']
    assert merged.get_structures().content_hash == structures.content_hash
    assert len(results['report']['duplicates_removed']) == 4
    assert {link.node.uuid for link in node.base.links.get_incoming().all()} == {part.uuid for part in parts.values()}
    assert merged.creator.uuid == node.uuid


def test_merge_shares_files_with_its_parts(structures: LabelledStructures) -> None:
    """Datasets of which nothing is removed are stored once: the merged node holds the very same objects."""
    first, second = dataset(structures.take(range(8))), dataset(structures.take(range(8, 20)))
    merged = merge_datasets(a=first, b=second)['dataset']
    assert shards(merged) == shards(first) + shards(second)
    assert merged.content_hash == structures.content_hash


def test_many_small_files_become_one(structures: LabelledStructures) -> None:
    """A few small files are shared; more of them in a row are put together, with the same content and sources."""
    singles = {f'd{row:02d}': dataset(structures.take([row])) for row in range(MAX_SMALL + 2)}
    few = merge_datasets(**dict(list(singles.items())[:MAX_SMALL]))['dataset']
    assert few.n_shards == MAX_SMALL
    many = merge_datasets(**singles)['dataset']
    assert many.n_shards == 1
    assert many.content_hash == structures.take(range(MAX_SMALL + 2)).content_hash
    assert many.get_fingerprints().tolist() == structures.fingerprints[: MAX_SMALL + 2].tolist()


def test_large_files_are_shared_beside_many_small_ones(
    structures: LabelledStructures, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is rewritten are the small files alone: a merge costs what the new data cost."""
    monkeypatch.setattr('aiida_autopipec.data.shards.SMALL_BYTES', storage.size_of(2, 8))
    large = dataset(structures.take(range(8)))
    singles = {f'd{row:02d}': dataset(structures.take([row])) for row in range(8, 8 + MAX_SMALL + 1)}
    merged = merge_datasets(a=large, **singles)['dataset']
    assert shards(merged)[0] == shards(large)[0]
    assert merged.n_shards == 2


def test_merge_goes_by_the_keys(structures: LabelledStructures) -> None:
    """Datasets follow each other in the order of their keys, not of the call."""
    first, second = dataset(structures.take([0, 1])), dataset(structures.take([2, 3]))
    merged = merge_datasets(b=second, a=first)['dataset']
    assert merged.get_structures().names.tolist() == structures.names[:4].tolist()


def test_merge_with_conflicts(structures: LabelledStructures) -> None:
    """Contradicting labels are an error, or resolved by the policy that is an input."""
    first = dataset(structures)
    second = dataset(structures.replace(energy=structures.energy + 1.0))
    with pytest.raises(DatasetError, match='on_conflict'):
        merge_datasets(a=first, b=second)
    results = merge_datasets(on_conflict=orm.Str('keep_last'), a=first, b=second)
    np.testing.assert_array_equal(results['dataset'].get_structures().energy, structures.energy + 1.0)
    assert len(results['report']['conflicting_labels']) == 20


def test_merge_of_nothing_is_a_sentence() -> None:
    """Without datasets there is nothing to merge."""
    with pytest.raises(DatasetError, match='no dataset to merge'):
        merge_datasets()


def test_merge_refuses_other_references(structures: LabelledStructures) -> None:
    """Corrected energies relative to different zeros do not belong together; equal references are kept."""
    corrected = structures.replace(energy_corrected=structures.energy)
    first = dataset(corrected.take([0]), reference={'Al': 1.0})
    second = dataset(corrected.take([1]), reference={'Al': 1.0})
    assert merge_datasets(a=first, b=second)['dataset'].reference == {'Al': 1.0}
    third = dataset(corrected.take([2]), reference={'Al': 2.0})
    with pytest.raises(DatasetError, match='relative to different references'):
        merge_datasets(a=first, b=third)


def test_merge_refuses_labels_of_some_datasets_only(structures: LabelledStructures) -> None:
    """Candidates are not merged with training data, not even where they are copies."""
    bare = dataset(structures.replace(energy=None, forces=None, stress=None))
    with pytest.raises(DatasetError, match='lose or invent'):
        merge_datasets(a=bare, b=dataset(structures))


def test_split_divides_by_content(structures: LabelledStructures) -> None:
    """Both sides together are the whole, in the same division however the dataset is sharded."""
    fraction, seed = orm.Float(0.3), orm.Int(2)
    results, node = split_dataset.run_get_node(dataset(structures), fraction, seed)
    training, test = results['training_set'].get_structures(), results['test_set'].get_structures()
    assert sorted([*training.names, *test.names]) == sorted(structures.names)
    assert node.inputs.seed.value == 2
    sharded = dataset(structures, max_shard_bytes=2000)
    assert sharded.n_shards > 3
    again = split_dataset(sharded, fraction, seed)
    assert again['test_set'].content_hash == test.content_hash
    assert again['training_set'].content_hash == training.content_hash


def test_split_keeps_the_reference(structures: LabelledStructures) -> None:
    """What was subtracted stays recorded on both sides."""
    node = dataset(structures.replace(energy_corrected=structures.energy), reference={'Al': 1.0})
    results = split_dataset(node, orm.Float(0.5), orm.Int(1))
    assert [results[side].reference for side in ('training_set', 'test_set')] == [{'Al': 1.0}] * 2


def test_split_refuses_an_empty_side(structures: LabelledStructures) -> None:
    """A division that leaves a side empty is an error."""
    with pytest.raises(DatasetError, match='none of the 20 structures'):
        split_dataset(dataset(structures), orm.Float(1e-6), orm.Int(0))


def with_isolated_atom(images: list[ase.Atoms], energy: float) -> LabelledStructures:
    """Return structures with an isolated atom behind them."""
    lone = ase.Atoms('Al', info={'name': 'lone'})
    lone.calc = SinglePointCalculator(lone, energy=energy, forces=np.zeros((1, 3)))
    return LabelledStructures.from_atoms([*images, lone])


def test_reference_of_isolated_atoms(make_atoms: MakeAtoms) -> None:
    """The energy of the isolated atom in the data is subtracted and recorded, over all shards."""
    structures = with_isolated_atom(make_atoms(6), 1.5)
    node = dataset(structures, max_shard_bytes=1000)
    assert node.n_shards > 1
    reference = orm.Dict({'method': 'isolated_atoms'})
    results, process = subtract_reference.run_get_node(node, reference, orm.Float(5.0))
    result = results['dataset']
    np.testing.assert_allclose(
        result.get_structures().energy_corrected, structures.energy - 1.5 * structures.sizes, atol=1e-12
    )
    assert result.reference == {'method': 'isolated_atoms', 'single_atom_energies': {'Al': 1.5}}
    assert result.has_energy
    assert process.inputs.dataset.uuid == node.uuid


def test_reference_that_gives_extreme_energies_is_refused(structures: LabelledStructures) -> None:
    """A reference that Pacemaker would silently replace is refused."""
    reference = orm.Dict({'method': 'single_atom_energies', 'single_atom_energies': {'Al': 100.0}})
    with pytest.raises(DatasetError, match='silently replaces'):
        subtract_reference(dataset(structures), reference, orm.Float(5.0))


def test_equal_steps_are_cached(structures: LabelledStructures) -> None:
    """Merging, dividing and referencing datasets of equal content is taken from the cache."""
    reference = {'method': 'least_squares'}

    def steps(sources: list[str]) -> list[orm.CalcFunctionNode]:
        parts = {
            'a': dataset(structures.take([0, 1, 2]).replace(sources=sources[:3])),
            'b': dataset(structures.take([2, 3, 4]).replace(sources=sources[:3])),
        }
        results, merge = merge_datasets.run_get_node(**parts)
        _, split = split_dataset.run_get_node(results['dataset'], orm.Float(0.5), orm.Int(4))
        _, subtract = subtract_reference.run_get_node(results['dataset'], orm.Dict(reference), orm.Float(5.0))
        return [merge, split, subtract]

    steps(['', '', ''])
    with enable_caching():
        assert [node.base.caching.is_created_from_cache for node in steps(['u', 'v', 'w'])] == [True] * 3


def test_long_lists_of_a_report_are_complete_in_files() -> None:
    """A database is no place for thousands of names: they stand in a file of the report, and their number in it."""
    rows = np.arange(MAX_LISTED + 1)
    chain = LabelledStructures(
        numbers=np.full(len(rows), 13),
        positions=rows[:, np.newaxis] * [1.0, 0.0, 0.0],
        cells=np.zeros((len(rows), 3, 3)),
        pbc=np.zeros((len(rows), 3), dtype=bool),
        offsets=np.arange(len(rows) + 1),
        energy=np.zeros(len(rows)),
        forces=np.zeros((len(rows), 3)),
        names=np.array([f'first-{row}' for row in rows]),
    )
    copies = chain.replace(names=np.array([f'second-{row}' for row in rows]))
    others = copies.replace(energy=copies.energy + 1.0)
    report = merge_datasets(orm.Str('keep_all'), a=dataset(chain), b=dataset(others))['report']
    assert report.base.repository.list_object_names() == ['conflicting_labels.json']
    report = merge_datasets(a=dataset(chain), b=dataset(copies))['report']
    complete = [[f'second-{row}', f'first-{row}'] for row in rows]
    assert report['counts'] == {'duplicates_removed': MAX_LISTED + 1, 'conflicting_labels': 0, 'renamed': 0}
    assert report['duplicates_removed'] == complete[:MAX_LISTED]
    assert report.base.repository.list_object_names() == ['duplicates_removed.json']
    assert json.loads(report.base.repository.get_object_content('duplicates_removed.json')) == complete
