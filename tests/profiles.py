"""How many examples hypothesis tries: few and always the same ones in ordinary runs, many and new ones at night.

``KARAT_HYPOTHESIS=nightly`` chooses the second (``make nightly``); ``ordinary`` is the default.
"""

import os

from hypothesis import HealthCheck, Phase, settings

TIMES = 100
"""How many times as many examples a nightly run tries."""
SLOW = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
PROFILES = {
    "ordinary": settings(
        max_examples=10,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=SLOW,
    ),
    "nightly": settings(max_examples=10 * TIMES, deadline=None, print_blob=True, suppress_health_check=SLOW),
}
CHOSEN = os.environ.get("KARAT_HYPOTHESIS") or "ordinary"
if CHOSEN not in PROFILES:
    raise ValueError(f"KARAT_HYPOTHESIS={CHOSEN!r} is not a profile; choose {' or '.join(PROFILES)}.")


def load():
    """Register the profiles with hypothesis and load the chosen one."""
    for name, profile in PROFILES.items():
        settings.register_profile(name, profile)
    settings.load_profile(CHOSEN)


def examples(n):
    """Settings of a test that needs another number of examples than 10 in ordinary runs."""
    return settings(PROFILES[CHOSEN], max_examples=n * (TIMES if CHOSEN == "nightly" else 1))
