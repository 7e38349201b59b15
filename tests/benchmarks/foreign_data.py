"""Labelled DFT data of others, for the benchmarks of training and selection: made from a source package of PyPI.

    pip download --no-deps --no-binary pypolymlp pypolymlp==0.22.1
    python tests/benchmarks/foreign_data.py pypolymlp-0.22.1.tar.gz [--sets ag ag-au mgo srtio3] [--folder .]

pypolymlp (A. Seko, BSD licence) ships VASP calculations with its examples and tests. They stay where they are: this
reads them out of the archive, whose checksum is tested, and writes ``NAME.pckl.gzip`` for Pacemaker, with energies
relative to isolated atoms, and ``NAME.extxyz``. Nothing of it is unpacked. Prints one line about each set.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

import ase
import ase.io
import numpy as np
from ase.calculators.singlepoint import SinglePointCalculator
from numpy.typing import NDArray

from aiida_autopipec.pacemaker import LabelledStructures
from aiida_autopipec.pacemaker.dataset.reference import subtract
from aiida_autopipec.pacemaker.formats import save_to_pacemaker_format

SHA256 = 'aabbb301d700d251832cc64d434f332e1660cfa3f4c4969327b646cdfe479c29'
"""Of ``pypolymlp-0.22.1.tar.gz``."""
ROOT = 'pypolymlp-0.22.1/tests/test_mlp_dev_api'


@dataclass(frozen=True)
class ForeignSet:
    """A set that is made.

    :param folders: of the archive, below :data:`ROOT`.
    :param energies: of isolated atoms in eV by chemical symbol, as the inputs of pypolymlp beside the data state them.
    :param max_atoms: larger structures are left out.
    """

    folders: tuple[str, ...]
    energies: dict[str, float]
    max_atoms: int = 10_000


AG_AU = 'data-vasp-Ag-Au/vaspruns'
SETS = {
    'ag': ForeignSet((f'{AG_AU}/train-standard-Ag1', f'{AG_AU}/test-standard-Ag1'), {'Ag': -0.19820116}),
    'ag-au': ForeignSet(
        tuple(
            f'{AG_AU}/{part}-{kind}' for part in ('train', 'test') for kind in ('disp1', 'standard-Ag1', 'standard-Au1')
        ),
        {'Ag': -0.19820116, 'Au': -0.18494148},
        max_atoms=20,
    ),
    'mgo': ForeignSet(
        ('data-vasp-MgO/vaspruns/train1', 'data-vasp-MgO/vaspruns/test1'), {'Mg': -0.00040000, 'O': -1.85321219}
    ),
    'srtio3': ForeignSet(
        ('data-vasp-SrTiO3/vaspruns/train1', 'data-vasp-SrTiO3/vaspruns/test1'),
        {'Sr': -0.02805273, 'Ti': -2.44987314, 'O': -1.85321219},
    ),
}


def checked(archive: Path) -> Path:
    """Return the archive, if it is the one that this was written for."""
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != SHA256:
        raise SystemExit(f'{archive} is not pypolymlp-0.22.1.tar.gz: its SHA-256 is {found}')
    return archive


def documents(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and contents of the calculations of all sets, in one pass."""
    wanted = {f'{ROOT}/{folder}' for chosen in SETS.values() for folder in chosen.folders}
    with tarfile.open(archive) as files:
        for member in files:
            if member.isfile() and str(Path(member.name).parent) in wanted:
                stream = files.extractfile(member)
                assert stream is not None
                yield member.name, stream.read()


def numbers(parent: ET.Element, name: str) -> NDArray[np.float64]:
    """Return the array of that name as rows."""
    found = parent.find(f".//varray[@name='{name}']")
    assert found is not None
    return np.array([(row.text or '').split() for row in found], dtype=float)


def structure_of(document: bytes) -> ase.Atoms:
    """Read one calculation: the free energy, which is what VASP's forces are derivatives of."""
    root = ET.fromstring(document)  # noqa: S314 - the archive has the checksum that is written above
    last = root.findall('.//calculation')[-1]
    structure = root.findall('.//structure')[-1]
    symbols = [(row[0].text or '').strip() for row in root.findall(".//array[@name='atoms']/set/rc")]
    energy = next(float(entry.text or '') for entry in last.findall('./energy/i') if entry.get('name') == 'e_fr_energy')
    atoms = ase.Atoms(
        symbols, cell=numbers(structure, 'basis'), scaled_positions=numbers(structure, 'positions'), pbc=True
    )
    atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=numbers(last, 'forces'))
    return atoms


def short_name(path: str) -> str:
    """Return the folder and the number of a calculation."""
    match = re.search(r'([^/]+)/[^/]*?(\d+)[^/]*$', path)
    assert match is not None
    return f'{match[1]}-{match[2]}'


def made(chosen: ForeignSet, everything: dict[str, ase.Atoms]) -> LabelledStructures:
    """Return a set in the order of its folders and the names in them, with corrected energies."""
    paths = [
        path
        for folder in chosen.folders
        for path in sorted(everything)
        if str(Path(path).parent) == f'{ROOT}/{folder}' and len(everything[path]) <= chosen.max_atoms
    ]
    structures = LabelledStructures.from_atoms(
        [everything[path] for path in paths], names=[short_name(path) for path in paths]
    )
    return subtract(structures, chosen.energies)


def main() -> None:
    """Write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('archive', type=Path)
    parser.add_argument('--sets', nargs='+', choices=SETS, default=list(SETS))
    parser.add_argument('--folder', type=Path, default=Path())
    options = parser.parse_args()
    everything = {name: structure_of(document) for name, document in documents(checked(options.archive))}
    options.folder.mkdir(parents=True, exist_ok=True)
    for name in options.sets:
        structures = made(SETS[name], everything)
        save_to_pacemaker_format(structures, options.folder / f'{name}.pckl.gzip')
        ase.io.write(options.folder / f'{name}.extxyz', structures.to_atoms())
        energies = structures.field('energy_corrected') / structures.sizes
        largest = np.abs(structures.field('forces')).max()
        print(
            f'{name}: {len(structures)} structures, {structures.n_atoms} atoms, {structures.sizes.min()} to '
            f'{structures.sizes.max()} each, {energies.min():.2f} to {energies.max():.2f} eV/atom, forces up to '
            f'{largest:.1f} eV/Å'
        )


if __name__ == '__main__':
    main()
