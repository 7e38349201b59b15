"""Read a dataset file with plain pandas and tell what came out; runs in each of the environments.

    python read_with_pandas.py DATASET OUTPUT.npz

OUTPUT holds one array per row and value (``forces:3``), the types of the columns, and the rows in which a value could
not be changed without a trace in another row.
"""

import sys
import warnings

import numpy as np
import pandas as pd
from ase import Atoms

ROW_VALUES = ('forces', 'w_forces', 'stress')


def arrays_of(row):
    """Return the arrays of a row, themselves and not copies."""
    atoms = row['ase_atoms']
    found = {'numbers': atoms.numbers, 'positions': atoms.positions, 'cell': atoms.cell.array, 'pbc': atoms.pbc}
    found.update({name: row[name] for name in ROW_VALUES if row.get(name) is not None})
    return found


def main(source, target):
    """Read and describe."""
    warnings.simplefilter('error')  # what loads with a warning will not load with the next version
    table = pd.read_pickle(source, compression='gzip')  # the call of Pacemaker; the file's name tells pandas nothing
    rows = table.to_dict('records')
    result = {
        'columns': np.array(list(table.columns), dtype=str),
        'types': np.array([str(dtype) for dtype in table.dtypes]),
        'index': np.array(table.index),
        'plain': np.array([type(row['ase_atoms']) is Atoms for row in rows]),
        'bare': np.array([not row['ase_atoms'].info and row['ase_atoms'].calc is None for row in rows]),
        'versions': np.array([sys.version.split()[0], pd.__version__, np.__version__, 'pyarrow' in sys.modules], str),
    }
    for name in table.columns:
        if name not in ('ase_atoms', *ROW_VALUES):
            result['column:' + name] = np.array(list(table[name]))
    for i, row in enumerate(rows):
        result.update({f'{name}:{i}': array.copy() for name, array in arrays_of(row).items()})
    result['writable'] = np.array([all(a.flags.writeable for a in arrays_of(row).values()) for row in rows])
    result['aliased'] = np.array(aliased_rows(rows))
    np.savez(target, **result)


def aliased_rows(rows):
    """Overwrite each row with a value of its own; return for each whether it still has it in the end."""
    for i, row in enumerate(rows):
        for array in arrays_of(row).values():
            array[...] = i % 2 if array.dtype == bool else i
    return [
        any(np.any(a != (i % 2 if a.dtype == bool else i)) for a in arrays_of(row).values())
        for i, row in enumerate(rows)
    ]


if __name__ == '__main__':
    main(*sys.argv[1:])
