"""Networks from configs, and their weights on disk."""
