"""What a report says of out-of-fold predictions: pure functions on arrays and frames, no files, no plots.

Masks are bool (class, z, y, x), q uint8 (class, z, y, x), presence uint8 (class, z). Functions of one scan give small
arrays or frames that add up or are joined over scans; the others make the report's tables of those.
"""
