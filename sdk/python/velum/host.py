"""Rows as a policy sees them."""

from . import declaration as code


class Undeclared(Exception):
    """Something was read that was not declared."""


class Declared(dict):
    """What was declared, by code or name."""

    def __missing__(self, key):
        raise Undeclared(key)


class Host:
    """One row: a compute host, or a storage pool.

    Reading what was not declared refuses the row with words that say so.
    """

    __slots__ = ("row", "_columns", "_attributes", "_facts", "_resources")

    def __init__(self, columns: Declared, attributes: Declared, facts: Declared, resources: Declared):
        self.row = 0
        """Its number. It is the same row from one load to the next and means nothing else."""
        self._columns = columns
        self._attributes = attributes
        self._facts = facts
        self._resources = resources

    def column(self, column: int) -> int:
        """A declared column by its code."""
        return self._columns[column][self.row]

    def attribute(self, name: str) -> int:
        """A declared numeric attribute that operators set; 0 where the row has none."""
        return self._attributes[name][self.row]

    def free_resource(self, name: str) -> int:
        """How much of a declared countable resource may still be promised; 0 where the row has none."""
        return self._resources[code.FREE_RESOURCE, name][self.row]

    def total_resource(self, name: str) -> int:
        """How much of a declared countable resource may be promised in all; 0 where the row has none."""
        return self._resources[code.TOTAL_RESOURCE, name][self.row]

    def fact(self, fact: int) -> int:
        """What a declared fact of the request says of this row; 0 if nothing."""
        return self._facts[fact].get(self.row, 0)

    @property
    def free_vcpus(self) -> int:
        """vCPUs that may still be promised."""
        return self._columns[code.FREE_VCPUS][self.row]

    @property
    def free_memory_mib(self) -> int:
        """MiB of memory that may still be promised."""
        return self._columns[code.FREE_MEMORY_MIB][self.row]

    @property
    def total_vcpus(self) -> int:
        """vCPUs that may be promised in all."""
        return self._columns[code.TOTAL_VCPUS][self.row]

    @property
    def total_memory_mib(self) -> int:
        """MiB of memory that may be promised in all."""
        return self._columns[code.TOTAL_MEMORY_MIB][self.row]

    @property
    def runs(self) -> int:
        """Active runs."""
        return self._columns[code.RUNS][self.row]

    @property
    def free_gib(self) -> int:
        """GiB that may still be promised (pools)."""
        return self._columns[code.FREE_GIB][self.row]

    @property
    def total_gib(self) -> int:
        """GiB that may be promised in all (pools)."""
        return self._columns[code.TOTAL_GIB][self.row]

    @property
    def pod(self) -> int:
        """A number that rows of the same pod share; must be declared."""
        return self._columns[code.POD][self.row]

    @property
    def cluster(self) -> int:
        """A number that rows of the same cluster share; must be declared."""
        return self._columns[code.CLUSTER][self.row]

    @property
    def latest_end(self) -> int:
        """The latest minute since 1970 at which a run of the row is expected to end; must be declared.

        0 without runs, NO_END with one of which nobody said when.
        """
        return self._columns[code.LATEST_END][self.row]

    @property
    def template_cached(self) -> bool:
        """Whether the template is cached on a pool that the row reaches; must be declared."""
        return self.fact(code.TEMPLATE_CACHED) != 0

    @property
    def is_previous(self) -> bool:
        """Whether the instance ran here before; must be declared."""
        return self.fact(code.PREVIOUS_HOST) != 0

    @property
    def same_project(self) -> int:
        """How many instances of the same project the row has; must be declared."""
        return self.fact(code.SAME_PROJECT)

    @property
    def same_project_in_pod(self) -> int:
        """How many instances of the same project run in the pod of the row; must be declared."""
        return self.fact(code.SAME_PROJECT_IN_POD)

    def kin(self) -> int:
        """How many members of the affinity groups of the instance the row has; must be declared."""
        return self.fact(code.KIN)
