"""How Sphinx prints the tutorials; `tools/site.py` lays out what it reads, and calls it."""

import os

project = "SciLLM notebooks"
author = ""
extensions = ["myst_nb", "sphinx_copybutton"]
templates_path = ["_templates"]
smartquotes = False
copybutton_selector = "div:not(.output) > div.highlight > pre"  # what is to be copied is code

# The stored outputs are those of an execution, and tests compare them with another one.
nb_execution_mode = "off"
# Records are for the harness (their text stands beside them), and the suite's headings go from 1 to 3.
suppress_warnings = ["mystnb.unknown_mime_type", "myst.header"]
nb_ipywidgets_js: dict[str, dict[str, str]] = {}  # they would come from another host; a static picture is stored

html_theme = "sphinx_book_theme"
html_title = project
html_favicon = "_static/favicon.svg"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
html_use_index = False
html_show_search_summary = False  # it is fetched, which a page that was opened as a file may not
html_sidebars = {"**": ["search-button-field.html", "sbt-sidebar-nav.html"]}  # the latter begins with the front page
html_theme_options = {
    "home_page_in_toc": True,
    "show_navbar_depth": 1,
    "navbar_persistent": [],  # the search stands in the sidebar already
    "use_download_button": False,  # it names no notebook; open.html has a link that does
    "use_fullscreen_button": False,
    "pygments_light_style": "github-light-high-contrast",
    "pygments_dark_style": "github-dark-high-contrast",
}
html_context = {
    "default_mode": "auto",
    "lab": "http://localhost:8888/lab/tree",  # where `make lab` serves the notebooks, unless that port is taken
    "repository": os.environ.get("GITHUB_REPOSITORY", ""),
}
