"""Memory as a kernel may use it: which bytes are its own to touch, and which were ever written."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tests.simt.formats import UNSIGNED
from tests.simt.order import Order
from tests.simt.races import Races

Array = NDArray[Any]
READABLE: Final = 1
WRITTEN: Final = 2
WRITABLE: Final = 4
_WHY: Final = {
    READABLE: "is no element of a tensor given",
    WRITABLE: "is no element of a tensor that may be written",
    WRITTEN: "is read and was never written",
}


class KernelError(Exception):
    """What a kernel may not do."""


class Access(NamedTuple):
    """Accesses of one instruction: of each active thread `count` values of `width` bytes, one behind the other."""

    thread: Array
    address: Array
    width: int
    count: int
    step: int


class Stretch:
    """Consecutive bytes, from an address on, and what is known of each; of shared memory, `each` block has as many."""

    def __init__(
        self, name: str, address: int, content: NDArray[np.uint8], state: int, each: int | None = None
    ) -> None:
        self.name = name
        self.address = address
        self._each = each or content.size
        self._content = content
        self.state = np.full(content.size, state, np.uint8)
        self._grain = 1
        self._races: Races | None = None

    def _of_width(self, what: NDArray[np.uint8], width: int) -> Array:
        return what[: what.size // width * width].view(UNSIGNED[8 * width])

    def begin(self, grain: int) -> None:
        """Before a launch, which always accesses so many bytes together: all that came before is over."""
        self._grain = grain
        self._races = None

    def load(self, access: Access, order: Order) -> list[Array]:
        """The values; a fault where they are not to be read."""
        first, word = self._checked(access, READABLE, WRITTEN)
        racing = self._accesses.loading(first, access.width * access.count, access.thread, access.step, order)
        self._refuse(access, racing, "is read without a barrier after another thread wrote it")
        content = self._of_width(self._content, access.width)
        return [content[word + place] for place in range(access.count)]

    def store(self, access: Access, values: list[Array], order: Order) -> None:
        """Write the values; a fault where they are not to be written."""
        first, word = self._checked(access, READABLE, WRITABLE)
        content, state = self._of_width(self._content, access.width), self._of_width(self.state, access.width)
        changing = np.zeros(first.shape, bool)
        for place, value in enumerate(values):
            changing |= content[word + place] != value
        racing = self._accesses.storing(first, access.width * access.count, access.thread, access.step, order)
        # To write what is there already changes nothing, whoever else has read or written it.
        self._refuse(access, racing & changing, "is written without a barrier after another thread's access")
        for place, value in enumerate(values):
            content[word + place] = value
            state[word + place] |= self._pattern(WRITTEN, access.width)
            self._refuse(access, content[word + place] != value, "is written by two threads at once, differently")

    def exchange(self, access: Access, place: int, new: Any) -> Any:
        """The value at the address of one thread, into which `new` of it is written."""
        _, word = self._checked(access, READABLE, WRITABLE, WRITTEN)
        content = self._of_width(self._content, access.width)
        old = content[word[place]]
        content[word[place]] = new(old)
        return old

    @property
    def _accesses(self) -> Races:
        if self._races is None:
            self._races = Races(self._content.size, self._grain)
        return self._races

    def _pattern(self, state: int, width: int) -> Any:
        return UNSIGNED[8 * width](int.from_bytes(bytes([state]) * width, "little"))

    def _checked(self, access: Access, *needed: int) -> tuple[Array, Array]:
        """The place of each access, in bytes and in words; a fault unless every byte's state has the bits `needed`."""
        size = access.width * access.count
        first = (access.address - np.uint64(self.address)).astype(np.int64)
        self._refuse(access, access.address % np.uint64(size) != 0, f"is not a multiple of the {size} bytes accessed")
        self._refuse(access, (first < 0) | (first + size > self._content.size), "is out of bounds")
        word = first // access.width
        state = self._of_width(self.state, access.width)
        for bit in needed:
            pattern = self._pattern(bit, access.width)
            for place in range(access.count):
                self._refuse(access, state[word + place] & pattern != pattern, _WHY[bit])
        return first, word

    def _refuse(self, access: Access, where: Array, why: str) -> None:
        if where.any():
            one = int(np.flatnonzero(where)[0])
            place = int(access.address[one]) - self.address
            place = place if self._each == self._content.size else place % self._each
            raise KernelError(
                f"byte {place} of the {self._each} of {self.name} {why} (thread {int(access.thread[one])}, "
                f"{np.count_nonzero(where)} threads in all)"
            )


class Memory:
    """Global memory: the tensors that a kernel is given, and nothing else."""

    def __init__(self) -> None:
        self._stretches: dict[int, Stretch] = {}
        self._kept: dict[int, Tensor] = {}

    def knows(self, tensor: Tensor) -> bool:
        """Whether any tensor of its memory was given."""
        return tensor.untyped_storage().data_ptr() in self._stretches

    def give(self, tensor: Tensor, name: str, *, written: bool = True, writable: bool = True) -> None:
        """Let kernels touch the elements of a tensor; not `written` of memory that has just been allocated."""
        if tensor.numel() == 0:
            return
        storage = tensor.untyped_storage()
        start = storage.data_ptr()
        if not self.knows(tensor):
            content = torch.empty(0, dtype=torch.uint8).set_(storage).numpy()
            self._stretches[start] = Stretch(name, start, content, WRITTEN if written else 0)
            self._kept[start] = tensor.detach()
        self._elements(tensor)[...] |= READABLE | WRITABLE * writable

    def wrote(self, tensor: Tensor) -> None:
        """Someone else has written the elements of a tensor."""
        if tensor.numel() and self.knows(tensor):
            self._elements(tensor)[...] |= WRITTEN

    def unwritten(self, tensor: Tensor) -> int:
        """How many elements of a tensor were never written."""
        if tensor.numel() == 0 or not self.knows(tensor):
            return 0
        return int(np.count_nonzero((self._elements(tensor) & WRITTEN == 0).any(-1)))

    def take_back(self) -> None:
        """Let kernels touch nothing from now on; only what is not yet wholly written stays known."""
        for start, stretch in [*self._stretches.items()]:
            stretch.state &= WRITTEN
            if stretch.state.all():
                del self._stretches[start], self._kept[start]

    def begin(self, grain: int) -> None:
        """Before a launch, which always accesses so many bytes together."""
        for stretch in self._stretches.values():
            stretch.begin(grain)

    def parts(self, access: Access) -> Iterable[tuple[Stretch, Array]]:
        """The stretches that an access goes to, and which of its threads go there."""
        starts = np.array(sorted(self._stretches), np.uint64)
        number = np.searchsorted(starts, access.address, side="right") - 1
        if not len(starts) or (number < 0).any():
            raise KernelError(f"address {int(access.address.min()):#x} is of no tensor given")
        for one in np.unique(number):
            yield self._stretches[int(starts[one])], np.flatnonzero(number == one)

    def _elements(self, tensor: Tensor) -> Array:
        """The state of the bytes of each element."""
        size = tensor.element_size()
        state = self._stretches[tensor.untyped_storage().data_ptr()].state
        return np.lib.stride_tricks.as_strided(
            state[tensor.storage_offset() * size :],
            (*tensor.shape, size),
            (*(stride * size for stride in tensor.stride()), 1),
        )
