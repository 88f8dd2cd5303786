"""For native tests of policies: a few rows, scored through everything that a component has."""

from .ask import Ask
from .engine import Engine


def scores(policy, rows: list[dict], ask: Ask | None = None, config: str = "{}") -> list[int]:
    """What a policy answers for rows; what a row lacks is 0.

    A row is a dictionary: `{"free_vcpus": 8, "power_w": 120, "free:gpu": 1, "total:gpu": 4}`.
    """
    engine = Engine(policy)
    engine.configure(config)
    names = [PREFIXES.get(code, "") + (name or COLUMNS.get(code, "")) for code, name in engine.declaration().columns]
    for name in {name for row in rows for name in row} - set(names):
        raise AssertionError(f"the policy declares nothing that is called '{name}'")
    values = [row.get(name, 0) for name in names for row in rows]
    if not engine.load(1, len(rows), values):
        raise AssertionError("the rows do not fit the declaration")
    return engine.score(1, ask or Ask.of(), [])


PREFIXES = {11: "free:", 12: "total:"}
"""Before the name of a resource."""

COLUMNS = {
    1: "free_vcpus",
    2: "free_memory_mib",
    3: "total_vcpus",
    4: "total_memory_mib",
    5: "runs",
    6: "free_gib",
    7: "total_gib",
    8: "pod",
    9: "cluster",
    10: "latest_end",
}
