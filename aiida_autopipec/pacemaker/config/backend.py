"""The ``backend`` section: what evaluates the potential, and with how much hardware (``pyace/fitadapter.py``)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from aiida_autopipec.pacemaker.config import sources
from aiida_autopipec.pacemaker.config.base import Number, Section, SectionError, about
from aiida_autopipec.pacemaker.config.blocks import PositiveInt


class GpuConfig(Section):
    """Which GPU TensorFlow sees (``tensorpotential/compat/pace/utils/utilities.py``, 0.6.2)."""

    SOURCE: ClassVar[str] = sources.CODE_GPU

    gpu_ind: Annotated[int, Field(ge=-1)] = Field(default=0, description='Index of the GPU; -1 is the CPU.')
    mem_limit: Annotated[int, Field(ge=0)] = Field(
        default=0, description='Limit of GPU memory in MB; 0 is no limit.', json_schema_extra=about(unit='MB')
    )


class BackendSettings(Section):
    """The program that evaluates the potential during the fit."""

    SOURCE: ClassVar[str] = sources.BACKEND

    evaluator: Literal['pyace', 'tensorpot'] = Field(
        default='pyace', description='pyace is compiled code on the CPU, tensorpot is TensorFlow on the GPU.'
    )
    batch_size: PositiveInt = Field(
        default=10, description='Structures per batch (evaluator tensorpot; pyace takes all at once).'
    )
    batch_size_reduction: bool = Field(
        default=True, description='Reduce the batch size when memory runs out (evaluator tensorpot).'
    )
    batch_size_reduction_factor: Annotated[Number, Field(gt=1)] = Field(
        default=1.618, description='Factor by which the batch size is reduced (evaluator tensorpot).'
    )
    display_step: PositiveInt = Field(
        default=20, description='Iterations between detailed log entries and between evaluations of the test set.'
    )
    gpu_config: GpuConfig = Field(
        default=GpuConfig(),
        description='Choice of the GPU (evaluator tensorpot).',
        json_schema_extra=about(source=sources.CODE_BACKEND),
    )
    parallel_mode: Literal['serial', 'process', 'mpi'] = Field(
        default='serial',
        description='How structures are spread over cores (evaluator pyace); mpi needs mpi4py.',
        json_schema_extra=about(source=sources.CODE_BACKEND),
    )
    n_workers: PositiveInt | None = Field(
        default=None,
        description='Number of processes with parallel_mode process; default: all cores.',
        json_schema_extra=about(default='all cores', source=sources.CODE_BACKEND),
    )
    imagetype: Literal['png', 'pdf', 'svg'] = Field(
        default='png',
        description='Format of the plots of the report.',
        json_schema_extra=about(source=sources.CODE_PROGRAM),
    )

    @model_validator(mode='after')
    def check(self) -> Self:
        """Check the keys against each other."""
        if self.n_workers is not None and self.parallel_mode != 'process':
            text = f'is ignored with parallel_mode {self.parallel_mode}; set parallel_mode: process'
            SectionError.raise_any([(('n_workers',), text)])
        return self
