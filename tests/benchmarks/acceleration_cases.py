"""How fits of many kinds begin and go on with `acceleration`: one small fit for each case and mode.

    python tests/benchmarks/acceleration_cases.py [--only WORD …]

Needs Pacemaker in the same Python, and takes some minutes. Prints a table in Markdown: the first loss and the last one
of each fit, evaluator `pyace`. The data are rattled cells with energies and forces of ASE's EMT.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ase.build import bulk
from ase.calculators.emt import EMT

SCRIPTS = Path(str(resources.files('aiida_autopipec.remote')))
MODES = ('none', 'prefit', 'full')
ITERATIONS = 8
Settings = dict[str, Any]
Change = Callable[[Settings], None]


@dataclass(frozen=True)
class Case:
    """A kind of fit.

    :param change: of the usual settings.
    :param data: which structures.
    :param start: of which fit it goes on from the end, if of any.
    """

    change: Change
    data: str = 'aluminium'
    start: str | None = None


def cells(number: int, elements: tuple[str, ...], *, seed: int, width: float) -> pd.DataFrame:
    """Return rattled cells as Pacemaker reads them, with energies relative to something far away."""
    rng = np.random.default_rng(seed)
    images = []
    for _ in range(number):
        image = bulk(elements[0], 'fcc', (4.0 if elements == ('Al',) else 3.85) + 0.2 * rng.random(), cubic=True)
        image.symbols[:] = rng.choice(elements, len(image))
        image.rattle(width, rng=rng)
        image.calc = EMT()
        images.append(image)
    frame = pd.DataFrame(
        {
            'ase_atoms': [image.copy() for image in images],
            'energy_corrected': [image.get_potential_energy() - 0.3 * len(image) for image in images],
            'forces': [image.get_forces() for image in images],
        }
    )
    frame.columns = pd.Index(list(frame.columns), dtype=object)  # older pandas read no other names
    return frame


def settings() -> Settings:
    """Return the usual settings."""
    bonds = {'radbase': 'SBessel', 'radparameters': [5.25], 'rcut': 4.5, 'dcut': 0.01, 'NameOfCutoffFunction': 'cos'}
    embedding = {'npot': 'FinnisSinclairShiftedScaled', 'fs_parameters': [1, 1, 1, 0.5], 'ndensity': 2}
    return {
        'seed': 1,
        'data': {'filename': 'data.pckl.gzip'},
        'potential': {
            'deltaSplineBins': 0.001,
            'elements': ['Al'],
            'embeddings': {'ALL': embedding},
            'bonds': {'ALL': bonds},
            'functions': {'ALL': {'nradmax_by_orders': [4, 2, 1], 'lmax_by_orders': [0, 1, 1]}},
        },
        'fit': {
            'loss': {'kappa': 0.3, 'L1_coeffs': 1e-8, 'L2_coeffs': 1e-8},
            'optimizer': 'BFGS',
            'maxiter': ITERATIONS,
        },
        'backend': {'evaluator': 'pyace'},
    }


def fit(**keys: Any) -> Change:
    """Return a change of the section `fit`."""
    return lambda stated: stated['fit'].update(keys)


def almost_forces_only(stated: Settings) -> None:
    """Give energies hardly any weight."""
    stated['fit']['loss']['kappa'] = 0.99


def core_repulsion(stated: Settings) -> None:
    """Let a repulsion act at distances that the data have."""
    core = {'r_in': 2.9, 'delta_in': 0.3, 'core-repulsion': [2.0, 0.3], 'inner_cutoff_type': 'distance'}
    stated['potential']['bonds']['ALL'].update(core)


def four_elements(stated: Settings) -> None:
    """Make it a potential of four elements."""
    stated['potential']['elements'] = ['Ag', 'Au', 'Cu', 'Ni']
    stated['potential']['functions'] = {
        'UNARY': {'nradmax_by_orders': [2, 1], 'lmax_by_orders': [0, 1]},
        'BINARY': {'nradmax_by_orders': [2], 'lmax_by_orders': [0]},
    }
    stated['fit']['maxiter'] = 2


def go_on(stated: Settings) -> None:
    """Go on from a potential."""
    stated['potential'] = 'start.yaml'


CASES = {
    'the usual fit': Case(fit()),
    'the same, twice as long': Case(fit(maxiter=2 * ITERATIONS)),
    'restart of `none`': Case(go_on, start='the usual fit/none'),
    'restart of `full`': Case(go_on, start='the usual fit/full'),
    'update with half as many structures more': Case(go_on, data='more', start='the usual fit/full'),
    'ladder, 4 functions a step': Case(fit(ladder_step=4, ladder_type='power_order')),
    'two fit cycles': Case(fit(fit_cycles=2)),
    'two fit cycles, noise 0.05': Case(fit(fit_cycles=2, noise_relative_sigma=0.05)),
    'radial functions frozen': Case(fit(trainable_parameters={'ALL': ['func']})),
    'functions frozen': Case(fit(trainable_parameters={'ALL': ['radial']})),
    'core repulsion': Case(core_repulsion),
    '`repulsion: auto`': Case(fit(repulsion='auto')),
    'kappa 0.99': Case(almost_forces_only),
    'L-BFGS-B': Case(fit(optimizer='L-BFGS-B')),
    'four elements, 2 iterations': Case(four_elements, data='alloy'),
}


def run(folder: Path, case: Case, mode: str, frames: dict[str, pd.DataFrame]) -> str:
    """Return the first and the last loss of a fit, or of each of its minimisations, and why it is a plain one."""
    folder.mkdir(parents=True)
    stated = settings()
    case.change(stated)
    frames[case.data].to_pickle(folder / 'data.pckl.gzip', compression='gzip', protocol=4)
    if case.start is not None:
        shutil.copy(folder.parents[1] / case.start / 'output_potential.yaml', folder / 'start.yaml')
    for name in ('input.yaml', 'accelerated.yaml'):
        (folder / name).write_text(json.dumps(stated))
    child = os.fork()  # most of the time would be spent on starting Python
    if child == 0:
        in_child(folder, mode)
    os.waitpid(child, 0)
    outcome = folder / 'acceleration.json'
    found = json.loads(outcome.read_text()) if outcome.exists() else {}
    rows = [line.split()[:4] for line in (folder / 'metrics.txt').read_text().splitlines()[1:]]
    fits: dict[tuple[str, str], list[float]] = {}
    for ladder_step, cycle, _, loss in rows:
        fits.setdefault((ladder_step, cycle), []).append(float(loss))
    text = '; '.join(f'{losses[0]:.3g} → {losses[-1]:.3g}' for losses in fits.values())
    reason = found.get('reason') or (found.get('curvature') or {}).get('reason')
    return text if reason is None else f'{text} ({reason})'


def in_child(folder: Path, mode: str) -> None:
    """Run script and fit, and end the process."""
    status = 1
    try:
        os.chdir(folder)
        import accelerate
        import pyace.generalfit
        from pyace.cli.pacemaker import main as pacemaker

        with open('output.txt', 'w') as output, contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            if mode != 'none':
                accelerate.main(['input.yaml', 'accelerated.yaml', '--mode', mode, '--processes', '1'])
            pyace.generalfit.plot_ef_distributions = lambda *_, **__: None
            pacemaker(['accelerated.yaml', '--no-predict'])
        status = 0
    finally:
        os._exit(status)


def main() -> None:
    """Run the cases and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--only', nargs='*', default=[''], help='cases whose names have one of these words in them')
    options = parser.parse_args()
    sys.path.insert(0, str(SCRIPTS))
    os.environ['PYTHONPATH'] = str(SCRIPTS)  # as a job has it
    first = cells(24, ('Al',), seed=0, width=0.1)
    more = pd.concat([first, cells(12, ('Al',), seed=7, width=0.15)], ignore_index=True)
    alloy = cells(40, ('Cu', 'Ag', 'Au', 'Ni'), seed=0, width=0.1)
    frames = {'aluminium': first, 'more': more, 'alloy': alloy}
    print(f'| case | {" | ".join(f"`{mode}`" for mode in MODES)} |\n|---|---|---|---|')
    with tempfile.TemporaryDirectory() as temporary:
        for name, case in CASES.items():
            if any(word in name for word in options.only) or name == 'the usual fit':
                cells_of = [run(Path(temporary) / name / mode, case, mode, frames) for mode in MODES]
                print(f'| {name} | {" | ".join(cells_of)} |', flush=True)


if __name__ == '__main__':
    main()
