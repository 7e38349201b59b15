"""Verdicts on real trainings, most of which ended with exit code 0."""

from __future__ import annotations

import re

import pytest

from aiida_autopipec.pacemaker.outputs import Health, StopReason, Verdict, judge_training, parse_log, parse_metrics

BEFORE = None, None

#: run -> (verdict, (converged, why the optimiser ended))
VERDICTS = {
    'ok': (Health.HEALTHY, (False, StopReason.MAX_ITERATIONS)),
    'ok_binary': (Health.HEALTHY, (False, StopReason.MAX_ITERATIONS)),
    'ok_tensorpot': (Health.HEALTHY, (False, StopReason.MAX_ITERATIONS)),
    'ok_fit_cycles': (Health.HEALTHY, (False, StopReason.MAX_ITERATIONS)),
    'ok_ladder': (Health.HEALTHY, (False, StopReason.MAX_ITERATIONS)),
    'ok_lbfgsb': (Health.HEALTHY, (False, StopReason.MAX_ITERATIONS)),
    'ok_lbfgsb_converged': (Health.HEALTHY, (True, StopReason.CONVERGED)),
    'ok_converged_gtol': (Health.HEALTHY, (True, StopReason.CONVERGED)),
    'ok_early_stopping': (Health.HEALTHY, (False, StopReason.EARLY_STOPPING)),
    'ok_upfit': (Health.HEALTHY, (False, StopReason.MAX_ITERATIONS)),
    'ok_upfit_converged': (Health.HEALTHY, (True, StopReason.CONVERGED)),
    'misspelt_key': (Health.HEALTHY, (True, StopReason.CONVERGED)),
    'auto_reference': (Health.HEALTHY, (False, StopReason.MAX_ITERATIONS)),
    'wrong_npot': (Health.NOT_TRAINED, (True, StopReason.CONVERGED)),
    'no_neighbours': (Health.NOT_TRAINED, (True, StopReason.CONVERGED)),
    'nan': (Health.DIVERGED, (False, StopReason.NAN)),
    'skipped': (Health.SKIPPED, BEFORE),
    'no_new_functions': (Health.NO_NEW_FUNCTIONS, BEFORE),
    'dry_run': (Health.DRY_RUN, BEFORE),
    'sigterm': (Health.INTERRUPTED, BEFORE),
    'early_stopping_at_maxiter': (Health.INTERRUPTED, (None, StopReason.EARLY_STOPPING)),
    'missing_forces': (Health.NOT_STARTED, BEFORE),
    'empty_dataset': (Health.NOT_STARTED, BEFORE),
}

#: Runs without a verdict above that left no potential, and are known to.
WITH_POTENTIAL = {run for run, (health, _) in VERDICTS.items()} - {
    'dry_run',
    'sigterm',
    'early_stopping_at_maxiter',
    'missing_forces',
    'empty_dataset',
}


def judge(metrics: str, log: str, has_output_potential: bool = True) -> Verdict:
    """Judge texts."""
    return judge_training(parse_metrics(metrics), parse_log(log), has_output_potential=has_output_potential)


@pytest.mark.parametrize('run', VERDICTS)
def test_real_trainings(read, run):
    """Each run gets the verdict, convergence and stop reason that it deserves."""
    verdict = judge(read(run, 'metrics.txt'), read(run, 'log.txt'), run in WITH_POTENTIAL)
    assert (verdict.health, (verdict.converged, verdict.stop_reason)) == VERDICTS[run]
    assert verdict.explanation.endswith('.')


def test_losses_are_reported(read):
    """The verdict carries the first and the last loss."""
    verdict = judge(read('ok', 'metrics.txt'), read('ok', 'log.txt'))
    assert verdict.initial_loss is not None
    assert verdict.final_loss is not None
    assert verdict.initial_loss > 10 * verdict.final_loss


def test_success_of_the_optimiser_does_not_make_an_untrained_basis_healthy(read):
    """A wrong ``npot`` ends like a converged upfit; only the start tells them apart."""
    metrics = read('wrong_npot', 'metrics.txt')
    assert judge(metrics, read('wrong_npot', 'log.txt')).health is Health.NOT_TRAINED
    assert judge(metrics, read('ok_upfit_converged', 'log.txt')).health is Health.HEALTHY


def test_standing_still_without_convergence_is_not_trained(read):
    """From a potential, too, a loss that never moved needs the optimiser's word that it had converged."""
    log = read('ok_upfit_converged', 'log.txt').replace('success=True, status=0', 'success=False, status=2')
    assert judge(read('ok_upfit_converged', 'metrics.txt'), log).health is Health.NOT_TRAINED


def with_losses(text: str, losses: list[str]) -> str:
    """Return metrics with other losses."""
    header, *rows = text.splitlines(keepends=True)
    changed = [re.sub(r'^((?:\S+\s+){3})\S+', rf'\g<1>{loss}', row) for row, loss in zip(rows, losses, strict=True)]
    return header + ''.join(changed)


def test_a_ladder_is_judged_step_by_step(read):
    """A step that diverged is found and named, even if the ladder went on."""
    text = read('ok_ladder', 'metrics.txt')
    diverged = with_losses(text, ['4', '3', '2', '1', '1', '1', '1', 'inf', '1', '0.9', '0.8', '0.7'])
    verdict = judge(diverged, read('ok_ladder', 'log.txt'))
    assert (verdict.health, verdict.ladder_step) == (Health.DIVERGED, 1)


def test_a_ladder_step_that_stood_still_is_not_trained(read):
    """New functions that change nothing, without convergence, are reported with their step."""
    still = with_losses(read('ok_ladder', 'metrics.txt'), ['4', '3', '2', '1', *['1'] * 4, '1', '0.9', '0.8', '0.7'])
    verdict = judge(still, read('ok_ladder', 'log.txt'))
    assert (verdict.health, verdict.ladder_step) == (Health.NOT_TRAINED, 1)


def test_a_loss_that_rose_is_reported(read):
    """A fit that ends above its start is not healthy."""
    rising = with_losses(read('ok', 'metrics.txt'), ['1', '2', '3', '4', '5', '6'])
    assert judge(rising, read('ok', 'log.txt')).health is Health.LOSS_ROSE


def test_one_good_fit_cycle_is_enough(read):
    """Pacemaker keeps the best cycle, so a noisy restart that got worse does no harm."""
    worse = with_losses(read('ok_fit_cycles', 'metrics.txt'), ['4', '3', '2', '1', '2', '3', '4', '5'])
    assert judge(worse, read('ok_fit_cycles', 'log.txt')).health is Health.HEALTHY


def test_nan_of_the_optimiser_counts_although_the_metrics_look_well(read):
    """The iteration that failed is not in the metrics."""
    log = read('ok', 'log.txt').replace('status=1, message=Maximum number of iterations has been exceeded.',
                                        'status=3, message=NaN result encountered.')  # fmt: skip
    assert judge(read('ok', 'metrics.txt'), log).health is Health.DIVERGED


def test_a_diverged_fit_is_not_merely_interrupted(read):
    """Where the job was killed after the loss became infinite, going on makes no sense."""
    assert judge(read('nan', 'metrics.txt'), '', has_output_potential=False).health is Health.DIVERGED


@pytest.mark.parametrize('health', Health)
def test_every_verdict_is_explained_in_one_sentence(health):
    """Each verdict has a sentence that ends in a full stop."""
    assert health.explanation.endswith('.')
    assert '\n' not in health.explanation
