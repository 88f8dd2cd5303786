import unittest

from policy import Coolest
from velum.testing import scores


class CoolestTest(unittest.TestCase):
    def test_the_host_that_draws_less_is_better(self):
        thirsty, frugal, unknown = scores(Coolest, [{"power_w": 300}, {"power_w": 120}, {}])
        self.assertGreater(frugal, thirsty)
        self.assertGreater(thirsty, unknown)


if __name__ == "__main__":
    unittest.main()
