"""The values that the rows of the table are made of, so that a row is a pure function and printing is done once."""

from attrs import frozen


@frozen(kw_only=True)
class Figure:
    """One measured number beside what it is to reach."""

    what: str
    measured: float
    bound: float
    unit: str  # as it is printed after both numbers
    digits: int = 0
    at_least: bool = False  # else at most
    quoted: str = ""  # what another system needs, as others measured it

    @property
    def reached(self) -> bool:
        """Whether the number is on the right side of its bound."""
        return self.measured >= self.bound if self.at_least else self.measured <= self.bound

    def show(self, number: float) -> str:
        """A number in this figure's digits and unit."""
        return f"{number:,.{self.digits}f}{self.unit}"

    @property
    def goal(self) -> str:
        """The bound in words."""
        return f"{'at least' if self.at_least else 'at most'} {self.show(self.bound)}"
