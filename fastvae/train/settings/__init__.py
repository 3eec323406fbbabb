"""What a run is asked to be: every setting with its type and defaults, those of published models, and a config."""
