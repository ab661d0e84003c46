"""JupyterHub's configuration: read the settings, hand them to hub.configure. Nothing is decided here."""

from hub.configure import configure
from hub.settings import load_settings

configure(get_config(), load_settings())  # noqa: F821 (JupyterHub gives get_config)
