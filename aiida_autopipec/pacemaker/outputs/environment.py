"""What the probe of a job says about the computer that it ran on (``environment.json``).

The file comes from the computer: it is checked key by key, and what does not belong there is refused.
"""

from __future__ import annotations

import json
from enum import Enum
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from aiida_autopipec.pacemaker.errors import OutputError

LARGEST_FILE = 100_000
"""Bytes; a real one has about two thousand."""


class EnvironmentVerdict(str, Enum):
    """Why a training was not begun."""

    EVALUATOR_NOT_AVAILABLE = 'evaluator_not_available'
    UNSUITABLE_ENVIRONMENT = 'unsuitable_environment'
    GPU_NOT_FOUND = 'gpu_not_found'


def _one_line(value: Any) -> Any:
    """Replace what a terminal or PostgreSQL would stumble over; other types are left to the check of the type."""
    return ''.join(sign if sign.isprintable() else ' ' for sign in value) if isinstance(value, str) else value


Text = Annotated[str, BeforeValidator(_one_line), StringConstraints(max_length=1000)]
Count = Annotated[int, Field(ge=0, le=2**53)]


class _Section(BaseModel):
    model_config = ConfigDict(extra='forbid', frozen=True, strict=True)


class Gpu(_Section):
    """A GPU that the driver shows.

    :param name: as the driver gives it.
    :param memory_mb: in all (MiB).
    """

    name: Text
    memory_mb: Count


class Environment(_Section):
    """Where a job ran, and what was installed there; what could not be found out is ``None``.

    :param executable: Pacemaker's Python.
    :param packages: versions by distribution.
    :param variables: those of scheduler, CUDA and OpenMP that were set.
    :param cpus: that the job may use.
    :param memory_limit_mb: of the job, or else of the node (MiB).
    :param other_nodes: how many nodes of the partition are like that of the job and in service; ``None`` without SLURM.
    :param gpus: what the NVIDIA driver shows; ``None`` where nobody asked.
    :param cuda_driver: newest CUDA version that the driver knows, such as ``12.4``.
    :param tensorflow_build: CUDA and cuDNN versions that TensorFlow was built for; empty for a CPU build.
    :param tensorflow_gpus: number of GPUs that TensorFlow itself found; only asked where a training wants one.
    :param evaluator: that the training names.
    :param gpus_asked: how many the job asked for.
    :param verdict: why the training was not begun.
    :param detail: one sentence about the verdict, or about a GPU that is missing.
    :param notes: what could not be found out.
    :param probe_seconds: what the probe took.
    """

    python: Text
    executable: Text
    hostname: Text
    packages: dict[Text, Text] = Field(max_length=50)
    variables: dict[Text, Text] = Field(max_length=50)
    cpus: Count | None
    memory_limit_mb: Count | None
    other_nodes: Count | None = None
    gpus: list[Gpu] | None = Field(max_length=64)
    cuda_driver: Text | None
    tensorflow_build: dict[Text, Text] | None = Field(max_length=10)
    tensorflow_gpus: Count | None
    evaluator: Text | None
    gpus_asked: Count
    verdict: EnvironmentVerdict | None = Field(strict=False)
    detail: Text
    notes: list[Text] = Field(max_length=20)
    probe_seconds: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return self.model_dump(mode='json')

    @property
    def gpu_missing(self) -> bool:
        """Tell whether a GPU was asked for, and TensorFlow certainly found none."""
        return self.gpus_asked > 0 and (self.tensorflow_gpus == 0 or self.verdict is EnvironmentVerdict.GPU_NOT_FOUND)


def parse_environment(content: bytes) -> Environment:
    """Read what the probe wrote.

    :raises OutputError: if it is damaged, or no such file.
    """
    if len(content) > LARGEST_FILE:
        raise OutputError(f'it has {len(content)} bytes, more than a probe writes')
    try:
        value = json.loads(content)
        # surrogates are text to Python, but no database takes them
        json.dumps(value, ensure_ascii=False).encode()
        return Environment.model_validate(value)
    except ValidationError as exception:
        error = exception.errors(include_url=False, include_input=False)[0]
        raise OutputError(f'`{".".join(map(str, error["loc"]))}`: {error["msg"]}') from exception
    except (ValueError, RecursionError) as exception:
        raise OutputError(f'it is no JSON that can be stored: {exception}') from exception
