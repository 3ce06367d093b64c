"""The steps in order, each skipped where it is done: what run.sh's verbs do."""
