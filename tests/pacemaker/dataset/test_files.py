"""Files of any supported format."""

from __future__ import annotations

import gzip
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase
import ase.io
import numpy as np
import pandas as pd
import pytest
from ase.io.bundletrajectory import BundleTrajectory
from ase.io.formats import ioformats

from aiida_autopipec.pacemaker.dataset.files import REFUSED_FORMATS, ImportOptions, PartReader, read_structures
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures, concatenate
from aiida_autopipec.pacemaker.errors import ConfigError, DatasetError, FileFormatError, UnsafeFileError
from aiida_autopipec.pacemaker.formats import save_to_pacemaker_format


def options(**given: Any) -> ImportOptions:
    """Return options from what a user states."""
    return ImportOptions.from_mapping(given)


@pytest.mark.parametrize('name', ['d.extxyz', 'd.traj', 'd.json', 'd.db', 'a@1.extxyz'])
def test_formats_of_ase(mixed: LabelledStructures, tmp_path: Path, name: str) -> None:
    """Structures with labels come through files of ASE, also with an ``@`` in the name."""
    path = tmp_path / 'file' / name
    path.parent.mkdir()
    inner = path.with_name('inner' + path.suffix)
    ase.io.write(inner, mixed.to_atoms())
    shutil.move(inner, path)
    structures, report = read_structures(path)
    assert report['frames'] == 4
    np.testing.assert_array_equal(structures.fingerprints, mixed.fingerprints)
    np.testing.assert_allclose(structures.energy, mixed.energy, rtol=0, atol=1e-8)
    np.testing.assert_allclose(structures.forces, mixed.forces, rtol=0, atol=1e-8)
    np.testing.assert_allclose(structures.stress, mixed.stress, rtol=0, atol=1e-8)


def test_names_from_the_file_or_the_content(mixed: LabelledStructures, tmp_path: Path) -> None:
    """Names stand in the file, or are made from the content on request."""
    path = tmp_path / 'd.extxyz'
    ase.io.write(path, mixed.replace(names=['p', 'q', 'r', 's']).to_atoms())
    assert read_structures(path)[0].names.tolist() == ['p', 'q', 'r', 's']
    names = read_structures(path, options(names='content'))[0].names
    assert names[1].startswith('H2O-')


def test_labels_under_other_names(make_atoms: Callable[..., list[ase.Atoms]], tmp_path: Path) -> None:
    """Labels are found under the keys that are stated; without, the error lists what the file holds."""
    images = []
    for image in make_atoms(2):
        bare = ase.Atoms(image.numbers, image.positions, cell=image.cell, pbc=True)
        bare.info['REF_energy'] = image.get_potential_energy()
        bare.arrays['REF_forces'] = image.get_forces()
        images.append(bare)
    path = tmp_path / 'd.extxyz'
    ase.io.write(path, images)
    with pytest.raises(DatasetError, match='REF_energy, REF_forces'):
        read_structures(path)
    structures, _ = read_structures(path, options(energy_key='REF_energy', forces_key='REF_forces'))
    assert structures.energy.tolist() == [image.info['REF_energy'] for image in images]


def test_energy_that_ase_moves_can_be_chosen(make_atoms: Callable[..., list[ase.Atoms]], tmp_path: Path) -> None:
    """The key ``energy`` means the energy also where ASE's reader moved it away and there is a free energy."""
    image = make_atoms(1)[0]
    image.calc.results['free_energy'] = -99.0
    path = tmp_path / 'd.extxyz'
    ase.io.write(path, [image])
    structures, report = read_structures(path)
    assert (structures.energy[0], report['energy']) == (-99.0, 'free_energy')
    structures, report = read_structures(path, options(energy_key='energy'))
    assert (structures.energy[0], report['energy']) == (image.calc.results['energy'], 'energy')


def test_pacemaker_files(mixed: LabelledStructures, tmp_path: Path) -> None:
    """A ``.pckl.gzip`` is read safely, and the report says where labels come from."""
    path = save_to_pacemaker_format(mixed, tmp_path / 'd.pckl.gzip')
    structures, report = read_structures(path)
    assert structures.content_hash == mixed.content_hash
    assert report == {
        'format': 'pacemaker',
        'energy': 'column `energy`',
        'forces': 'column `forces`',
        'columns_left_out': [],
        'ignored': [],
    }


