"""nbgrader's exchange over HTTP: plug-in classes for ExchangeFactory, one verb a file.

Kept free of imports: JupyterLab's server loads `ictlab.exchange.client` without paying for nbgrader.
"""
