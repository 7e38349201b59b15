"""What the tests of the work chains share."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from aiida.orm import ArrayData, SinglefileData, StructureData, TrajectoryData
from ase.io import write

from aiida_autopipec.data.dataset import PaceDatasetData


@pytest.fixture(scope='session')
def convention() -> dict[str, Any]:
    """Return what the arrays of `as_trajectory` mean."""
    return {'energy': {'array': 'energies', 'unit': 'eV'}, 'forces': {'array': 'forces', 'unit': 'eV/Å'}}


@pytest.fixture(scope='session')
def as_dataset() -> Callable[[list[Any]], PaceDatasetData]:
    """Return a function that makes a dataset of images, with total energies only."""
    return PaceDatasetData.from_atoms


@pytest.fixture(scope='session')
def as_trajectory() -> Callable[[list[Any]], TrajectoryData]:
    """Return a function that makes a trajectory of images that have the same atoms."""

    def make(images: list[Any]) -> TrajectoryData:
        node = TrajectoryData()
        node.set_trajectory(
            symbols=images[0].get_chemical_symbols(),
            positions=np.array([image.positions for image in images]),
            cells=np.array([image.cell.array for image in images]),
            stepids=np.arange(len(images)),
            pbc=(True, True, True),
        )
        node.set_array('energies', np.array([image.get_potential_energy() for image in images]))
        node.set_array('forces', np.array([image.get_forces() for image in images]))
        return node

    return make


@pytest.fixture(scope='session')
def as_file() -> Callable[[list[Any]], SinglefileData]:
    """Return a function that makes an extxyz file of images."""

    def make(images: list[Any]) -> SinglefileData:
        text = io.StringIO()
        write(text, images, format='extxyz')
        return SinglefileData.from_string(text.getvalue(), filename='data.extxyz')

    return make


@pytest.fixture(scope='session')
def as_structures() -> Callable[[list[Any]], dict[str, dict[str, Any]]]:
    """Return a function that makes structures and labels of images, under the same keys."""

    def make(images: list[Any]) -> dict[str, dict[str, Any]]:
        structures, labels = {}, {}
        for number, image in enumerate(images):
            bare = image.copy()
            bare.calc = None
            structures[f's{number}'] = StructureData(ase=bare)
            arrays = {'energy': np.array([image.get_potential_energy()]), 'forces': image.get_forces()}
            labels[f's{number}'] = ArrayData(arrays)
        return {'structures': structures, 'labels': labels}

    return make
