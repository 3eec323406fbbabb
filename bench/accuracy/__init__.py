"""How far every op is from its exact result where numbers are hard: ``python -m bench.accuracy``, docs/accuracy.md.

`ops` is the table of ops, each with what people write instead; `regimes` the inputs; `errors` the measure; `measuring`
one implementation in a process of its own; `rows` the file of results; `page` the tables. `scales` measures KL and log
density at every scale.
"""
