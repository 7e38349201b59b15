"""Improve a potential in rounds: a WorkChain that calls `TrainPotentialWorkChain` with its own outputs and new data.

This is how an active-learning loop composes it. Here the new data of each round are inputs; a real loop would run
molecular dynamics and DFT where `next_data` takes the next one.
"""

from __future__ import annotations

from typing import Any

from aiida.engine import ToContext, WorkChain, while_
from aiida.orm import SinglefileData, TrajectoryData
from aiida.plugins import DataFactory, WorkflowFactory

PaceDatasetData = DataFactory('autopipec.dataset')
TrainPotentialWorkChain = WorkflowFactory('autopipec.train')


class UpdateInRounds(WorkChain):
    """Train on the first data, then go on with those of each further round, in the order of their keys."""

    @classmethod
    def define(cls, spec: Any) -> None:
        """Take the data of each round, and otherwise what a training takes."""
        super().define(spec)
        spec.input_namespace('rounds', dynamic=True, valid_type=(PaceDatasetData, TrajectoryData, SinglefileData))
        spec.expose_inputs(TrainPotentialWorkChain, namespace='train', exclude=('datasets', 'initial_potential'))
        spec.inputs['train'].validator = None  # its data come round by round
        spec.expose_outputs(TrainPotentialWorkChain)
        spec.outline(cls.setup, while_(cls.has_data)(cls.train, cls.inspect), cls.results)
        spec.exit_code(400, 'ERROR_TRAINING_FAILED', message='A round failed: {reason}')

    def setup(self) -> None:
        """Begin with the first round."""
        self.ctx.pending = sorted(self.inputs.rounds)
        self.ctx.last = None

    def has_data(self) -> bool:
        """Tell whether there is another round."""
        return bool(self.ctx.pending)

    def next_data(self) -> Any:
        """Return the data of the next round."""
        return self.inputs.rounds[self.ctx.pending.pop(0)]

    def train(self) -> Any:
        """Train on everything known so far, from the last potential on."""
        inputs = self.exposed_inputs(TrainPotentialWorkChain, 'train')
        inputs.datasets = {'new': self.next_data()}
        if self.ctx.last is not None:
            inputs.datasets['known'] = self.ctx.last.outputs.dataset
            inputs.initial_potential = self.ctx.last.outputs.potential
            inputs.pop('reference', None)  # the one that is recorded on the potential is used again
        return ToContext(last=self.submit(TrainPotentialWorkChain, **inputs))

    def inspect(self) -> Any:
        """Stop where a round gave no potential; one that finished with a warning has all outputs."""
        if 'potential' in self.ctx.last.outputs:
            return None
        return self.exit_codes.ERROR_TRAINING_FAILED.format(reason=self.ctx.last.exit_message)

    def results(self) -> None:
        """Pass on the outputs of the last round."""
        self.out_many(self.exposed_outputs(self.ctx.last, TrainPotentialWorkChain))
