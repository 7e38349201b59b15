"""Types of parameters: nodes, codes, computers and files of settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from aiida.orm import Node


class _AiidaEntity(click.ParamType):
    """Something in the database, by pk, UUID or label; the profile is loaded before."""

    def load(self, identifier: str) -> Any:
        """Load it."""
        raise NotImplementedError

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Turn what the user typed into the entity."""
        from aiida.common.exceptions import MultipleObjectsError, NotExistent

        if not isinstance(value, str):
            return value
        try:
            return self.load(value)
        except (NotExistent, MultipleObjectsError, ValueError) as exception:
            self.fail(str(exception), param, ctx)


class CodeType(_AiidaEntity):
    """A code."""

    name = 'code'

    def load(self, identifier: str) -> Any:
        """Load it."""
        from aiida.orm import load_code

        return load_code(identifier)


class ComputerType(_AiidaEntity):
    """A computer that the user has configured."""

    name = 'computer'

    def load(self, identifier: str) -> Any:
        """Load it."""
        from aiida.orm import load_computer

        computer = load_computer(identifier)
        if not computer.is_configured:
            raise ValueError(
                f'computer `{computer.label}` is not configured: run `verdi computer configure '
                f'{computer.transport_type} {computer.label}`'
            )
        return computer


class NodeType(_AiidaEntity):
    """A node of certain classes.

    :param classes: returns the classes; called when aiida may be imported.
    :param kind: what such a node is called in messages.
    """

    def __init__(self, classes: Callable[[], tuple[type[Node], ...]], kind: str) -> None:
        self.classes = classes
        self.name = kind

    def load(self, identifier: str) -> Any:
        """Load it.

        :raises ValueError: if it is of another class.
        """
        from aiida.orm import load_node

        node = load_node(identifier)
        if not isinstance(node, self.classes()):
            raise ValueError(f'node {identifier} is of class {type(node).__name__}, not a {self.name}')
        return node


def _datasets() -> tuple[type[Node], ...]:
    from aiida_autopipec.data.dataset import PaceDatasetData

    return (PaceDatasetData,)


def _trainable() -> tuple[type[Node], ...]:
    from aiida.orm import SinglefileData, TrajectoryData

    return (*_datasets(), TrajectoryData, SinglefileData)


def _trajectories() -> tuple[type[Node], ...]:
    from aiida.orm import TrajectoryData

    return (TrajectoryData,)


def _files() -> tuple[type[Node], ...]:
    from aiida.orm import SinglefileData

    return (SinglefileData,)


def _processes() -> tuple[type[Node], ...]:
    from aiida.orm import ProcessNode

    return (ProcessNode,)


DATASET = NodeType(_datasets, 'dataset')
TRAINABLE = NodeType(_trainable, 'dataset, trajectory or file')
TRAJECTORY = NodeType(_trajectories, 'trajectory')
POTENTIAL = NodeType(_files, 'potential file')
PROCESS = NodeType(_processes, 'process')


class YamlMapping(click.Path):
    """A YAML file that holds a mapping."""

    name = 'yaml'

    def __init__(self) -> None:
        super().__init__(exists=True, dir_okay=False, readable=True, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read the file, safely and by the rules by which Pacemaker reads its input."""
        from aiida_autopipec.pacemaker.errors import AutopipecError
        from aiida_autopipec.pacemaker.input_files.document import read_mapping

        if isinstance(value, dict):
            return value
        path = Path(str(super().convert(value, param, ctx)))
        try:
            return read_mapping(path.read_text())
        except UnicodeDecodeError:
            self.fail(f'`{path}`: it is not YAML, because it is no text', param, ctx)
        except AutopipecError as exception:
            self.fail(f'`{path}`: {exception}', param, ctx)
