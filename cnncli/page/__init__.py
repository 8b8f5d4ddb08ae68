"""A model as one web page that runs it: the engine (engine/, WebAssembly made of export/runtime.c), the model as its
program and weights (program.py), and the page itself (rendering.py; page.html, page.css and a script of several files).

What may not be here: numbers computed in another way than the export does.
"""

from .writing import Written, write_page

__all__ = ["Written", "write_page"]
