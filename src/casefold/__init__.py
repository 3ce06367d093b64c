"""A competition pipeline for medical image segmentation: fold by case, classify then segment, ensemble, submit."""

__version__ = "0.1.0"
