"""The globals that dataset files name, and what stands in for each: never the real thing.

Found in Pacemaker's own files and in those of pandas 1.1 to 3.1, numpy 1.19 to 2.4, ase 3.17 to 3.29. Each maps to the
*role* that the decoders look for. ``opaque`` marks what may stand in a dataset and is left out.
"""

from __future__ import annotations

from collections.abc import Iterator

_NUMPY = {
    'ndarray': 'ndarray',
    'dtype': 'dtype',
}
_NUMPY_INTERNAL = {
    'multiarray._reconstruct': 'reconstruct',
    'multiarray.scalar': 'scalar',
    'numeric._frombuffer': 'frombuffer',
}
_PANDAS = {
    'pandas DataFrame': 'frame',
    'pandas.core.frame DataFrame': 'frame',
    'pyace.preparedata DataFrameWithMetadata': 'frame',
    'pandas.core.internals.managers BlockManager': 'manager',
    'pandas._libs.internals _unpickle_block': 'block',
    'pandas.core.internals.blocks new_block': 'block',
    'functools partial': 'partial',
    'pandas.core.indexes.base _new_Index': 'new_index',
    'pandas Index': 'index',
    'pandas.core.indexes.base Index': 'index',
    'pandas.core.indexes.numeric Int64Index': 'index',
    'pandas.core.indexes.numeric UInt64Index': 'index',
    'pandas.core.indexes.numeric Float64Index': 'index',
    'pandas RangeIndex': 'range_index',
    'pandas.core.indexes.range RangeIndex': 'range_index',
    'pandas._libs.arrays __pyx_unpickle_NDArrayBacked': 'array_backed',
    'pandas.arrays StringArray': 'string_array',
    'pandas.core.arrays.string_ StringArray': 'string_array',
    'pandas.core.arrays.string_ StringArrayNumpySemantics': 'string_array',
    'pandas.arrays ArrowStringArray': 'arrow_array',
    'pandas.core.arrays.string_arrow ArrowStringArray': 'arrow_array',
    'pandas.core.arrays.string_arrow ArrowStringArrayNumpySemantics': 'arrow_array',
    'pandas StringDtype': 'opaque',
    'pandas.core.arrays.string_ StringDtype': 'opaque',
    'pandas NA': 'missing',
    'pandas._libs.missing NA': 'missing',
    'pandas Categorical': 'categorical',
    'pandas.core.arrays.categorical Categorical': 'categorical',
    'pandas CategoricalDtype': 'categorical_dtype',
    'pandas.core.dtypes.dtypes CategoricalDtype': 'categorical_dtype',
    'pandas DatetimeTZDtype': 'opaque',
    'pandas Timestamp': 'opaque',
    'pandas.arrays DatetimeArray': 'opaque',
    'pandas.arrays TimedeltaArray': 'opaque',
    'pandas.core.arrays.datetimes DatetimeArray': 'opaque',
    'pandas.core.arrays.timedeltas TimedeltaArray': 'opaque',
    'pandas.core.dtypes.dtypes DatetimeTZDtype': 'opaque',
    'pandas._libs.tslibs.timestamps Timestamp': 'opaque',
    'pandas._libs.tslibs.timestamps _unpickle_timestamp': 'opaque',
    'pandas._libs.tslibs.nattype _nat_unpickle': 'opaque',
    'pandas._libs.tslibs.nattype __nat_unpickle': 'opaque',
    'pyarrow.lib _restore_array': 'arrow_restore',
    'pyarrow.lib chunked_array': 'arrow_chunks',
    'pyarrow.lib py_buffer': 'arrow_buffer',
    'pyarrow.lib type_for_alias': 'arrow_type',
}
_MASKED_ARRAYS = {
    'IntegerArray': 'pandas.core.arrays.integer',
    'FloatingArray': 'pandas.core.arrays.floating',
    'BooleanArray': 'pandas.core.arrays.boolean',
}
_MASKED_DTYPES = {
    'pandas.core.arrays.integer': ('Int8Dtype', 'Int16Dtype', 'Int32Dtype', 'Int64Dtype', 'UInt8Dtype', 'UInt64Dtype'),
    'pandas.core.arrays.floating': ('Float32Dtype', 'Float64Dtype'),
    'pandas.core.arrays.boolean': ('BooleanDtype',),
}
_BUILTINS = {
    'builtins bytearray': 'bytearray',
    'builtins slice': 'slice',
    'builtins list': 'list',
    'builtins map': 'map',
    'builtins getattr': 'getattr',
    'builtins object': 'base',
    'builtins dict': 'base',
    'copyreg _reconstructor': 'reconstructor',
    'itertools repeat': 'repeat',
    'itertools chain': 'chain',
    'operator getitem': 'getitem',
    '_operator getitem': 'getitem',
    '_codecs encode': 'encode',
    'collections Counter': 'mapping',  # composition of a structure, in Pacemaker's own tables
    'collections OrderedDict': 'mapping',
    'pathlib PosixPath': 'opaque',
    'uuid UUID': 'opaque',
    'datetime datetime': 'opaque',
    'datetime date': 'opaque',
}
_ASE = {
    'ase.atoms Atoms': 'atoms',
    'ase Atoms': 'atoms',
    'ase.cell Cell': 'cell',
    'ase.calculators.singlepoint SinglePointCalculator': 'calculator',
    'ase.calculators.singlepoint SinglePointDFTCalculator': 'calculator',
    'ase.calculators.singlepoint SinglePointKPoint': 'opaque',
    'ase.calculators.calculator Parameters': 'mapping',
    'ase.spacegroup.spacegroup Spacegroup': 'opaque',
    'pyace.catomicenvironment ACEAtomicEnvironment': 'opaque',
}
_ASE_CONSTRAINTS = (  # in ase.constraints; each in a module of its own below it in ase 3.29
    *('FixAtoms', 'FixBondLength', 'FixBondLengths', 'FixCartesian', 'FixCom', 'FixConstraint', 'FixConstraintSingle'),
    *('FixInternals', 'FixLinearTriatomic', 'FixParametricRelations', 'FixScaled', 'FixScaledParametricRelations'),
    *(
        'FixSymmetry',
        'FixSubsetCom',
        'FixedLine',
        'FixedMode',
        'FixedPlane',
        'Hookean',
        'ExternalForce',
        'UnitCellFilter',
    ),
)
_CONSTRAINT_MODULES = (
    *('external_force', 'fix_atoms', 'fix_bond_lengths', 'fix_cartesian', 'fix_com', 'fix_internals', 'fix_scaled'),
    *('fix_linear_triatomic', 'fix_parametric_relations', 'fix_symmetry', 'fixed_line', 'fixed_mode', 'fixed_plane'),
    'hookean',
)
# Pickles of protocol 0 to 2 that Python 3 writes use the names of Python 2.
_OLD_SPELLING = {'__builtin__': 'builtins', 'copy_reg': 'copyreg'}


def _pairs() -> Iterator[tuple[tuple[str, str], str]]:
    for name, role in _NUMPY.items():
        yield ('numpy', name), role
    for path, role in _NUMPY_INTERNAL.items():
        module, name = path.split('.')
        for package in ('numpy.core', 'numpy._core'):
            yield (f'{package}.{module}', name), role
    for table in (_PANDAS, _BUILTINS, _ASE):
        for pair, role in table.items():
            module, name = pair.split(' ')
            yield (module, name), role
    for name, module in _MASKED_ARRAYS.items():
        yield (module, name), 'masked_array'
        yield ('pandas.arrays', name), 'masked_array'
    for module, names in _MASKED_DTYPES.items():
        for name in names:
            yield (module, name), 'opaque'
            yield ('pandas', name), 'opaque'
    for name in _ASE_CONSTRAINTS:
        for module in ('ase.constraints', *(f'ase.constraints.{stem}' for stem in _CONSTRAINT_MODULES)):
            yield (module, name), 'opaque'


_ROLES = dict(_pairs())


def role_of(module: str, name: str) -> str | None:
    """Return the role of a global, or None if no dataset needs it."""
    return _ROLES.get((_OLD_SPELLING.get(module, module), name))
