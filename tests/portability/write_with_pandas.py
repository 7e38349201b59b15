"""Write dataset files with plain pandas, as users and Pacemaker do; runs in each of the environments.

python write_with_pandas.py STRUCTURES.npz FOLDER
"""

import sys
import types
from pathlib import Path

import numpy as np
import pandas as pd
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

PROTOCOLS = (0, 1, 2, 3, 4, 5)


class DataFrameWithMetadata(pd.DataFrame):
    """The class of python-ace's own tables, under whose name they are pickled."""

    _metadata = ('metadata_dict',)

    @property
    def _constructor(self):
        return DataFrameWithMetadata


def stand_in_for_pyace():
    """Let python-ace's name for the class lead to ours."""
    module = types.ModuleType('pyace.preparedata')
    module.DataFrameWithMetadata = DataFrameWithMetadata
    DataFrameWithMetadata.__module__ = module.__name__
    sys.modules.update({'pyace': types.ModuleType('pyace'), module.__name__: module})


def rows_of(given, key):
    """Return one array per structure."""
    return [part.copy() for part in np.split(given[key], given['offsets'][1:-1])]


def structures(given):
    """Return the structures without labels."""
    parts = zip(rows_of(given, 'numbers'), rows_of(given, 'positions'), given['cells'], given['pbc'])  # noqa: B905  # Python 3.9
    return [Atoms(numbers=n, positions=p, cell=c, pbc=b) for n, p, c, b in parts]


def main(source, folder):
    """Write one file per kind."""
    stand_in_for_pyace()
    given = dict(np.load(source))
    folder = Path(folder)
    energy, forces, stress = given['energy'], rows_of(given, 'forces'), list(given['stress'])
    names = [str(name) for name in given['names']]
    table = pd.DataFrame({'ase_atoms': structures(given), 'energy': energy, 'name': names, 'forces': forces})
    table['w_energy'] = given['energy_weights']
    table['w_forces'] = rows_of(given, 'force_weights')
    table['stress'] = stress
    for protocol in PROTOCOLS:
        table.to_pickle(folder / f'plain-protocol{protocol}.pckl.gzip', compression='gzip', protocol=protocol)

    attached = structures(given)
    for atoms, e, f, s in zip(attached, energy, forces, stress):  # noqa: B905  # Python 3.9
        atoms.calc = SinglePointCalculator(atoms, energy=float(e), forces=f, stress=s)
    frame = pd.DataFrame({'ase_atoms': attached, 'name': names})
    frame.to_pickle(folder / 'calculators.pckl.gzip', compression='gzip')

    described = DataFrameWithMetadata(table)
    described.metadata_dict = {'evaluator': 'tensorpot'}
    described['tp_atoms'] = [{'_positions': np.zeros(3)}] * len(described)
    described.to_pickle(folder / 'metadata.pckl.gzip', compression='gzip')

    for spelling in ('string', 'string[pyarrow]', 'category'):
        try:
            strings = table.assign(name=pd.Series(names, dtype=spelling))
        except ImportError:
            continue  # no pyarrow here
        kind = spelling.strip(']').replace('[', '-')
        strings.to_pickle(folder / f'strings-{kind}.pckl.gzip', compression='gzip')


if __name__ == '__main__':
    main(*sys.argv[1:])
