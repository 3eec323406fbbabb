"""Published VAEs trained again, their results kept, a page written from them: ``python -m bench.reproductions``."""
