"""Where Pacemaker documents its settings, or where its code reads those that it does not document."""

from __future__ import annotations

PAGE = 'https://pacemaker.readthedocs.io/en/latest/pacemaker/inputfile/'
METADATA = f'{PAGE}#cutoff-and-optional-metadata'
DATA = f'{PAGE}#dataset-specification-section'
REFERENCE_ENERGY = f'{PAGE}#reference-energy'
POTENTIAL = f'{PAGE}#basis-configuration'
UPFIT = f'{PAGE}#upfitting'
FIT = f'{PAGE}#fitting-settings'
LADDER = f'{PAGE}#ladder-hiererchical-basis-extension'
BACKEND = f'{PAGE}#backend-specification'

_CODE = 'https://github.com/ICAMS/python-ace/blob/master/src/pyace/'
CODE_BASIS = f'{_CODE}multispecies_basisextension.py'
CODE_DATA = f'{_CODE}preparedata.py'
CODE_FIT = f'{_CODE}generalfit.py'
CODE_LOSS = f'{_CODE}lossfuncspec.py'
CODE_BACKEND = f'{_CODE}fitadapter.py'
CODE_PROGRAM = f'{_CODE}cli/pacemaker.py'
CODE_GPU = 'https://github.com/ICAMS/grace-tensorpotential/blob/master/tensorpotential/compat/pace/utils/utilities.py'

SCIPY = 'https://docs.scipy.org/doc/scipy/reference/generated/scipy.optimize.minimize.html'
