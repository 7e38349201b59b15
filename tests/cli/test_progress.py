"""Lines on the screen."""

from __future__ import annotations

import io

from aiida_autopipec.cli.console import Console
from aiida_autopipec.cli.progress import curve_line
from aiida_autopipec.pacemaker.outputs import parse_metrics


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def test_plain_where_nobody_looks() -> None:
    """Into a file go whole lines only, without control characters, and not each change of the live line."""
    stream = io.StringIO()
    console = Console(stream)
    console.live('iteration 1')
    console.live('iteration 2')
    console.line('done')
    assert stream.getvalue() == 'done\n'


def test_live_line_is_replaced_on_a_terminal() -> None:
    """On a terminal the live line is overwritten by what follows it."""
    stream = Terminal()
    console = Console(stream)
    console.live('iteration 1')
    console.line('done')
    assert 'iteration 1' in stream.getvalue()
    assert stream.getvalue().endswith('\r\x1b[Kdone\n')


def test_curve_is_shown_in_milli_electronvolts() -> None:
    """The last whole row is shown, eV/atom as meV/atom and eV/Å as meV/Å; half a row is not."""
    table = (
        'ladder_step cycle_step iter_num loss rmse_epa rmse_f_comp\n'
        '0 0 6 0.5 0.3 0.4\n'
        '0 0 7 0.25 0.012 0.034\n'
        '0 0 8 0.1 0.'
    )
    text = curve_line(parse_metrics(table), 50)
    assert text == 'iteration 7/50  loss 2.500e-01  12.00 meV/atom  34.00 meV/Å'
    assert curve_line(parse_metrics(''), 50) == ''
