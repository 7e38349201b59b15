"""Options of the minimiser: the keywords of ``scipy.optimize.minimize(…, options={…})``.

scipy only warns of an option that the chosen method does not know, so each option is checked against the method
(https://docs.scipy.org/doc/scipy/reference/optimize.html, scipy 1.17).
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator
from typing_extensions import Self

from aiida_autopipec.pacemaker.config import sources
from aiida_autopipec.pacemaker.config.base import Numbers, Section, SectionError, about, as_tuple
from aiida_autopipec.pacemaker.config.blocks import NotNegative, Positive, PositiveInt, Small

Optimizer = Literal['BFGS', 'L-BFGS-B', 'CG', 'Nelder-Mead', 'Powell', 'TNC']
#: What evaluator ``tensorpot`` can use with these options (``tensorpotential/compat/pace/fit.py``, 0.6.2).
TENSORPOT_OPTIMIZERS = ('BFGS', 'L-BFGS-B', 'CG')

#: Pacemaker adds ``disp`` and ``gtol`` whatever the method, so both are harmless everywhere.
_COMMON = frozenset({'disp', 'gtol'})
_LINE_SEARCH = _COMMON | {'norm', 'eps', 'finite_diff_rel_step', 'c1', 'c2'}
METHOD_OPTIONS: dict[str, frozenset[str]] = {
    'BFGS': _LINE_SEARCH | {'xrtol', 'hess_inv0'},
    'CG': _LINE_SEARCH,
    'L-BFGS-B': _COMMON | {'ftol', 'maxcor', 'maxls', 'maxfun', 'eps', 'finite_diff_rel_step'},
    'TNC': _COMMON | {'ftol', 'xtol', 'maxfun', 'eps', 'finite_diff_rel_step', 'maxCGit', 'eta', 'stepmx', 'rescale'},
    'Nelder-Mead': _COMMON | {'maxfev', 'xatol', 'fatol', 'adaptive'},
    'Powell': _COMMON | {'maxfev', 'xtol', 'ftol'},
}

Matrix = Annotated[tuple[Annotated[Numbers, Field(min_length=1)], ...], BeforeValidator(as_tuple), Field(min_length=1)]


class OptimizerOptions(Section):
    """Options of the minimiser; which of them exist depends on the optimizer."""

    SOURCE: ClassVar[str] = sources.SCIPY

    disp: bool | None = Field(
        default=None,
        description='Print the convergence message (Pacemaker: true).',
        json_schema_extra=about(default='true'),
    )
    gtol: Small | None = Field(
        default=None,
        description='Stop when the gradient is below this (Pacemaker: 1e-8).',
        json_schema_extra=about(default='1e-8'),
    )
    ftol: Small | None = Field(default=None, description='Stop when the relative change of the loss is below.')
    xtol: Small | None = Field(default=None, description='Stop when the change of parameters is below this.')
    xrtol: Small | None = Field(default=None, description='Stop when the relative step is below this (BFGS).')
    xatol: Small | None = Field(default=None, description='Stop when parameters differ by less (Nelder-Mead).')
    fatol: Small | None = Field(default=None, description='Stop when losses differ by less (Nelder-Mead).')
    norm: Positive | None = Field(default=None, description='Order of the norm that is held against gtol.')
    eps: Annotated[Positive, Field(le=1)] | None = Field(default=None, description='Step of numerical derivatives.')
    finite_diff_rel_step: Annotated[Positive, Field(le=1)] | None = Field(
        default=None, description='Relative step of numerical derivatives.'
    )
    c1: Annotated[Positive, Field(lt=1)] | None = Field(default=None, description='Armijo parameter, below c2.')
    c2: Annotated[Positive, Field(lt=1)] | None = Field(default=None, description='Curvature parameter, above c1.')
    hess_inv0: Matrix | None = Field(
        default=None, description='First inverse Hessian: a square matrix, one row per parameter (BFGS).'
    )
    maxcor: PositiveInt | None = Field(default=None, description='Number of corrections kept (L-BFGS-B; default 10).')
    maxls: PositiveInt | None = Field(default=None, description='Line search steps per iteration (L-BFGS-B).')
    maxfun: PositiveInt | None = Field(default=None, description='Largest number of loss evaluations.')
    maxfev: PositiveInt | None = Field(default=None, description='Largest number of loss evaluations.')
    max_cg_it: PositiveInt | None = Field(
        default=None, alias='maxCGit', description='Hessian times vector evaluations per iteration (TNC).'
    )
    eta: Annotated[Positive, Field(le=1)] | None = Field(default=None, description='Severity of line search (TNC).')
    stepmx: Positive | None = Field(default=None, description='Largest step of the line search (TNC).')
    rescale: NotNegative | None = Field(default=None, description='Log10 factor that triggers rescaling (TNC).')
    adaptive: bool | None = Field(default=None, description='Adapt to the number of parameters (Nelder-Mead).')

    @model_validator(mode='after')
    def check(self) -> Self:
        """Check the line search parameters and the shape of the matrix."""
        problems: list[tuple[tuple[str, ...], str]] = []
        if self.c1 is not None and self.c2 is not None and self.c1 >= self.c2:
            problems.append((('c1',), f'must be below c2 = {self.c2:g}, not {self.c1:g}'))
        if self.hess_inv0 is not None and any(len(row) != len(self.hess_inv0) for row in self.hess_inv0):
            problems.append((('hess_inv0',), 'must be a square matrix'))
        SectionError.raise_any(problems)
        return self

    def foreign_to(self, optimizer: str) -> list[str]:
        """Return the keys that were set and that this optimizer does not know."""
        names = (type(self).model_fields[name].alias or name for name in self.model_fields_set)
        return sorted(set(names) - METHOD_OPTIONS[optimizer])
