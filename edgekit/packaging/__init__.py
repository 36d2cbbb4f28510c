"""From a bundle to a package that an app's developer drops in: the artifact, how it is fed, and a typed wrapper.

:mod:`~edgekit.packaging.source` reads a bundle once; a :class:`~edgekit.packaging.formats.Format` turns it into files;
:mod:`~edgekit.packaging.writer` writes them aside and renames. See ``docs/packaging.md``.
"""
