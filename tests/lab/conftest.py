"""A toy runner, and the promise that no test leaves a process behind or touches this machine's lease."""

from support.guest_fixtures import no_process_left, own_lease, toy  # noqa: F401 - fixtures