def test_options_of_ase_are_refused_for_tables(mixed: LabelledStructures, tmp_path: Path) -> None:
    """An option that would have no effect is an error."""
    path = save_to_pacemaker_format(mixed, tmp_path / 'd.pckl.gzip')
    with pytest.raises(ConfigError, match='`energy_key` is for files that ASE reads'):
        read_structures(path, options(energy_key='energy'))


@pytest.mark.parametrize('given', [{'energykey': 'x'}, {'names': 'both'}, {'require_labels': 'maybe'}])
def test_wrong_options_are_refused(given: dict[str, Any]) -> None:
    """Unknown options and impossible values are refused under their key."""
    with pytest.raises(ConfigError, match=f'import option `{next(iter(given))}`'):
        options(**given)


def test_truncated_table_is_refused(mixed: LabelledStructures, tmp_path: Path) -> None:
    """Half a file is no dataset."""
    path = save_to_pacemaker_format(mixed, tmp_path / 'd.pckl.gzip')
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(FileFormatError, match=r'd\.pckl\.gzip'):
        read_structures(path)


class Payload:
    """Runs a command where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        """Spell the command."""
        return os.mkdir, (str(self.path),)


def test_payload_in_a_table_is_refused(tmp_path: Path) -> None:
    """A pickle that would run something is refused and runs nothing."""
    path, witness = tmp_path / 'd.pckl.gzip', tmp_path / 'witness'
    path.write_bytes(gzip.compress(pickle.dumps(Payload(witness))))
    with pytest.raises(UnsafeFileError):
        read_structures(path)
    assert not witness.exists()


@pytest.mark.parametrize('name', sorted(REFUSED_FORMATS))
def test_formats_that_run_code_are_refused(tmp_path: Path, name: str) -> None:
    """A format whose reader runs or reaches what the file says is refused by name, before the file is opened."""
    path = tmp_path / 'd.xyz'
    path.write_text('1\n\nAl 0 0 0\n')
    with pytest.raises(UnsafeFileError, match=f'is not read as {name}'):
        read_structures(path, options(format=name))


def test_no_reader_of_ase_unpickles() -> None:
    """No module of a readable format, but those refused, calls ``pickle``, ``eval`` or ``exec``."""
    for name, kind in ioformats.items():
        if not kind.can_read or name in REFUSED_FORMATS or not kind.module_name.startswith('ase.'):
            continue
        source = Path(ase.__file__).parent.joinpath(*kind.module_name.split('.')[1:])
        files = [source.with_suffix('.py')] if source.with_suffix('.py').exists() else list(source.rglob('*.py'))
        assert files, name
        for file in files:
            text = file.read_text(encoding='utf-8')
            assert 'pickle.load' not in text, name
            assert 'import pickle\n' not in text, name
            assert not any(f'{before}{call}(' in text for call in ('eval', 'exec') for before in (' ', '=', '(')), name


def test_bundle_is_a_folder_and_so_no_file(tmp_path: Path) -> None:
    """ASE's bundles, which may hold pickles, are not files."""
    path = tmp_path / 'd.bundle'
    bundle = BundleTrajectory(str(path), 'w', ase.Atoms('Al'))
    bundle.write()
    bundle.close()
    with pytest.raises(FileFormatError, match='there is no file'):
        read_structures(path)


