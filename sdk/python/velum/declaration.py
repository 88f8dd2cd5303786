"""What a policy wants to know."""

COMPUTE_HOSTS, STORAGE_POOLS = 0, 1
(
    ATTRIBUTE,
    FREE_VCPUS,
    FREE_MEMORY_MIB,
    TOTAL_VCPUS,
    TOTAL_MEMORY_MIB,
    RUNS,
    FREE_GIB,
    TOTAL_GIB,
    POD,
    CLUSTER,
    LATEST_END,
    FREE_RESOURCE,
    TOTAL_RESOURCE,
) = range(13)
TEMPLATE_CACHED, PREVIOUS_HOST, SAME_PROJECT, KIN, SAME_PROJECT_IN_POD = range(1, 6)
NO_END = 0xFFFFFFFF
"""An expected end that nobody said."""
ATTRS, NOW, EXPECTED_END = 0x100, 1, 2
"""A demand that wants an attribute of the request (the attribute's code follows on it), and the codes of attributes."""

RESOURCES = 0x200
"""A demand that wants how much is asked of a resource: the place of a column of it follows on it."""


class Declaration:
    """What a policy wants to know of rows and requests. Begin with `hosts()` or `pools()` and add."""

    def __init__(self, row_kind: int):
        self.row_kind = row_kind
        self.columns: list[tuple[int, str | None]] = []
        self.demands: list[int] = []
        self.facts: list[int] = []
        self.refusals: list[tuple[int, str]] = []
        self.row_local = True
        self.max_rows = 0

    @classmethod
    def hosts(cls) -> "Declaration":
        """Compute hosts: free and total vCPUs and memory, runs; demands vCPUs and memory."""
        declaration = cls(COMPUTE_HOSTS)
        for code in (FREE_VCPUS, FREE_MEMORY_MIB, TOTAL_VCPUS, TOTAL_MEMORY_MIB, RUNS):
            declaration.column(code)
        return declaration.demand(1).demand(2)

    @classmethod
    def pools(cls) -> "Declaration":
        """Storage pools: free and total GiB; demand GiB."""
        return cls(STORAGE_POOLS).column(FREE_GIB).column(TOTAL_GIB).demand(3)

    def column(self, code: int) -> "Declaration":
        """Adds a column by its code; twice is once."""
        if (code, None) not in self.columns:
            self.columns.append((code, None))
        return self

    def attribute(self, name: str) -> "Declaration":
        """Adds an operator's own numeric attribute; twice is once. A row without it has 0."""
        if (ATTRIBUTE, name) not in self.columns:
            self.columns.append((ATTRIBUTE, name))
        return self

    def resource(self, name: str) -> "Declaration":
        """Adds a countable resource: how much of it a row has free and in all, and how much is asked; twice is once."""
        for column in ((FREE_RESOURCE, name), (TOTAL_RESOURCE, name)):
            if column not in self.columns:
                self.columns.append(column)
        return self.demand(RESOURCES + self.columns.index((FREE_RESOURCE, name)))

    def resource_of(self, demand: int) -> str | None:
        """The resource of which a demand wants to know how much is asked; none when it is another demand."""
        place = demand - RESOURCES
        if not 0 <= place < len(self.columns):
            return None
        code, name = self.columns[place]
        return name if code in (FREE_RESOURCE, TOTAL_RESOURCE) else None

    def amounts(self, asked: list[int]) -> tuple[dict[int, int], dict[str, int]]:
        """What is asked for, as it travels, by code, and of resources by name."""
        demands, resources = {}, {}
        for code, amount in zip(self.demands, asked):
            name = self.resource_of(code)
            if name is None:
                demands[code] = amount
            else:
                resources[name] = amount
        return demands, resources

    def pod(self) -> "Declaration":
        """Adds the number that rows of the same pod share."""
        return self.column(POD)

    def cluster(self) -> "Declaration":
        """Adds the number that rows of the same cluster share."""
        return self.column(CLUSTER)

    def template_cached(self) -> "Declaration":
        """Adds whether the template is cached on a pool that a row reaches."""
        return self.fact(TEMPLATE_CACHED)

    def previous_host(self) -> "Declaration":
        """Adds which row the instance ran on before."""
        return self.fact(PREVIOUS_HOST)

    def same_project(self) -> "Declaration":
        """Adds how many instances of the same project a row has."""
        return self.fact(SAME_PROJECT)

    def same_project_in_pod(self) -> "Declaration":
        """Adds how many instances of the same project run in the pod of a row."""
        return self.fact(SAME_PROJECT_IN_POD)

    def lifetimes(self) -> "Declaration":
        """Adds when machines are expected to end: of a row the latest, of the ask its own and the minute of the decision."""
        return self.column(LATEST_END).attr(NOW).attr(EXPECTED_END)

    def attr(self, code: int) -> "Declaration":
        """Adds an attribute of the request by its code; twice is once."""
        return self.demand(ATTRS + code)

    def kin(self) -> "Declaration":
        """Adds how many members of the affinity groups of the instance a row has."""
        return self.fact(KIN)

    def demand(self, code: int) -> "Declaration":
        """Adds a demand by its code; twice is once."""
        if code not in self.demands:
            self.demands.append(code)
        return self

    def fact(self, code: int) -> "Declaration":
        """Adds a fact of the request by its code (TEMPLATE_CACHED, PREVIOUS_HOST, SAME_PROJECT, KIN); twice is once."""
        if code not in self.facts:
            self.facts.append(code)
        return self

    def refusal(self, code: int, words: str) -> "Declaration":
        """Puts a refusal code in words, for operators and tenants: no names of hosts in them."""
        self.refusals.append((code, words))
        return self

    def compares_rows(self) -> "Declaration":
        """Says that a row's score depends on the seed, so that the server keeps no scores."""
        self.row_local = False
        return self

    def sample(self, max_rows: int) -> "Declaration":
        """Wants to see at most so many rows at once, a seeded sample; 0 is all."""
        self.max_rows = max_rows
        return self
