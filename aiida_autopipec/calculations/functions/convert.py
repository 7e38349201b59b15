"""Calculation functions that turn nodes of other kinds into datasets."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from aiida.engine import calcfunction
from aiida.orm import ArrayData, CalcJobNode, Dict, ProcessNode, SinglefileData, StructureData, TrajectoryData

from aiida_autopipec.calculations.functions.reports import report_node
from aiida_autopipec.data.arrays import keys_of_vectors, open_arrays
from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.data.shards import SMALL_BYTES
from aiida_autopipec.data.singles import read_singles, single_structure
from aiida_autopipec.pacemaker.dataset.conventions import (
    CONVENTIONS,
    UNCONVERGED,
    TrajectoryConvention,
    stated_options,
)
from aiida_autopipec.pacemaker.dataset.files import ImportOptions, PartReader
from aiida_autopipec.pacemaker.dataset.frames import ArrayOfFrames, Frames, divide_frames, unchanged_arrays
from aiida_autopipec.pacemaker.dataset.merge import merged_parts, plan_merge
from aiida_autopipec.pacemaker.dataset.periodic import PeriodicPart
from aiida_autopipec.pacemaker.dataset.single import SingleStructure, structures_from_singles
from aiida_autopipec.pacemaker.dataset.storage import MAX_SHARD_BYTES
from aiida_autopipec.pacemaker.errors import DatasetError
from aiida_autopipec.pacemaker.formats import SUFFIX, save_shards

_PREFIX = 'aiida.calculations:'


@calcfunction
def convert_trajectory(
    trajectory: TrajectoryData, parameters: Dict | None = None, structure: StructureData | None = None
) -> dict[str, Any]:
    """Turn a trajectory with labels into a dataset.

    What the arrays mean follows from the calculation that created the trajectory (Quantum ESPRESSO, VASP, CP2K), or
    from ``parameters``; it is never guessed.

    :param trajectory: positions and labels of the frames.
    :param parameters: the description of the arrays, a
        :class:`~aiida_autopipec.pacemaker.dataset.conventions.TrajectoryConvention`; replaces the known one as a whole.
        Beside or without it, :class:`~aiida_autopipec.pacemaker.dataset.conventions.TrajectoryOptions`.
    :param structure: where the trajectory has no cells or boundary conditions, the structure that has them; by default
        the input structure of the calculation that created the trajectory.
    :return: ``dataset``, and a ``report`` of the arrays that were used and of what was left out.
    :raises DatasetError: if a label is missing, not finite, of the wrong shape, or of unknown meaning, or contradicts
        another one of the same geometry where duplicates are removed.
    """
    options, convention = stated_options({} if parameters is None else parameters.get_dict())
    convention = convention or _known_convention(trajectory, options.require_labels)
    with open_arrays(trajectory) as arrays:
        frames = _frames(trajectory, arrays, structure)
        parts, report = divide_frames(frames, convention, source=trajectory.uuid, require_labels=options.require_labels)
        linked = keys_of_vectors(trajectory, arrays, unchanged_arrays(convention), min_bytes=SMALL_BYTES)
        dataset, shards = PaceDatasetData.with_shards(parts, arrays=linked)
    if options.remove_duplicates:
        plan = plan_merge(shards, options.on_conflict)
        if plan.n_input != plan.n_kept:
            dataset = PaceDatasetData.from_structures(merged_parts(shards, plan))
        return {'dataset': dataset, 'report': report_node({**report, 'duplicates': plan.as_dict()}, plan)}
    return {'dataset': dataset, 'report': Dict(report)}


@calcfunction
def convert_structures(**inputs: Any) -> dict[str, Any]:
    """Turn structures, each with its labels, into a dataset.

    :param inputs: two namespaces with the same keys, which are valid link labels and become names: ``structures``, and
        ``labels`` with the arrays ``energy`` (one number, eV), ``forces`` ``(atoms, 3)`` in eV/Å and optionally
        ``stress`` (six Voigt components or 3 × 3, eV/Å³, negative when compressed). Without ``labels`` the structures
        are candidates for selection.
    :return: ``dataset``.
    :raises DatasetError: if a key has no labels or a label is missing, not finite or of the wrong shape.
    """
    unknown = sorted(set(inputs) - {'structures', 'labels'})
    if unknown:
        raise DatasetError(f'`{unknown[0]}` is no input: give `structures` and `labels`')
    structures: dict[str, StructureData] = inputs.get('structures', {})
    labels: dict[str, ArrayData] | None = inputs.get('labels')
    if labels is not None:
        _check_same_keys(structures, labels)
    return {'dataset': PaceDatasetData.from_structures(structures_from_singles(_singles(structures, labels)))}


@calcfunction
def import_dataset(file: SinglefileData, parameters: Dict | None = None) -> dict[str, Any]:
    """Read a dataset from a file: Pacemaker's ``.pckl.gzip``, extxyz, or any other format that ASE reads.

    :param file: the file; untrusted, a pickle is read by an allow-list in a process of its own.
    :param parameters: an :class:`~aiida_autopipec.pacemaker.dataset.files.ImportOptions`.
    :return: ``dataset``, and a ``report`` of what was read and what was left out.
    :raises InputError: if the file cannot be read, is not safe, or a label is missing.
    """
    options = ImportOptions.from_mapping({} if parameters is None else parameters.get_dict())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / Path(file.filename).name
        with file.open(mode='rb') as source, path.open('wb') as target:
            shutil.copyfileobj(source, target)
        reader = PartReader(path, options, MAX_SHARD_BYTES)
        parts = (part.replace(sources=np.full(len(part), file.uuid)) for part in reader)
        return {'dataset': PaceDatasetData.from_structures(parts), 'report': Dict(reader.report)}


@calcfunction
def export_dataset(dataset: PaceDatasetData) -> dict[str, Any]:
    """Write a dataset to a file that every version of Pacemaker, pandas and numpy reads.

    Training does this by itself; the file is for programs that take files, such as ``pace_augment``. Slabs and wires
    are made periodic with a wide vacuum, as Pacemaker knows no mixed boundary conditions.

    :return: ``file``, a ``.pckl.gzip``.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f'dataset{SUFFIX}'
        save_shards(map(PeriodicPart, dataset.stored_shards()), path)
        return {'file': SinglefileData(path)}


