"""Single-cell counts: scVI's model (Lopez et al. 2018) on cells simulated from a known mixture of types."""
