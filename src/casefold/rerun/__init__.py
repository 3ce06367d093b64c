"""What runs on Kaggle and under `submit`: scans to a submission by a clock, in processes that may die."""
