"""The site: pages in Markdown, and what makes the rest of them. `make docs` builds it into build-docs/.

    conf       how Sphinx builds it
    reference  the pages of reference/, written from the registry of dcmds at each build

To add a page: write it here or in formats/ (one page for each format that `vmdebug formats` prints). The test suite
runs every block of commands in it.
"""
