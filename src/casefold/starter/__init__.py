"""From an unknown folder to a data set's config and a starter ensemble: each guess with its reason."""
