"""The mappings that a manifest may choose. Source: PoLe, Algorithm 3; CSML for images"""

import math
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pole.document import Document
from pole.errors import BadInput
from pole.task.layers import Size


class DenseMapping(Document):
    """Algorithm 3: each of `segments` equal slices of the features meets the same `vectors` query vectors."""

    kind: Literal["dense"] = "dense"
    vectors: Size
    segments: Size = 1
    bits_per_weight: Annotated[int, Field(ge=1, le=8)] = 3
    normalisation: Literal["none", "standardise"] = "standardise"

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of a mapped row. Raises BadInput if the segments do not fit."""
        self.segment_width(input_shape)
        return (self.segments * self.vectors,)

    def segment_width(self, input_shape: tuple[int, ...]) -> int:
        """Features per segment; each segment is a contiguous slice of the flattened row."""
        features = math.prod(input_shape)
        if features % self.segments:
            raise BadInput(f"{self.segments} segments do not divide {features} features equally")
        return features // self.segments


class ConvolutionalMapping(Document):
    """CSML: `filters` square filters per input channel, zero padding keeps height and width."""

    kind: Literal["convolutional"] = "convolutional"
    filters: Annotated[int, Field(ge=1, le=1024)]
    kernel: Annotated[int, Field(ge=1, le=15, multiple_of=1)]
    bits_per_weight: Annotated[int, Field(ge=1, le=8)] = 3
    normalisation: Literal["none", "standardise"] = "standardise"

    @model_validator(mode="after")
    def _kernel_is_odd(self) -> Self:
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel {self.kernel} is even; padding keeps the size of odd kernels only")
        return self

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of a mapped row. Raises BadInput for flat rows."""
        channels, height, width = image_shape(input_shape)
        return (channels * self.filters, height, width)


def image_shape(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """(channels, height, width) of rows that a convolutional mapping takes. Raises BadInput for others."""
    if len(shape) != 3:
        raise BadInput(f"a convolutional mapping needs rows of shape (channels, height, width), not {tuple(shape)}")
    return (shape[0], shape[1], shape[2])


AnyMapping = Annotated[DenseMapping | ConvolutionalMapping, Field(discriminator="kind")]
