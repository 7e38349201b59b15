"""Importer of a finished Pacemaker folder, so that old fits enter the graph with their data and potentials."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from aiida.common.exceptions import MultipleObjectsError, NotExistent
from aiida.engine import CalcJobImporter
from aiida.orm import AbstractCode, Dict, List, Node, RemoteData, SinglefileData, Str, load_code
from numpy.typing import NDArray

from aiida_autopipec.calculations.functions.combine import merge_datasets
from aiida_autopipec.calculations.functions.convert import import_dataset
from aiida_autopipec.calculations.functions.divide import divide_dataset
from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.pacemaker import filenames
from aiida_autopipec.pacemaker.config import TrainingConfig
from aiida_autopipec.pacemaker.dataset.files import ImportOptions, read_structures
from aiida_autopipec.pacemaker.errors import ConfigError, FileFormatError, InputError, OutputError
from aiida_autopipec.pacemaker.input_files import FitFolder, read_fit_folder
from aiida_autopipec.pacemaker.outputs.potential import parse_potential
from aiida_autopipec.pacemaker.outputs.predictions import rows_among
from aiida_autopipec.pacemaker.pickles import read_frame

Dataset = PaceDatasetData | Path | str
Source = PaceDatasetData | Path
LOCAL = 'core.local'
"""The transport of this computer, the only one that aiida-core 2.9 imports from (``CalcJob._perform_import``)."""
_TEST_TABLES = (filenames.TEST_PREDICTIONS, 'test_data_info.pckl.gzip')
"""Tables of Pacemaker that name the structures of the test set."""
_NAMES: Literal['pacemaker'] = 'pacemaker'
"""How structures without names are called: as in the predictions that lie beside."""


class PaceTrainCalculationImporter(CalcJobImporter):
    """Importer of :class:`~aiida_autopipec.calculations.pace_train.PaceTrainCalculation`.

    Everything in the folder is untrusted: datasets are read without running what they say, and files outside of the
    folder only if the caller names them.
    """

    @staticmethod
    def parse_remote_data(remote_data: RemoteData, **kwargs: Any) -> dict[str, Node | dict[str, Any]]:
        """Return the inputs of the calculation that a folder is the result of.

        Run it with ``run(PaceTrainCalculation, remote_folder=remote_data, **inputs)``. Datasets in the folder become
        nodes through the calculation function ``autopipec.import_dataset``; everything is checked before.

        :param remote_data: the folder that Pacemaker ran in, on this computer.
        :param kwargs: see :func:`import_inputs`.
        :raises InputError: if the folder lacks something; the message says what to give.
        """
        return import_inputs(remote_data, **kwargs)


def import_inputs(
    remote_data: RemoteData,
    *,
    code: AbstractCode | None = None,
    dataset: Dataset | None = None,
    test_dataset: Dataset | None = None,
    config: Dict | dict[str, Any] | None = None,
    initial_potential: SinglefileData | Path | str | None = None,
    input_filename: str = filenames.INPUT,
) -> dict[str, Node | dict[str, Any]]:
    """Return the inputs of the calculation that a folder is the result of.

    :param remote_data: the folder that Pacemaker ran in, on this computer.
    :param code: the program that ran; by default ``pacemaker`` on the computer of the folder.
    :param dataset: the training set, a node or a file, where the input names one that is not in the folder.
    :param test_dataset: the test set, likewise.
    :param config: the settings, where those of the input cannot be stated.
    :param initial_potential: the potential that the fit started from, where it is not in the folder.
    :param input_filename: name of the input in the folder.
    :raises InputError: if something is missing or wrong; the message says what to give.
    """
    folder = read_fit_folder(_local_path(remote_data), input_filename=input_filename)
    settings = _settings(folder) if config is None else TrainingConfig.model_validate(_plain(config))
    training: list[Source] = _sources(dataset) or [*folder.datasets()]
    test: list[Source] = _sources(test_dataset) or [*folder.test_datasets()]
    start = initial_potential if initial_potential is not None else folder.initial_potential()
    in_test = None if test else _test_names(folder)
    inputs: dict[str, Any] = {
        'code': code if code is not None else _code_on(remote_data),
        'metadata': {'options': {'additional_retrieve_list': [input_filename]}},
    }
    _check_files([*training, *test], start)
    inputs |= _datasets(training, test, in_test)
    inputs['config'] = config if isinstance(config, Dict) else Dict(settings.to_dict())
    if start is not None:
        inputs['initial_potential'] = start if isinstance(start, SinglefileData) else SinglefileData(Path(start))
    return inputs


def _settings(folder: FitFolder) -> TrainingConfig:
    """Return the settings of the input, without what Pacemaker ignored.

    :raises ConfigError: if they cannot be stated.
    """
    try:
        return folder.report.settings()
    except ConfigError as exception:
        raise ConfigError(f'{exception} State what was meant with --config (input `config`).') from exception


def _plain(config: Dict | dict[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = config.get_dict() if isinstance(config, Dict) else dict(config)
    return plain


def _local_path(remote_data: RemoteData) -> Path:
    """Return the folder.

    :raises InputError: if it is on another computer.
    """
    computer = remote_data.computer
    if computer is None or computer.transport_type != LOCAL:
        label = 'no computer' if computer is None else computer.label
        raise InputError(
            f'the folder is on {label}, but AiiDA imports from this computer only (transport {LOCAL}): copy it here, '
            'for example with rsync'
        )
    return Path(remote_data.get_remote_path())


def _code_on(remote_data: RemoteData) -> AbstractCode:
    label = f'pacemaker@{getattr(remote_data.computer, "label", None)}'
    try:
        return load_code(label)
    except (NotExistent, MultipleObjectsError) as exception:
        raise InputError(
            f'there is no single code `{label}`: register it with `aiida-autopipec setup`, or give the code that ran'
        ) from exception


def _sources(given: Dataset | None) -> list[Source]:
    if given is None:
        return []
    return [given if isinstance(given, PaceDatasetData) else Path(given).absolute()]


def _check_files(sources: list[Source], start: SinglefileData | Path | str | None) -> None:
    """Read all files once, so that what is wrong with one leaves no node behind."""
    for source in sources:
        if isinstance(source, Path):
            read_structures(source, ImportOptions(names=_NAMES))
    if start is not None and not isinstance(start, SinglefileData):
        try:
            parse_potential(Path(start).read_text(encoding='utf-8'))
        except (OSError, UnicodeDecodeError) as exception:
            raise FileFormatError(f'the potential `{start}` cannot be read: {exception}') from exception


def _datasets(
    training: list[Source], test: list[Source], in_test: NDArray[np.str_] | None
) -> dict[str, PaceDatasetData]:
    """Return the sets as nodes, each with the file that it comes from."""
    whole = _dataset(training)
    if test:
        return {'dataset': whole, 'test_dataset': _dataset(test)}
    if in_test is None:
        return {'dataset': whole}
    try:
        rows = rows_among(in_test, np.concatenate([shard.names for shard in whole.iter_shards()]))
    except OutputError as exception:
        raise FileFormatError(
            f'which structures were set aside for testing cannot be told: {exception}; divide the data yourself, and '
            'give both with --dataset and --test-dataset'
        ) from exception
    sides = divide_dataset(dataset=whole, test_rows=List(sorted(rows.tolist())))
    return {'dataset': sides['training_set'], 'test_dataset': sides['test_set']}


def _dataset(sources: list[Source]) -> PaceDatasetData:
    """Return one dataset; Pacemaker puts several files one after the other."""
    nodes = [source if isinstance(source, PaceDatasetData) else _imported(source) for source in sources]
    if len(nodes) == 1:
        return nodes[0]
    keyed = {f'dataset_{number:05d}': node for number, node in enumerate(nodes)}
    merged: PaceDatasetData = merge_datasets(on_conflict=Str('keep_all'), **keyed)['dataset']
    return merged


def _imported(path: Path) -> PaceDatasetData:
    node = SinglefileData(path)
    node.label = path.name
    dataset: PaceDatasetData = import_dataset(file=node, parameters=Dict({'names': _NAMES}))['dataset']
    dataset.label = path.name
    return dataset


def _test_names(folder: FitFolder) -> NDArray[np.str_] | None:
    """Return the names of the structures that Pacemaker set aside itself; ``None`` if it set none aside.

    :raises FileFormatError: if it did, and no table says which.
    """
    if folder.report.files.test_size is None:
        return None
    for name in _TEST_TABLES:
        path = folder.path / name
        if path.is_file():
            names = read_frame(path).columns.get('name')
            if names is not None:
                return names.astype(np.str_)
    raise FileFormatError(
        f'Pacemaker set a test set aside (data.test_size), but neither `{_TEST_TABLES[0]}` nor `{_TEST_TABLES[1]}` '
        'says which structures: divide the data yourself, and give both with --dataset and --test-dataset'
    )
