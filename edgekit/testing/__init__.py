"""For authors of targets: the conformance suite, small models, and a target that needs no hardware."""
