"""What Pacemaker does without being asked: read from its source (python-ace 0.4.0rc1), file by file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from aiida_autopipec.pacemaker.config import TrainingConfig
from aiida_autopipec.pacemaker.config.settings import Path
from aiida_autopipec.pacemaker.dataset.reference import EXTREME_ENERGIES
from aiida_autopipec.pacemaker.input_files.owned import FileNames
from aiida_autopipec.pacemaker.input_files.remarks import Level, Remark

_LOWEST, _HIGHEST = EXTREME_ENERGIES


def silent_remarks(config: TrainingConfig, files: FileNames) -> Iterator[Remark]:
    """Yield what Pacemaker does with these settings and does not say.

    :param config: the settings.
    :param files: the files that the input names.
    """
    for path, applies, text in _FACTS:
        if applies(config):
            yield Remark(Level.NOTE, path, text)
    if files.test_size is not None:
        yield Remark(Level.NOTE, ('data', 'test_size'), 'is drawn at random with the top-level seed')
    if len(files.datasets) > 1:
        yield Remark(Level.NOTE, ('data', 'filename'), 'files are put one after the other; duplicates count twice')


def _sets(config: TrainingConfig, section: str, key: str) -> bool:
    part: Any = getattr(config, section)
    return key in part.model_fields_set


_Fact = tuple[Path, Callable[[TrainingConfig], bool], str]
_FACTS: tuple[_Fact, ...] = (
    (('seed',), lambda config: 'seed' not in config.model_fields_set, 'is not stated, so it is 42'),
    (
        ('backend',),
        lambda config: 'backend' not in config.model_fields_set,
        'is not stated: Pacemaker 0.4.0rc1 fails without it; the plugin writes evaluator: pyace',
    ),
    (
        ('data', 'reference_energy'),
        lambda config: config.data.reference_energy is None,
        f'is not stated, so corrected energies are used; if one lies outside of {_LOWEST:g} to {_HIGHEST:g} eV/atom, '
        'Pacemaker subtracts a least-squares fit from all of them (the plugin refuses such data)',
    ),
    (
        ('data', 'reference_energy'),
        lambda config: config.data.reference_energy is not None,
        'makes Pacemaker compute energy_corrected anew from energy, also where the dataset has that column',
    ),
    (
        ('fit', 'weighting'),
        lambda config: config.fit.weighting is None,
        'is not stated, so all structures count alike, unless the dataset has the columns w_energy and w_forces',
    ),
    (
        ('fit', 'weighting'),
        lambda config: config.fit.weighting is not None and not config.data.ignore_weights,
        'is not applied if the dataset has the columns w_energy and w_forces; set data.ignore_weights to apply it',
    ),
    (
        ('fit', 'weighting', 'DEup'),
        lambda config: config.fit.weighting is not None,
        'drops every structure from this energy on, from the training set and from the test set',
    ),
    (
        ('fit', 'loss', 'kappa'),
        lambda config: 'kappa' not in config.fit.loss.model_fields_set,
        'is not stated, so it is 0: the fit sees no forces',
    ),
    (('fit', 'maxiter'), lambda config: not _sets(config, 'fit', 'maxiter'), 'is not stated, so it is 100'),
    (
        ('fit', 'early_stopping_patience'),
        lambda config: (
            config.fit.min_relative_train_loss_per_iter is None and config.fit.min_relative_test_loss_per_iter is None
        ),
        'nothing stops the fit early: neither min_relative_train_loss_per_iter nor min_relative_test_loss_per_iter '
        'is stated',
    ),
    (
        ('fit', 'early_stopping_patience'),
        lambda config: (
            not _sets(config, 'fit', 'early_stopping_patience')
            and (config.fit.min_relative_train_loss_per_iter or config.fit.min_relative_test_loss_per_iter) is not None
        ),
        'is not stated, so the fit stops early when the loss fell too little over 200 iterations',
    ),
    (
        ('fit', 'ladder_type'),
        lambda config: config.fit.ladder_step is not None and config.fit.ladder_type is None,
        'is not stated, so functions are added by body order',
    ),
    (
        ('backend', 'evaluator'),
        lambda config: config.backend.evaluator == 'pyace',
        'pyace writes no test metrics during the fit; errors on the test set come from its predictions at the end',
    ),
    (
        ('backend', 'evaluator'),
        lambda config: config.backend.evaluator == 'tensorpot',
        'tensorpot computes on the CPU where it finds no GPU; the parser reports the device',
    ),
)