def _known_convention(trajectory: TrajectoryData, require_labels: bool) -> TrajectoryConvention:
    """Return what the arrays mean from the kind of calculation that created the trajectory."""
    creator = trajectory.creator
    entry_point = '' if creator is None else _entry_point(creator)
    if entry_point in CONVENTIONS:
        if require_labels and creator is not None and creator.exit_status in UNCONVERGED[entry_point]:
            raise DatasetError(
                f'trajectory {trajectory.uuid} has labels of electrons that are not converged (`{entry_point}` exited '
                f'with {creator.exit_status}: {creator.exit_message}); compute it again, or state in `parameters` what '
                'its arrays hold, to use them all the same'
            )
        return CONVENTIONS[entry_point]
    if not require_labels:
        return TrajectoryConvention()
    made_by = 'has no creator' if creator is None else f'was created by `{entry_point}`'
    raise DatasetError(
        f'trajectory {trajectory.uuid} {made_by}, so it is not known which array holds what in which unit: state it in '
        f'`parameters` (it has the arrays {", ".join(sorted(trajectory.get_arraynames()))}); known without are '
        f'trajectories of {", ".join(sorted(CONVENTIONS))}'
    )


def _entry_point(creator: ProcessNode) -> str:
    return (creator.process_type or '').removeprefix(_PREFIX)


