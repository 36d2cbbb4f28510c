"""A Maven repository as a folder: what Gradle looks for under ``maven { url "..." }``."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from ..source import PackageSource

#: Repositories without .sha512 files exist; Gradle takes the best that is there.
CHECKSUMS = ("md5", "sha1", "sha256", "sha512")


def with_checksums(path: str, content: bytes) -> Iterator[tuple[str, bytes]]:
    """The file and, beside it, its hashes."""
    yield path, content
    for name in CHECKSUMS:
        yield f"{path}.{name}", hashlib.new(name, content, usedforsecurity=False).hexdigest().encode()


def folder_of(source: PackageSource) -> str:
    return f"{source.group.replace('.', '/')}/{source.name}"


def pom(source: PackageSource, dependency: str, version: str) -> bytes:
    """``dependency`` is ``group:artifact``. Every text in it has been checked to be of letters, digits and a few signs."""
    group, _, artifact = dependency.partition(":")
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<project xmlns="http://maven.apache.org/POM/4.0.0"
    xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
    xsi:schemaLocation="http://maven.apache.org/POM/4.0.0 https://maven.apache.org/xsd/maven-4.0.0.xsd">
  <modelVersion>4.0.0</modelVersion>
  <groupId>{source.group}</groupId>
  <artifactId>{source.name}</artifactId>
  <version>{source.version}</version>
  <packaging>aar</packaging>
  <dependencies>
    <dependency>
      <groupId>{group}</groupId>
      <artifactId>{artifact}</artifactId>
      <version>{version}</version>
      <scope>compile</scope>
    </dependency>
  </dependencies>
</project>
""".encode()


def metadata(source: PackageSource) -> bytes:
    """The list of versions. Without the time of an update: the same bundle gives the same bytes."""
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<metadata>
  <groupId>{source.group}</groupId>
  <artifactId>{source.name}</artifactId>
  <versioning>
    <latest>{source.version}</latest>
    <release>{source.version}</release>
    <versions>
      <version>{source.version}</version>
    </versions>
  </versioning>
</metadata>
""".encode()
