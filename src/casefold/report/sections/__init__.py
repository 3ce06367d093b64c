"""The sections of the page, a module each: content in, HTML out, nothing where there is nothing to show."""
