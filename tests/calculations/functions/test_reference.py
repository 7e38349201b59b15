"""The calculation function that subtracts a reference potential, and the checks of what labels are relative to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase
import numpy as np
import pytest
from aiida import orm
from aiida.manage.caching import enable_caching

from aiida_autopipec.calculations.functions.reference import subtract_reference
from aiida_autopipec.calculations.validation import check_references, recorded_reference
from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.pacemaker import ZBL, LabelledStructures
from aiida_autopipec.pacemaker.dataset.recorded import METADATA_KEY, to_metadata
from aiida_autopipec.pacemaker.errors import DatasetError, FileFormatError
from aiida_autopipec.pacemaker.outputs.potential import with_metadata

pytestmark = pytest.mark.usefixtures('aiida_profile')

POTENTIAL = Path(__file__).parents[2] / 'fixtures' / 'pacemaker' / 'ok' / 'output_potential.yaml'
SETTINGS = {'name': 'zbl', 'inner': 2.0, 'outer': 4.0}
ENERGIES = {'method': 'single_atom_energies', 'single_atom_energies': {'Al': 1.5}}
REFERENCE = {**ENERGIES, 'potential': SETTINGS}


@pytest.fixture
def total(make_atoms: Callable[..., list[ase.Atoms]]) -> PaceDatasetData:
    """Return a stored dataset of ten structures in three files."""
    structures = LabelledStructures.from_atoms(make_atoms(10))
    return PaceDatasetData.from_structures(structures, max_shard_bytes=2000).store()


def reduced(dataset: PaceDatasetData, reference: dict[str, Any] = REFERENCE) -> PaceDatasetData:
    """Return the dataset relative to a reference."""
    result: PaceDatasetData = subtract_reference(dataset, orm.Dict(reference), orm.Float(5.0))['dataset']
    return result


def test_energies_and_forces_lose_the_potential_with_provenance(total: PaceDatasetData) -> None:
    """File by file, all labels become relative to the potential; what was subtracted and from what is in the graph."""
    assert total.n_shards > 1
    results, process = subtract_reference.run_get_node(total, orm.Dict(REFERENCE), orm.Float(5.0))
    node, before = results['dataset'], total.get_structures()
    after, values = node.get_structures(), ZBL(2.0, 4.0).evaluate(before)
    np.testing.assert_allclose(after.forces, before.forces - values.forces, atol=1e-14)
    np.testing.assert_allclose(after.energy_corrected, before.energy - values.energy - 1.5 * before.sizes, atol=1e-12)
    assert np.abs(values.forces).max() > 0.1
    assert node.reference == REFERENCE
    assert process.inputs.dataset.uuid == total.uuid
    assert process.inputs.reference.get_dict() == REFERENCE


def test_equal_subtractions_are_cached(total: PaceDatasetData) -> None:
    """The second time nothing is computed, and the dataset is the same to the last bit."""
    with enable_caching():
        nodes = [subtract_reference.run_get_node(total, orm.Dict(REFERENCE), orm.Float(5.0))[1] for _ in range(2)]
    assert nodes[1].base.caching.is_created_from_cache
    assert len({node.outputs.dataset.content_hash for node in nodes}) == 1


def test_the_same_potential_is_subtracted_once(total: PaceDatasetData) -> None:
    """A dataset that is relative to it already stays so, and may get other energies of single atoms."""
    once = reduced(total)
    again = reduced(once)
    assert again.content_hash == once.content_hash
    assert again.reference == once.reference


@pytest.mark.parametrize('other', [ENERGIES, {**REFERENCE, 'potential': {**SETTINGS, 'inner': 1.0}}])
def test_another_potential_is_not_subtracted_on_top(total: PaceDatasetData, other: dict[str, Any]) -> None:
    """Labels that are relative to one potential don't become relative to another, or to none."""
    with pytest.raises(DatasetError, match=r'are relative to Al 1\.500000 eV and the potential zbl .* already'):
        reduced(reduced(total), other)


# What a training and its potential are relative to


def potential(recorded: dict[str, Any] | None, *, in_file: bool = False) -> orm.SinglefileData:
    """Return a potential with a record, on the node or in the file."""
    text = POTENTIAL.read_text()
    if in_file and recorded is not None:
        text = with_metadata(text, METADATA_KEY, to_metadata(recorded))
    node = orm.SinglefileData.from_string(text, filename='potential.yaml')
    if not in_file and recorded is not None:
        node.base.attributes.set('reference', recorded)
    return node


@pytest.mark.parametrize('in_file', [False, True])
@pytest.mark.parametrize('recorded', [None, ENERGIES, REFERENCE])
def test_the_record_is_found_on_the_node_and_in_the_file(recorded: Any, in_file: bool) -> None:
    """A user who brings the file only is understood as well."""
    assert recorded_reference(potential(recorded, in_file=in_file)) == recorded


@pytest.mark.parametrize('in_file', [False, True])
def test_a_training_goes_on_relative_to_the_same(total: PaceDatasetData, in_file: bool) -> None:
    """Data relative to the potential's own reference are taken; others are refused in one sentence."""
    check_references({'dataset': reduced(total)}, potential(REFERENCE, in_file=in_file))
    check_references({'dataset': reduced(total)}, None)
    for other in (reduced(total, ENERGIES), total):
        with pytest.raises(DatasetError, match='`initial_potential` and `dataset` are relative to different'):
            check_references({'dataset': other}, potential(REFERENCE, in_file=in_file))


def test_both_sets_are_relative_to_the_same(total: PaceDatasetData) -> None:
    """A test set with another reference would give errors that mean nothing."""
    with pytest.raises(DatasetError, match='`test_dataset` and `dataset` are relative to different references'):
        check_references({'dataset': reduced(total), 'test_dataset': reduced(total, ENERGIES)}, None)


def test_a_damaged_record_is_reported() -> None:
    """It is not taken for none."""
    text = with_metadata(POTENTIAL.read_text(), METADATA_KEY, '{}')
    with pytest.raises(FileFormatError, match='`autopipec_reference` in the metadata'):
        recorded_reference(orm.SinglefileData.from_string(text, filename='potential.yaml'))