@pytest.mark.parametrize(
    ('name', 'content', 'sentence'),
    [
        ('d.extxyz', '3\n\nAl 0 0 0\n', 'cannot be read as its format'),
        ('d.unknown', 'nothing that anybody knows', 'is not of a format that ASE recognises'),
        ('d.extxyz', '', '.'),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, name: str, content: str, sentence: str) -> None:
    """A file that cannot be understood is refused with its name and a remedy."""
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises((FileFormatError, DatasetError), match=sentence):
        read_structures(path)


def test_unlabelled_candidates(tmp_path: Path) -> None:
    """Files without labels are read where none are asked for."""
    path = tmp_path / 'd.xyz'
    ase.io.write(path, [ase.Atoms('Al'), ase.Atoms('Cu')])
    with pytest.raises(DatasetError, match='no energy'):
        read_structures(path)
    structures, report = read_structures(path, options(require_labels=False))
    assert len(structures) == 2
    assert (report['energy'], report['forces']) == ('none', 'none')


def test_a_table_without_names_gets_those_that_pacemaker_gives_it(tmp_path, make_atoms):
    """With names pacemaker, a structure without a name is FILE:ROW as in the tables that Pacemaker writes."""
    path = tmp_path / 'mine.pckl.gzip'
    images = make_atoms(3)
    columns = {'ase_atoms': [image.copy() for image in images], 'energy': [1.0, 2.0, 3.0]}
    columns['forces'] = [image.get_forces() for image in images]
    pd.DataFrame(columns).to_pickle(path, compression='gzip', protocol=4)
    structures, _ = read_structures(path, ImportOptions(names='pacemaker'))
    assert structures.names.tolist() == ['mine.pckl.gzip:0', 'mine.pckl.gzip:1', 'mine.pckl.gzip:2']


def sized_parts(path: Path, **given: Any) -> list[LabelledStructures]:
    """Read a file in the smallest parts that there are."""
    return list(PartReader(path, options(**given), max_bytes=1))


@pytest.mark.parametrize('names', ['file', 'content'])
def test_parts_are_the_whole(mixed: LabelledStructures, tmp_path: Path, names: str) -> None:
    """What is read structure by structure is what is read at once, also the numbers behind repeated names."""
    path = tmp_path / 'd.extxyz'
    images = mixed.to_atoms()
    if names == 'content':
        images += images[:2]
    ase.io.write(path, images)
    reader = PartReader(path, options(names=names), max_bytes=1)
    parts = list(reader)
    whole, report = read_structures(path, options(names=names))
    assert [len(part) for part in parts] == [1] * len(images)
    assert reader.report == report
    assert concatenate(parts).content_hash == whole.content_hash
    assert concatenate(parts).names.tolist() == whole.names.tolist()


def test_names_of_later_parts_may_not_be_missing(tmp_path: Path) -> None:
    """Where names were handed out already, a structure without one is an error that says what to do."""
    path = tmp_path / 'd.extxyz'
    named, bare = (ase.Atoms('Al', info={'energy': 0.0, **name}) for name in ({'name': 'a'}, {}))
    for image in (named, bare):
        image.arrays['forces'] = np.zeros((1, 3))
    ase.io.write(path, [named, named, bare])
    with pytest.raises(DatasetError, match=r'structure 2 has no name.*`names` to `content`'):
        sized_parts(path)
    assert len(sized_parts(path, names='content')) == 3
    assert [part.names[0] for part in sized_parts(path, names='content')][1:] == [
        f'{read_structures(path)[0].names[0]}-{number}' for number in (2, 3)
    ]


def test_labels_missing_in_later_parts_are_counted(tmp_path: Path) -> None:
    """A missing label is an error when all was read: the sentence says how many lack it, and which is the first."""
    path = tmp_path / 'd.extxyz'
    images = [ase.Atoms('Al', info={'energy': 0.0} if labelled else {}) for labelled in (1, 1, 0, 1, 0)]
    for image in images:
        image.arrays['forces'] = np.zeros((1, 3))
    ase.io.write(path, images)
    for required in (True, False):
        with pytest.raises(DatasetError, match='2 of 5 structures have no energy, the first is structure 2'):
            sized_parts(path, require_labels=required)
    ase.io.write(path, [image for image in images if not image.calc and 'energy' not in image.info])
    assert [part.energy for part in sized_parts(path, require_labels=False)] == [None, None]


def test_kinds_of_energies_may_not_change_between_parts(tmp_path: Path) -> None:
    """Energies with the contribution of smearing and others are refused also when they are far apart."""
    path = tmp_path / 'd.extxyz'
    images = [ase.Atoms('Al', info={'energy': 0.0}), ase.Atoms('Al', info={'energy': 0.0, 'free_energy': -1.0})]
    for image in images:
        image.arrays['forces'] = np.zeros((1, 3))
    ase.io.write(path, images)
    with pytest.raises(DatasetError, match='same kind'):
        sized_parts(path)


def test_wrong_values_in_later_parts_are_told_where_they_are(tmp_path: Path) -> None:
    """Where a part is not the first, the sentence says from where its structures are counted."""
    path = tmp_path / 'd.extxyz'
    images = [
        ase.Atoms('Al', positions=[[0, 0, row]], info={'energy': energy}) for row, energy in enumerate([0, 1, np.nan])
    ]
    for image in images:
        image.arrays['forces'] = np.zeros((1, 3))
    ase.io.write(path, images)
    with pytest.raises(DatasetError, match=r'^counted from structure 2 on: the .*energy.* structure 0 '):
        sized_parts(path)
    with pytest.raises(DatasetError, match=r'^the .*energy.* structure 2 '):
        read_structures(path)
