"""What line and column passes share: depthwise forms with a K-word for each kernel column."""

from __future__ import annotations

from dataclasses import dataclass

from subbyte.compiler.operation import Operation


@dataclass(frozen=True)
class KernelColumnOperation(Operation):
    """A convolution whose words hold codes of one input column each. """

    @property
    def segment(self) -> int:
        """Codes of one row of a word."""
        return self.inputs

    @property
    def words(self) -> int:
        """K-words of a result, one for each kernel column."""
        return self.kernel[1]

    @property
    def unused(self) -> int:
        """None to correct for: what lanes without a code read is another row's, and their weights are 0."""
        return 0
