"""The code that writes the site: pages, sections, drawings, manifests and vendored runtimes."""
