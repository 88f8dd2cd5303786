"""What the library between the contract and a policy promises. Run in sdk/python: `python3 -m unittest discover tests`."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from velum import BEST, NO_END, Ask, Declaration, Policy, Refused, refuse  # noqa: E402
from velum.declaration import PREVIOUS_HOST, SAME_PROJECT_IN_POD  # noqa: E402
from velum.engine import Engine  # noqa: E402
from velum.score import NO_NUMBER, REFUSE, UNDECLARED  # noqa: E402
from velum.testing import scores  # noqa: E402


class Roomiest(Policy):
    def configure(self, config):
        self.bonus = config.integer("bonus", least=0, most=10, default=1)

    def declare(self):
        return Declaration.hosts().fact(PREVIOUS_HOST).refusal(7, "full")

    def score(self, ask, host):
        if host.free_vcpus < ask.vcpus:
            return refuse(7)
        return host.free_vcpus + (self.bonus if host.is_previous else 0)


class EndsWith(Policy):
    def declare(self):
        return Declaration.hosts().lifetimes().same_project_in_pod()

    def score(self, ask, host):
        if host.latest_end == NO_END:
            return 0
        left = (NO_END if ask.expected_end is None else ask.expected_end) - ask.now_minute
        return left - (host.latest_end - ask.now_minute) - host.same_project_in_pod


class Tight(Policy):
    def declare(self):
        return Declaration.hosts().attribute("gpu").resource("gpu").resource("gpu")

    def score(self, ask, host):
        left = host.free_resource("gpu") - ask.resource("gpu")
        return 100 * host.total_resource("gpu") - 10 * left + host.attribute("gpu")


def engine(policy=Roomiest, config="{}"):
    made = Engine(policy)
    made.configure(config)
    return made


# Five columns of three hosts: free vCPUs first.
COLUMNS = [4, 16, 1] + [0] * 12


class EngineTest(unittest.TestCase):
    def test_a_policy_is_told_of_time_what_it_declares(self):
        declared = EndsWith().declare()
        self.assertEqual((declared.demands, declared.facts), ([1, 2, 0x101, 0x102], [SAME_PROJECT_IN_POD]))
        ask = Ask.of(now_minute=100, expected_end=160)
        self.assertEqual(scores(EndsWith, [{"latest_end": 110}, {"latest_end": NO_END}], ask), [50, 0])
        self.assertEqual((Ask.of().expected_end, Ask({}).now_minute), (None, 0))

    def test_a_resource_is_two_columns_and_a_demand_that_points_to_one(self):
        declared = Tight().declare()
        self.assertEqual(declared.columns[5:], [(0, "gpu"), (11, "gpu"), (12, "gpu")])
        self.assertEqual(declared.demands, [1, 2, 0x206])
        self.assertEqual(declared.amounts([4, 5, 2]), ({1: 4, 2: 5}, {"gpu": 2}))
        rows = [{"free:gpu": 3, "total:gpu": 4, "gpu": 7}, {"free:gpu": 2, "total:gpu": 2}]
        self.assertEqual(scores(Tight, rows, Ask.of(resources={"gpu": 2})), [397, 200])

        class Careless(Policy):
            def score(self, ask, host):
                return host.free_resource("gpu")

        self.assertEqual(scores(Careless, [{}]), [REFUSE + UNDECLARED])

    def test_scores_come_in_the_order_of_the_rows_asked(self):
        held = engine()
        self.assertTrue(held.load(5, 3, COLUMNS))
        ask = Ask({1: 2, 2: 0}, {PREVIOUS_HOST: {0: 1}})
        self.assertEqual(held.score(5, ask, []), [5, 16, REFUSE + 7])
        self.assertEqual(held.score(5, ask, [1, 0]), [16, 5])

    def test_an_epoch_that_is_not_held_and_a_row_that_is_not_there_are_answered_with_nothing(self):
        held = engine()
        self.assertEqual(held.score(5, Ask({}), []), [])
        held.load(5, 3, COLUMNS)
        self.assertEqual(held.score(6, Ask({}), []), [])
        self.assertEqual(held.score(5, Ask({}), [3]), [])

    def test_changes_follow_the_epoch_and_a_misfit_changes_nothing(self):
        held = engine()
        held.load(5, 3, COLUMNS)
        for before, rows, values in [(4, [0], [9] * 5), (5, [0], [9] * 4), (5, [3], [9] * 5)]:
            self.assertFalse(held.apply(before, 6, rows, values))
        self.assertEqual(held.score(5, Ask({}), []), [4, 16, 1])
        self.assertTrue(held.apply(5, 6, [0, 2], [8, 9] + [0] * 8))
        self.assertEqual(held.score(6, Ask({}), []), [8, 16, 9])

    def test_lengths_that_do_not_fit_drop_what_was_held(self):
        held = engine()
        held.load(5, 3, COLUMNS)
        self.assertFalse(held.load(6, 3, COLUMNS[1:]))
        self.assertEqual(held.score(5, Ask({}), []), [])

    def test_a_configuration_that_is_refused_leaves_the_old_one(self):
        held = engine(config='{"bonus": 3}')
        held.load(5, 3, COLUMNS)
        for text, words in [
            ('{"bonus": 11}', "'bonus' must be a whole number from 0 to 10"),
            ('{"bonus": true}', "'bonus' must be a whole number from 0 to 10"),
            ('{"colour": 1}', "'colour' is not known here"),
            ("[]", "not a JSON object"),
        ]:
            with self.assertRaisesRegex(Refused, words):
                held.configure(text)
        self.assertEqual(held.score(5, Ask({}, {PREVIOUS_HOST: {0: 1}}), [0]), [7])
        held.configure("")
        self.assertEqual(held.score(5, Ask({}), []), [])


class ScoreTest(unittest.TestCase):
    def scored(self, value):
        class Fixed(Policy):
            def score(self, ask, host):
                return value

        return scores(Fixed, [{}])[0]

    def test_scores_stay_within_their_range(self):
        self.assertEqual([self.scored(value) for value in (-1, 7, REFUSE + 5, 1 << 40)], [0, 7, REFUSE + 5, BEST])

    def test_a_score_that_is_no_whole_number_refuses_and_says_so(self):
        self.assertEqual(self.scored(0.5), REFUSE + NO_NUMBER)
        self.assertEqual(self.scored(None), REFUSE + NO_NUMBER)

    def test_what_is_not_declared_refuses_and_says_so(self):
        class Careless(Policy):
            def score(self, ask, host):
                return host.attribute("power_w")

        self.assertEqual(scores(Careless, [{}]), [REFUSE + UNDECLARED])
        self.assertIn(UNDECLARED, dict(Engine(Careless).refusals()))

    def test_codes_of_the_library_are_not_the_policys(self):
        for code in (-1, NO_NUMBER, UNDECLARED):
            with self.assertRaises(ValueError):
                refuse(code)

    def test_a_row_of_a_test_that_nobody_would_read_is_refused(self):
        with self.assertRaisesRegex(AssertionError, "power_w"):
            scores(Roomiest, [{"power_w": 1}])


if __name__ == "__main__":
    unittest.main()
