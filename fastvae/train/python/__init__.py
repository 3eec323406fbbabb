"""From Python: `fastvae.fit` trains any module on any data, `fastvae.load` gives the model of a run."""
