"""What is asked for."""

VCPUS, MEMORY_MIB, GIB = 1, 2, 3
NOW, EXPECTED_END = 1, 2


class Ask:
    """What is asked for. What was not declared, or is not asked for, is 0."""

    __slots__ = ("_demands", "_attrs", "_resources", "facts", "seed")

    def __init__(
        self,
        demands: dict,
        facts: dict | None = None,
        seed: int = 0,
        attrs: dict | None = None,
        resources: dict | None = None,
    ):
        """`demands` and `attrs` by code, `resources` by name; `facts` by code, each a dictionary of rows and values."""
        self._demands = demands
        self._resources = resources or {}
        self._attrs = attrs or {}
        self.facts = facts or {}
        self.seed = seed
        """The only chance there is; 0 for policies that do not compare rows."""

    @classmethod
    def of(
        cls,
        vcpus: int = 0,
        memory_mib: int = 0,
        gib: int = 0,
        now_minute: int = 0,
        expected_end: int | None = None,
        resources: dict | None = None,
    ) -> "Ask":
        """An ask as tests build it."""
        attrs = {NOW: now_minute}
        if expected_end is not None:
            attrs[EXPECTED_END] = expected_end
        return cls({VCPUS: vcpus, MEMORY_MIB: memory_mib, GIB: gib}, attrs=attrs, resources=resources)

    def demand(self, code: int) -> int:
        """How much of a demand, by its code."""
        return self._demands.get(code, 0)

    def resource(self, name: str) -> int:
        """How much of a countable resource, by its name."""
        return self._resources.get(name, 0)

    def attr(self, code: int) -> int | None:
        """An attribute of the request by its code; none if there is none, or it was not declared."""
        return self._attrs.get(code)

    @property
    def now_minute(self) -> int:
        """The minute since 1970 in which this is decided; 0 if it was not declared."""
        return self._attrs.get(NOW, 0)

    @property
    def expected_end(self) -> int | None:
        """The minute since 1970 at which the machine is expected to end; none when nobody said, or it was not declared."""
        return self._attrs.get(EXPECTED_END)

    @property
    def vcpus(self) -> int:
        """vCPUs."""
        return self._demands.get(VCPUS, 0)

    @property
    def memory_mib(self) -> int:
        """MiB of memory."""
        return self._demands.get(MEMORY_MIB, 0)

    @property
    def gib(self) -> int:
        """GiB of storage."""
        return self._demands.get(GIB, 0)
