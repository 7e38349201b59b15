"""Runs ``pacemaker --dry-run`` again and again in one process, for its imports take longer than the run.

Reads the path of an input file per line from stdin, runs Pacemaker's own program on it in its folder, and answers with
one line of JSON: the size of the basis, or the error.
"""

from __future__ import annotations

import json
import logging
import os
import pickle
import sys
import traceback
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyace.cli.pacemaker as program
import pyace.generalfit
import pyace.multispecies_basisextension as basisextension
from pyace.basis import ACEBBasisSet

fits: list[Any] = []


class RememberedFit(pyace.generalfit.GeneralACEFit):
    """Pacemaker's own class, which can be asked afterwards what it made of the input."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Keep the object."""
        super().__init__(*args, **kwargs)
        fits.append(self)


def describe(fit: Any) -> dict[str, Any]:
    """Return the size of the basis and the cutoff of a fit that was set up."""
    basis = ACEBBasisSet(fit.target_bbasisconfig)
    return {
        'functions': {block.block_name: len(block.funcspecs) for block in fit.target_bbasisconfig.funcspecs_blocks},
        'parameters': len(basis.all_coeffs),
        'cutoff': fit.cutoff,
        'kappa': fit.loss_spec.kappa,
        'structures': len(fit.fitting_data),
    }


def dry_run(path: Path) -> dict[str, Any]:
    """Return what Pacemaker makes of an input file."""
    os.chdir(path.parent)
    fits.clear()
    try:
        program.main(['--dry-run', path.name])
    except SystemExit as end:
        if end.code:
            return {'error': f'exit {end.code}'}
    except Exception:
        return {'error': traceback.format_exc()}
    return describe(fits[0])


def main() -> None:
    """Answer line by line."""
    logging.disable(logging.CRITICAL)
    warnings.simplefilter('ignore')
    program.GeneralACEFit = RememberedFit
    # the table of basis functions is read anew for each basis, which is half of the time
    with open(basisextension.default_mus_ns_uni_to_rawlsLS_np_rank_filename, 'rb') as file:
        table = pickle.load(file)
    basisextension.pickle = SimpleNamespace(load=lambda _: table)
    pyace.generalfit.plot_ef_distributions = lambda *_, **__: None  # two pictures a run, and two thirds of its time
    answers = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)  # whatever Pacemaker prints is no answer
    for line in sys.stdin:
        print(json.dumps(dry_run(Path(line.strip()))), file=answers, flush=True)
        for handler in list(logging.getLogger().handlers):  # each run opens its log file once more
            logging.getLogger().removeHandler(handler)
            handler.close()


if __name__ == '__main__':
    main()
