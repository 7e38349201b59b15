"""What a selection in parts loses against one over the whole pool.

    python tests/benchmarks/selection_parts.py [--data al-lda FILE.pckl.gzip …] [--parts 1 2 4 8] [--fraction 0.1]

Of each data set (see ``selection.py``) four fifths are the pool. Each strategy selects a part of its atoms, at once and
in parts, with the code that travels with a job and that which divides the pool. Printed are medians over splits and
seeds: part of the atoms that the parts offer to the last selection, structures in common with the selection at once,
difference of the log-determinants (scaled by the whole pool), and the errors of a linear fit over those of the
selection at once.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from numpy.typing import NDArray
from selection import DRAW, STRATEGIES, settings
from selection_fits import Candidates as Prepared
from selection_fits import Pool, fit_linear, load, remote

from aiida_autopipec.pacemaker.selection.candidates import Candidates
from aiida_autopipec.pacemaker.selection.parameters import SelectParameters
from aiida_autopipec.pacemaker.selection.parts import divide_pool


def select_in_parts(
    pool: Pool, rows: NDArray[np.int64], n_parts: int, parameters: SelectParameters
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return what is selected out of some rows, and what the parts offered."""
    structures = pool.structures.take(rows)
    unset = np.zeros(len(rows), dtype=np.int64)
    kept = unset.astype(bool)
    candidates = Candidates(structures.fingerprints, kept, unset)
    parts = divide_pool(candidates, structures.names, structures.sizes, parameters, kept=kept, n_parts=n_parts)
    strategy, seed, amount = str(parameters.strategy), parameters.seed, parameters.budget(structures.n_atoms).amount
    assert amount is not None
    offered = [
        rows[part.rows]
        if part.settings is None
        else pool.select(rows[part.rows], strategy, part.settings['max_atoms'], seed)
        for part in parts
    ]
    finalists = np.sort(np.concatenate(offered))
    return pool.select(finalists, strategy, amount, seed), finalists


def log_determinant(prepared: Prepared, rows: NDArray[np.int64]) -> float:
    """Return that of some structures, scaled by the whole pool."""
    places = np.flatnonzero(np.isin(prepared.rows[prepared.pool.rows], rows))
    found: float = remote('select_projections').log_determinant(prepared.projections, prepared.space, places)
    return found


def compare(pool: Pool, strategy: str, n_parts: int, options: argparse.Namespace) -> list[float]:
    """Return the medians of the figures."""
    figures = []
    for split in options.splits:
        rows, test = pool.sides(split)
        prepared = Prepared(pool, rows)
        n_atoms = pool.structures.sizes[rows].sum()
        for seed in range(options.seeds if strategy in DRAW else 1):
            parameters = SelectParameters.model_validate(
                {'strategy': strategy, 'fraction': options.fraction, 'seed': seed}
            )
            single = pool.select(rows, strategy, int(options.fraction * n_atoms), seed)
            chosen, finalists = select_in_parts(pool, rows, n_parts, parameters)
            fits = [fit_linear(pool, some, test, options.kappa, options.l2) for some in (chosen, single)]
            figures.append(
                [
                    100 * pool.structures.sizes[finalists].sum() / n_atoms,
                    100 * len(np.intersect1d(chosen, single)) / len(single),
                    log_determinant(prepared, chosen) - log_determinant(prepared, single),
                    *(fits[0][key] / fits[1][key] for key in ('energy_rmse', 'force_rmse', 'force_worst')),
                ]
            )
    medians: list[float] = np.median(figures, axis=0).tolist()
    return medians


def main() -> None:
    """Compare, and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', nargs='+', default=['al-lda'])
    parser.add_argument('--structures', type=int, default=2000)
    parser.add_argument('--parts', type=int, nargs='+', default=[2, 4, 8])
    parser.add_argument('--fraction', type=float, default=0.1)
    parser.add_argument('--strategies', nargs='+', choices=STRATEGIES, default=STRATEGIES)
    parser.add_argument('--splits', type=int, nargs='+', default=[1, 2, 3])
    parser.add_argument('--seeds', type=int, default=5)
    parser.add_argument('--radial', type=int, nargs='+', default=[6, 3, 2, 1])
    parser.add_argument('--angular', type=int, nargs='+', default=[0, 2, 1, 1])
    parser.add_argument('--cutoff', type=float, default=6.0)
    parser.add_argument('--kappa', type=float, default=0.3)
    parser.add_argument('--l2', type=float, default=1e-8)
    parser.set_defaults(iterations=1)
    options = parser.parse_args()
    for data in options.data:
        structures = load(data, options.structures)
        stated: dict[str, Any] = settings(options, sorted(structures.elements))
        pool = Pool(structures, stated)
        print(f'\n{data}: {len(structures)} structures, {structures.n_atoms} atoms, {pool.n_functions} functions\n')
        print('| strategy | parts | offered | in common | log-determinant | energy RMSE | force RMSE | largest |')
        print('|---|---:|---:|---:|---:|---:|---:|---:|', flush=True)
        for strategy in options.strategies:
            for n_parts in options.parts:
                offered, common, determinant, *errors = compare(pool, strategy, n_parts, options)
                cells = [
                    f'{offered:.0f} %',
                    f'{common:.0f} %',
                    f'{determinant:+.2f}',
                    *(f'{one:.2f}' for one in errors),
                ]
                print(f'| {strategy} | {n_parts} | {" | ".join(cells)} |', flush=True)


if __name__ == '__main__':
    main()
