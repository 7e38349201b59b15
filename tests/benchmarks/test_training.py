"""The benchmark of a better start of fits: that it runs, goes on where it was, and judges what it measured."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aiida_autopipec.pacemaker import LabelledStructures
from aiida_autopipec.pacemaker.dataset.reference import subtract
from aiida_autopipec.pacemaker.formats import save_to_pacemaker_format

HERE = Path(__file__).parent


@pytest.fixture(scope='module')
def module() -> Iterator[Any]:
    """Return the module that reports, as the benchmark finds it."""
    sys.path.insert(0, str(HERE))
    yield importlib.import_module('training_report')
    sys.path.remove(str(HERE))


@pytest.fixture
def fit(module: Any) -> Callable[..., Any]:
    """Return a function that makes a fit whose loss becomes a tenth in a number of iterations."""

    def make(mode: str, iterations: int, seed: int = 1, start: float = 10.0, error: float = 50.0, **more: Any) -> Any:
        count = 2 * iterations + 1
        values = {
            'losses': [0.1 ** (number / iterations) for number in range(iterations + 1)],
            'seconds': [start + number for number in range(iterations + 1)],
            'evaluations': list(range(1, count + 1, 2)),
            'test_iterations': [0, iterations],
            'test_mev_per_atom': [200.0, error],
            'test_mev_per_angstrom': [300.0, error],
        }
        facts = {'evaluator': 'tensorpot', 'coefficients': 9, 'structures': 10, 'atoms': 10, 'steps': {}}
        times = {'script_seconds': start / 2, 'total_seconds': start + count}
        return module.Fit('al, fast', mode, seed, **facts, **times, **{**values, **more})

    return make


def test_start_that_needs_fewer_evaluations_meets_the_bar(module: Any, fit: Callable[..., Any]) -> None:
    """A third of the evaluations, half of the seconds and the same test errors are enough."""
    fits = [fit('plain', 100), fit('full', 20)]
    (line,) = (line for line in module.report(fits) if line.startswith('- '))
    assert line == (
        '- al, fast, `full`: met: evaluations 0.20, seconds 0.27, slowest 0.27; the loss alone is reached at 0.20, '
        'test errors there 1.00 and 1.00'
    )


@pytest.mark.parametrize(
    ('changes', 'why'),
    [
        ({'iterations': 40}, 'evaluations 0.40 (**above 0.33**)'),
        ({'start': 50.0}, 'seconds 0.64 (**above 0.50**)'),
        ({'start': 110.0}, 'slowest 1.18 (**above 1.10**)'),
        ({'error': 51.0}, 'evaluations never (**above 0.33**)'),
        ({'test_mev_per_atom': [200.0, 51.0]}, 'test errors there 1.02 and 1.00'),
        ({'losses': [1.0] * 21}, 'the loss is reached by none'),
    ],
)
def test_each_part_of_the_bar_can_be_missed(
    module: Any, fit: Callable[..., Any], changes: dict[str, Any], why: str
) -> None:
    """More evaluations, seconds or error, a slow fit, or one that stays above the loss is not met, and it says why."""
    report = module.report([fit('plain', 100), fit('full', **{'iterations': 20, **changes})])
    assert '**not met**' in report[-1]
    assert why in report[-1]


def test_what_counts_is_the_time_when_loss_and_test_errors_are_as_good(module: Any, fit: Callable[..., Any]) -> None:
    """A fit whose loss is there early but whose test errors come later is judged by these."""
    late = {'test_iterations': [0, 10, 20, 40], 'test_mev_per_angstrom': [90.0, 60.0, 55.0, 45.0]}
    losses = [0.1 ** min(1.0, number / 10) for number in range(41)]
    fits = [fit('plain', 100), fit('full', 40, losses=losses, test_mev_per_atom=[50.0] * 4, **late)]
    assert '| 21 (0.10) | 20 (0.18) | 61 (0.30) | 40 (0.36) |' in '\n'.join(module.report(fits))
    assert 'met: evaluations 0.30, seconds 0.36' in module.report(fits)[-1]


def test_errors_that_are_known_at_the_end_only_count_there(module: Any, fit: Callable[..., Any]) -> None:
    """With evaluator pyace."""
    end = {'test_iterations': [20], 'test_mev_per_atom': [50.0], 'test_mev_per_angstrom': [50.0]}
    early = [0.1 ** min(1.0, number / 5) for number in range(21)]
    fits = [fit('plain', 100), fit('full', 20, losses=early, **end)]
    assert '| 11 (0.05) | 15 (0.14) | 41 (0.20) | 30 (0.27) |' in '\n'.join(module.report(fits))


def test_medians_are_over_seeds(module: Any, fit: Callable[..., Any]) -> None:
    """Each seed is compared with the plain training of the same seed, and the median counts."""
    fits = [fit('plain', count, seed) for seed, count in enumerate((100, 200, 50))]
    fits += [fit('prefit', count, seed) for seed, count in enumerate((50, 20, 15))]
    row = next(line for line in module.report(fits) if '`prefit`' in line)
    assert '| 41 (0.31) | 30 (0.42) | 41 (0.31) | 30 (0.42) |' in row
    fits[-2] = fit('prefit', 20, 1, error=51.0)
    row = next(line for line in module.report(fits) if '`prefit`' in line)
    assert '| 41 (0.31) | 30 (0.42) | 101 (0.50, 2 of 3 get there) | 60 (0.55) |' in row


def test_lowest_test_error_and_where_it_was(module: Any, fit: Callable[..., Any]) -> None:
    """A fit that learns too much is seen: the lowest error on the way, and the evaluations until there."""
    way = {'test_iterations': [0, 10, 20], 'test_mev_per_angstrom': [80.0, 40.0, 60.0]}
    rows = module.report([fit('plain', 20, test_mev_per_atom=[1.0, 1.0, 1.0], **way)])
    assert any(row.endswith('| 1.0 | 60.0 | 41 | 40.0 | 21 |') for row in rows)


def test_line_that_was_cut_off_is_left_out(module: Any, fit: Callable[..., Any], tmp_path: Path) -> None:
    """Results of a run that was killed while it wrote can be read."""
    import json
    from dataclasses import asdict

    line = json.dumps(asdict(fit('plain', 3)))
    (tmp_path / 'results.jsonl').write_text(f'{line}\n{line[:50]}')
    assert len(module.load(tmp_path / 'results.jsonl')) == 1


@pytest.mark.pacemaker
def test_benchmark_goes_on_and_reports(make_atoms: Callable[[int], list[Any]], tmp_path: Path) -> None:
    """Fits that are among the results are not done again; table, judgement and plot come out of them."""
    structures = LabelledStructures.from_atoms(make_atoms(10))
    save_to_pacemaker_format(subtract(structures, {'Al': -0.3}), tmp_path / 'small.pckl.gzip')
    common = [sys.executable, HERE / 'training.py']
    settings = ['--functions', '4', '--cutoff', '4', '--iterations', '1', '--seeds', '1', '--evaluator', 'pyace']
    places = ['--data', tmp_path / 'small.pckl.gzip', '--results', tmp_path / 'results.jsonl']
    run = [*common, 'run', '--pacemaker', Path(sys.executable).parent / 'pacemaker', *settings, *places]

    def done(*modes: str) -> str:
        return subprocess.run([*run, '--modes', *modes], capture_output=True, text=True, check=True).stderr

    assert ', plain: ' in done('plain')
    later = done('plain', 'full')
    assert ', plain: ' not in later
    assert ', full: ' in later
    command = [*common, 'report', '--results', tmp_path / 'results.jsonl', '--plot', tmp_path / 'plot.png']
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert '- small, fast, pyace, 4 functions, 1 iterations, `full`: ' in text
    assert (tmp_path / 'plot.png').stat().st_size > 10_000
