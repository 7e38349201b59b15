"""AiiDA plugin that turns labelled atomic structures into ACE potentials with Pacemaker."""

__version__ = '0.1.0'
