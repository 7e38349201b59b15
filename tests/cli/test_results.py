"""What came out of a training, as text."""

from __future__ import annotations

from aiida_autopipec.cli.results import fit_lines

BEGIN = {
    'mode': 'full',
    'used': True,
    'loss_of_zero': 7.536,
    'predicted_loss': 0.0010140,
    'first_loss': 0.0010140,
    'seconds': {'prepare': 1.0, 'curvature': 5.25},
}
BEST = {'iteration': 8, 'test_loss': 0.15188}


def test_a_plain_fit_is_not_spoken_of():
    """There is nothing to say of a fit that began with zero and came to its own end."""
    assert fit_lines({'errors': {}}) == []


def test_what_an_accelerated_fit_began_with():
    """The report has the losses and the seconds, and no iterations that nobody counted."""
    assert fit_lines({'acceleration': BEGIN}) == [
        'Acceleration full: first loss 0.001014, predicted 0.001014, 7.536 at zero; its script took 6.2 s'
    ]


def test_a_fit_that_goes_on_has_no_loss_of_zero():
    """What is not known is left out."""
    known = {key: value for key, value in BEGIN.items() if key != 'loss_of_zero'}
    assert 'at zero' not in fit_lines({'acceleration': {**known, 'first_loss': None}})[0]


def test_why_an_acceleration_was_not_used():
    """The reason stands there."""
    assert fit_lines({'acceleration': {'used': False, 'reason': 'the ladder has a single step'}}) == [
        'Acceleration: not used, the ladder has a single step'
    ]


def test_how_a_fit_ended():
    """The lowest test loss is told, whether it ended the fit or not."""
    ended = {'used': True, 'stopped': True, 'best': BEST}
    assert fit_lines({'early_stopping': ended}) == [
        'The fit ended when the test loss fell no more; lowest test loss 0.1519 at iteration 8'
    ]
    assert 'went to its own end' in fit_lines({'early_stopping': {**ended, 'stopped': False}})[0]
    assert fit_lines({'early_stopping': {'used': False, 'reason': 'no iteration was seen'}}) == []