def _frames(trajectory: TrajectoryData, arrays: Mapping[str, ArrayOfFrames], structure: StructureData | None) -> Frames:
    creator = trajectory.creator
    if structure is None and isinstance(creator, CalcJobNode):
        inputs = [link.node for link in creator.base.links.get_incoming(link_label_filter='structure').all()]
        structure = next((node for node in inputs if isinstance(node, StructureData)), None)
    pbc = trajectory.base.attributes.get('pbc', None)
    cell = None
    if 'cells' not in arrays and structure is not None:
        _check_same_atoms(trajectory, structure)
        cell, pbc = np.array(structure.cell), structure.pbc
    if isinstance(creator, CalcJobNode) and _entry_point(creator) == 'cp2k':
        section = _cell_section_of_cp2k(creator)
        pbc = _periodicity_of_cp2k(section)
        if cell is not None and section.keys() & {'A', 'B', 'C', 'ABC', 'CELL_FILE_NAME'}:
            raise DatasetError(
                f'trajectory {trajectory.uuid} has no array `cells`, and the input of its calculation states a cell of '
                'its own instead of that of the structure: let CP2K print the cells (MOTION/PRINT/CELL)'
            )
    return Frames(
        symbols=_elements(trajectory, structure),
        arrays=arrays,
        pbc=None if pbc is None else tuple(pbc),
        cell=cell,
    )


def _cell_section_of_cp2k(calculation: CalcJobNode) -> dict[str, Any]:
    """Return the section ``FORCE_EVAL/SUBSYS/CELL`` of CP2K's input, with its keys in capitals."""
    section: Any = calculation.inputs['parameters'].get_dict()
    for name in ('FORCE_EVAL', 'SUBSYS', 'CELL'):
        section = next((value for key, value in section.items() if key.upper() == name), {})
        section = section[0] if isinstance(section, list) else section
    return {key.upper(): value for key, value in section.items()}


def _periodicity_of_cp2k(section: dict[str, Any]) -> tuple[bool, bool, bool]:
    """Return the boundary conditions that CP2K used.

    Its trajectory does not hold them, and the plugin hands over the cell of the structure but not its ``pbc``.
    """
    periodic = str(section.get('PERIODIC', 'XYZ')).upper()
    return ('X' in periodic, 'Y' in periodic, 'Z' in periodic)


def _elements(trajectory: TrajectoryData, structure: StructureData | None) -> list[str]:
    """Return chemical symbols; a trajectory may hold names of kinds such as ``Fe1`` instead."""
    names = trajectory.base.attributes.get('symbols')
    if structure is None:
        return list(names)
    kinds = {kind.name: kind.symbol for kind in structure.kinds if not kind.is_alloy}
    return [kinds.get(name, name) for name in names]


def _check_same_atoms(trajectory: TrajectoryData, structure: StructureData) -> None:
    """Check that the structure that has the cell is of the same atoms as the frames; codes may reorder them."""
    symbols = {kind.name: kind.symbol for kind in structure.kinds}
    here = sorted(symbols[site.kind_name] for site in structure.sites)
    there = sorted(_elements(trajectory, structure))
    if here != there:
        raise DatasetError(
            f'structure {structure.uuid} has the atoms {", ".join(here)}, but the frames of trajectory '
            f'{trajectory.uuid} have {", ".join(there)}: give the structure that it was computed for'
        )


def _check_same_keys(structures: dict[str, StructureData], labels: dict[str, ArrayData]) -> None:
    for key in sorted(set(structures) ^ set(labels)):
        has, lacks = ('structure', 'labels') if key in structures else ('labels', 'structure')
        raise DatasetError(f'`{key}` has {has} but no {lacks}: give both under the same key')


def _singles(structures: dict[str, StructureData], labels: dict[str, ArrayData] | None) -> list[SingleStructure]:
    """Return the structures in the order of their keys, read together where they are stored."""
    keys = sorted(structures)
    if all(node.is_stored for nodes in (structures, labels or {}) for node in nodes.values()):
        uuids_of_labels = None if labels is None else {key: labels[key].uuid for key in keys}
        return read_singles({key: structures[key].uuid for key in keys}, uuids_of_labels)
    return [  # without provenance the nodes need not be stored
        single_structure(
            key,
            structures[key].uuid,
            structures[key].base.attributes.all,
            None if labels is None else dict(labels[key].get_iterarrays()),
        )
        for key in keys
    ]
