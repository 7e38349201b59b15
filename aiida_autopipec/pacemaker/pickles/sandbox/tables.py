"""The table that a recorded DataFrame stands for: columns of values, not yet interpreted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.errors import DatasetError, FileFormatError
from aiida_autopipec.pacemaker.pickles.sandbox import wire
from aiida_autopipec.pacemaker.pickles.sandbox.arrays import ArrayDecoder, NotPlainError, ObjectArray, damaged
from aiida_autopipec.pacemaker.pickles.sandbox.expressions import Column, decode_expression
from aiida_autopipec.pacemaker.pickles.sandbox.records import Record, RecordType, has_role
from aiida_autopipec.pacemaker.pickles.sandbox.strings import decode_extension, decode_index_values

_OLD_LAYOUT = '0.14.1'  # the name of the layout of BlockManager's state in pandas 0.14 to 1.2


@dataclass
class Table:
    """Columns of equal length, the labels of their rows, and what was left out."""

    labels: Sequence[Any] | NDArray[Any]
    columns: dict[str, Column] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)

    def add(self, name: Any, column: Column) -> None:
        """Add a column.

        :raises DatasetError: if there is one of that name already.
        :raises FileFormatError: if it has more or fewer rows than the table.
        """
        if not isinstance(name, (str, int, float)):
            raise damaged('a column has no plain name')
        if any(wire.FIRST_SURROGATE <= ord(character) <= wire.LAST_SURROGATE for character in str(name)):
            raise damaged('a column has a name that is no Unicode')
        if str(name) in self.columns:
            raise DatasetError(f'The table has two columns named `{name}`; rename one.')
        if len(column) != len(self.labels):
            raise damaged(f'the column `{name}` has {len(column)} rows in a table of {len(self.labels)}')
        self.columns[str(name)] = column

    def index(self) -> NDArray[np.int64]:
        """Return the labels if they are integers, else 0 to n - 1."""
        if isinstance(self.labels, range):
            return np.arange(self.labels.start, self.labels.stop, self.labels.step)
        labels = np.asarray(self.labels)
        if labels.dtype.kind in 'iu' or not len(labels):
            return labels.astype(np.int64)
        self.ignored.append('the row labels of the table, because they are no integers')
        return np.arange(len(labels))


def decode_table(root: Any, arrays: ArrayDecoder) -> Table:
    """Return the table that a file's record stands for.

    :raises FileFormatError: if it is no table.
    """
    if not has_role(root, 'frame'):
        raise FileFormatError('This is not a Pacemaker dataset: the pickle in it holds no pandas.DataFrame.')
    if isinstance(root.state, dict):
        return _decode_manager(root.state.get('_mgr', root.state.get('_data')), arrays)
    if root.args and isinstance(root.args[0], dict):
        return _decode_dictionary(root.args[0], arrays)
    raise damaged('its pandas.DataFrame is in a form that no known version writes')


def _decode_dictionary(items: dict[Any, Any], arrays: ArrayDecoder) -> Table:
    """Decode ``DataFrame(dict)``, as this package writes it."""
    columns = {name: decode_expression(value, arrays) for name, value in items.items()}
    table = Table(range(len(next(iter(columns.values()), []))))
    for name, column in columns.items():
        table.add(name, column)
    return table


def _decode_manager(manager: Any, arrays: ArrayDecoder) -> Table:
    axes, blocks = _axes_and_blocks(manager)
    names = _labels(axes[0], arrays)
    table = Table(_labels(axes[1], arrays))
    found: dict[int, Column | None] = {}
    for values, placement in blocks:
        places = _places(placement, len(names), arrays)
        columns = _block_columns(values, len(places), arrays)
        if len(columns) != len(places):
            raise damaged('a block of columns has more or fewer names than columns')
        found.update(zip(places, columns, strict=True))
    if len(found) != len(names):
        raise damaged('a column has no values')
    for place, name in enumerate(names):
        column = found[place]
        if column is None:
            shown = name[:40] if isinstance(name, str) else '?'
            table.ignored.append(f'the column `{shown}`, because its type is neither numbers nor strings')
        else:
            table.add(name, column)
    return table


def _axes_and_blocks(manager: Any) -> tuple[list[Any], list[tuple[Any, Any]]]:
    axes: Any = None
    blocks: Any = ()
    if has_role(manager, 'manager') and isinstance(manager.state, tuple) and len(manager.state) == 4:
        layout = manager.state[3].get(_OLD_LAYOUT) if isinstance(manager.state[3], dict) else None
        if isinstance(layout, dict) and isinstance(layout.get('blocks'), list):
            axes = layout.get('axes')
            blocks = [(b.get('values'), b.get('mgr_locs')) for b in layout['blocks'] if isinstance(b, dict)]
    elif has_role(manager, 'manager') and len(manager.args) >= 2 and isinstance(manager.args[0], (tuple, list)):
        axes = manager.args[1]
        blocks = [_block_parts(block) for block in manager.args[0]]
    if not isinstance(axes, list) or len(axes) != 2:
        raise damaged('its pandas.DataFrame has no content that is understood')
    return axes, list(blocks)


def _block_parts(block: Any) -> tuple[Any, Any]:
    if not has_role(block, 'block') or len(block.args) < 2:
        raise damaged('its pandas.DataFrame has a block that is not understood')
    return block.args[0], block.args[1]


def _labels(axis: Any, arrays: ArrayDecoder) -> Sequence[Any] | NDArray[Any]:
    if not has_role(axis, 'new_index') or len(axis.args) != 2 or not isinstance(axis.args[1], dict):
        raise damaged('its pandas.DataFrame has an index that is not understood')
    index_type, content = axis.args
    if isinstance(index_type, RecordType) and index_type.role == 'range_index':
        bounds = [content.get(key) for key in ('start', 'stop', 'step')]
        if not all(isinstance(bound, int) for bound in bounds) or bounds[2] == 0:
            raise damaged('its pandas.DataFrame has an impossible index')
        return range(*bounds)
    return decode_index_values(axis, arrays)


def _places(placement: Any, count: int, arrays: ArrayDecoder) -> list[int]:
    """Return which columns of the table a block holds."""
    if has_role(placement, 'slice') and all(bound is None or isinstance(bound, int) for bound in placement.args):
        return list(range(count)[slice(*placement.args)])
    places: list[int] = arrays.numeric(placement).tolist()
    if not all(isinstance(place, int) and 0 <= place < count for place in places):
        raise damaged('a block of columns belongs nowhere')
    return places


def _block_columns(values: Any, count: int, arrays: ArrayDecoder) -> list[Column | None]:
    """Return the columns of a block; None for those of a type that is not understood."""
    try:
        if isinstance(values, Record) and not has_role(values, 'reconstruct', 'frombuffer', 'ndarray'):
            return [decode_extension(values, arrays)]
        array = arrays.array(values)
    except NotPlainError:
        return [None] * count
    lengths = array.shape if len(array.shape) == 2 else (1, *array.shape)
    if len(lengths) != 2 or lengths[0] != count:
        raise damaged('a block of columns has more or fewer names than columns')
    if isinstance(array, ObjectArray):
        rows = lengths[1]
        return [array.items[i * rows : (i + 1) * rows] for i in range(count)]
    return list(array.reshape(lengths))
