"""Android: a Maven repository with an AAR, and the same as a source module for Gradle."""
