"""Tools for maintainers: measured results as CSV files and tables, and the weights that the package ships."""
