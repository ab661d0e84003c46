"""What is taught."""

import sys

# jsonschema, which nbformat checks notebooks with, tries this package for formats that no notebook has, at 0.8 s a
# process. An entry of None makes its `import` fail at once, which it is prepared for.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
