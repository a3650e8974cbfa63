"""Tools for maintainers: measured results as data, and the weights that the package ships."""
