"""What a notebook imports. The names stand in `__init__.pyi`; each is loaded when it is first used.

The wings are imported by their path: `scillm_helpers.endpoint`, `scillm_helpers.smoke`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
