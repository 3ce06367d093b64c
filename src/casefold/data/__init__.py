"""From a scan to what a network reads, in training and prediction alike."""
