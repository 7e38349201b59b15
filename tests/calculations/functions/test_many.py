"""Thousands of structures are converted in batches, each with its provenance."""

from __future__ import annotations

import gc
from collections.abc import Callable

import ase
import numpy as np
import pytest
from aiida import orm

from aiida_autopipec.calculations.functions.convert import convert_structures
from aiida_autopipec.calculations.functions.many import Row, convert_many_structures
from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.pacemaker.dataset.structures import concatenate
from aiida_autopipec.pacemaker.errors import DatasetError

pytestmark = pytest.mark.usefixtures('aiida_profile')

MakeAtoms = Callable[..., list[ase.Atoms]]


def store(images: list[ase.Atoms], *, without: str = '', broken: int | None = None) -> list[Row]:
    """Store structures and labels, one of them without one of its labels, and return their UUIDs by name."""
    rows: list[Row] = []
    for number, image in enumerate(images):
        arrays = {'energy': np.array(image.get_potential_energy()), 'forces': image.get_forces()}
        if number % 3 == 0:
            arrays['stress'] = image.get_stress()
        if number == broken:
            del arrays[without]
        structure, labels = orm.StructureData(ase=image).store(), orm.ArrayData(arrays).store()
        rows.append((f's{number:03d}', structure.uuid, labels.uuid))
    return rows


def count(kind: type[orm.Node]) -> int:
    """Return the number of stored nodes of a kind."""
    return orm.QueryBuilder().append(kind).count()


@pytest.fixture
def images(make_atoms: MakeAtoms) -> list[ase.Atoms]:
    """Return structures of several sizes with different boundary conditions, some with stress."""
    images = make_atoms(7)
    images[3] = images[3].repeat((2, 1, 1))
    images[3].calc = images[0].calc.__class__()
    return images


def test_content_is_that_of_single_conversions(images: list[ase.Atoms]) -> None:
    """Batches give, bit for bit, what converting the structures one by one gives, in the order of the names."""
    rows = store(images)
    many = convert_many_structures(reversed(rows), batch_size=3)['dataset'].get_structures()
    single = concatenate(
        [
            convert_structures(structures={name: orm.load_node(structure)}, labels={name: orm.load_node(labels)})[
                'dataset'
            ].get_structures()
            for name, structure, labels in rows
        ]
    )
    for field in ('names', 'numbers', 'positions', 'cells', 'pbc', 'offsets', 'energy', 'forces', 'stress', 'sources'):
        np.testing.assert_array_equal(getattr(many, field), getattr(single, field), err_msg=field)
    assert [len(image) for image in images] == np.diff(many.offsets).tolist()


def test_content_is_that_of_the_nodes(images: list[ase.Atoms]) -> None:
    """What is read by a query is what the nodes return when they are asked one by one."""
    rows = store(images)
    result = convert_many_structures(rows)['dataset'].get_structures()
    for image, (_, structure, labels) in zip(result.to_atoms(), rows, strict=True):
        expected, node = orm.load_node(structure).get_ase(), orm.load_node(labels)
        assert image.get_chemical_symbols() == expected.get_chemical_symbols()
        np.testing.assert_array_equal(image.positions, expected.positions)
        np.testing.assert_array_equal(image.cell.array, expected.cell.array)
        np.testing.assert_array_equal(image.calc.results['forces'], node.get_array('forces'))


def test_every_node_is_in_the_provenance(images: list[ase.Atoms]) -> None:
    """Each structure and each label is linked under its name to the call that converted it, and that to the result."""
    rows = store(images)
    dataset = convert_many_structures(rows, batch_size=2)['dataset']
    query = orm.QueryBuilder().append(PaceDatasetData, filters={'uuid': dataset.uuid}, tag='dataset')
    query.append(orm.CalcFunctionNode, with_descendants='dataset', tag='call', filters={'label': 'convert_structures'})
    query.append(orm.Data, with_outgoing='call', project='uuid', edge_project='label')
    found = {label: uuid for uuid, label in query.all()}
    expected = {f'structures__{name}': structure for name, structure, _ in rows}
    expected |= {f'labels__{name}': str(labels) for name, _, labels in rows}
    assert found == expected


@pytest.mark.parametrize('without', ['energy', 'forces'])
def test_a_wrong_label_leaves_nothing_behind(images: list[ase.Atoms], without: str) -> None:
    """A label that is missing in the last batch is named, and no batch before it was stored."""
    rows = store(images, without=without, broken=6)
    before = count(PaceDatasetData), count(orm.ProcessNode)
    with pytest.raises(DatasetError, match=f'structure `s006` has no label `{without}`'):
        convert_many_structures(rows, batch_size=2)
    assert (count(PaceDatasetData), count(orm.ProcessNode)) == before


def test_progress(images: list[ase.Atoms]) -> None:
    """After each batch it is told how many structures are done."""
    seen: list[tuple[int, int]] = []
    convert_many_structures(store(images), batch_size=3, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(3, 7), (6, 7), (7, 7)]


def test_nodes_of_a_batch_are_let_go(images: list[ase.Atoms]) -> None:
    """After a batch no more nodes are in memory than one batch has."""
    rows = store(images)
    gc.collect()
    before = sum(isinstance(thing, orm.StructureData) for thing in gc.get_objects())
    alive: list[int] = []

    def look(done: int, total: int) -> None:
        gc.collect()
        alive.append(sum(isinstance(thing, orm.StructureData) for thing in gc.get_objects()) - before)

    convert_many_structures(rows, batch_size=2, progress=look)
    assert max(alive) <= 2


def test_structures_without_labels_are_candidates(images: list[ase.Atoms]) -> None:
    """Where no structure has labels the dataset holds candidates."""
    rows: list[Row] = [(name, structure, None) for name, structure, _ in store(images)]
    assert not convert_many_structures(rows, batch_size=4)['dataset'].labelled


def test_rows_that_cannot_be_paired_are_refused(images: list[ase.Atoms]) -> None:
    """What is missing, ambiguous or of another kind is refused with the name."""
    (name, structure, labels), second, *_ = store(images[:2])
    with pytest.raises(DatasetError, match='the dataset is empty'):
        convert_many_structures([])
    with pytest.raises(DatasetError, match='a batch of 0 structures is not possible'):
        convert_many_structures([(name, structure, labels)], batch_size=0)
    with pytest.raises(DatasetError, match='the name `s000` is given twice'):
        convert_many_structures([(name, structure, labels), (name, second[1], second[2])])
    with pytest.raises(DatasetError, match='structure `s001` has no labels, but others have'):
        convert_many_structures([(name, structure, labels), (second[0], second[1], None)])
    with pytest.raises(DatasetError, match='`fcc-1` cannot be the name'):
        convert_many_structures([('fcc-1', structure, labels)])
    with pytest.raises(DatasetError, match=f'`{name}`: there is no StructureData with the UUID {labels}'):
        convert_many_structures([(name, str(labels), labels)])
    with pytest.raises(DatasetError, match=f'`{name}`: there is no ArrayData with the UUID {structure}'):
        convert_many_structures([(name, structure, structure)])


def test_labels_that_are_no_numbers_are_refused(images: list[ase.Atoms]) -> None:
    """A label of text names the structure and the label."""
    ((name, structure, _),) = store(images[:1])
    labels = orm.ArrayData({'energy': np.array('low'), 'forces': images[0].get_forces()}).store()
    with pytest.raises(DatasetError, match=f'the label `energy` of structure `{name}` does not hold numbers'):
        convert_many_structures([(name, structure, labels.uuid)])
