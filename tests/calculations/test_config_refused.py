"""A mistake in the settings ends with its sentence before anything is submitted, in the job as in the work chain."""

from __future__ import annotations

from typing import Any

import pytest
from aiida.engine import run
from aiida.orm import ProcessNode, QueryBuilder

from aiida_autopipec.calculations.pace_train import PaceTrainCalculation
from aiida_autopipec.workflows.train import TrainPotentialWorkChain


@pytest.fixture(params=[PaceTrainCalculation, TrainPotentialWorkChain], ids=['job', 'work chain'])
def refused(request, make_dataset, elsewhere):
    """Return a function that tries to train with these settings and returns the sentence that refuses them."""

    def attempt(config: dict[str, Any]) -> str:
        code, dataset = elsewhere('pacemaker'), make_dataset()
        if request.param is PaceTrainCalculation:
            inputs = {'code': code, 'dataset': dataset, 'config': config}
        else:
            inputs = {'pace_train': {'code': code}, 'datasets': {'data': dataset}, 'config': config}
        before = QueryBuilder().append(ProcessNode).count()
        with pytest.raises(ValueError, match=r'Error occurred validating port .*config') as caught:
            run(request.param, **inputs)
        assert QueryBuilder().append(ProcessNode).count() == before
        return str(caught.value).partition(': ')[2]

    return attempt


@pytest.mark.parametrize(
    ('path', 'value', 'sentence'),
    [
        (('fit', 'maxitr'), 50, 'fit.maxitr: unknown key; did you mean fit.maxiter?'),
        (
            ('data', 'filename'),
            'train.pckl.gzip',
            'data.filename: belongs to the calculation: pass the structures as the input dataset.',
        ),
        (
            ('fit', 'callbacks'),
            ['os.abort'],
            'fit.callbacks: would import and run code on the computer; if you mean it, set the top-level key '
            'allow_callbacks: true.',
        ),
        (('fit', 'loss'), {'kappa': 1.5}, 'fit.loss.kappa: must be a number from 0'),
        (
            ('fit', 'loss'),
            {'w_stress': 1.0},
            'fit.loss.w_stress: is not possible: Pacemaker has no stress term in its loss.',
        ),
    ],
)
def test_one_sentence_that_names_the_key(refused, config, path, value, sentence):
    """Nothing is stored, and the sentence is that of the model."""
    section, key = path
    config.setdefault(section, {})[key] = value
    assert refused(config).startswith(sentence)
