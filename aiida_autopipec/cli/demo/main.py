"""The demo itself: ``python -m aiida_autopipec.cli.demo.main OUTPUT HOME``, with ``AIIDA_PATH`` set to HOME."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiida.common.exceptions import AiidaException
from aiida.engine.daemon.client import DaemonException

from aiida_autopipec.cli.console import Console
from aiida_autopipec.cli.demo import settings
from aiida_autopipec.cli.launch import TrainingRequest, check_inputs, training_codes, training_inputs
from aiida_autopipec.cli.machine import create_profile, get_or_create_localhost
from aiida_autopipec.cli.programs import ONE_THREAD, ProgramsError, local_bin_folder, register_programs
from aiida_autopipec.cli.progress import watch
from aiida_autopipec.cli.provenance import provenance_picture
from aiida_autopipec.cli.results import error_table, gave_result, reason_of_failure, triage_line
from aiida_autopipec.pacemaker.errors import AutopipecError

if TYPE_CHECKING:
    from aiida.orm import Computer, ProcessNode

PROFILE = 'demo'
EMAIL = 'demo@localhost'
FILES = {
    'potential': 'potential.yaml',
    'lammps_potential': 'potential.yace',
    'active_set': 'potential.asi',
}
"""Output of the work chain -> file in the output folder."""
WHAT_IT_IS = {
    'potential.yaml': 'the potential',
    'potential.yace': 'the potential for LAMMPS (`pair_style pace`)',
    'potential.asi': 'its active set, for extrapolation grades',
    'errors.json': 'errors, iterations, versions and timings',
    'dataset.png': 'the data: energies, forces, sizes and distances',
    'parity.png': 'predicted against reference energies and forces',
    'learning_curve.png': 'loss and errors against iterations',
    'provenance.svg': 'where everything comes from; open it in a browser',
}


class DemoError(Exception):
    """The demo cannot go on; the message is one sentence."""


def main(output: Path, home: Path) -> int:
    """Run the demo, and return the exit code.

    :param output: an existing folder for the results.
    :param home: the folder that ``AIIDA_PATH`` names.
    """
    console = Console()
    started = time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with step(console, 'profile'):
            create_profile(PROFILE, EMAIL)
            computer = get_or_create_localhost(str(home / 'work'))[0]
            register_programs(computer, str(local_bin_folder()), prepend_text=ONE_THREAD)
        with daemon(console, home / 'work'):
            workchain = train(computer, console)
        results = write_results(workchain, output)
    except KeyboardInterrupt:
        print_error('interrupted; the daemon is stopped')
        return 130
    except (AutopipecError, AiidaException, DaemonException, DemoError, ProgramsError, OSError) as exception:
        print_error(' '.join(str(exception).split()))
        return 1
    except Exception as exception:  # whatever it is, the user of a demo cannot do anything with a traceback
        print_error(f'unexpected {type(exception).__name__}: {" ".join(str(exception).split())}')
        return 1
    report(console, workchain, results, time.monotonic() - started)
    return 0


def train(computer: Computer, console: Console) -> ProcessNode:
    """Train with what `train launch` uses, too.

    :raises DemoError: if there is no potential in the end.
    """
    from aiida.engine import submit
    from aiida.orm import SinglefileData

    from aiida_autopipec.workflows.train import TrainPotentialWorkChain

    request = TrainingRequest(
        datasets=[SinglefileData(settings.example_file()).store()],
        config=settings.CONFIG,
        codes=training_codes(computer, {}, with_selection=True),
        reference=settings.REFERENCE,
        split=settings.SPLIT,
        max_structures=settings.SELECTION['max_structures'],
    )
    inputs = training_inputs(request)
    check_inputs(inputs)
    workchain: ProcessNode = submit(TrainPotentialWorkChain, **inputs)
    watch(workchain, console, interval=0.5)
    if not gave_result(workchain):
        raise DemoError(f'the training failed: {reason_of_failure(workchain)}')
    return workchain


def end_jobs(folder: Path) -> None:
    """End the programs that run in a folder.

    They are no children of the daemon, and would go on without it. Asking AiiDA would miss one that was just submitted,
    whose number it had no time to store.
    """
    import psutil

    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if Path(process.cwd()).is_relative_to(folder.resolve()):
                process.kill()


@contextmanager
def daemon(console: Console, workdir: Path) -> Iterator[None]:
    """Have a daemon with one worker run, and stop it and what it started whatever happens."""
    from aiida.engine.daemon.client import get_daemon_client

    client = get_daemon_client()
    try:
        with step(console, 'daemon'):
            client.start_daemon(number_workers=1, timeout=60)
        yield
    finally:
        # also a daemon that did not answer in time is stopped
        if client.is_daemon_running:
            client.stop_daemon(wait=True, timeout=60)
        end_jobs(workdir)


@contextmanager
def step(console: Console, name: str) -> Iterator[None]:
    """Show what is done, and afterwards how long it took."""
    started = time.monotonic()
    console.live(name)
    yield
    console.line(f'  + {name:<20} {time.monotonic() - started:.1f} s')


def write_results(workchain: ProcessNode, output: Path) -> list[Path]:
    """Copy the results into a folder.

    :raises DemoError: if one is missing.
    """
    contents: dict[str, Callable[[], bytes]] = {
        filename: lambda label=label: _content(workchain, label)  # type: ignore[misc]
        for label, filename in FILES.items()
    }
    parameters: dict[str, Any] = workchain.outputs['output_parameters'].get_dict()
    contents['errors.json'] = lambda: json.dumps(parameters, indent=2, sort_keys=True).encode()
    title = f'How potential.yaml came about: {workchain.process_label}<{workchain.pk}>'
    contents['provenance.svg'] = lambda: provenance_picture(workchain, title=title).encode()
    for filename, content in contents.items():
        (output / filename).write_bytes(content())
    return [output / filename for filename in contents] + draw_results(workchain, output)


def draw_results(workchain: ProcessNode, output: Path) -> list[Path]:
    """Draw the data and the training into a folder."""
    from aiida_autopipec.pacemaker.plots import plot_dataset, plot_learning_curve, plot_parity

    outputs = workchain.outputs
    paths = [output / name for name in ('dataset.png', 'parity.png', 'learning_curve.png')]
    plot_dataset(outputs['dataset'].get_structures(), paths[0])
    plot_parity(dict(outputs['predictions'].get_iterarrays()), paths[1])
    plot_learning_curve(dict(outputs['learning_curve'].get_iterarrays()), paths[2])
    return paths


def _content(workchain: ProcessNode, label: str) -> bytes:
    if label not in workchain.outputs:
        raise DemoError(f'the training gave no `{label}`')
    content: bytes = workchain.outputs[label].get_content(mode='rb')
    return content


def report(console: Console, workchain: ProcessNode, files: list[Path], seconds: float) -> None:
    """Say what came out, and where it is."""
    console.line()
    console.line(triage_line(workchain))
    console.line()
    console.line(error_table(workchain))
    console.line()
    width = max(len(str(path)) for path in files)
    for path in files:
        console.line(f'{path!s:<{width}}  {WHAT_IT_IS[path.name]}')
    console.line()
    console.line(
        'From a potential to all that it was made from, in a profile of your own (or in this one with --keep):'
    )
    console.line()
    console.line('  from aiida.orm import Data, QueryBuilder, SinglefileData')
    console.line(
        "  query = QueryBuilder().append(SinglefileData, filters={'uuid': "
        f"'{workchain.outputs['potential'].uuid}'}}, tag='potential')"
    )
    console.line("  query.append(Data, with_descendants='potential').distinct().all(flat=True)")
    console.line()
    console.line(f'done in {seconds:.0f} s')


def print_error(sentence: str) -> None:
    """Print one sentence for the user where errors go."""
    sys.stderr.write(f'Error: {sentence}\n')


if __name__ == '__main__':
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
