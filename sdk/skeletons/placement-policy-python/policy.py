from velum import Declaration, Policy


class Coolest(Policy):
    """Prefers the compute host that draws the least power, a number that operators set on their hosts."""

    def declare(self):
        return Declaration.hosts().attribute("power_w")

    def score(self, ask, host):
        return 100_000 - min(host.attribute("power_w"), 100_000)
