"""One captured CUDA graph in place of a hundred kernel launches an evaluation, which small images mostly wait for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from pipeline.transfer.lbfgs import Evaluate


def capture(evaluate: Evaluate, example: Tensor) -> tuple[Evaluate, list[str]]:
    """The same function, replayed from a graph where the device can; elsewhere the function itself.

    Args:
        evaluate: takes (B, 3, H, W) and never waits for the device.
        example: of the shape and device that it will be called with.

    Returns:
        The function, and a warning if a CUDA device could not capture it.
    """
    if example.device.type != "cuda":
        return evaluate, []
    image = example.clone()
    try:
        with torch.cuda.device(example.device), torch.cuda.stream(torch.cuda.current_stream(example.device)):
            aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                evaluate(image)  # libraries choose their algorithms here; that cannot be captured
            torch.cuda.current_stream().wait_stream(aside)
            graph = torch.cuda.CUDAGraph()
            # Other threads pin memory meanwhile, which a capture does not allow unless it minds its own thread only.
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                values, gradient = evaluate(image)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        first_line = str(error).partition("\n")[0]
        return evaluate, [f"no CUDA graph could be captured, evaluations are launched one by one: {first_line}"]

    def replay(at: Tensor, _read_by_the_graph: Evaluate = evaluate) -> tuple[Tensor, Tensor]:
        image.copy_(at)
        graph.replay()
        return values.clone(), gradient.clone()

    return replay, []
