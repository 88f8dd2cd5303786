from velum import Declaration, Policy


class Coolest(Policy):
    """Prefers the compute host that draws the least power, a number that operators set on their hosts."""

    def declare(self):
        return Declaration.hosts().attribute("power_w")

    def score(self, ask, host):
        watts = host.attribute("power_w")
        if watts == 0:
            return 0  # nobody wrote it down: last
        return 100_000 - min(watts, 99_999)
