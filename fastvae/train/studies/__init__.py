"""What takes several runs: a comparison of them, and the completions of Sohn, Lee & Yan (2015)."""
