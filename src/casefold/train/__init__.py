"""Training of one member on one fold: state, log, loop, and the run around it."""
